//! One attempt: what has to happen next, decided from what is known.
//!
//! [`plan`] is a pure function from [`Known`] to an ordered list of [`Effect`]s. [`runner`] carries them out one
//! by one; an effect that teaches something new ends its list, and the next list follows from the new knowledge.
//! The order inside the lists is what the promises of this program rest on: an obligation before a container, a
//! binding before the job is handed over, death before TIMED_OUT, a final or queued row before removal.

pub(super) mod runner;

/// What is known of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Known {
    /// A slot is free and a due row was seen.
    SlotFree,
    /// The container never got a job: nothing to claim, engine trouble, shutdown.
    Unused,
    /// A job was claimed for the container, but it was not handed over.
    NotHandedOver,
    /// The container's part is over; what the gateway saw is not read yet.
    Ran,
    /// How the attempt ended.
    Ended(End),
    /// Somebody else holds the job now.
    LeaseLost,
}

/// How an attempt ended after the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// With a report that was accepted.
    Report,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Ends the binding and reads the ledger.
    CloseDoor,
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

/// What to do next, in this order.
#[must_use]
pub const fn plan(known: Known) -> &'static [Effect] {
    use Effect::{
        Advance, Bind, Claim, CloseDoor, Create, DiscardDoor, Judge, Kill, Oblige, OpenDoor, Release, Remove,
        Run, Settle, Start,
    };
    match known {
        Known::SlotFree => &[Oblige, OpenDoor, Create, Start, Claim, Bind, Run],
        Known::Unused => &[CloseDoor, Remove, DiscardDoor],
        Known::NotHandedOver => &[Release, CloseDoor, Remove, DiscardDoor],
        Known::Ran => &[CloseDoor],
        Known::Ended(End::Report) => &[Advance, Judge, Settle, Remove, DiscardDoor],
        Known::Ended(End::Failure | End::TimedOut | End::Cancelled | End::Aborted) => {
            &[Kill, Settle, Remove, DiscardDoor]
        }
        // The new holder decides about everything, also about the container and its ledger.
        Known::LeaseLost => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 10] = [
        Known::SlotFree,
        Known::Unused,
        Known::NotHandedOver,
        Known::Ran,
        Known::Ended(End::Report),
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
            assert_eq!(plan(Known::Ended(end)).first(), Some(&Effect::Kill), "{end:?}");
        }
    }

    #[test]
    fn who_lost_the_lease_does_nothing() {
        assert!(plan(Known::LeaseLost).is_empty());
    }
}
