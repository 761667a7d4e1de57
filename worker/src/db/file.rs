//! A connection to a file. It keeps the statements that it has compiled: compiling one takes longer than running it, and
//! a worker runs the same few for ever.

use std::cell::RefCell;
use std::collections::HashMap;

use libsql::params::{IntoParams, Params};
use libsql::{Connection, Statement, Value};

/// Compiled statements that are kept at most. A worker has less than half as many; a listing's are put together from
/// what was asked for.
const KEPT: usize = 256;

/// The connection.
pub(super) struct File {
    connection: Connection,
    kept: RefCell<HashMap<String, Statement>>,
}

impl File {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, kept: RefCell::default() }
    }

    /// Runs one statement and says how many rows it changed.
    pub(super) async fn execute(&self, sql: &str, values: impl IntoParams) -> libsql::Result<u64> {
        let (sql, statement) = self.compiled(sql).await?;
        let changed = run(&statement, values.into_params()?).await;
        self.keep(sql, statement);
        changed
    }

    /// Runs one statement and reads its rows.
    pub(super) async fn query(&self, sql: &str, values: Vec<Value>) -> libsql::Result<Vec<Vec<Value>>> {
        let (sql, statement) = self.compiled(sql).await?;
        let rows = read(&statement, Params::Positional(values)).await;
        self.keep(sql, statement);
        rows
    }

    /// Runs the statements of a script that carries no values.
    pub(super) async fn script(&self, sql: &str) -> libsql::Result<()> {
        self.connection.execute_batch(sql).await.map(|_| ())
    }

    /// Whether there is no transaction open.
    pub(super) fn is_autocommit(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// One that was kept is the caller's alone until it is kept again; after a panic it is not.
    async fn compiled(&self, sql: &str) -> libsql::Result<(String, Statement)> {
        let kept = self.kept.borrow_mut().remove_entry(sql);
        match kept {
            Some(kept) => Ok(kept),
            None => Ok((sql.to_owned(), self.connection.prepare(sql).await?)),
        }
    }

    fn keep(&self, sql: String, statement: Statement) {
        // However its run ended: one that is not reset holds on to what it reads.
        statement.reset();
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        // A pragma may do its work while it is compiled: https://sqlite.org/pragma.html
        if !sql.starts_with("PRAGMA") {
            kept.insert(sql, statement);
        }
    }
}

async fn run(statement: &Statement, values: Params) -> libsql::Result<u64> {
    statement.execute(filled(statement, values)?).await.map(|changed| changed as u64)
}

async fn read(statement: &Statement, values: Params) -> libsql::Result<Vec<Vec<Value>>> {
    let mut rows = statement.query(filled(statement, values)?).await?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().await? {
        let columns = 0..row.column_count();
        found.push(columns.map(|column| row.get_value(column)).collect::<Result<_, _>>()?);
    }
    Ok(found)
}

/// A value for each place: one without would have that of the run before.
fn filled(statement: &Statement, values: Params) -> libsql::Result<Vec<Value>> {
    let mut values = match values {
        Params::None => Vec::new(),
        Params::Positional(values) => values,
        Params::Named(_) => return Err(libsql::Error::Misuse("values are bound by their place".to_owned())),
    };
    let places = statement.parameter_count();
    if values.len() > places {
        let given = values.len();
        return Err(libsql::Error::Misuse(format!("{given} values for {places} places of a statement")));
    }
    values.resize(places, Value::Null);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection to a database in memory with two rows.
    async fn two_rows() -> File {
        let database = libsql::Builder::new_local(":memory:").build().await.expect("opens");
        let file = File::new(database.connect().expect("connects"));
        file.script("CREATE TABLE said (word TEXT UNIQUE, json TEXT)").await.expect("a table");
        for (word, json) in [("one", "[1]"), ("two", "[")] {
            file.execute(PUT, [word, json]).await.expect("a row");
        }
        file
    }

    const PUT: &str = "INSERT INTO said (word, json) VALUES (?, ?)";
    const ALL: &str = "SELECT * FROM said ORDER BY word";
    const PARSED: &str = "SELECT json_array_length(json) FROM said ORDER BY word";

    #[tokio::test]
    async fn a_statement_whose_run_failed_runs_again_and_holds_up_nothing() {
        let file = two_rows().await;
        for _ in 0..2 {
            file.execute(PUT, ["one", "[]"]).await.expect_err("it is there");
            file.query(PARSED, Vec::new()).await.expect_err("the second row is no JSON");
        }
        file.execute(PUT, ["three", "[]"]).await.expect("written");
        assert_eq!(file.query(ALL, Vec::new()).await.expect("read").len(), 3);
        file.script("DROP TABLE said").await.expect("nobody reads it");
    }

    #[tokio::test]
    async fn a_kept_statement_sees_a_change_of_the_tables() {
        let file = two_rows().await;
        assert_eq!(file.query(ALL, Vec::new()).await.expect("read")[0].len(), 2);
        file.script("ALTER TABLE said ADD COLUMN length INTEGER").await.expect("a column more");
        assert_eq!(file.query(ALL, Vec::new()).await.expect("read")[0].len(), 3);
        file.script("DROP TABLE said").await.expect("dropped");
        file.query(ALL, Vec::new()).await.expect_err("there is no table");
    }

    #[tokio::test]
    async fn a_place_without_a_value_is_null_and_not_what_it_was_before() {
        let file = two_rows().await;
        file.execute(PUT, ["three"]).await.expect("written");
        let last = "SELECT json FROM said WHERE word = ?";
        let found = file.query(last, vec![Value::Text("three".to_owned())]).await.expect("read");
        assert_eq!(found, [[Value::Null]]);
        assert!(file.query(last, Vec::new()).await.expect("read").is_empty());
        file.execute(PUT, ["four", "[]", "more"]).await.expect_err("three of two");
    }

    #[tokio::test]
    async fn no_more_statements_are_kept_than_that_and_no_pragma() {
        let file = two_rows().await;
        for number in 0..3 * KEPT {
            file.query(&format!("SELECT {number}"), Vec::new()).await.expect("read");
            assert!(file.kept.borrow().len() <= KEPT);
        }
        file.query("PRAGMA page_count", Vec::new()).await.expect("read");
        assert!(!file.kept.borrow().contains_key("PRAGMA page_count"));
        file.query(ALL, Vec::new()).await.expect("read");
        assert!(file.kept.borrow().contains_key(ALL));
    }
}
