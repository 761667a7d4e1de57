//! Records the parts of scans: when each began and ended, and whom it waited for.
//!
//! A layer for the spans of [`TARGET`]. It keeps the trees under way, and whole those that name a job until they are
//! taken. A look for due rows belongs to no job by itself; it is kept for a while and goes to each job that it falls into.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::span::TARGET;

/// What is done for whichever jobs are due.
const LOOK: &str = "look";

/// So many looks are kept, the latest ones.
const LOOKS: usize = 64;

/// The part from which everything counts, and the one at whose end the result is stored.
const SUBMIT: &str = "submit";
const SETTLE: &str = "settle";

/// Who has the time in which nothing was going on that has a name.
const BETWEEN: &str = "between";

/// Records spans; clones share what they have recorded.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    /// By the id of their root.
    under_way: HashMap<u64, Tree>,
    /// By the name of their job.
    whole: HashMap<String, Vec<Timed>>,
    looks: VecDeque<Timed>,
}

#[derive(Debug, Default)]
struct Tree {
    job: Option<String>,
    parts: Vec<Timed>,
}

/// A span that has ended.
#[derive(Debug, Clone)]
struct Timed {
    name: String,
    by: Option<String>,
    depth: usize,
    began: Instant,
    ended: Instant,
}

/// A span that has not ended yet; kept with the span.
struct Open {
    root: u64,
    name: String,
    by: Option<String>,
    depth: usize,
    began: Instant,
}

/// One scan: its parts in the order in which they began, a whole before its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// From the submit until the result was stored; `None` for a scan without one.
    pub stored_us: Option<i64>,
    /// Whom these microseconds were waited for, the most first. At each moment it is the part that began last.
    pub shares: Vec<Share>,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// Time that was spent on somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Who: `engine`, `container`, `database`, `gateway`, `analysis`, `queue`, or `between` what has a name.
    pub by: String,
    /// How long.
    pub us: i64,
}

/// One part of a scan. Times are microseconds since the submit began, negative before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What was done.
    pub name: String,
    /// Who was waited for; `None` where its own parts say that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many parts it is a part of.
    pub depth: usize,
    /// When it began.
    pub start_us: i64,
    /// When it ended.
    pub end_us: i64,
}

impl Recorder {
    /// As a layer of the lines' subscriber: it sees the parts of scans and nothing else.
    pub(super) fn layer<S>(self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        self.with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE))
    }

    /// Takes out what was recorded of a job: its submit, and its attempts that are over, with everything that they did
    /// to their containers. `None` for one that nothing is known of.
    #[must_use]
    pub fn take(&self, job: &str) -> Option<Trace> {
        let mut recorded = self.recorded();
        let mut parts = recorded.whole.remove(job)?;
        let submit = parts.iter().find(|part| part.name == SUBMIT);
        let zero = submit.or(parts.first())?.began;
        let end = parts.iter().map(|part| part.ended).max().unwrap_or(zero);
        let looks = recorded.looks.iter().filter(|part| part.began >= zero && part.ended <= end);
        parts.extend(looks.cloned());
        let mut parts: Vec<Part> = parts.into_iter().map(|part| part.since(zero)).collect();
        parts.sort_by_key(|part| (part.start_us, part.depth));
        let stored_us = parts.iter().rfind(|part| part.name == SETTLE).map(|part| part.end_us);
        let shares = shares(&parts, stored_us.unwrap_or_default());
        Some(Trace { stored_us, shares, parts })
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timed {
    fn since(self, zero: Instant) -> Part {
        let us = |at: Instant| match at.checked_duration_since(zero) {
            Some(later) => i64::try_from(later.as_micros()).unwrap_or(i64::MAX),
            // Rounded down like the others, or a part could begin before its whole.
            None => -i64::try_from((zero - at).as_nanos().div_ceil(1000)).unwrap_or(i64::MAX),
        };
        Part {
            start_us: us(self.began),
            end_us: us(self.ended),
            name: self.name,
            by: self.by,
            depth: self.depth,
        }
    }
}

/// Whom the time from the submit to an end was waited for.
fn shares(parts: &[Part], end: i64) -> Vec<Share> {
    let mut marks: Vec<i64> = parts.iter().flat_map(|part| [part.start_us, part.end_us]).collect();
    marks.extend([0, end]);
    marks.retain(|mark| (0..=end).contains(mark));
    marks.sort_unstable();
    let mut shares: Vec<Share> = Vec::new();
    for pair in marks.windows(2) {
        let &[from, to] = pair else { continue };
        // They are in the order in which they began.
        let latest = parts.iter().rfind(|part| part.start_us <= from && part.end_us >= to);
        let by = latest.and_then(|part| part.by.as_deref()).unwrap_or(BETWEEN);
        match shares.iter_mut().find(|share| share.by == by) {
            Some(share) => share.us += to - from,
            None => shares.push(Share { by: by.to_owned(), us: to - from }),
        }
    }
    shares.retain(|share| share.us > 0);
    shares.sort_by_key(|share| std::cmp::Reverse(share.us));
    shares
}

/// What the fields of a span say.
#[derive(Default)]
struct Fields {
    job: Option<String>,
    by: Option<String>,
    operation: Option<String>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let of = match field.name() {
            "job" => &mut self.job,
            "by" => &mut self.by,
            "operation" => &mut self.operation,
            _ => return,
        };
        *of = Some(value.to_owned());
    }
}

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let began = Instant::now();
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let (depth, root) = span
            .scope()
            .enumerate()
            .last()
            .map_or((0, id.into_u64()), |(depth, root)| (depth, root.id().into_u64()));
        let name = fields.operation.unwrap_or_else(|| span.name().to_owned());
        span.extensions_mut().insert(Open { root, name, by: fields.by, depth, began });
        let mut recorded = self.recorded();
        let tree = recorded.under_way.entry(root).or_default();
        if fields.job.is_some() {
            tree.job = fields.job;
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        let root = context.span(id).and_then(|span| Some(span.extensions().get::<Open>()?.root));
        if let (Some(job), Some(root)) = (fields.job, root)
            && let Some(tree) = self.recorded().under_way.get_mut(&root)
        {
            tree.job = Some(job);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let ended = Instant::now();
        let open = context.span(&id).and_then(|span| span.extensions_mut().remove::<Open>());
        let Some(Open { root, name, by, depth, began }) = open else { return };
        let mut recorded = self.recorded();
        let Some(tree) = recorded.under_way.get_mut(&root) else { return };
        tree.parts.push(Timed { name, by, depth, began, ended });
        // A root is closed after everything below it.
        if root != id.into_u64() {
            return;
        }
        let Some(Tree { job, parts }) = recorded.under_way.remove(&root) else { return };
        if let Some(job) = job {
            recorded.whole.entry(job).or_default().extend(parts);
            return;
        }
        // The rest is of an attempt that never had a job, or nobody's, like a sweep.
        recorded.looks.extend(parts.into_iter().filter(|part| part.name == LOOK));
        if recorded.looks.len() > LOOKS {
            recorded.looks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Instrument as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::span::span;

    /// What was recorded of a job while something was done.
    fn recorded(job: &str, work: impl FnOnce()) -> Option<Trace> {
        let recorder = Recorder::default();
        let subscriber = tracing_subscriber::registry().with(recorder.clone().layer());
        tracing::subscriber::with_default(subscriber, work);
        recorder.take(job)
    }

    fn names(trace: &Trace) -> Vec<(usize, &str)> {
        trace.parts.iter().map(|part| (part.depth, &*part.name)).collect()
    }

    fn part(name: &str, by: Option<&str>, depth: usize, (start_us, end_us): (i64, i64)) -> Part {
        Part { name: name.to_owned(), by: by.map(str::to_owned), depth, start_us, end_us }
    }

    #[test]
    fn the_parts_of_a_job_come_in_their_order_each_within_its_whole() {
        let trace = recorded("j1", || {
            drop(span!("submit", job = "j1", by = "database"));
            let whole = span!("attempt", job = tracing::field::Empty);
            {
                let _in = whole.enter();
                let create = span!("create").entered();
                drop(span!("call", by = "engine", operation = "create a container"));
                drop(create);
                drop(span!("claim", by = "database"));
            }
            whole.record("job", tracing::field::display("j1"));
        });
        let trace = trace.expect("it has the job");
        let expected =
            [(0, "submit"), (0, "attempt"), (1, "create"), (2, "create a container"), (1, "claim")];
        assert_eq!(names(&trace), expected);
        assert_eq!(trace.parts[0].start_us, 0, "times count from the submit");
        let [_, attempt, create, call, claim] = &*trace.parts else { panic!("{:?}", names(&trace)) };
        for (inner, outer) in [(create, attempt), (call, create), (claim, attempt)] {
            assert!(
                outer.start_us <= inner.start_us && inner.end_us <= outer.end_us,
                "{inner:?} in {outer:?}"
            );
        }
        assert_eq!(call.by.as_deref(), Some("engine"));
    }

    #[test]
    fn a_job_has_its_own_parts_and_what_was_done_for_all_meanwhile() {
        let of_one = |job: &'static str| {
            let _attempt = span!("attempt", job = job).entered();
            drop(span!("claim"));
        };
        let trace = recorded("j1", || {
            drop(span!("look"));
            drop(span!("submit", job = "j1"));
            drop(span!("look"));
            drop(span!("sweep"));
            of_one("j2");
            let unused = span!("attempt").entered();
            drop(span!("oblige"));
            drop(unused);
            of_one("j1");
            drop(span!("look"));
        });
        let trace = trace.expect("it has the job");
        assert_eq!(names(&trace), [(0, "submit"), (0, "look"), (0, "attempt"), (1, "claim")]);
    }

    #[test]
    fn what_is_taken_or_never_had_a_job_is_gone_and_other_lines_are_not_seen() {
        let recorder = Recorder::default();
        let subscriber = tracing_subscriber::registry().with(recorder.clone().layer());
        tracing::subscriber::with_default(subscriber, || {
            let attempt = span!("attempt", job = "j1").entered();
            let _other = tracing::info_span!("attempt", job = "j2").entered();
            drop(attempt);
            let nobodys = span!("attempt").entered();
            drop(span!("oblige"));
            drop(nobodys);
        });
        assert!(recorder.take("j1").is_some());
        assert_eq!((recorder.take("j1"), recorder.take("j2")), (None, None));
        let recorded = recorder.recorded();
        assert_eq!((recorded.under_way.len(), recorded.whole.len(), recorded.looks.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_waits_lasts_until_it_is_over() {
        let recorder = Recorder::default();
        let subscriber = tracing_subscriber::registry().with(recorder.clone().layer());
        let _guard = tracing::subscriber::set_default(subscriber);
        let waits = async {
            tokio::task::yield_now().await;
            drop(span!("inner"));
        };
        waits.instrument(span!("outer", job = "j1")).await;
        let trace = recorder.take("j1").expect("it is over with its future");
        assert_eq!(names(&trace), [(0, "outer"), (1, "inner")]);
    }

    #[test]
    fn the_shares_are_those_of_the_parts_that_began_last_and_sum_up_to_the_whole() {
        let mut parts = vec![
            part("wait", Some("queue"), 1, (-90, 10)),
            part("submit", Some("database"), 0, (0, 6)),
            part("attempt", None, 0, (-100, 200)),
            part("start", None, 1, (12, 60)),
            part("start a container", Some("engine"), 2, (12, 50)),
            part("judge", Some("analysis"), 1, (60, 80)),
            part("advance", Some("database"), 1, (55, 70)),
            part("settle", Some("database"), 1, (80, 100)),
            part("remove", Some("engine"), 1, (100, 190)),
        ];
        parts.sort_by_key(|part| (part.start_us, part.depth));
        let shares = shares(&parts, 100);
        let expected = [("engine", 38), ("database", 31), ("analysis", 20), ("between", 7), ("queue", 4)];
        let found: Vec<_> = shares.iter().map(|share| (&*share.by, share.us)).collect();
        assert_eq!(found, expected);
        assert_eq!(shares.iter().map(|share| share.us).sum::<i64>(), 100);
    }

    #[test]
    fn a_moment_before_the_submit_is_rounded_like_one_after_it() {
        let zero = Instant::now();
        let before = zero - std::time::Duration::from_nanos(1500);
        let timed = Timed { name: String::new(), by: None, depth: 0, began: before, ended: zero };
        let part = timed.since(zero);
        assert_eq!((part.start_us, part.end_us), (-2, 0));
    }
}
