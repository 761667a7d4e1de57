//! What keeps the promises between the database and Redis, one by one.
//!
//! Four things are not here, because no promise was seen to fall without them: the entries that a hand-over leaves to
//! whoever takes their jobs over, the clearing of a delivery by a replay, that a take-over for a delivery writes which one
//! it is, and that a worker tells Redis again what it did not hear. They save an entry a detour: otherwise it is delivered
//! once more, and its row says what became of it.

use super::properties::{COUNTED, ENDS};
use crate::subject::Fall;

/// One thing that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Guard {
    DatabaseFirst,
    TokenCheck,
    Missed,
    SameEntry,
    Record,
    AskAgain,
    Deferred,
    LeaseSeen,
    ReleaseClears,
    LoseClears,
    RefuseClears,
    PostponeUncounted,
    HandOver,
    HandOverAgain,
    GiveBackStrays,
    RetireOwing,
    Reconciler,
    OfferGone,
    OfferSeen,
    AsksSoon,
}

const UNASKED: &str = "what has ended runs again only if somebody asks";
const SWALLOWED: &str = "who asks for another run is not told of the last one";
const DEFERRED: &str = "what is to fail unrun does not run";
const FIRST: &str = "an end is in the database before it is in Redis";
const MISSED: &str = "a retry is heard of before the job is tried again";
const LEASED: &str = "no living lease is taken over";
const DOUBLED: &str = "nothing is offered that Redis has";

pub(crate) const ALL: &[Fall<Guard>] = &[
    (Guard::DatabaseFirst, "database first, Redis second", FIRST, 0),
    (Guard::TokenCheck, "token check of the scripts", COUNTED, 1),
    (Guard::Missed, "a missed settlement is repeated", MISSED, 1),
    (Guard::SameEntry, "only the same entry's count is compared", UNASKED, 1),
    (Guard::Record, "what an entry is told is recorded", SWALLOWED, 2),
    (Guard::AskAgain, "the row is asked again after a replay", DEFERRED, 3),
    (Guard::Deferred, "deferred failures are seen", DEFERRED, 2),
    (Guard::LeaseSeen, "a living lease is seen", LEASED, 2),
    (Guard::AsksSoon, "a row is asked soon after the take", UNASKED, 2),
    (Guard::ReleaseClears, "a release clears the delivery", COUNTED, 1),
    (Guard::LoseClears, "a loss clears the delivery", COUNTED, 1),
    (Guard::RefuseClears, "a cancel clears the delivery", UNASKED, 1),
    (Guard::PostponeUncounted, "postponing counts no attempt", COUNTED, 0),
    (Guard::HandOver, "a dead worker's locks are handed over", ENDS, 1),
    (Guard::HandOverAgain, "they are looked at again", ENDS, 2),
    (Guard::GiveBackStrays, "what was taken unknowingly goes back", ENDS, 1),
    (Guard::RetireOwing, "who owes stays on the list", ENDS, 2),
    (Guard::Reconciler, "reconciler", ENDS, 1),
    (Guard::OfferGone, "reconciler asks what Redis has", DOUBLED, 0),
    (Guard::OfferSeen, "an ended entry is offered only as it was seen", UNASKED, 1),
];
