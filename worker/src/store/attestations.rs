//! What containers turned out to be, as their probes saw it. Documents name these rows by their digest.

use libsql::params;

use super::settle::twice;
use super::{Result, Store};
use crate::db::now_ms;

/// How long an attestation stands for the same circumstances, where another probe would cost too much.
const TRUSTED_MS: i64 = 24 * 60 * 60 * 1000;

/// An attestation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationRow {
    /// SHA-256 of the body.
    pub digest: String,
    /// JSON.
    pub body: String,
}

impl Store {
    /// Keeps an attestation, or that it was seen again.
    ///
    /// # Errors
    /// The database's.
    pub async fn attested(&self, row: &AttestationRow, circumstances: &str) -> Result<()> {
        const KEEP: &str = concat!(
            "INSERT INTO attestations (digest, body, circumstances, first_ms, last_ms) VALUES (?, ?, ?, ",
            now_ms!(),
            ", ",
            now_ms!(),
            ") ON CONFLICT (digest) DO UPDATE
             SET circumstances = excluded.circumstances, last_ms = excluded.last_ms"
        );
        twice(|| {
            let AttestationRow { digest, body } = row.clone();
            let circumstances = circumstances.to_owned();
            self.db.write(async move |unit| {
                Ok(unit.execute_later(KEEP, params![digest, body, circumstances]).await?)
            })
        })
        .await
    }

    /// The last attestation of these circumstances, if it is of the last 24 hours.
    ///
    /// # Errors
    /// The database's.
    pub async fn attestation_of(&self, circumstances: &str) -> Result<Option<AttestationRow>> {
        const LAST: &str = concat!(
            "SELECT digest, body FROM attestations WHERE circumstances = ? AND last_ms >= ",
            now_ms!(),
            " - ? ORDER BY last_ms DESC LIMIT 1"
        );
        self.one_attestation(LAST, params![circumstances, TRUSTED_MS]).await
    }

    /// The attestation with this digest.
    ///
    /// # Errors
    /// The database's.
    pub async fn attestation(&self, digest: &str) -> Result<Option<AttestationRow>> {
        const ONE: &str = "SELECT digest, body FROM attestations WHERE digest = ?";
        self.one_attestation(ONE, params![digest]).await
    }

    async fn one_attestation(
        &self,
        sql: &'static str,
        values: impl libsql::params::IntoParams + Send + 'static,
    ) -> Result<Option<AttestationRow>> {
        let found = self.db.read(async move |unit| {
            unit.first(sql, values, |row| {
                Ok::<_, crate::db::DbError>(AttestationRow { digest: row.text(0)?, body: row.text(1)? })
            })
            .await
        });
        Ok(found.await?)
    }
}
