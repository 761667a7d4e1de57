//! Which entries are ours, and which may be.
//!
//! By token and not by entry: the same entry may be delivered again while an older attempt of ours still works on it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::queue::bullmq::consumer::Held;
use crate::queue::bullmq::entry::Entry;

/// How long a take without an answer may still be carried out: a Redis that was stopped works off what it was sent, also
/// over connections that were given up. Whatever comes later runs into the end of its lock.
const DOUBT: Duration = Duration::from_secs(20);

/// The entries of one worker.
#[derive(Debug, Default)]
pub(super) struct Book {
    kept: HashMap<String, Kept>,
    /// Tokens that nobody here works under, and that may lock an entry: until when they may yet come to do so.
    stray: HashMap<String, Instant>,
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    /// Its lock is not ours any more.
    lost: bool,
}

impl Kept {
    fn held(&self, token: &str) -> Held {
        Held { id: self.entry.id.clone(), token: token.to_owned(), started: self.entry.ats }
    }
}

impl Book {
    pub(super) fn keep(&mut self, entry: Entry, token: &str) {
        self.stray.remove(token);
        self.kept.insert(token.to_owned(), Kept { entry, lost: false });
    }

    pub(super) fn kept(&self, token: &str) -> Option<Entry> {
        self.kept.get(token).map(|kept| kept.entry.clone())
    }

    /// Redis has answered what became of it: no lock has this token any more.
    pub(super) fn settled(&mut self, token: &str) {
        self.kept.remove(token);
        self.stray.remove(token);
    }

    /// Nobody works under it any more; whatever it locks is given back.
    pub(super) fn forget(&mut self, token: &str, now: Instant) {
        self.kept.remove(token);
        self.stray.insert(token.to_owned(), now);
    }

    /// A take under it was not answered.
    pub(super) fn doubt(&mut self, token: &str, now: Instant) {
        self.stray.insert(token.to_owned(), now + DOUBT);
    }

    /// The entries whose locks are to be renewed.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = self.kept.iter().filter(|(_, kept)| !kept.lost);
        held.map(|(token, kept)| kept.held(token)).collect()
    }

    /// The entry under this token as its lock is renewed.
    pub(super) fn holding(&self, token: &str) -> Option<Held> {
        self.kept.get(token).map(|kept| kept.held(token))
    }

    /// The lock that was asked for under this token is somebody else's or nobody's. Whether that is news.
    pub(super) fn lose(&mut self, token: &str) -> bool {
        self.kept.get_mut(token).is_some_and(|kept| !std::mem::replace(&mut kept.lost, true))
    }

    pub(super) fn strays(&self) -> Vec<String> {
        self.stray.keys().cloned().collect()
    }

    /// It was looked for at this time, and given back if it was there. It is looked for again as long as it may come.
    pub(super) fn looked_for(&mut self, token: &str, at: Instant) {
        if self.stray.get(token).is_some_and(|until| at >= *until) {
            self.stray.remove(token);
        }
    }

    /// Whether no lock of this worker can be left in Redis.
    pub(super) fn is_clear(&self) -> bool {
        self.stray.is_empty() && self.kept.values().all(|kept| kept.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        Entry::read(id, &[])
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_is_delivered_twice_is_kept_twice() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.keep(entry("1"), "w:1");
        book.keep(entry("1"), "w:2");
        book.forget("w:2", now);
        assert!(book.kept("w:1").is_some() && book.kept("w:2").is_none());
        assert_eq!(book.held(), [Held { id: "1".to_owned(), token: "w:1".to_owned(), started: 0 }]);
        assert_eq!(book.strays(), ["w:2"]);
        book.looked_for("w:2", now);
        assert!(book.strays().is_empty() && !book.is_clear());
        book.settled("w:1");
        assert!(book.is_clear());
    }

    #[test]
    fn a_lost_lock_is_told_once_and_not_renewed_while_the_attempt_goes_on() {
        let mut book = Book::default();
        book.keep(entry("1"), "w:1");
        assert!(!book.lose("w:2"));
        assert!(book.lose("w:1"));
        assert!(!book.lose("w:1"), "told once");
        assert!(book.held().is_empty());
        assert!(book.kept("w:1").is_some(), "the attempt goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_take_without_an_answer_is_looked_for_until_it_cannot_come_any_more() {
        let (mut book, start) = (Book::default(), Instant::now());
        book.doubt("w:1", start);
        book.looked_for("w:1", start);
        assert_eq!(book.strays(), ["w:1"]);
        book.looked_for("w:1", start + DOUBT);
        assert!(book.strays().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_came_after_all_is_no_stray() {
        let mut book = Book::default();
        book.doubt("w:1", Instant::now());
        book.keep(entry("1"), "w:1");
        assert!(book.strays().is_empty());
    }
}
