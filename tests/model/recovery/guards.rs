//! What keeps the promises, one by one, and the model without it.
//!
//! Each guard is taken out of the model's database or engine, or out of the list of effects that the shipped plan
//! gives. Nothing of it is in the shipped code.

use safeurl::supervisor::{Effect, End, Known, Remedy, plan};

use crate::subject::Fall;

/// One thing that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Guard {
    Version,
    Lease,
    AttemptCap,
    ObligationFirst,
    KillBeforeTimedOut,
    SettleBeforeRemove,
    LedgerBeforeDiscard,
    OneTransaction,
    BindFirst,
    Confirm,
    TakeOverFirst,
    KillBeforeRequeue,
    CancelFirst,
    Bound,
    Silence,
    TakenObligation,
}

pub(crate) const ALL: &[Fall<Guard>] = &[
    (Guard::Version, "version check", "only the current version changes anything", 1),
    (Guard::Lease, "lease check of the take-over", "no living lease is taken over", 1),
    (Guard::AttemptCap, "attempt cap", "attempts never exceed the cap", 0),
    (Guard::ObligationFirst, "obligation before create", "a container is written down before it is there", 0),
    (Guard::KillBeforeTimedOut, "kill before TIMED_OUT", "TIMED_OUT only after the container is dead", 1),
    (
        Guard::SettleBeforeRemove,
        "row moved on before remove",
        "a report is read and its row moved on before the container goes",
        0,
    ),
    (Guard::LedgerBeforeDiscard, "ledger read before discard", "a ledger is read before it goes", 0),
    (Guard::OneTransaction, "result and state in one transaction", "a result exactly when COMPLETED", 0),
    (Guard::BindFirst, "bind before stdin", "a job is handed over only behind a bound door", 0),
    (Guard::Confirm, "confirm before kill", "nobody kills for a job that is another's", 1),
    (
        Guard::TakeOverFirst,
        "take-over before adoption",
        "every step that is no fault comes nearer to the end",
        1,
    ),
    (Guard::KillBeforeRequeue, "kill before QUEUED", "one container at a time works on a job", 1),
    (Guard::CancelFirst, "cancel before QUEUED", "who asked to cancel does not see the job queued", 1),
    (
        Guard::Bound,
        "reaper asks whether a job is bound",
        "a report is read and its row moved on before the container goes",
        1,
    ),
    (Guard::Silence, "reaper waits for silence", "every step that is no fault comes nearer to the end", 0),
    (
        Guard::TakenObligation,
        "reaper takes the obligation over",
        "no container of a living lease is removed by another",
        1,
    ),
];

/// The lists of effects: those of the shipped plan, with at most one guard taken out.
#[derive(Debug, Clone)]
pub(crate) struct Lists([Vec<Effect>; 15]);

const KNOWN: [Known; 15] = [
    Known::SlotFree,
    Known::Unused,
    Known::NotHandedOver,
    Known::Orphaned(Remedy::Adopt),
    Known::Orphaned(Remedy::GiveBack),
    Known::Orphaned(Remedy::LeaveToOthers),
    Known::Ran,
    Known::Ended(End::Report),
    Known::Ended(End::Accepted),
    Known::Ended(End::Failure),
    Known::Ended(End::TimedOut),
    Known::Ended(End::Cancelled),
    Known::Ended(End::Aborted),
    Known::LeaseLost,
    Known::Orphaned(Remedy::End),
];

const fn place(known: Known) -> usize {
    match known {
        Known::SlotFree => 0,
        Known::Unused => 1,
        Known::NotHandedOver => 2,
        Known::Orphaned(Remedy::Adopt) => 3,
        Known::Orphaned(Remedy::GiveBack) => 4,
        Known::Orphaned(Remedy::LeaveToOthers) => 5,
        Known::Ran => 6,
        Known::Ended(End::Report) => 7,
        Known::Ended(End::Accepted) => 8,
        Known::Ended(End::Failure) => 9,
        Known::Ended(End::TimedOut) => 10,
        Known::Ended(End::Cancelled) => 11,
        Known::Ended(End::Aborted) => 12,
        Known::LeaseLost => 13,
        Known::Orphaned(Remedy::End) => 14,
    }
}

impl Lists {
    pub(crate) fn new(without: Option<Guard>) -> Self {
        Self(KNOWN.map(|known| {
            let mut list = plan(known).to_vec();
            if let Some(guard) = without {
                weaken(&mut list, guard, known);
            }
            list
        }))
    }

    /// The lists of the shipped plan, each time without one effect of one of them.
    pub(crate) fn each_shorter() -> Vec<(Known, Effect, Self)> {
        let shorter = |known: Known, at: usize| {
            let mut lists = Self::new(None);
            lists.0[place(known)].remove(at);
            (known, plan(known)[at], lists)
        };
        let places = KNOWN.iter().flat_map(|known| (0..plan(*known).len()).map(move |at| (*known, at)));
        places.map(|(known, at)| shorter(known, at)).collect()
    }

    pub(crate) fn of(&self, known: Known) -> &[Effect] {
        &self.0[place(known)]
    }
}

fn weaken(list: &mut Vec<Effect>, guard: Guard, known: Known) {
    match guard {
        Guard::ObligationFirst => put_behind(list, Effect::Oblige, Effect::Create),
        Guard::BindFirst => put_behind(list, Effect::Bind, Effect::Run),
        Guard::SettleBeforeRemove => put_behind(list, Effect::Settle, Effect::Remove),
        Guard::KillBeforeTimedOut if known == Known::Ended(End::TimedOut) => {
            list.retain(|effect| *effect != Effect::Kill);
        }
        Guard::KillBeforeRequeue if matches!(known, Known::Ended(End::Failure | End::Aborted)) => {
            list.retain(|effect| *effect != Effect::Kill);
        }
        Guard::LedgerBeforeDiscard if known == Known::Ran => list.insert(0, Effect::DiscardDoor),
        Guard::TakeOverFirst => list.retain(|effect| *effect != Effect::TakeOver),
        Guard::KillBeforeTimedOut
        | Guard::KillBeforeRequeue
        | Guard::LedgerBeforeDiscard
        | Guard::Version
        | Guard::Lease
        | Guard::AttemptCap
        | Guard::OneTransaction
        | Guard::Confirm
        | Guard::CancelFirst
        | Guard::Bound
        | Guard::Silence
        | Guard::TakenObligation => {}
    }
}

/// Moves an effect behind another one of its list.
fn put_behind(list: &mut Vec<Effect>, effect: Effect, other: Effect) {
    let at = |wanted| list.iter().position(|e| *e == wanted);
    if let (Some(from), Some(to)) = (at(effect), at(other))
        && from < to
    {
        list.remove(from);
        list.insert(to, effect);
    }
}
