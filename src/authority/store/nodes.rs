//! Which nodes share this store, and by which rules each goes. `PostgreSQL` only: `SQLite` has one.

use super::{Store, StoreError};
use sqlx::AnyConnection;

/// Another node that was there a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its host and data directory.
    pub name: String,
    /// The digest of its rules.
    pub rules: String,
}

impl Store {
    /// The other nodes that were there within half a minute, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nodes_beside(&self, name: &str) -> Result<Vec<NodeRow>, StoreError> {
        if !self.is_shared() {
            return Ok(Vec::new());
        }
        let query = sqlx::query_as(
            "SELECT name, rules FROM node WHERE name <> $1 AND seen_at > clock_timestamp() - interval '30 seconds' \
             ORDER BY name",
        );
        let rows: Vec<(String, String)> = self.read(query.bind(name).fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(|(name, rules)| NodeRow { name, rules }).collect())
    }
}

pub(super) async fn seen(connection: &mut AnyConnection, name: &str, rules: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM node WHERE seen_at < clock_timestamp() - interval '1 day'")
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO node (name, rules, seen_at) VALUES ($1, $2, clock_timestamp()) \
         ON CONFLICT (name) DO UPDATE SET rules = $2, seen_at = clock_timestamp()",
    )
    .bind(name)
    .bind(rules)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn gone(connection: &mut AnyConnection, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM node WHERE name = $1").bind(name).execute(connection).await?;
    Ok(())
}
