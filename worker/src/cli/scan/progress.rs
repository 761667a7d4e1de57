//! What a person sees while scans run: lines that are drawn anew on a terminal, or one line a step elsewhere.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::cli::terminal::screen::{Screen, size};
use crate::cli::terminal::text::{BLUE, FAINT, NONE, RED, STRONG, Text, YELLOW, middle, printable, start};
use crate::domain::scan::ScanId;
use crate::domain::verdict::VerdictState;
use crate::supervisor::Progress;

/// How often lines are drawn at most; people do not see more.
const TICK: Duration = Duration::from_millis(100);

/// Scans that get a line of their own; more are counted.
const LINES: usize = 12;

/// One step of the mark that something runs.
const MARKS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Where progress is told.
pub(in crate::cli) enum Told {
    Nowhere,
    /// One line a step on stderr.
    Lines,
    /// Drawn on the screen.
    Drawn {
        screen: Screen,
        colour: bool,
    },
}

/// Tells what scans do.
pub(super) struct Teller {
    told: Told,
    state: Running,
    tick: Interval,
}

impl Teller {
    pub(super) fn new(told: Told, total: usize) -> Self {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { told, state: Running::new(total, Instant::now()), tick }
    }

    /// A scan that will be.
    pub(super) fn expect(&mut self, id: ScanId, url: String) {
        self.state.urls.insert(id, url);
    }

    /// Comes back when it is time to draw; never where nothing is drawn. Safe to drop and call again.
    pub(super) async fn due(&mut self) {
        match self.told {
            Told::Drawn { .. } => drop(self.tick.tick().await),
            Told::Nowhere | Told::Lines => std::future::pending().await,
        }
    }

    pub(super) fn draw(&self) {
        if let Told::Drawn { screen, colour } = &self.told {
            let (columns, rows) = size(std::io::stderr());
            screen.draw(&self.state.frame(Instant::now(), columns, rows), columns, *colour);
        }
    }

    /// Says that what was asked to stop does so, and how not to wait for that.
    pub(super) fn stopping(&self) {
        if let Told::Drawn { screen, colour } = &self.told {
            let (columns, _) = size(std::io::stderr());
            let line = Text::new(FAINT, &start("stopping what runs; ^C again does not wait", columns));
            screen.draw(&[line], columns, *colour);
        }
    }

    /// Takes a step in. A terminal that went away loses the line and nothing else.
    pub(super) fn tell(&mut self, progress: &Progress) {
        let step = self.state.step(progress, Instant::now());
        if let (Told::Lines, Some((url, what))) = (&self.told, step) {
            let (done, total) = (self.state.done, self.state.total);
            let _ = writeln!(std::io::stderr(), "[{done}/{total}] {}: {what}", printable(&url));
        }
    }

    /// Counts a result and lets it be printed, with what is drawn out of its way.
    pub(super) fn ended<T>(&mut self, verdict: VerdictState, print: impl FnOnce() -> T) -> T {
        match verdict {
            VerdictState::Malicious => self.state.malicious += 1,
            VerdictState::Suspicious => self.state.suspicious += 1,
            VerdictState::Benign | VerdictState::Unknown | VerdictState::NotEvaluated => {}
        }
        match &self.told {
            Told::Drawn { screen, .. } => screen.aside(print),
            Told::Nowhere | Told::Lines => print(),
        }
    }
}

/// Nothing is left on the screen, whatever the end.
impl Drop for Teller {
    fn drop(&mut self) {
        if let Told::Drawn { screen, .. } = &self.told {
            screen.clear();
        }
    }
}

/// What is known of the scans under way. Its frames depend on it, the moment and the size alone.
#[derive(Debug)]
struct Running {
    total: usize,
    done: usize,
    malicious: usize,
    suspicious: usize,
    since: Instant,
    urls: BTreeMap<ScanId, String>,
    active: BTreeMap<ScanId, (&'static str, Instant)>,
}

impl Running {
    fn new(total: usize, now: Instant) -> Self {
        Self {
            total,
            done: 0,
            malicious: 0,
            suspicious: 0,
            since: now,
            urls: BTreeMap::new(),
            active: BTreeMap::new(),
        }
    }

    /// Which URL is where now.
    fn step(&mut self, progress: &Progress, now: Instant) -> Option<(String, &'static str)> {
        let (id, what) = match progress {
            Progress::Fetching(id) => (id, "fetching"),
            Progress::Analyzing(id) => (id, "analysing"),
            Progress::Queued(id) => (id, "waiting to be tried again"),
            Progress::Ended(id, state) => {
                // One that is not ours, or was counted before, is nothing new.
                let url = self.urls.remove(id)?;
                self.done += 1;
                self.active.remove(id);
                return Some((url, state.as_str()));
            }
            // The log tells of trouble, or the error that follows; a report is for who keeps it.
            Progress::Trouble { .. } | Progress::Reported(..) | Progress::ContainerWaits => return None,
        };
        let url = self.urls.get(id)?.clone();
        self.active.entry(id.clone()).or_insert((what, now)).0 = what;
        Some((url, what))
    }

    /// The lines for a terminal of this size, each of which fits.
    fn frame(&self, now: Instant, columns: usize, rows: usize) -> Vec<Text> {
        // The last column stays free, or some terminals begin a new line.
        let columns = columns.saturating_sub(1);
        let mark = MARKS[(now - self.since).as_millis() as usize / TICK.as_millis() as usize % MARKS.len()];
        let room = LINES.min(rows.saturating_sub(4)).max(1);
        let mut lines = Vec::new();
        let mut active: Vec<_> = self.active.iter().collect();
        // Those that take longest, first: their lines do not jump.
        active.sort_by_key(|(id, (_, since))| (*since, *id));
        for (id, (what, since)) in active.iter().take(room) {
            let url = self.urls.get(*id).map(String::as_str).unwrap_or_default();
            let clock = clock(now - *since);
            let free = columns.saturating_sub(mark.chars().count() + what.len() + clock.len() + 6);
            let url = middle(&printable(url), free);
            lines.push(
                Text::new(BLUE, mark)
                    .gap(1)
                    .and(NONE, &url)
                    .gap(2)
                    .and(FAINT, what)
                    .gap(2)
                    .and(FAINT, &clock),
            );
        }
        if active.len() > room {
            lines.push(Text::new(FAINT, &format!("  and {} more", active.len() - room)));
        }
        if self.total > 1 {
            lines.push(self.status(now));
        }
        lines.into_iter().map(|line| first_line(&line, columns)).collect()
    }

    fn status(&self, now: Instant) -> Text {
        let dot = |text: Text| text.and(FAINT, " · ");
        let mut line = Text::new(STRONG, &format!("{}/{} done", self.done, self.total));
        if self.malicious > 0 {
            line = dot(line).and(RED, &format!("{} malicious", self.malicious));
        }
        if self.suspicious > 0 {
            line = dot(line).and(YELLOW, &format!("{} suspicious", self.suspicious));
        }
        let line = dot(line).and(NONE, &format!("{} running", self.active.len()));
        dot(line).and(FAINT, &clock(now - self.since))
    }
}

/// Too narrow for everything: what stands first is what matters.
fn first_line(line: &Text, columns: usize) -> Text {
    line.wrap(columns).into_iter().next().unwrap_or_default()
}

/// Minutes and seconds, hours where it comes to that.
fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests;
