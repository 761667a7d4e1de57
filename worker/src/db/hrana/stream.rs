//! A unit of work on a server. One that only reads opens a stream for each statement and closes it with it. One that
//! writes keeps a stream from its first statement to its COMMIT: BEGIN goes with the first statement, and statements
//! whose answer nobody needs wait for the next one or for the COMMIT. Each step hangs on the one before and on the
//! transaction being open, so that nothing is ever written outside of it.

use std::cell::{Cell, RefCell};

use hyper::Uri;
use libsql::Value;

use super::http::{Client, Fault};
use super::script::statements;
use super::wire::{
    Batch, BatchResult, Condition, Outcome, PipelineRequest, PipelineResponse, Refusal, Request, Response,
    Step, StepResult, Stmt,
};
use crate::db::{DbError, Patience};

/// A statement and the values for its places.
#[derive(Debug)]
pub(in crate::db) struct Statement {
    pub(in crate::db) sql: String,
    pub(in crate::db) values: Vec<Value>,
}

/// What a statement came to.
#[derive(Debug, Default)]
pub(in crate::db) struct Done {
    pub(in crate::db) changed: u64,
    pub(in crate::db) rows: Vec<Vec<Value>>,
}

/// A unit's way to the server.
pub(in crate::db) struct Stream {
    client: Client,
    patience: Cell<Patience>,
    /// Whether the unit writes.
    writes: Cell<bool>,
    /// What the transaction has so far.
    open: RefCell<Option<Open>>,
    later: RefCell<Vec<Step>>,
    lost: Cell<bool>,
}

/// An open transaction's stream.
struct Open {
    baton: String,
    base: Option<Uri>,
}

const BEGIN: &str = "BEGIN IMMEDIATE";

impl Stream {
    pub(in crate::db) const fn new(client: Client) -> Self {
        Self {
            client,
            patience: Cell::new(Patience::Short),
            writes: Cell::new(false),
            open: RefCell::new(None),
            later: RefCell::new(Vec::new()),
            lost: Cell::new(false),
        }
    }

    pub(in crate::db) fn is_patient(&self, patience: Patience) {
        self.patience.set(patience);
    }

    /// Everything up to [`Stream::commit`] is one transaction. Nothing is sent yet.
    pub(in crate::db) fn begin(&self) {
        self.writes.set(true);
        self.lost.set(false);
    }

    /// Whether the transaction was lost with its stream, before anything of it was committed: it may be done again.
    pub(in crate::db) const fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Leaves a statement for the next call.
    pub(in crate::db) fn leave(&self, statement: Statement) {
        self.later.borrow_mut().push(step(statement, false));
    }

    /// Leaves the statements of a script.
    pub(in crate::db) fn leave_script(&self, script: &str) {
        for sql in statements(script) {
            self.leave(Statement { sql: sql.to_owned(), values: Vec::new() });
        }
    }

    /// Carries out what was left and then these; the answers are theirs.
    pub(in crate::db) async fn run(&self, asked: Vec<Statement>) -> Result<Vec<Done>, DbError> {
        let count = asked.len();
        let mut steps = self.later.take();
        steps.extend(asked.into_iter().map(|statement| step(statement, true)));
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let open = self.open.take();
        let writes = self.writes.get();
        if writes && open.is_none() {
            steps.insert(0, self::begin());
        }
        chained(&mut steps, writes && open.is_some(), writes);
        let mut requests = vec![Request::Batch { batch: Batch { steps } }];
        if !writes {
            requests.push(Request::Close);
        }
        let answer = self.call(open, requests).await.map_err(|fault| self.unanswered(fault))?;
        let mut results = self.results(answer)?;
        let asked = results.split_off(results.len().saturating_sub(count));
        asked.into_iter().map(read).collect()
    }

    /// Carries out what was left and ends the transaction. A unit that said nothing has nothing to end.
    pub(in crate::db) async fn commit(&self) -> Result<(), DbError> {
        let mut steps = self.later.take();
        let open = self.open.take();
        if open.is_none() {
            if steps.is_empty() {
                return Ok(());
            }
            steps.insert(0, self::begin());
        }
        steps.push(plain("COMMIT"));
        chained(&mut steps, open.is_some(), true);
        let commit = steps.len() - 1;
        // Carried out when the COMMIT was refused, and tells that from one that ended the transaction badly.
        steps.push(Step { condition: Some(Condition::in_transaction()), ..plain("ROLLBACK") });
        let requests = vec![Request::Batch { batch: Batch { steps } }, Request::Close];
        match self.call(open, requests).await {
            Ok(answer) => self.ended(answer, commit),
            Err(fault @ (Fault::Unsent(_) | Fault::Expired | Fault::Refused(_))) => {
                Err(self.unanswered(fault))
            }
            // Whoever stands between may have sent it twice, and this is the answer to the second.
            Err(Fault::NoAnswer(said) | Fault::Unknown(said)) => {
                Err(DbError::Unanswered { source: libsql::Error::Hrana(said.into()) })
            }
        }
    }

    /// What the answer says of the transaction.
    fn ended(&self, answer: PipelineResponse, commit: usize) -> Result<(), DbError> {
        let result = match batch(answer) {
            Ok(result) => result,
            Err(Some(refusal)) if refusal.is_before_all() => return Err(refusal.as_libsql().into()),
            Err(Some(refusal)) => return Err(DbError::Unanswered { source: refusal.as_libsql() }),
            Err(None) => return Err(DbError::Unanswered { source: unexpected() }),
        };
        let undone = result.step_results.get(commit + 1).is_some_and(Option::is_some);
        let refused = result
            .step_errors
            .iter()
            .take(commit + 1)
            .enumerate()
            .find_map(|(at, e)| Some((at, e.as_ref()?)));
        match refused {
            None if result.step_results.get(commit).is_some_and(Option::is_some) => Ok(()),
            None => Err(self.lose("the transaction was ended by the server")),
            Some((_, refusal)) if refusal.is_timed_out() => {
                self.lost.set(true);
                Err(refusal.as_libsql().into())
            }
            Some((at, refusal)) if at < commit || undone => Err(refusal.as_libsql().into()),
            Some((_, refusal)) => Err(DbError::Unanswered { source: refusal.as_libsql() }),
        }
    }

    /// Ends the stream; a transaction that is open is undone. An answer that does not come leaves that to the server,
    /// which ends streams that it does not hear of.
    pub(in crate::db) async fn close(&self) {
        self.later.take();
        self.writes.set(false);
        if let Some(open) = self.open.take() {
            let _ = self.call(Some(open), vec![Request::Close]).await;
        }
    }

    async fn call(&self, open: Option<Open>, requests: Vec<Request>) -> Result<PipelineResponse, Fault> {
        let (baton, base) = open.map_or((None, None), |open| (Some(open.baton), open.base));
        let request = PipelineRequest { baton, requests };
        let answer = self.client.call(base.as_ref(), &request, self.patience.get()).await?;
        if let Some(baton) = answer.baton.clone() {
            let moved = answer.base_url.as_deref().and_then(|url| url.parse().ok());
            self.open.replace(Some(Open { baton, base: moved.or(base) }));
        }
        Ok(answer)
    }

    /// A call that came to nothing, and with it the transaction.
    fn unanswered(&self, fault: Fault) -> DbError {
        match fault {
            Fault::Refused(error) => error,
            Fault::Unsent(said) | Fault::NoAnswer(said) => {
                DbError::Unavailable { source: libsql::Error::Hrana(said.into()) }
            }
            Fault::Expired => self.lose("the stream has expired"),
            Fault::Unknown(said) => self.lose(&said),
        }
    }

    fn lose(&self, said: &str) -> DbError {
        self.lost.set(true);
        DbError::Unavailable { source: libsql::Error::Hrana(said.into()) }
    }

    /// The results of all steps, or the first thing that went wrong.
    fn results(&self, answer: PipelineResponse) -> Result<Vec<StepResult>, DbError> {
        let result = match batch(answer) {
            Ok(result) => result,
            Err(Some(refusal)) => return Err(refusal.as_libsql().into()),
            Err(None) => return Err(DbError::Unavailable { source: unexpected() }),
        };
        if let Some(refusal) = result.step_errors.iter().flatten().next() {
            self.lost.set(self.writes.get() && refusal.is_timed_out());
            return Err(refusal.as_libsql().into());
        }
        let results: Option<Vec<_>> = result.step_results.into_iter().collect();
        results.ok_or_else(|| self.lose("the transaction was ended by the server"))
    }
}

/// The result of the batch that the first request was.
fn batch(answer: PipelineResponse) -> Result<BatchResult, Option<Refusal>> {
    match answer.results.into_iter().next() {
        Some(Outcome::Ok { response: Response::Batch { result } }) => Ok(result),
        Some(Outcome::Error { error }) => Err(Some(error)),
        Some(Outcome::Ok { response: Response::Close }) | None => Err(None),
    }
}

fn unexpected() -> libsql::Error {
    libsql::Error::Hrana("the answer has no result".into())
}

fn read(result: StepResult) -> Result<Done, DbError> {
    let rows = result.rows.into_iter().map(|row| row.into_iter().map(super::wire::WireValue::read).collect());
    let rows: Option<Vec<Vec<Value>>> = rows.collect();
    let rows = rows.ok_or(DbError::Column { column: 0, found: "what is no value" })?;
    Ok(Done { changed: result.affected_row_count, rows })
}

fn begin() -> Step {
    plain(BEGIN)
}

fn plain(sql: &str) -> Step {
    step(Statement { sql: sql.to_owned(), values: Vec::new() }, false)
}

fn step(statement: Statement, want_rows: bool) -> Step {
    let args = statement.values.into_iter().map(Into::into).collect();
    Step { condition: None, stmt: Stmt { sql: statement.sql, args, want_rows } }
}

/// Lets each step hang on the one before; the first of an open transaction on that being open still.
fn chained(steps: &mut [Step], open: bool, in_transaction: bool) {
    for (at, step) in steps.iter_mut().enumerate() {
        step.condition = match at.checked_sub(1) {
            None if open => Some(Condition::in_transaction()),
            None => None,
            Some(before) if in_transaction => Some(Condition::after(before)),
            Some(step) => Some(Condition::Ok { step }),
        };
    }
}
