//! The gateway's side of one door: unbound, then bound to one attempt, then over.
//!
//! Unbound, every connection is closed at once, and one from the container spoils the door for good. Bound, it
//! serves until it is closed or the attempt's deadline passes; the death of the supervisor changes nothing. Closing
//! is an order of the supervisor, or a visit by the supervisor's user: that is how a worker closes that goes on with the
//! job of another one and has no control socket. There is no way back from bound to unbound, and no
//! second attempt.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rustix::net::SocketFlags;
use safeurl_protocol::ledger::LedgerLine;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::budget::{Budgets, DEADLINE, Spending};
use super::journal::{self, Journal};
use super::message::Report;
use super::resolve::Resolver;
use super::tunnel::{self, Attempt};

/// Connections that may wait for their turn or for their refusal beyond those that are served.
const WAITING: usize = 8;

/// Connections that are looked at before a binding: more than the queue of a socket holds (`std` asks for 4096 at most).
const MOST_QUEUED: usize = 5000;

/// How long cut connections may take to write their last ledger line.
const CUT_TIMEOUT: Duration = Duration::from_secs(2);

/// A pause after a failed accept, which means that descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the supervisor wants of this door.
#[derive(Debug)]
pub(super) enum Wish {
    Bind { number: u64, attempt: String, budgets: Budgets },
    Close { number: u64 },
}

/// How a door was asked to close.
enum Closing {
    Ordered(u64),
    /// The visitor waits for the end of the connection.
    Visited(UnixStream),
}

/// What all doors of a gateway share.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) resolver: Arc<Resolver>,
    pub(super) connect_timeout: Duration,
    /// The user whose workers may end a binding: the supervisor's. It does not matter whether that one lives, for one
    /// that was stopped for longer than its leases has lost its jobs without being dead. Containers have uids of their own.
    pub(super) owner: u32,
    pub(super) reports: mpsc::UnboundedSender<Report>,
}

/// A door as it was handed over.
#[derive(Debug)]
pub(super) struct Opened {
    door: String,
    uid: u32,
    listener: UnixListener,
    journal: Journal,
}

impl Opened {
    /// Takes the descriptors over. Must be called inside the runtime.
    pub(super) fn new(door: String, uid: u32, listener: StdListener, ledger: File) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { door, uid, listener: UnixListener::from_std(listener)?, journal: Journal::new(ledger)? })
    }

    /// Keeps the door until it is over.
    pub(super) async fn keep(self, mut wishes: mpsc::UnboundedReceiver<Wish>, means: Means) {
        let closing = self.serve(&mut wishes, &means).await;
        // Wishes that arrived meanwhile are answered too: the door is closed, and cannot be bound.
        wishes.close();
        match closing {
            Some(Closing::Ordered(number)) => means.report(Report::Done { number }),
            // Only now, when the end is written and the lock has fallen.
            Some(Closing::Visited(visitor)) => drop(visitor),
            None => {}
        }
        while let Some(wish) = wishes.recv().await {
            means.report(match wish {
                Wish::Close { number } => Report::Done { number },
                Wish::Bind { number, .. } => refused(number, "the door is closed"),
            });
        }
    }

    /// Returns how it was asked to close, when it was.
    async fn serve(self, wishes: &mut mpsc::UnboundedReceiver<Wish>, means: &Means) -> Option<Closing> {
        // Dropped in reverse order: the lock on the ledger falls after the socket, for a free lock says that nobody
        // serves the door any more.
        let Self { door, uid, journal, listener } = self;
        let mut touched = false;
        let (number, attempt, budgets) = loop {
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(Wish::Bind { number, attempt, budgets }) => {
                        touched = touched || was_used(&listener, uid, means.owner);
                        if !touched {
                            break (number, attempt, budgets);
                        }
                        means.report(Report::Spoiled { number });
                    }
                    Some(Wish::Close { number }) => {
                        // Nothing was ever served; a ledger that cannot be ended reads as not complete.
                        let _ = journal.write(&LedgerLine::End { at: journal::now(), exhausted: None });
                        return Some(Closing::Ordered(number));
                    }
                    None => return None,
                },
                visitor = listener.accept() => match visitor {
                    Ok((visitor, _)) => match Visitor::of(&visitor, uid, means.owner) {
                        Visitor::Container if !touched => {
                            touched = true;
                            means.report(Report::TouchedUnbound { door: door.clone() });
                        }
                        Visitor::Container | Visitor::Owner | Visitor::Stranger => {}
                    },
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        };
        let bound = Bound::new(uid, listener, journal, budgets, means);
        bound.serve(number, attempt, wishes, means).await
    }
}

/// A door that serves an attempt.
struct Bound {
    uid: u32,
    listener: UnixListener,
    budgets: Budgets,
    deadline: Instant,
    attempt: Arc<Attempt>,
}

impl Bound {
    fn new(uid: u32, listener: UnixListener, journal: Journal, budgets: Budgets, means: &Means) -> Self {
        let attempt = Attempt {
            resolver: Arc::clone(&means.resolver),
            connect_timeout: means.connect_timeout,
            journal,
            spending: Spending::new(budgets),
            next_seq: AtomicU64::new(1),
        };
        let deadline = Instant::now() + Duration::from_millis(budgets.deadline_ms);
        Self { uid, listener, budgets, deadline, attempt: Arc::new(attempt) }
    }

    async fn serve(
        self,
        number: u64,
        attempt: String,
        wishes: &mut mpsc::UnboundedReceiver<Wish>,
        means: &Means,
    ) -> Option<Closing> {
        if let Err(error) = self.attempt.journal.write(&LedgerLine::Bound { attempt, at: journal::now() }) {
            means.report(refused(number, &format!("the ledger cannot be written: {}", error.kind())));
            return None;
        }
        means.report(Report::Done { number });

        let (end, ending) = watch::channel(None);
        let mut connections = JoinSet::new();
        // A container that connects without end must not make a ledger without end.
        let mut visits_left = u64::from(self.budgets.max_connections).saturating_mul(4).saturating_add(64);
        let most_open = self.budgets.max_concurrent as usize + WAITING;
        let mut supervised = true;
        let closing = loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.deadline) => break None,
                wish = wishes.recv(), if supervised => match wish {
                    Some(Wish::Close { number }) => break Some(Closing::Ordered(number)),
                    Some(Wish::Bind { number, .. }) => {
                        means.report(refused(number, "the door is bound already"));
                    }
                    None => supervised = false,
                },
                visitor = self.listener.accept() => match visitor {
                    Ok((visitor, _)) => match Visitor::of(&visitor, self.uid, means.owner) {
                        Visitor::Container if visits_left > 0 && connections.len() < most_open => {
                            visits_left -= 1;
                            connections.spawn(tunnel::serve(visitor, Arc::clone(&self.attempt), ending.clone()));
                        }
                        Visitor::Owner => break Some(Closing::Visited(visitor)),
                        Visitor::Container | Visitor::Stranger => {}
                    },
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        };
        drop(self.listener);
        // Whoever closes a door after its time may be heard before the clock is.
        let late = Instant::now() >= self.deadline;
        if late {
            self.attempt.spending.exhaust(DEADLINE);
        }
        let _ = end.send(Some(if late { DEADLINE } else { "closed" }));
        let cut = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(CUT_TIMEOUT, cut).await.is_err() {
            connections.shutdown().await;
        }
        let exhausted = self.attempt.spending.exhausted().map(str::to_owned);
        // Without the end line the ledger reads as that of a gateway that died, which is the safe reading.
        let _ = self.attempt.journal.write(&LedgerLine::End { at: journal::now(), exhausted });
        closing
    }
}

impl Means {
    fn report(&self, report: Report) {
        // Nobody listens once the supervisor is gone.
        let _ = self.reports.send(report);
    }
}

fn refused(number: u64, reason: &str) -> Report {
    Report::Refused { number, reason: reason.to_owned() }
}

/// Whether the container has connected by now although nobody has looked yet: what waits in the socket's queue came
/// before the binding, and must not be served by it.
fn was_used(listener: &UnixListener, container: u32, owner: u32) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // The kernel is asked itself: the runtime may not have heard yet. Strangers fill no more than the queue.
    (0..MOST_QUEUED).map_while(|_| rustix::net::accept_with(listener, flags).ok()).any(|visitor| {
        UnixStream::from_std(visitor.into())
            .is_ok_and(|visitor| Visitor::of(&visitor, container, owner) == Visitor::Container)
    })
}

/// Who connected, by what the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visitor {
    /// A process of the container. Where that one's uid is the owner's as well it is taken for this: a container must
    /// never close its own door.
    Container,
    /// A worker.
    Owner,
    /// Anybody else. Other users of the host cannot reach the socket's folder, but another container of the same engine
    /// may have been given it.
    Stranger,
}

impl Visitor {
    fn of(visitor: &UnixStream, container: u32, owner: u32) -> Self {
        match visitor.peer_cred().map(|peer| peer.uid()) {
            Ok(uid) if uid == container => Self::Container,
            Ok(uid) if uid == owner => Self::Owner,
            Ok(_) | Err(_) => Self::Stranger,
        }
    }
}
