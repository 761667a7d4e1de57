//! Redis: what each script does to an entry. One function a script, named after it.
//!
//! Lists are sets here: whatever waits may be taken next.

use safeurl::domain::state::State;

use super::guards::Guard;
use super::model::Deliveries;
use super::properties::Broken;
use super::world::{Entry, Held, NAMES, OFFICIAL, OWN_NAME, Op, Place, Token, World, job_of};
use crate::names::Id;

impl Deliveries {
    /// `take`: an entry that waits becomes active, under a fresh lock.
    pub(crate) fn take_entry(&self, world: &mut World, worker: Id, id: Id) -> Option<Held> {
        let token = world.fresh_token(worker);
        let entry = world.entry_mut(id).filter(|entry| entry.place == Place::Wait)?;
        (entry.place, entry.lock) = (Place::Active, Some(token));
        Some(Held { entry: id, token, atm: Some(entry.atm), deferred: entry.deferred })
    }

    /// `complete`, `fail`, `retry`, `postpone`, `give_back`: refused without the entry's lock.
    pub(crate) fn move_out(&self, world: &mut World, op: Op, id: Id, token: Token) {
        let state = world.rows[job_of(id)].state;
        let replayed = world.rows[job_of(id)].replays > 0;
        let Some(entry) = world.entry_mut(id) else { return };
        let fits = entry.lock == Some(token) || self.lacks(Guard::TokenCheck);
        if entry.place != Place::Active || !fits {
            return;
        }
        entry.lock = None;
        let mut broken = None;
        match op {
            Op::Complete => {
                (entry.place, entry.told, entry.asked) = (Place::Completed, state == State::Completed, false);
                entry.atm += 1;
                broken = (state != State::Completed).then_some(Broken::EndedFirst);
            }
            Op::Fail => {
                let failed = matches!(state, State::Failed | State::TimedOut);
                (entry.place, entry.told, entry.asked) = (Place::Failed, failed, false);
                entry.deferred = false;
                entry.atm += 1;
                // The end that it is told of may have been replayed meanwhile.
                broken = (!failed && !replayed).then_some(Broken::EndedFirst);
            }
            Op::Retry => {
                entry.place = Place::Delayed;
                entry.atm += 1;
            }
            Op::Postpone => {
                entry.place = Place::Delayed;
                entry.atm += u8::from(self.lacks(Guard::PostponeUncounted));
            }
            Op::GiveBack | Op::Adopt => entry.place = Place::Wait,
        }
        if let Some(broken) = broken {
            world.breaks(broken);
        }
    }

    /// `hand_over` with `mine`: takes the lock of a job that was taken over, from its dead holder or from nobody.
    pub(crate) fn adopt(&self, world: &mut World, dead: Option<Id>, id: Id, token: Token) -> Option<Held> {
        let entry = world.entry_mut(id).filter(|entry| entry.place == Place::Active)?;
        if entry.lock.is_some_and(|lock| Some(lock.worker) != dead) {
            return None;
        }
        entry.lock = Some(token);
        Some(Held { entry: id, token, atm: Some(entry.atm), deferred: entry.deferred })
    }

    /// `hand_over`: entries locked by a dead worker go back to wait, but for those that are left.
    pub(crate) fn hand_over(&self, world: &mut World, dead: Id, leave: &[Id]) {
        for entry in active(world).filter(|entry| !leave.contains(&entry.id)) {
            if entry.lock.is_some_and(|lock| lock.worker == dead) {
                (entry.place, entry.lock) = (Place::Wait, None);
            }
        }
    }

    /// `hand_over` of one's own prefix with `spare`: what was taken without hearing of it goes back.
    pub(crate) fn give_back_strays(&self, world: &mut World, worker: Id) {
        let strays: Vec<Token> = strays(world, worker).collect();
        for entry in active(world).filter(|entry| entry.lock.is_some_and(|lock| strays.contains(&lock))) {
            (entry.place, entry.lock) = (Place::Wait, None);
        }
    }

    /// `check_stalled`, of whomever: an active entry without a lock waits again; one that stalls too often is to be
    /// failed by the next one who takes it.
    pub(crate) fn check_stalled(&self, world: &mut World, id: Id) {
        if let Some(entry) = world.entry_mut(id) {
            entry.place = Place::Wait;
            entry.deferred |= entry.stalled;
            entry.stalled = true;
        }
    }

    /// The end of the entry with the job's own id, as a reconciler that looks sees it (`finishedOn`).
    pub(crate) fn end_of(&self, world: &World, job: Id) -> Option<u8> {
        world.entry(job * NAMES + OWN_NAME).filter(|entry| entry.has_ended()).map(|entry| entry.atm)
    }

    /// `offer`: adds the entry with the job's own id, or lets it run again when it had ended as it was seen.
    pub(crate) fn offer(&self, world: &mut World, job: Id, seen: Option<u8>) {
        let id = job * NAMES + OWN_NAME;
        match world.entry_mut(id) {
            None => {
                world.entries.push(Entry::new(id));
                world.entries.sort();
            }
            Some(entry) if entry.has_ended() && (seen == Some(entry.atm) || self.lacks(Guard::OfferSeen)) => {
                (entry.place, entry.told) = (Place::Wait, false);
                entry.asks += 1;
            }
            Some(_) => {}
        }
    }

    /// A producer's `retry()`.
    pub(crate) fn retry_ended(&self, world: &mut World, id: Id) {
        if let Some(entry) = world.entry_mut(id) {
            (entry.place, entry.asked) = (Place::Wait, true);
            entry.asks += 1;
        }
    }

    /// An official worker takes an entry, and is never heard of again.
    pub(crate) fn take_officially(&self, world: &mut World, id: Id) {
        if let Some(entry) = world.entry_mut(id) {
            (entry.place, entry.lock) = (Place::Active, Some(Token { worker: OFFICIAL, n: 0 }));
        }
    }
}

fn active(world: &mut World) -> impl Iterator<Item = &mut Entry> {
    world.entries.iter_mut().filter(|entry| entry.place == Place::Active)
}

/// Locks of a worker that it does not know of.
pub(crate) fn strays(world: &World, worker: Id) -> impl Iterator<Item = Token> {
    let keeper = &world.workers[worker as usize];
    let locks = world.entries.iter().filter(|entry| entry.place == Place::Active).filter_map(|e| e.lock);
    locks.filter(move |lock| lock.worker == worker && !keeper.keeps(*lock))
}
