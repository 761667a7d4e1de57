//! Which tables a database has, and the migrations that bring it to the schema of this program. A migration
//! that was released never changes; a database of a later program is left alone.

use uuid::Uuid;

use super::settle::twice;
use super::{Result, Store, StoreError};
use crate::db::{DbError, Unit};

/// The migrations in order; the schema's number is how many were run.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../../migrations/0001_safeurl_tables.sql"),
    include_str!("../../../migrations/0002_worker.sql"),
    include_str!("../../../migrations/0003_recovery.sql"),
    include_str!("../../../migrations/0004_attestations.sql"),
    include_str!("../../../migrations/0005_hosts.sql"),
];

/// The newest schema that this program knows.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Whose tables a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// It has none.
    Empty,
    /// An existing installation's, not ours yet.
    Foreign,
    /// Ours, of this program or an earlier one.
    Ours {
        /// Its number.
        version: u32,
    },
    /// Ours, of a later program.
    Newer {
        /// Its number.
        version: u32,
    },
}

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema before; 0 for an empty or taken-over database.
    pub from: u32,
    /// The schema now.
    pub to: u32,
}

impl Store {
    /// The newest schema that this program knows.
    pub const SCHEMA: u32 = KNOWN;

    /// Says whose tables the database has. Changes nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn schema(&self) -> Result<Schema> {
        self.db.read(read_schema).await
    }

    /// Brings an empty, an existing installation's or an older database to this program's schema, in one
    /// transaction. Does nothing to one that is there already.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`]; the database's.
    pub async fn migrate(&self) -> Result<Migrated> {
        if let Schema::Newer { version } = self.schema().await? {
            return Err(StoreError::NewerSchema { found: version, known: KNOWN });
        }
        self.db.keep_wal().await?;
        // Done twice, it finds itself done.
        twice(|| self.db.overhaul(run)).await
    }

    /// Makes the database ready for work: a file that is empty or an older one of ours is migrated.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`] for an existing installation's database: taking that over is a decision of a
    /// person. [`StoreError::NotPrepared`] for a server's that is not at this schema. [`StoreError::NewerSchema`]; the
    /// database's.
    pub async fn prepare(&self) -> Result<()> {
        match self.schema().await? {
            Schema::Foreign => Err(StoreError::NotMigrated),
            Schema::Newer { version } => Err(StoreError::NewerSchema { found: version, known: KNOWN }),
            Schema::Ours { version: KNOWN } => Ok(self.db.keep_wal().await?),
            Schema::Empty | Schema::Ours { .. } if self.path().is_none() => Err(StoreError::NotPrepared),
            Schema::Empty | Schema::Ours { .. } => self.migrate().await.map(|_| ()),
        }
    }

    /// The installation's id, made by its first migration; on the label of its containers.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`] before the first migration; the database's.
    pub async fn instance(&self) -> Result<String> {
        self.db.read(async |unit| meta(unit, "instance").await?.ok_or(StoreError::NotMigrated)).await
    }
}

async fn read_schema(unit: &Unit) -> Result<Schema> {
    const TABLES: &str = "SELECT count(*), coalesce(sum(name = 'meta'), 0) FROM sqlite_schema
        WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let counted = unit.first(TABLES, (), |row| Ok::<_, DbError>((row.int(0)?, row.int(1)?))).await?;
    let (tables, metas) = counted.unwrap_or_default();
    if tables == 0 {
        return Ok(Schema::Empty);
    }
    if metas == 0 {
        return Ok(Schema::Foreign);
    }
    let Some(text) = meta(unit, "schema").await? else { return Ok(Schema::Foreign) };
    match text.parse::<u32>() {
        Ok(version) if version > KNOWN => Ok(Schema::Newer { version }),
        Ok(version) => Ok(Schema::Ours { version }),
        Err(_) => Err(StoreError::Row {
            table: "meta",
            id: "schema".to_owned(),
            what: format!("{text:?} is not a number"),
        }),
    }
}

async fn meta(unit: &Unit, key: &'static str) -> Result<Option<String>> {
    let found = unit.first("SELECT value FROM meta WHERE key = ?", [key], |row| row.text(0)).await;
    match found {
        Ok(value) => Ok(value),
        // Another program's table of that name, or none.
        Err(DbError::Statement { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn run(unit: &Unit) -> Result<Migrated> {
    // Read again under the write lock: another process may have migrated in between.
    let from = match read_schema(unit).await? {
        Schema::Empty | Schema::Foreign => 0,
        Schema::Ours { version } => version,
        Schema::Newer { version } => {
            return Err(StoreError::NewerSchema { found: version, known: KNOWN });
        }
    };
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        unit.script(migration).await?;
    }
    if from < KNOWN {
        const SET: &str = "INSERT INTO meta (key, value) VALUES ('schema', ?)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        unit.execute(SET, [KNOWN.to_string()]).await?;
        const NAME: &str =
            "INSERT INTO meta (key, value) VALUES ('instance', ?) ON CONFLICT (key) DO NOTHING";
        unit.execute(NAME, [Uuid::new_v4().to_string()]).await?;
    }
    Ok(Migrated { from, to: KNOWN })
}
