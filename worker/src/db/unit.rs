//! One unit of work on one connection: statements, a transaction, and rows read into values.

#[cfg(test)]
use std::sync::atomic::Ordering::Relaxed;

use libsql::params::IntoParams;
use libsql::{Connection, Row, Value};

use super::DbError;

/// A connection while a unit of work has it.
pub(crate) struct Unit {
    connection: Connection,
    /// How many of the next commits are not heard of by who asked for them.
    #[cfg(test)]
    pub(crate) deaf: std::sync::atomic::AtomicU32,
}

impl Unit {
    pub(super) const fn on(connection: Connection) -> Self {
        Self {
            connection,
            #[cfg(test)]
            deaf: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// Runs one statement and says how many rows it changed.
    pub(crate) async fn execute(&self, sql: &str, params: impl IntoParams) -> Result<u64, DbError> {
        Ok(self.connection.execute(sql, params).await?)
    }

    /// Runs the statements of a script that carries no values.
    pub(crate) async fn script(&self, sql: &str) -> Result<(), DbError> {
        self.connection.execute_batch(sql).await?;
        Ok(())
    }

    /// Runs one statement and reads all of its rows.
    pub(crate) async fn query<T, E: From<DbError>>(
        &self,
        sql: &str,
        params: impl IntoParams,
        mut read: impl FnMut(&Columns<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut rows = self.connection.query(sql, params).await.map_err(DbError::from)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().await.map_err(DbError::from)? {
            found.push(read(&Columns(&row))?);
        }
        Ok(found)
    }

    /// Runs one statement and reads its first row, if it has one.
    pub(crate) async fn first<T, E: From<DbError>>(
        &self,
        sql: &str,
        params: impl IntoParams,
        read: impl FnMut(&Columns<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        Ok(self.query(sql, params, read).await?.into_iter().next())
    }

    /// Runs the work between BEGIN IMMEDIATE and COMMIT. A COMMIT that fails leaves a doubt: what it wrote to the log
    /// before the disk failed may be found there by the recovery after a crash.
    pub(super) async fn transaction<T, E, W>(&self, work: W) -> Result<T, E>
    where
        E: From<DbError>,
        W: AsyncFnOnce(&Self) -> Result<T, E>,
    {
        self.execute("BEGIN IMMEDIATE", ()).await?;
        let done = work(self).await;
        let ended = match done {
            Ok(value) => self.commit().await.map(|()| value).map_err(E::from),
            Err(error) => Err(error),
        };
        if ended.is_err() && !self.connection.is_autocommit() {
            self.execute("ROLLBACK", ()).await?;
        }
        ended
    }

    async fn commit(&self) -> Result<(), DbError> {
        let ended = self.connection.execute("COMMIT", ()).await.map(|_| ());
        #[cfg(test)]
        let ended = ended.and_then(|()| self.lose_the_answer());
        match ended {
            // Still open: SQLite refused to end it, and it is undone.
            Err(source) if !self.connection.is_autocommit() => Err(source.into()),
            ended => ended.map_err(|source| DbError::Unanswered { source }),
        }
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
    pub(super) fn abandon(&self) {
        use futures_util::FutureExt;
        if !self.connection.is_autocommit() {
            // Local calls do not wait. Failing leaves the transaction open, and the end of the next unit tries again.
            let _ = self.connection.execute("ROLLBACK", ()).now_or_never();
        }
    }
}

/// The columns of one row. Reading never panics: rows may be another program's.
pub(crate) struct Columns<'a>(&'a Row);

impl Columns<'_> {
    /// Text, or a blob read as text: statements cast columns that other programs write to BLOB, because libSQL
    /// panics at text that is not UTF-8 and cuts it at a NUL.
    pub(crate) fn text(&self, column: i32) -> Result<String, DbError> {
        self.opt_text(column)?.ok_or(DbError::Column { column, found: "nothing where a text belongs" })
    }

    /// The same, or nothing.
    pub(crate) fn opt_text(&self, column: i32) -> Result<Option<String>, DbError> {
        Ok(match self.0.get_value(column)? {
            Value::Null => None,
            Value::Text(text) => Some(text),
            Value::Blob(bytes) => Some(
                String::from_utf8(bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
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
        match self.0.get_value(column)? {
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
        self.0.column_count()
    }

    /// Zero is false.
    pub(crate) fn flag(&self, column: i32) -> Result<bool, DbError> {
        Ok(self.int(column)? != 0)
    }
}
