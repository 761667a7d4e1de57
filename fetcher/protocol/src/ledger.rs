//! The gateway's record of what left the machine, one JSON object a line.
//!
//! A `connection` line is written when the gateway has decided, before any byte flows; a `closed` line
//! adds the byte counts. A file without an `end` line belongs to a gateway that died.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of a ledger file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LedgerLine {
    /// The socket was bound to an attempt.
    Bound {
        /// `<job id>/<n>`.
        attempt: String,
        /// Milliseconds since the epoch.
        at: i64,
    },
    /// A connection was asked for and decided upon.
    Connection(Entry),
    /// A dialled connection ended.
    Closed {
        /// The connection's number.
        seq: u64,
        /// Bytes from the server to the fetcher.
        bytes_in: u64,
        /// Bytes from the fetcher to the server.
        bytes_out: u64,
        /// From the decision to the end.
        duration_ms: u64,
        /// Why it ended, when not by either side closing.
        error: Option<String>,
    },
    /// The binding ended; nothing follows.
    End {
        /// Milliseconds since the epoch.
        at: i64,
        /// The budget that was used up first, if one was.
        exhausted: Option<String>,
    },
}

/// One connection the fetcher asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts from 1 within an attempt; the response header `Safeurl-Connection` carries it.
    pub seq: u64,
    /// Host as asked for.
    pub host: String,
    /// Port as asked for.
    pub port: u16,
    /// What the name resolved to.
    pub addresses: Vec<String>,
    /// Those of them that were dialled, in that order: each had a packet, though only one of them more than that.
    #[serde(default)]
    pub tried: Vec<String>,
    /// The address that was dialled: the one connected to, or the last one tried. `null` when none was.
    pub dialed: Option<String>,
    /// The gateway's decision.
    pub decision: Decision,
    /// Stable name of the rule that decided.
    pub rule: String,
    /// Bytes from the server to the fetcher.
    pub bytes_in: u64,
    /// Bytes from the fetcher to the server.
    pub bytes_out: u64,
    /// Milliseconds since the epoch.
    pub opened_at: i64,
    /// Time the name took; `null` for an address or a mapped name.
    pub dns_ms: Option<u64>,
    /// Time the connection took; `null` when there is none.
    pub connect_ms: Option<u64>,
    /// From the decision to the end; `null` while open.
    pub duration_ms: Option<u64>,
    /// Why there was no connection, or why it broke.
    pub error: Option<String>,
}

/// What the gateway decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Dialled, or at least tried.
    Allowed,
    /// Refused; no packet was sent.
    Denied,
}

/// A whole ledger, its lines merged by connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ledger {
    /// The attempt it was bound to; `None` when it never was.
    pub attempt: Option<String>,
    /// One entry a connection, by `seq`.
    pub entries: Vec<Entry>,
    /// The budget that was used up first.
    pub exhausted: Option<String>,
    /// The binding was ended in order; `false`: the gateway died.
    pub complete: bool,
}

impl Ledger {
    /// Merges the lines of one ledger file in the order they were written. A `closed` line for an unknown
    /// connection is ignored: only our own gateway writes the file.
    #[must_use]
    pub fn from_lines(lines: impl IntoIterator<Item = LedgerLine>) -> Self {
        let mut ledger = Self::default();
        // By number: a search through the entries for every line would take time for the square of them.
        let mut places = BTreeMap::new();
        for line in lines {
            match line {
                LedgerLine::Bound { attempt, .. } => ledger.attempt = Some(attempt),
                LedgerLine::Connection(entry) => {
                    places.entry(entry.seq).or_insert(ledger.entries.len());
                    ledger.entries.push(entry);
                }
                LedgerLine::Closed { seq, bytes_in, bytes_out, duration_ms, error } => {
                    let place = places.get(&seq).copied();
                    if let Some(entry) = place.and_then(|place| ledger.entries.get_mut(place)) {
                        entry.bytes_in = bytes_in;
                        entry.bytes_out = bytes_out;
                        entry.duration_ms = Some(duration_ms);
                        entry.error = error.or(entry.error.take());
                    }
                }
                LedgerLine::End { exhausted, .. } => {
                    ledger.exhausted = exhausted;
                    ledger.complete = true;
                }
            }
        }
        ledger
    }

    /// The connection with this number.
    #[must_use]
    pub fn entry(&self, seq: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.seq == seq)
    }
}
