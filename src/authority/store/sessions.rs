//! Step-ups and enrolments that wait for their answer. Spending one is a race that exactly one request wins.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::SqliteConnection;

/// A step-up or an enrolment that was begun.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// base64url SHA-256 of the secret handle the client holds.
    pub hash: String,
    /// Whose it is.
    pub sub: String,
    /// The elevation it belongs to.
    pub elevation: String,
    /// JSON: what was asked and challenged.
    pub content: String,
    /// When it dies.
    pub expires_at: Timestamp,
}

impl Store {
    /// An unspent session, expired or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, hash: &str) -> Result<Option<SessionRow>, StoreError> {
        let columns: Option<(String, String, String, String, i64)> = sqlx::query_as(
            "SELECT hash, sub, elevation, content, expires_at FROM auth_session WHERE hash = ? AND spent_at IS NULL",
        )
        .bind(hash)
        .fetch_optional(&self.pool)
        .await?;
        columns
            .map(|(hash, sub, elevation, content, expires_at)| {
                Ok(SessionRow { hash, sub, elevation, content, expires_at: time(expires_at)? })
            })
            .transpose()
    }

    /// How many sessions of this user wait for an answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_sessions(&self, sub: &str, now: Timestamp) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT count(*) FROM auth_session WHERE sub = ? AND expires_at > ? AND spent_at IS NULL",
        )
        .bind(sub)
        .bind(now.as_second())
        .fetch_one(&self.pool)
        .await?)
    }
}

pub(super) async fn open(connection: &mut SqliteConnection, row: &SessionRow) -> Result<(), StoreError> {
    // Spent and expired sessions are kept an hour, so that a late answer is told apart from a made-up one.
    sqlx::query("DELETE FROM auth_session WHERE expires_at < ?")
        .bind(row.expires_at.as_second() - 3600)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO auth_session (hash, sub, elevation, content, expires_at) VALUES (?, ?, ?, ?, ?)")
        .bind(&row.hash)
        .bind(&row.sub)
        .bind(&row.elevation)
        .bind(&row.content)
        .bind(row.expires_at.as_second())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn spend(connection: &mut SqliteConnection, hash: &str, at: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE auth_session SET spent_at = ? WHERE hash = ? AND spent_at IS NULL")
        .bind(at.as_second())
        .bind(hash)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "this step-up was answered already")
}
