//! What a worker and its gateway use of the machine: processor time a scan, and memory while scans go by.
//!
//! The worker is another process of this program, so that neither the page's server nor the measuring counts.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::installation::{database, job, renamed};
use super::report::Report;
use super::series::{Series, Unit};
use super::stage::Bench;
use super::under_way::End;
use crate::domain::state::State;
use crate::store::Store;

/// Jobs that wait all the time.
const QUEUED: usize = 10_000;

/// Jobs that are put into the queue at once.
const BLOCK: usize = 1_000;

/// How often memory is looked at while the scans go by.
const LOOKS: usize = 10;

/// Between two looks at how many scans have ended.
const PAUSE: Duration = Duration::from_millis(20);

/// No scan takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Measures over so many scans.
pub(super) async fn measure(bench: &Bench, scans: usize, report: &mut Report) -> anyhow::Result<()> {
    let (store, path) = database(bench, "resources").await?;
    bench.answers_for(store.instance().await?);
    let url = bench.site().url("/resources");
    let jobs = QUEUED + scans;
    for from in (0..jobs).step_by(BLOCK) {
        let block = BLOCK.min(jobs - from);
        store.submit(vec![job(&url); block].into_iter().map(renamed).collect()).await?;
    }
    // As a service's, its log goes somewhere.
    let log = bench.folder().join("worker.log");
    let mut worker = Worker::start(bench, &path, &log)?;
    let first = ended(&store, 1, &mut worker).await?;
    let processes = Processes::of(worker.pid)?;
    let begun = processes.cpu()?;
    let (mut memory, mut cpu, mut last) = (Vec::new(), Vec::new(), (first, begun));
    for look in 1..=LOOKS.min(scans) {
        let done = ended(&store, 1 + scans * look / LOOKS.min(scans), &mut worker).await?;
        let used = processes.cpu()?;
        memory.push(processes.resident()?);
        cpu.push((used - last.1).as_secs_f64() * 1e3 / (done - last.0).max(1) as f64);
        last = (done, used);
    }
    let (done, used) = last;
    worker.stop().await?;
    let whole = (used - begun).as_secs_f64() * 1e3 / (done - first).max(1) as f64;
    let what = format!("processor time of worker and gateway for a scan, over {} scans", done - first);
    report.measured(Series::new("cpuPerScan", what, Unit::Millis, vec![whole]));
    let what = "  and for a scan of each tenth of them (the kernel counts in steps of 10 ms)";
    report.measured(Series::new("cpuPerScanOfTenths", what, Unit::Millis, cpu));
    let what = format!("worker and gateway resident, {QUEUED} jobs queued, after each tenth of the scans");
    report.measured(Series::new("resident", what, Unit::Mebibytes, memory));
    Ok(())
}

/// A worker as another process; dropped, it kills and removes what it has and ends.
struct Worker {
    pid: u32,
    /// Ends it in order.
    stop: Option<oneshot::Sender<()>>,
    ended: End<std::io::Result<ExitStatus>>,
}

impl Worker {
    fn start(bench: &Bench, database: &Path, log: &Path) -> anyhow::Result<Self> {
        let settings = bench.settings();
        let log = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(super::THIS_PROGRAM);
        command
            .arg("worker")
            .env("SAFEURL_DATABASE_URL", format!("file:{}", database.display()))
            .env("SAFEURL_SANDBOX_RUN_DIR", &settings.sandbox.run_dir)
            .env("SAFEURL_SANDBOX_IMAGE", &bench.image().id)
            .env("SAFEURL_GATEWAY_ALLOW_NETWORKS", "127.0.0.1/32")
            .env("SAFEURL_POLITENESS_PER_HOST", settings.politeness.per_host.to_string())
            .env("SAFEURL_POLITENESS_GAP", format!("{}ms", settings.politeness.gap.as_millis()))
            .env("SAFEURL_QUEUE_KIND", "embedded")
            .env("SAFEURL_LOG_LEVEL", settings.log.level.as_str());
        // A ^C in the terminal is for the measurement, which ends it.
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).spawn();
        let child = started.context("cannot start a worker")?;
        let pid = child.id().context("the worker ended")?;
        let (stop, stopped) = oneshot::channel();
        Ok(Self { pid, stop: Some(stop), ended: bench.under_way().begin(see_out(child, stopped)) })
    }

    /// Drains it: what runs may end.
    async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(stop) = self.stop.take() {
            // One that is gone already says how it ended all the same.
            let _ = stop.send(());
        }
        let ended = self.ended.wait().await?.context("cannot wait for the worker")?;
        if ended.success() { Ok(()) } else { bail!("the worker ended with {ended}") }
    }
}

/// Waits for its end, in order where that is asked for, at once where nobody can ask any more.
async fn see_out(mut child: Child, stopped: oneshot::Receiver<()>) -> std::io::Result<ExitStatus> {
    let in_order = tokio::select! {
        ended = child.wait() => return ended,
        stopped = stopped => stopped.is_ok(),
    };
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    for _ in 0..if in_order { 1 } else { 2 } {
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        // The second one counts once the first was heard.
        sleep(PAUSE).await;
    }
    child.wait().await
}

/// Waits until at least so many scans have a result, and says how many.
async fn ended(store: &Store, scans: usize, worker: &mut Worker) -> anyhow::Result<u64> {
    let wanted = u64::try_from(scans).unwrap_or(u64::MAX);
    let mut until = Instant::now() + LONG;
    let mut before = 0;
    loop {
        let counts = store.counts().await.context("cannot count jobs")?;
        let of =
            |state: State| counts.iter().find(|(counted, _)| *counted == state).map_or(0, |(_, jobs)| *jobs);
        if of(State::Failed) + of(State::TimedOut) > 0 {
            bail!("a scan has no result");
        }
        let done = of(State::Completed);
        if done >= wanted {
            return Ok(done);
        }
        if done > before {
            (before, until) = (done, Instant::now() + LONG);
        }
        if worker.ended.is_over() {
            bail!("the worker ended");
        }
        if Instant::now() >= until {
            bail!("no scan ended for a minute");
        }
        sleep(PAUSE).await;
    }
}

/// What the kernel counts processor time in towards programs (`USER_HZ`, time(7)), whatever it counts in itself.
const TICK: Duration = Duration::from_millis(10);

/// A worker and its gateway.
struct Processes(Vec<u32>);

impl Processes {
    fn of(parent: u32) -> anyhow::Result<Self> {
        let processes = std::fs::read_dir("/proc").context("cannot read /proc")?.flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let children = pids.filter(|pid| stat(*pid).is_ok_and(|stat| stat.parent == parent));
        let all: Vec<_> = std::iter::once(parent).chain(children).collect();
        if all.len() == 2 { Ok(Self(all)) } else { bail!("the worker has {} processes and not 2", all.len()) }
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.0.iter().map(|pid| Ok(stat(*pid)?.cpu)).sum()
    }

    /// In MiB. The gateway is the same program: the pages of it that both have mapped are there once and count once.
    fn resident(&self) -> anyhow::Result<f64> {
        let mut kib = 0;
        for (number, pid) in self.0.iter().enumerate() {
            kib += match number {
                0 => resident_kib(*pid)?,
                // Nobody but root may look closer at a gateway that has locked itself down; then all of it counts.
                _ => own_kib(*pid).or_else(|_| resident_kib(*pid))?,
            };
        }
        Ok(f64::from(kib) / 1024.0)
    }
}

/// What `/proc/<pid>/stat` says (proc(5)).
struct Stat {
    parent: u32,
    cpu: Duration,
}

fn stat(pid: u32) -> anyhow::Result<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in parentheses and may have any characters; the state follows.
    let (_, rest) = text.rsplit_once(") ").context("no name")?;
    let fields: Vec<_> = rest.split(' ').collect();
    let field = |number: usize| -> anyhow::Result<u64> {
        Ok(fields.get(number - 3).context("too few fields")?.parse()?)
    };
    let ticks = field(14)? + field(15)?;
    let cpu = TICK * u32::try_from(ticks).context("too many ticks")?;
    Ok(Stat { parent: u32::try_from(field(4)?)?, cpu })
}

fn resident_kib(pid: u32) -> anyhow::Result<u32> {
    kib(&format!("/proc/{pid}/status"), &["VmRSS:"])
}

/// What no other process has mapped (proc(5)).
fn own_kib(pid: u32) -> anyhow::Result<u32> {
    kib(&format!("/proc/{pid}/smaps_rollup"), &["Private_Clean:", "Private_Dirty:"])
}

/// The sum of these lines.
fn kib(path: &str, names: &[&str]) -> anyhow::Result<u32> {
    let text = std::fs::read_to_string(path)?;
    let mut sum = 0;
    for name in names {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no {name} in {path}"))?;
        sum += line.trim().trim_end_matches("kB").trim().parse::<u32>()?;
    }
    Ok(sum)
}
