//! The gateway process: carries out a supervisor's orders, and outlives it until its last deadline.
//!
//! It holds no socket of the engine, no database and no secret. Its control socket is descriptor 0; its first
//! order configures it. Then it opens what it will ever need, gives up every right beyond that (`lockdown`), and only
//! then answers: no door is opened before. When that socket ends it takes no orders any more, drops doors that are not
//! bound, goes on with those that are, and exits after the last.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use safeurl_egress::{Network, Policy};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::GatewayError;
use super::binding::{Means, Opened, Wish};
use super::channel::{Channel, Packet};
use super::lockdown;
use super::message::{Command, Order, Report, Settings};
use super::resolv_conf;
use super::resolve::Resolver;

/// Descriptors wanted: two per door, two per connection, and those of the resolver.
const WANTED_DESCRIPTORS: u64 = 65_536;

/// The file name servers are taken from when none are configured, and the most that is read of it.
const RESOLV_CONF: &str = "/etc/resolv.conf";
const MAX_RESOLV_CONF_BYTES: u64 = 64 * 1024;

/// Runs the process on descriptor 0 until its supervisor and its last attempt are gone.
///
/// # Errors
/// [`GatewayError::NotControlled`] when descriptor 0 is not a socket of the expected kind;
/// [`GatewayError::Control`] when the supervisor says something that cannot be understood.
pub fn run() -> Result<(), GatewayError> {
    let control = io::stdin().as_fd().try_clone_to_owned().map_err(|_| GatewayError::NotControlled)?;
    match rustix::net::sockopt::socket_type(&control) {
        Ok(kind) if kind == rustix::net::SocketType::SEQPACKET => {}
        Ok(_) | Err(_) => return Err(GatewayError::NotControlled),
    }
    // Started by a path that says nothing of it, it would be listed under that.
    let _ = std::fs::write("/proc/self/comm", "safeurl");
    // Neither a busy mount nor a low limit must come from where the supervisor was started; failing is harmless.
    let _ = rustix::process::chdir("/");
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| GatewayError::Control { source })?;
    runtime.block_on(serve(control)).map_err(|source| GatewayError::Control { source })
}

fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED_DESCRIPTORS, |hard| hard.min(WANTED_DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    }
}

async fn serve(control: OwnedFd) -> io::Result<()> {
    // The kernel hangs up on a process group that is stopped when its parent dies; that must not end the bindings.
    let _deaf = signal(SignalKind::hangup())?;
    // Whoever reads the supervisor's messages through a pipe waits for its end, which must not take until our last
    // deadline. Afterwards no file can be opened for it.
    let nowhere = File::options().write(true).open("/dev/null").ok();
    let channel = Channel::new(control)?;
    let (reports, mut outbox) = mpsc::unbounded_channel();
    let Some(means) = configured(&channel, &reports).await? else { return Ok(()) };
    let mut doors = Doors { means, reports, open: HashMap::new(), tasks: JoinSet::new() };
    let mut supervised = true;
    loop {
        tokio::select! {
            packet = channel.receive(), if supervised => match packet {
                Ok(Some(packet)) => doors.carry_out(packet)?,
                // A supervisor that is killed with packets under way resets the socket.
                Ok(None) | Err(_) => {
                    supervised = false;
                    doors.open.clear();
                    if let Some(nowhere) = &nowhere {
                        let _ = rustix::stdio::dup2_stderr(nowhere);
                    }
                }
            },
            Some(report) = outbox.recv() => {
                // Failing means that the supervisor is gone, which `receive` says as well.
                let _ = channel.send(&report, &[]).await;
            }
            Some(ended) = doors.tasks.join_next() => {
                if let Ok(door) = ended {
                    doors.open.remove(&door);
                }
                if !supervised && doors.tasks.is_empty() {
                    return Ok(());
                }
            }
            else => return Ok(()),
        }
        if !supervised && doors.tasks.is_empty() {
            return Ok(());
        }
    }
}

/// Carries out the first order, which must be to configure. `None` when there is no supervisor any more, or it was told
/// why this process does not serve.
async fn configured(channel: &Channel, reports: &mpsc::UnboundedSender<Report>) -> io::Result<Option<Means>> {
    let Ok(Some(packet)) = channel.receive().await else { return Ok(None) };
    let Order { number, command } = serde_json::from_slice(&packet.bytes)?;
    let Command::Configure(settings) = command else {
        let reason = "the gateway is not configured".to_owned();
        return channel.send(&Report::Refused { number, reason }, &[]).await.map(|()| None);
    };
    let user = settings.user;
    // What the settings name is read first: afterwards no file can be.
    let ready = means(settings, reports.clone()).and_then(|means| {
        let files =
            lockdown::lock_down(user).map_err(|error| format!("it cannot be locked down: {error}"))?;
        Ok((means, files))
    });
    match ready {
        Ok((means, files)) => {
            channel.send(&Report::LockedDown { files: files.to_owned() }, &[]).await?;
            channel.send(&Report::Done { number }, &[]).await?;
            Ok(Some(means))
        }
        // The supervisor says it; twice would be once too much.
        Err(reason) => channel.send(&Report::Refused { number, reason }, &[]).await.map(|()| None),
    }
}

fn means(settings: Settings, reports: mpsc::UnboundedSender<Report>) -> Result<Means, String> {
    let allow = settings.allow_networks.iter().map(|text| text.parse::<Network>());
    let allow = allow.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let servers = if settings.resolvers.is_empty() { system_servers() } else { settings.resolvers };
    let resolver = Resolver::new(
        Policy::new(allow, settings.nat64_recheck),
        settings.hosts,
        &servers,
        Duration::from_millis(settings.dns_timeout_ms),
    );
    Ok(Means {
        resolver: Arc::new(resolver.map_err(|error| error.to_string())?),
        connect_timeout: Duration::from_millis(settings.connect_timeout_ms),
        owner: settings.owner,
        reports,
    })
}

/// The doors this process keeps, each in a task of its own.
struct Doors {
    means: Means,
    reports: mpsc::UnboundedSender<Report>,
    open: HashMap<String, mpsc::UnboundedSender<Wish>>,
    tasks: JoinSet<String>,
}

impl Doors {
    fn carry_out(&mut self, packet: Packet) -> io::Result<()> {
        let Order { number, command } = serde_json::from_slice(&packet.bytes)?;
        let result = match command {
            Command::Configure(_) => Err("the gateway is configured already".to_owned()),
            Command::Open { door, uid } => self.open(door, uid, packet.descriptors).map(|()| true),
            // A door answers for itself; one that is gone cannot.
            Command::Bind { door, attempt, budgets } => {
                let told = self.tell(&door, Wish::Bind { number, attempt, budgets });
                if told { Ok(false) } else { Err("there is no such door".to_owned()) }
            }
            Command::Close { door } => Ok(!self.tell(&door, Wish::Close { number })),
        };
        let report = match result {
            Ok(true) => Report::Done { number },
            Ok(false) => return Ok(()),
            Err(reason) => Report::Refused { number, reason },
        };
        // The receiver lives as long as this loop.
        let _ = self.reports.send(report);
        Ok(())
    }

    fn tell(&self, door: &str, wish: Wish) -> bool {
        self.open.get(door).is_some_and(|wishes| wishes.send(wish).is_ok())
    }

    fn open(&mut self, door: String, uid: u32, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        if self.open.contains_key(&door) {
            return Err("the door is open already".to_owned());
        }
        let [listener, ledger]: [OwnedFd; 2] =
            descriptors.try_into().map_err(|_| "an open order brings two descriptors")?;
        let opened = Opened::new(door.clone(), uid, UnixListener::from(listener), File::from(ledger))
            .map_err(|error| error.to_string())?;
        let (wishes, inbox) = mpsc::unbounded_channel();
        self.open.insert(door.clone(), wishes);
        let means = self.means.clone();
        self.tasks.spawn(async move {
            opened.keep(inbox, means).await;
            door
        });
        Ok(())
    }
}

/// Without a readable file there are no name servers, and names cannot be resolved.
fn system_servers() -> Vec<std::net::SocketAddr> {
    let mut text = String::new();
    let read = File::open(RESOLV_CONF).and_then(|file| {
        io::Read::read_to_string(&mut io::Read::take(file, MAX_RESOLV_CONF_BYTES), &mut text)
    });
    if read.is_ok() { resolv_conf::name_servers(&text) } else { Vec::new() }
}
