//! One attempt: what has to happen next, decided from what is known.
//!
//! [`plan`] is a pure function from [`Known`] to an ordered list of [`Effect`]s, and [`learn`] one from what an
//! effect came back with to new knowledge; `runner` carries the effects out one by one and does nothing else. An
//! effect that teaches something ends its list, and the next list follows from the new knowledge. The order inside
//! the lists is what the promises of this program rest on: an obligation before a container, a binding before the
//! job is handed over, death before TIMED_OUT, a final or queued row before removal. The model checker in
//! `tests/model` drives these two functions and no copies of them.

pub(super) mod runner;

use super::recovery::Remedy;

/// What is known of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Known {
    /// A slot is free and a due row was seen.
    SlotFree,
    /// The container never got a job: nothing to claim, engine trouble, shutdown.
    Unused,
    /// A job was claimed for the container, but it was not handed over.
    NotHandedOver,
    /// The job's holder is dead.
    Orphaned(Remedy),
    /// The container's part is over; what the gateway saw is not read yet.
    Ran,
    /// How the attempt ended.
    Ended(End),
    /// Somebody else holds the job now, or nobody knows.
    LeaseLost,
}

/// How an attempt ended after the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// With a report that was accepted.
    Report,
    /// With a report that a dead holder of the job had accepted before.
    Accepted,
    /// Without one.
    Failure,
    /// Out of time.
    TimedOut,
    /// Because a person asked.
    Cancelled,
    /// Because this worker shuts down.
    Aborted,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Writes down that a container will exist, and gets its uid.
    Oblige,
    /// Makes the container's gateway socket, answering nobody yet.
    OpenDoor,
    /// Creates the container.
    Create,
    /// Attaches, starts, waits for the ready line.
    Start,
    /// Takes a job for this container.
    Claim,
    /// Binds policy, budgets and attempt to the socket.
    Bind,
    /// Hands the job over and waits for the container's part.
    Run,
    /// Takes the job of a dead worker, with its attempt and container.
    TakeOver,
    /// Looks whether the container and its gateway are still there.
    Examine,
    /// Waits for the container's part where another worker had handed the job over, or reads it from its log.
    Follow,
    /// Ends the binding and reads the ledger.
    CloseDoor,
    /// Makes sure that the job is still ours: a worker may have been stopped for longer than its lease.
    Confirm,
    /// Makes sure that the container is dead.
    Kill,
    /// FETCHING → ANALYZING.
    Advance,
    /// Judges the report.
    Judge,
    /// The last edge of the attempt, with its rows.
    Settle,
    /// Gives an untouched job back.
    Release,
    /// Removes the container and, with it, the obligation.
    Remove,
    /// Removes the socket's folder and the ledger.
    DiscardDoor,
}

/// What an effect came back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seen {
    /// It is done.
    Done,
    /// There was nothing to do it for: no job is due, the container died before, the worker drains.
    Nothing,
    /// Engine, gateway or database did not do their part.
    Trouble,
    /// The container's part is over.
    Over,
    /// That is how the attempt ends.
    Ends(End),
    /// A person asked to cancel, which comes before the edge.
    CancelFirst,
    /// Somebody else holds the job.
    Lost,
}

/// What to do next, in this order.
#[must_use]
pub const fn plan(known: Known) -> &'static [Effect] {
    use Effect::{
        Advance, Bind, Claim, CloseDoor, Confirm, Create, DiscardDoor, Examine, Follow, Judge, Kill, Oblige,
        OpenDoor, Release, Remove, Run, Settle, Start, TakeOver,
    };
    match known {
        Known::SlotFree => &[Oblige, OpenDoor, Create, Start, Claim, Bind, Run],
        Known::Unused => &[CloseDoor, Remove, DiscardDoor],
        Known::NotHandedOver => &[Release, CloseDoor, Remove, DiscardDoor],
        Known::Orphaned(Remedy::Adopt) => &[TakeOver, Examine, Follow],
        // What its container saw is on record before it dies.
        Known::Orphaned(Remedy::End) => &[TakeOver, CloseDoor],
        // Its container, if it had one, is out of our reach and belongs to the reaper of its engine.
        Known::Orphaned(Remedy::GiveBack) => &[TakeOver, Settle],
        Known::Orphaned(Remedy::LeaveToOthers) => &[],
        Known::Ran => &[CloseDoor],
        Known::Ended(End::Report) => &[Advance, Judge, Settle, Remove, DiscardDoor],
        Known::Ended(End::Accepted) => &[Judge, Settle, Remove, DiscardDoor],
        Known::Ended(End::Failure | End::TimedOut | End::Cancelled | End::Aborted) => {
            &[Confirm, Kill, Settle, Remove, DiscardDoor]
        }
        // The new holder decides about everything, also about the container and its ledger.
        Known::LeaseLost => &[],
    }
}

/// What is known after an effect; `None` goes on with the next one of its list.
#[must_use]
pub const fn learn(effect: Effect, seen: Seen) -> Option<Known> {
    match (effect, seen) {
        (_, Seen::Done) => None,
        (_, Seen::Over) => Some(Known::Ran),
        (_, Seen::Ends(end)) => Some(Known::Ended(end)),
        (_, Seen::CancelFirst) => Some(Known::Ended(End::Cancelled)),
        (_, Seen::Lost) => Some(Known::LeaseLost),
        // The claim may have been written and its answer lost: whoever finds the job needs the container.
        (Effect::Claim, Seen::Trouble) => Some(Known::LeaseLost),
        (Effect::Claim, Seen::Nothing)
        | (
            Effect::Oblige | Effect::OpenDoor | Effect::Create | Effect::Start,
            Seen::Nothing | Seen::Trouble,
        ) => Some(Known::Unused),
        (Effect::Bind | Effect::Run, Seen::Nothing | Seen::Trouble) => Some(Known::NotHandedOver),
        // What cannot be adopted is lost, and that is a failure of its own.
        (Effect::Examine | Effect::Follow, Seen::Nothing | Seen::Trouble) => Some(Known::Ended(End::Failure)),
        // Whoever gives up a write leaves the job to whoever takes it over.
        (
            Effect::TakeOver
            | Effect::Confirm
            | Effect::Kill
            | Effect::Advance
            | Effect::Judge
            | Effect::Settle
            | Effect::Release,
            Seen::Nothing | Seen::Trouble,
        ) => Some(Known::LeaseLost),
        // The obligation, or the worker's folder of sockets, says what is left; the reaper finds it.
        (Effect::CloseDoor | Effect::Remove | Effect::DiscardDoor, Seen::Nothing | Seen::Trouble) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 15] = [
        Known::SlotFree,
        Known::Unused,
        Known::NotHandedOver,
        Known::Orphaned(Remedy::Adopt),
        Known::Orphaned(Remedy::End),
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
    ];

    /// Whether `first` comes before `second` wherever both or just `second` are in a list.
    fn before(first: Effect, second: Effect) -> bool {
        ALL.iter().all(|&known| {
            let place = |effect| plan(known).iter().position(|&e| e == effect);
            place(second).is_none_or(|second| place(first).is_some_and(|first| first < second))
        })
    }

    #[test]
    fn the_orders_that_the_promises_rest_on_hold_in_every_list() {
        assert!(before(Effect::Oblige, Effect::Create), "an obligation before a container");
        assert!(before(Effect::Claim, Effect::Bind), "a claim before a binding");
        assert!(before(Effect::Bind, Effect::Run), "a binding before the job is handed over");
        assert!(before(Effect::TakeOver, Effect::Follow), "a lease before an adoption");
        assert!(before(Effect::Examine, Effect::Follow), "nothing is adopted unseen");
        assert!(before(Effect::Confirm, Effect::Kill), "a lease before a kill");
        assert!(before(Effect::Remove, Effect::DiscardDoor), "the container goes before its socket");
    }

    #[test]
    fn nothing_is_removed_before_its_row_is_final_or_queued() {
        for known in ALL {
            let effects = plan(known);
            if let Some(remove) = effects.iter().position(|&e| e == Effect::Remove) {
                let settled = effects[..remove].iter().any(|e| matches!(e, Effect::Settle | Effect::Release));
                assert!(settled || known == Known::Unused, "{known:?}");
            }
        }
    }

    #[test]
    fn a_container_is_dead_before_its_attempt_ends_without_a_report() {
        for end in [End::Failure, End::TimedOut, End::Cancelled, End::Aborted] {
            assert_eq!(plan(Known::Ended(end))[..2], [Effect::Confirm, Effect::Kill], "{end:?}");
        }
    }

    #[test]
    fn a_container_stays_for_a_claim_that_nobody_answered() {
        let unknown = learn(Effect::Claim, Seen::Trouble).expect("something is learnt");
        assert!(plan(unknown).is_empty(), "the row may name the container");
        assert_eq!(learn(Effect::Claim, Seen::Nothing), Some(Known::Unused));
    }

    #[test]
    fn who_lost_the_lease_does_nothing() {
        assert!(plan(Known::LeaseLost).is_empty());
    }
}
