//! Resources that are declared in the store, and what says that they changed.

use super::{Store, StoreError, one_row, set_meta, time};
use crate::protocol::encoding::{base64url, random};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// Another value with every change of the table: whoever has read it before knows whether to read it again.
pub const CATALOGUE: &str = "catalogue";
/// JSON of who was recovered on the machine itself.
pub const RECOVERIES: &str = "recoveries";

/// A resource, as it was declared.
#[derive(Debug, Clone)]
pub struct ResourceRow {
    /// What it is called.
    pub name: String,
    /// JSON.
    pub definition: String,
    /// When it was declared.
    pub set_at: Timestamp,
}

impl Store {
    /// Every resource that is declared here, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resources(&self) -> Result<Vec<ResourceRow>, StoreError> {
        let query = sqlx::query_as("SELECT name, definition, set_at FROM resource ORDER BY name");
        let rows: Vec<(String, String, i64)> = self.read(query.fetch_all(&self.pool)).await?;
        let row = |(name, definition, set_at)| Ok(ResourceRow { name, definition, set_at: time(set_at)? });
        rows.into_iter().map(row).collect()
    }

    /// The values of [`CATALOGUE`] and [`RECOVERIES`], in one look.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watched(&self) -> Result<[Option<String>; 2], StoreError> {
        let query =
            sqlx::query_as("SELECT key, value FROM meta WHERE key IN ($1, $2)").bind(CATALOGUE).bind(RECOVERIES);
        let mut rows: Vec<(String, String)> = self.read(query.fetch_all(&self.pool)).await?;
        let mut take = |key| rows.iter().position(|(known, _)| known == key).map(|place| rows.swap_remove(place).1);
        Ok([take(CATALOGUE), take(RECOVERIES)])
    }
}

/// Refused where what is declared is not what it was `before`.
pub(super) async fn put(
    connection: &mut AnyConnection,
    name: &str,
    definition: &str,
    before: Option<&str>,
    at: Timestamp,
) -> Result<(), StoreError> {
    changed(connection).await?;
    let done = match before {
        Some(before) => {
            sqlx::query("UPDATE resource SET definition = $2, set_at = $3 WHERE name = $1 AND definition = $4")
                .bind(name)
                .bind(definition)
                .bind(at.as_second())
                .bind(before)
                .execute(connection)
                .await?
        }
        None => {
            sqlx::query(
                "INSERT INTO resource (name, definition, set_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
            )
            .bind(name)
            .bind(definition)
            .bind(at.as_second())
            .execute(connection)
            .await?
        }
    };
    one_row(done.rows_affected(), "somebody else changed this resource meanwhile: look at it again")
}

/// As [`put`].
pub(super) async fn remove(connection: &mut AnyConnection, name: &str, before: &str) -> Result<(), StoreError> {
    changed(connection).await?;
    let done = sqlx::query("DELETE FROM resource WHERE name = $1 AND definition = $2")
        .bind(name)
        .bind(before)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "somebody else changed this resource meanwhile: look at it again")
}

async fn changed(connection: &mut AnyConnection) -> Result<(), StoreError> {
    set_meta(connection, CATALOGUE, &base64url(random::<12>())).await
}
