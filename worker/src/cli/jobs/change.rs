//! `safeurl jobs cancel` and `safeurl jobs retry`: wishes, and what became of each.

use anyhow::anyhow;

use super::{AMBIGUOUS, Change, FilterArgs, Named, UNKNOWN, named, open, several};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::cli::problem::Annotate as _;
use crate::cli::queue::Outer;
use crate::domain::scan::{Job, ScanId};
use crate::domain::state::State;
use crate::store::{CancelOutcome, Page, ReplayOutcome, Search, Store};

/// Jobs changed in one transaction: few enough that no worker waits for it.
const AT_ONCE: u32 = 100;

pub(super) async fn cancel(args: Change) -> anyhow::Result<Exit> {
    run(args, Wish::Cancel).await
}

pub(super) async fn retry(args: Change) -> anyhow::Result<Exit> {
    run(args, Wish::Retry).await
}

/// What is wanted of the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Cancel,
    Retry,
}

impl Wish {
    /// Where jobs are of which it can be wanted.
    const fn states(self) -> &'static [State] {
        match self {
            Self::Cancel => &[State::Queued, State::Fetching, State::Analyzing],
            Self::Retry => &[State::Failed, State::TimedOut],
        }
    }

    const fn would(self) -> &'static str {
        match self {
            Self::Cancel => "would be cancelled",
            Self::Retry => "would be queued again",
        }
    }
}

/// What became of one.
enum Became {
    Done(&'static str),
    Refused(String),
    Changed,
    Gone,
}

impl From<CancelOutcome> for Became {
    fn from(outcome: CancelOutcome) -> Self {
        match outcome {
            CancelOutcome::Cancelled => Self::Done("cancelled"),
            CancelOutcome::Requested => Self::Done("its worker was asked to stop it"),
            CancelOutcome::AlreadyFinal(state) => Self::Refused(format!("has ended already: {state}")),
            CancelOutcome::Changed => Self::Changed,
            CancelOutcome::NotFound => Self::Gone,
        }
    }
}

impl From<ReplayOutcome> for Became {
    fn from(outcome: ReplayOutcome) -> Self {
        match outcome {
            ReplayOutcome::Replayed { .. } => Self::Done("queued again"),
            ReplayOutcome::NotReplayable(state) => {
                Self::Refused(format!("is {state}; only FAILED and TIMED_OUT jobs are tried again"))
            }
            ReplayOutcome::Changed => Self::Changed,
            ReplayOutcome::NotFound => Self::Gone,
        }
    }
}

async fn run(args: Change, wish: Wish) -> anyhow::Result<Exit> {
    match (args.ids.is_empty(), args.filter.is_empty()) {
        (true, true) => {
            Err(anyhow!("no job is named, by its id or by what it has in common with others")).usage().hint(
                "`safeurl jobs list` shows ids; --state, --class, --user, --since and the like name many; \
                 --dry-run shows which",
            )
        }
        (false, false) => Err(anyhow!("jobs are named by id and by what they have in common"))
            .usage()
            .hint("leave out the ids, or the filters"),
        (false, true) => by_id(&args, wish).await,
        (true, false) => by_filter(&args, wish).await,
    }
}

/// Whom to tell of jobs that are queued again. Nobody is told of a cancelled one: its entry finds the row, and ends as
/// the row says.
fn outer(args: &Change) -> anyhow::Result<Outer> {
    Outer::of(&args.settings.load()?.0)
}

/// Each by itself, whatever becomes of the others.
async fn by_id(args: &Change, wish: Wish) -> anyhow::Result<Exit> {
    let mut outer = outer(args)?;
    let store = open(&args.settings).await?;
    let mut told = Told::default();
    for text in &args.ids {
        match named(&store, text).await? {
            Named::One(id) if args.dry_run => match store.job(&id).await? {
                Some(job) if wish.states().contains(&job.state) => {
                    told.done(id.as_str(), &would(&job, wish))?
                }
                Some(job) => told.refused(id.as_str(), &format!("is {}", job.state), None),
                None => told.became(&id, Became::Gone)?,
            },
            Named::One(id) => {
                let became = match wish {
                    Wish::Cancel => store.request_cancel(&id).await?.into(),
                    Wish::Retry => again(&store, &mut outer, &id).await?,
                };
                told.became(&id, became)?;
            }
            Named::Nothing => told.refused(text, "there is no such job", Some(UNKNOWN)),
            Named::Several(ids) => {
                told.refused(text, &format!("{} begin so", several(&ids)), Some(AMBIGUOUS));
            }
        }
    }
    outer.tell();
    Ok(told.exit())
}

async fn again(store: &Store, outer: &mut Outer, id: &ScanId) -> anyhow::Result<Became> {
    // The row forgets the entry that it had.
    let before = if outer.is_there() { store.job(id).await? } else { None };
    let became = store.replay(id).await?;
    if let (ReplayOutcome::Replayed { .. }, Some(job)) = (became, before) {
        outer.again(&job).await;
    }
    Ok(became.into())
}

/// All that fit, a block at a time, as they were when they were looked at.
async fn by_filter(args: &Change, wish: Wish) -> anyhow::Result<Exit> {
    let states = fitting(&args.filter, wish)?;
    let mut outer = outer(args)?;
    let store = open(&args.settings).await?;
    let search = Search { states, ..args.filter.search(store.now().await?) };
    let mut left = args.limit.unwrap_or(u32::MAX);
    let mut after: Option<ScanId> = None;
    let mut told = Told::default();
    while left > 0 {
        let page = Page { after: after.take(), limit: left.min(AT_ONCE), ..Page::default() };
        let jobs: Vec<Job> =
            store.find_jobs(search.clone(), page).await?.into_iter().map(|listed| listed.job).collect();
        let Some(last) = jobs.last() else { break };
        after = Some(last.id.clone());
        left -= left.min(u32::try_from(jobs.len()).unwrap_or(left));
        if args.dry_run {
            for job in &jobs {
                told.done(job.id.as_str(), &would(job, wish))?;
            }
        } else {
            for (id, became) in block(&store, &mut outer, jobs, wish).await? {
                told.became(&id, became)?;
            }
        }
    }
    told.summary(wish, args.dry_run);
    outer.tell();
    Ok(told.exit())
}

async fn block(
    store: &Store,
    outer: &mut Outer,
    jobs: Vec<Job>,
    wish: Wish,
) -> anyhow::Result<Vec<(ScanId, Became)>> {
    let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    let became: Vec<Became> = match wish {
        Wish::Cancel => store.cancel_seen(jobs).await?.into_iter().map(Became::from).collect(),
        Wish::Retry => {
            let outcomes = store.replay_seen(jobs.clone()).await?;
            for (job, outcome) in jobs.iter().zip(&outcomes) {
                if matches!(outcome, ReplayOutcome::Replayed { .. }) {
                    outer.again(job).await;
                }
            }
            outcomes.into_iter().map(Became::from).collect()
        }
    };
    Ok(ids.into_iter().zip(became).collect())
}

/// The states asked for of which it can be wanted.
fn fitting(filter: &FilterArgs, wish: Wish) -> anyhow::Result<Vec<State>> {
    if filter.states.is_empty() {
        return Ok(wish.states().to_vec());
    }
    let states: Vec<_> =
        filter.states.iter().copied().filter(|state| wish.states().contains(state)).collect();
    if states.is_empty() {
        let names =
            |states: &[State]| states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
        let verb = if wish == Wish::Cancel { "cancelled" } else { "tried again" };
        return Err(anyhow!("jobs in {} cannot be {verb}", names(&filter.states)))
            .usage()
            .hint(format!("--state may be {}", names(wish.states())));
    }
    Ok(states)
}

fn would(job: &Job, wish: Wish) -> String {
    let class =
        job.failure.as_ref().map(|failure| format!(" {}", failure.class.as_str())).unwrap_or_default();
    format!("{} ({}{class}, {})", wish.would(), job.state, job.url)
}

/// One line for each id: what was done on stdout, what was not on stderr.
struct Told {
    output: Output,
    done: u64,
    changed: u64,
    all_done: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self { output: Output::stdout(), done: 0, changed: 0, all_done: true }
    }
}

impl Told {
    fn became(&mut self, id: &ScanId, became: Became) -> anyhow::Result<()> {
        match became {
            Became::Done(what) => self.done(id.as_str(), what)?,
            Became::Refused(why) => self.refused(id.as_str(), &why, None),
            Became::Changed => {
                eprintln!("{}: changed meanwhile, left alone", plain(id.as_str()));
                self.changed += 1;
            }
            Became::Gone => self.refused(id.as_str(), "there is no such job", Some(UNKNOWN)),
        }
        Ok(())
    }

    fn done(&mut self, id: &str, what: &str) -> anyhow::Result<()> {
        self.done += 1;
        self.output.line(&format!("{}: {}", plain(id), plain(what)))
    }

    fn refused(&mut self, id: &str, why: &str, hint: Option<&str>) {
        eprintln!("error: {}: {}", plain(id), plain(why));
        eprintln!("hint: {}", hint.unwrap_or("`safeurl jobs show` says how it stands"));
        self.all_done = false;
    }

    fn summary(&self, wish: Wish, dry_run: bool) {
        let what = match (dry_run, wish) {
            (true, wish) => wish.would(),
            (false, Wish::Cancel) => "cancelled or asked to stop",
            (false, Wish::Retry) => "queued again",
        };
        let changed =
            if self.changed == 0 { String::new() } else { format!(", {} changed meanwhile", self.changed) };
        eprintln!("{} {what}{changed}", self.done);
    }

    const fn exit(&self) -> Exit {
        if self.all_done { Exit::Done } else { Exit::Failed }
    }
}
