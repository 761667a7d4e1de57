//! One unit of work on one connection: statements, a transaction, and rows read into values.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use libsql::Value;
use libsql::params::{IntoParams, Params};

use super::file::File;
use super::hrana::{Statement, Stream};
use super::{DbError, Patience};

/// A connection while a unit of work has it.
pub(crate) struct Unit {
    link: Link,
    /// How many of the next commits are not heard of by who asked for them.
    #[cfg(test)]
    pub(crate) deaf: Arc<AtomicU32>,
}

/// What leads to the database.
pub(super) enum Link {
    File(Box<File>),
    Server(Box<Stream>),
}

/// A query with its values, to be asked together with others.
pub(crate) struct Ask {
    statement: Statement,
    spare: bool,
}

impl Ask {
    pub(crate) fn new(sql: &str, params: impl IntoParams) -> Result<Self, DbError> {
        Ok(Self { statement: statement(sql, params)?, spare: false })
    }

    /// Wanted only where the one before it finds nothing. A server is asked all the same: it saves a round trip.
    pub(crate) fn spare(self) -> Self {
        Self { spare: true, ..self }
    }
}

/// The rows that a query found.
#[derive(Default)]
pub(crate) struct Found(Vec<Vec<Value>>);

impl Found {
    /// Reads all of them.
    pub(crate) fn read<T, E: From<DbError>>(
        &self,
        mut read: impl FnMut(&Columns<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        self.0.iter().map(|row| read(&Columns(row))).collect()
    }

    /// Reads the first, if there is one.
    pub(crate) fn first<T, E: From<DbError>>(
        &self,
        mut read: impl FnMut(&Columns<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        self.0.first().map(|row| read(&Columns(row))).transpose()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Unit {
    #[cfg(not(test))]
    pub(super) const fn on(link: Link) -> Self {
        Self { link }
    }

    #[cfg(test)]
    pub(super) const fn on(link: Link, deaf: Arc<AtomicU32>) -> Self {
        Self { link, deaf }
    }

    /// The connection to a file.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.link {
            Link::File(file) => Some(file),
            Link::Server(_) => None,
        }
    }

    /// How long the unit waits for a server.
    pub(super) fn is_patient(&self, patience: Patience) {
        if let Link::Server(stream) = &self.link {
            stream.is_patient(patience);
        }
    }

    /// Runs one statement and says how many rows it changed.
    pub(crate) async fn execute(&self, sql: &str, params: impl IntoParams) -> Result<u64, DbError> {
        match &self.link {
            Link::File(file) => Ok(file.execute(sql, params).await?),
            Link::Server(stream) => {
                let done = stream.run(vec![statement(sql, params)?]).await?;
                Ok(done.first().map_or(0, |done| done.changed))
            }
        }
    }

    /// Runs a statement that nobody needs an answer of before the transaction ends. A server gets it with the next
    /// one or with the COMMIT, and what is wrong with it is told by that.
    pub(crate) async fn execute_later(&self, sql: &str, params: impl IntoParams) -> Result<(), DbError> {
        match &self.link {
            Link::File(file) => file.execute(sql, params).await.map(|_| ())?,
            Link::Server(stream) => stream.leave(statement(sql, params)?),
        }
        Ok(())
    }

    /// Runs the statements of a script that carries no values.
    pub(crate) async fn script(&self, sql: &str) -> Result<(), DbError> {
        match &self.link {
            Link::File(file) => file.script(sql).await?,
            Link::Server(stream) => {
                stream.leave_script(sql);
                stream.run(Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Runs one statement and reads all of its rows.
    pub(crate) async fn query<T, E: From<DbError>>(
        &self,
        sql: &str,
        params: impl IntoParams,
        read: impl FnMut(&Columns<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        self.find(statement(sql, params)?).await?.read(read)
    }

    /// Runs one statement and reads its first row, if it has one.
    pub(crate) async fn first<T, E: From<DbError>>(
        &self,
        sql: &str,
        params: impl IntoParams,
        read: impl FnMut(&Columns<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        self.find(statement(sql, params)?).await?.first(read)
    }

    /// Runs statements of which none hangs on what another finds: on a server, one round trip.
    pub(crate) async fn together<const N: usize>(&self, asks: [Ask; N]) -> Result<[Found; N], DbError> {
        let mut found = Vec::<Found>::with_capacity(N);
        match &self.link {
            Link::File(_) => {
                for Ask { statement, spare } in asks {
                    let wanted = !spare || found.last().is_none_or(Found::is_empty);
                    found.push(if wanted { self.find(statement).await? } else { Found::default() });
                }
            }
            Link::Server(stream) => {
                let asks = asks.into_iter().map(|ask| ask.statement).collect();
                found.extend(stream.run(asks).await?.into_iter().map(|done| Found(done.rows)));
            }
        }
        found.try_into().map_err(|_| DbError::Ended)
    }

    async fn find(&self, statement: Statement) -> Result<Found, DbError> {
        match &self.link {
            Link::File(file) => Ok(Found(file.query(&statement.sql, statement.values).await?)),
            Link::Server(stream) => {
                let done = stream.run(vec![statement]).await?;
                Ok(Found(done.into_iter().next().map(|done| done.rows).unwrap_or_default()))
            }
        }
    }

    /// Runs the work between BEGIN IMMEDIATE and COMMIT. A COMMIT that fails leaves a doubt: what it wrote to the log
    /// before the disk failed may be found there by the recovery after a crash, and what a server did before the
    /// connection broke is not known. A server that has ended the transaction before the COMMIT gets the work once
    /// more, from its beginning.
    pub(super) async fn transaction<T, E, W>(&self, work: W) -> Result<T, E>
    where
        E: From<DbError>,
        W: AsyncFnOnce(&Self) -> Result<T, E> + Clone,
    {
        match &self.link {
            Link::File(file) => self.local(file, work).await,
            Link::Server(stream) => {
                let again = work.clone();
                match self.remote(stream, work).await {
                    Err(_) if stream.is_lost() => self.remote(stream, again).await,
                    done => done,
                }
            }
        }
    }

    async fn local<T, E: From<DbError>>(
        &self,
        file: &File,
        work: impl AsyncFnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.execute("BEGIN IMMEDIATE", ()).await?;
        let done = work(self).await;
        let ended = match done {
            Ok(value) => self.commit(file).await.map(|()| value).map_err(E::from),
            Err(error) => Err(error),
        };
        if ended.is_err() && !file.is_autocommit() {
            self.execute("ROLLBACK", ()).await?;
        }
        ended
    }

    /// Ends a transaction of a file; any error but [`DbError::Unanswered`] leaves it open.
    pub(super) async fn commit(&self, file: &File) -> Result<(), DbError> {
        let ended = file.execute("COMMIT", ()).await.map(|_| ());
        #[cfg(test)]
        let ended = ended.and_then(|()| self.lose_the_answer());
        match ended {
            // Still open: SQLite refused to end it, and it is undone.
            Err(source) if !file.is_autocommit() => Err(source.into()),
            ended => ended.map_err(|source| DbError::Unanswered { source }),
        }
    }

    async fn remote<T, E: From<DbError>>(
        &self,
        stream: &Stream,
        work: impl AsyncFnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        stream.begin();
        let ended = match work(self).await {
            Ok(value) => stream.commit().await.map(|()| value).map_err(E::from),
            Err(error) => Err(error),
        };
        #[cfg(test)]
        let ended = match ended {
            Ok(value) => {
                let heard = self.lose_the_answer().map_err(|source| DbError::Unanswered { source });
                heard.map(|()| value).map_err(E::from)
            }
            other => other,
        };
        stream.close().await;
        ended
    }

    #[cfg(test)]
    fn lose_the_answer(&self) -> Result<(), libsql::Error> {
        const IOERR: std::ffi::c_int = 10;
        match self.deaf.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(libsql::Error::SqliteFailure(IOERR, "the answer was lost".to_owned())),
            Err(_) => Ok(()),
        }
    }

    /// Ends a transaction that a unit left open by a panic, or because its ROLLBACK failed too: the next one could not
    /// begin, or would see for ever what was there when this one began.
    pub(super) async fn abandon(&self) {
        match &self.link {
            Link::File(file) if !file.is_autocommit() => {
                // Failing leaves the transaction open, and the end of the next unit tries again.
                let _ = file.execute("ROLLBACK", ()).await;
            }
            Link::File(_) => {}
            Link::Server(stream) => {
                stream.close().await;
                stream.is_patient(Patience::Short);
            }
        }
    }
}

fn statement(sql: &str, params: impl IntoParams) -> Result<Statement, DbError> {
    let values = match params.into_params()? {
        Params::None => Vec::new(),
        Params::Positional(values) => values,
        Params::Named(_) => {
            let source = libsql::Error::Misuse("values are bound by their place".to_owned());
            return Err(DbError::Statement { source });
        }
    };
    Ok(Statement { sql: sql.to_owned(), values })
}

/// The columns of one row. Reading never panics: rows may be another program's.
pub(crate) struct Columns<'a>(&'a [Value]);

impl Columns<'_> {
    /// Text, or a blob read as text: statements cast columns that other programs write to BLOB, because libSQL
    /// panics at text that is not UTF-8 and cuts it at a NUL.
    pub(crate) fn text(&self, column: i32) -> Result<String, DbError> {
        self.opt_text(column)?.ok_or(DbError::Column { column, found: "nothing where a text belongs" })
    }

    /// The same, or nothing.
    pub(crate) fn opt_text(&self, column: i32) -> Result<Option<String>, DbError> {
        Ok(match self.value(column)? {
            Value::Null => None,
            Value::Text(text) => Some(text.clone()),
            Value::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Real(number) => Some(number.to_string()),
        })
    }

    /// A number.
    pub(crate) fn int(&self, column: i32) -> Result<i64, DbError> {
        self.opt_int(column)?.ok_or(DbError::Column { column, found: "nothing where a number belongs" })
    }

    /// A number, or nothing. A time with a fraction loses just the fraction.
    pub(crate) fn opt_int(&self, column: i32) -> Result<Option<i64>, DbError> {
        match *self.value(column)? {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(number)),
            Value::Real(number) => Ok(Some(number as i64)),
            Value::Text(_) => Err(DbError::Column { column, found: "text where a number belongs" }),
            Value::Blob(_) => Err(DbError::Column { column, found: "bytes where a number belongs" }),
        }
    }

    /// A count; what does not fit is clamped.
    pub(crate) fn count(&self, column: i32) -> Result<u32, DbError> {
        Ok(u32::try_from(self.int(column)?.max(0)).unwrap_or(u32::MAX))
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> i32 {
        i32::try_from(self.0.len()).expect("few columns")
    }

    /// Zero is false.
    pub(crate) fn flag(&self, column: i32) -> Result<bool, DbError> {
        Ok(self.int(column)? != 0)
    }

    fn value(&self, column: i32) -> Result<&Value, DbError> {
        let place = usize::try_from(column).ok();
        let value = place.and_then(|place| self.0.get(place));
        value.ok_or(DbError::Column { column, found: "nothing: the row is shorter" })
    }
}
