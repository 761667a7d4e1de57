//! What a worker needs to take jobs, and since when it has to do without.

use crate::domain::timestamp::Timestamp;

/// A part that was asked is waited for when it has not answered for this long, in milliseconds: as long as a lease,
/// within which every lease has to be renewed.
const PATIENCE_MS: i64 = 6_000;

/// What has to answer before a job can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Jobs and leases are in it.
    Database,
    /// Says when a job is delivered; the database itself where there is no other.
    Queue,
    /// Containers run on it, from an image that it must have.
    Engine,
    /// The only way out of a container.
    Gateway,
    /// The loop takes jobs.
    Jobs,
}

impl Part {
    /// All, in the order in which a worker starts them.
    pub const ALL: [Self; 5] = [Self::Database, Self::Queue, Self::Engine, Self::Gateway, Self::Jobs];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Queue => "queue",
            Self::Engine => "engine",
            Self::Gateway => "gateway",
            Self::Jobs => "jobs",
        }
    }
}

/// How a part does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It answers.
    Ready,
    /// It does not.
    Waiting {
        /// What is waited for, in words.
        reason: String,
        /// Since when, by the clock of this machine.
        since: Timestamp,
    },
}

/// One part at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartView {
    /// Which.
    pub part: Part,
    /// How it does.
    pub standing: Standing,
}

/// All parts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// In the order of [`Part::ALL`].
    pub parts: Vec<PartView>,
}

impl Readiness {
    /// Whether nothing is waited for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|view| view.standing == Standing::Ready)
    }
}

/// What is known of the parts.
#[derive(Debug)]
pub(super) struct Board {
    parts: [(Part, Known); 5],
    draining: Option<Timestamp>,
}

#[derive(Debug)]
struct Known {
    standing: Standing,
    /// The question that it has not answered.
    asked: Option<Timestamp>,
}

impl Board {
    pub(super) fn new(now: Timestamp) -> Self {
        let unknown = || Known {
            standing: Standing::Waiting { reason: "it was not started yet".to_owned(), since: now },
            asked: None,
        };
        Self { parts: Part::ALL.map(|part| (part, unknown())), draining: None }
    }

    pub(super) fn asked(&mut self, part: Part, now: Timestamp) {
        self.known(part).asked.get_or_insert(now);
    }

    pub(super) fn answers(&mut self, part: Part) {
        *self.known(part) = Known { standing: Standing::Ready, asked: None };
    }

    /// The reason may change; since when it is waited for does not.
    pub(super) fn silent(&mut self, part: Part, why: &str, now: Timestamp) {
        let known = self.known(part);
        let since = match (&known.standing, known.asked) {
            (Standing::Waiting { since, .. }, _) => *since,
            (Standing::Ready, Some(asked)) => asked,
            (Standing::Ready, None) => now,
        };
        *known = Known { standing: Standing::Waiting { reason: why.to_owned(), since }, asked: None };
    }

    pub(super) fn drain(&mut self, now: Timestamp) {
        self.draining.get_or_insert(now);
    }

    pub(super) fn view(&self, now: Timestamp) -> Readiness {
        let parts = self.parts.iter().map(|(part, known)| PartView {
            part: *part,
            standing: match (part, self.draining) {
                (Part::Jobs, Some(since)) => {
                    Standing::Waiting { reason: "draining: no new job is taken".to_owned(), since }
                }
                _ => known.standing(now),
            },
        });
        Readiness { parts: parts.collect() }
    }

    fn known(&mut self, part: Part) -> &mut Known {
        // The order of the enum is that of the list, which a test asserts.
        &mut self.parts[part as usize].1
    }
}

impl Known {
    fn standing(&self, now: Timestamp) -> Standing {
        match (&self.standing, self.asked) {
            (Standing::Ready, Some(since)) if now.millis().saturating_sub(since.millis()) > PATIENCE_MS => {
                Standing::Waiting { reason: "it was asked and does not answer".to_owned(), since }
            }
            (standing, _) => standing.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn waits(board: &Board, part: Part, now: i64) -> Option<(String, i64)> {
        let view = board.view(at(now));
        let found = view.parts.into_iter().find(|view| view.part == part).expect("every part is there");
        match found.standing {
            Standing::Ready => None,
            Standing::Waiting { reason, since } => Some((reason, since.millis())),
        }
    }

    #[test]
    fn every_part_is_waited_for_until_it_answers() {
        let mut board = Board::new(at(5));
        for part in Part::ALL {
            assert!(!board.view(at(9)).is_ready());
            assert_eq!(waits(&board, part, 9).expect("it waits").1, 5, "{part:?}");
            board.answers(part);
            assert_eq!(waits(&board, part, 9), None, "{part:?}");
        }
        assert!(board.view(at(9)).is_ready());
    }

    #[test]
    fn a_part_is_waited_for_since_it_fell_silent_however_often_it_is_asked() {
        let mut board = Board::new(at(0));
        board.answers(Part::Engine);
        board.silent(Part::Engine, "no socket", at(100));
        board.silent(Part::Engine, "no listener", at(200));
        assert_eq!(waits(&board, Part::Engine, 300), Some(("no listener".to_owned(), 100)));
        board.answers(Part::Engine);
        assert_eq!(waits(&board, Part::Engine, 300), None);
    }

    #[test]
    fn an_answer_that_does_not_come_is_waited_for_since_the_question() {
        let mut board = Board::new(at(0));
        board.answers(Part::Database);
        board.asked(Part::Database, at(1_000));
        board.asked(Part::Database, at(3_000));
        assert_eq!(waits(&board, Part::Database, 1_000 + PATIENCE_MS), None);
        assert_eq!(waits(&board, Part::Database, 1_001 + PATIENCE_MS).expect("it waits").1, 1_000);
        board.silent(Part::Database, "busy", at(9_000));
        assert_eq!(waits(&board, Part::Database, 9_000), Some(("busy".to_owned(), 1_000)));
    }

    #[test]
    fn a_draining_worker_is_not_ready_whatever_answers() {
        let mut board = Board::new(at(0));
        Part::ALL.into_iter().for_each(|part| board.answers(part));
        board.drain(at(7));
        board.drain(at(9));
        board.answers(Part::Jobs);
        let (reason, since) = waits(&board, Part::Jobs, 9).expect("it waits");
        assert!(reason.contains("draining") && since == 7, "{reason}");
        assert!(!board.view(at(9)).is_ready());
    }
}
