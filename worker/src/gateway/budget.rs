use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::pace::Pace;

/// What one attempt may use of the network. What is used up is refused or cut, and named in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budgets {
    /// Milliseconds from the binding to its end, whatever happens.
    pub deadline_ms: u64,
    /// Connections asked for, refused ones included.
    pub max_connections: u32,
    /// Connections open at the same time.
    pub max_concurrent: u32,
    /// Different hosts asked for.
    pub max_hosts: u32,
    /// Bytes from servers, over all connections.
    pub bytes_in: u64,
    /// Those of them that pass as fast as they come.
    pub bytes_in_at_once: u64,
    /// Bytes a second at which the others pass, so that a flood leaves the machine to other jobs.
    pub bytes_in_rate: u64,
    /// Bytes to servers, over all connections.
    pub bytes_out: u64,
}

/// Names of the budgets, as they stand in the ledger and in refusals.
pub(super) const DEADLINE: &str = "deadline";
const CONNECTIONS: &str = "connections";
const CONCURRENT: &str = "concurrent";
const HOSTS: &str = "hosts";
const BYTES_IN: &str = "bytes-in";
const BYTES_OUT: &str = "bytes-out";

/// Direction of bytes, seen from the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// What an attempt has used so far.
#[derive(Debug)]
pub(super) struct Spending {
    budgets: Budgets,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    connections: u32,
    open: u32,
    hosts: BTreeSet<String>,
    bytes_in: u64,
    bytes_out: u64,
    /// Of the bytes that come once those have passed that pass at once.
    pace: Pace,
    exhausted: Option<&'static str>,
}

/// What becomes of bytes that have come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// How many of them may pass.
    pub(super) bytes: usize,
    /// They are held back until then.
    pub(super) due: Option<Instant>,
    /// The budget that forbids the rest.
    pub(super) used_up: Option<&'static str>,
}

/// One of the connections that may be open at the same time; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Spending);

impl Spending {
    pub(super) fn new(budgets: Budgets) -> Self {
        Self { budgets, used: Mutex::default() }
    }

    /// Counts a connection to a host. `Err` names the budget that forbids it.
    pub(super) fn admit(&self, host: &str) -> Result<Slot<'_>, &'static str> {
        let mut used = self.used();
        used.connections = used.connections.saturating_add(1);
        if used.connections > self.budgets.max_connections {
            return Err(used.exhaust(CONNECTIONS));
        }
        // More bytes can only be asked for to learn nothing: the connection would be cut at its first byte.
        if used.bytes_in >= self.budgets.bytes_in {
            return Err(used.exhaust(BYTES_IN));
        }
        if used.bytes_out >= self.budgets.bytes_out {
            return Err(used.exhaust(BYTES_OUT));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if !used.hosts.contains(&host) && used.hosts.len() >= self.budgets.max_hosts as usize {
            return Err(used.exhaust(HOSTS));
        }
        used.hosts.insert(host);
        if used.open >= self.budgets.max_concurrent {
            // Not used up: another connection only has to end.
            return Err(CONCURRENT);
        }
        used.open += 1;
        Ok(Slot(self))
    }

    /// Counts bytes that have come: how many of them may pass, and when.
    pub(super) fn pass(&self, direction: Direction, bytes: usize, now: Instant) -> Passage {
        let mut used = self.used();
        let (spent, limit, name) = match direction {
            Direction::In => (used.bytes_in, self.budgets.bytes_in, BYTES_IN),
            Direction::Out => (used.bytes_out, self.budgets.bytes_out, BYTES_OUT),
        };
        let left = usize::try_from(limit.saturating_sub(spent)).unwrap_or(usize::MAX);
        let passing = bytes.min(left);
        let mut due = None;
        match direction {
            Direction::In => {
                used.bytes_in += passing as u64;
                if used.bytes_in > self.budgets.bytes_in_at_once {
                    due = Some(used.pace.due(passing, self.budgets.bytes_in_rate, now));
                }
            }
            Direction::Out => used.bytes_out += passing as u64,
        }
        Passage { bytes: passing, due, used_up: (passing < bytes).then(|| used.exhaust(name)) }
    }

    /// Notes that a budget is used up; the first one stays.
    pub(super) fn exhaust(&self, budget: &'static str) {
        self.used().exhaust(budget);
    }

    /// The budget that was used up first.
    pub(super) fn exhausted(&self) -> Option<&'static str> {
        self.used().exhausted
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // The counters stay true when a holder panics: each counter is changed by a single statement.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn exhaust(&mut self, budget: &'static str) -> &'static str {
        self.exhausted.get_or_insert(budget);
        budget
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut used = self.0.used();
        used.open = used.open.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BUDGETS: Budgets = Budgets {
        deadline_ms: 1000,
        max_connections: 4,
        max_concurrent: 2,
        max_hosts: 2,
        bytes_in: 10,
        bytes_in_at_once: 10,
        bytes_in_rate: 1,
        bytes_out: 5,
    };

    #[test]
    fn connections_are_counted_even_when_they_are_refused() {
        let spending = Spending::new(BUDGETS);
        let _a = spending.admit("a.example").expect("the first");
        let b = spending.admit("A.EXAMPLE.").expect("the same host again");
        assert_eq!(spending.admit("a.example").err(), Some("concurrent"));
        assert_eq!(spending.exhausted(), None, "a full house is not an empty purse");
        drop(b);
        let _c = spending.admit("b.example").expect("the fourth");
        assert_eq!(spending.admit("b.example").err(), Some("connections"));
        assert_eq!(spending.exhausted(), Some("connections"));
    }

    #[test]
    fn a_host_too_many_is_refused_and_known_hosts_are_not() {
        let spending = Spending::new(Budgets { max_connections: 100, ..BUDGETS });
        drop(spending.admit("a").expect("the first host"));
        drop(spending.admit("b").expect("the second host"));
        assert_eq!(spending.admit("c").err(), Some("hosts"));
        assert!(spending.admit("b").is_ok());
    }

    #[test]
    fn bytes_pass_up_to_the_budget_and_no_connection_is_made_after_it() {
        let spending = Spending::new(BUDGETS);
        let passage = |bytes, used_up| Passage { bytes, due: None, used_up };
        let pass = |direction, bytes| spending.pass(direction, bytes, Instant::now());
        assert_eq!(pass(Direction::In, 6), passage(6, None));
        assert_eq!(pass(Direction::Out, 5), passage(5, None));
        assert_eq!(pass(Direction::In, 6), passage(4, Some("bytes-in")));
        assert_eq!(pass(Direction::Out, 1), passage(0, Some("bytes-out")));
        assert_eq!(spending.exhausted(), Some("bytes-in"), "the first one is named");
        assert_eq!(spending.admit("a").err(), Some("bytes-in"));
    }

    #[test]
    fn after_those_that_pass_at_once_bytes_from_servers_pass_at_the_rate() {
        let spending = Spending::new(Budgets {
            bytes_in: 1 << 40,
            bytes_in_at_once: 1000,
            bytes_in_rate: 100,
            ..BUDGETS
        });
        let now = Instant::now();
        let due = |direction, bytes| spending.pass(direction, bytes, now).due;
        assert_eq!(due(Direction::In, 1000), None);
        assert_eq!(due(Direction::In, 50), Some(now), "the first of the others need not wait");
        assert_eq!(due(Direction::In, 200), Some(now + Duration::from_millis(500)));
        assert_eq!(due(Direction::Out, 5), None, "what leaves has a small budget instead");
    }
}
