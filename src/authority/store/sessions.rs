//! Step-ups and enrolments that wait for their answer. Spending one is a race that exactly one request wins.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// What is said where no further one may be opened.
pub const TOO_MANY: &str = "too many of your step-ups wait for an answer";

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
    /// How many step-ups and enrolments wait for an answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_sessions(&self, now: Timestamp) -> Result<i64, StoreError> {
        let query = sqlx::query_scalar("SELECT count(*) FROM auth_session WHERE expires_at > $1 AND spent_at IS NULL");
        self.read(query.bind(now.as_second()).fetch_one(&self.pool)).await
    }

    /// An unspent session, expired or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, hash: &str) -> Result<Option<SessionRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT hash, sub, elevation, content, expires_at FROM auth_session WHERE hash = $1 AND spent_at IS NULL",
        );
        let columns: Option<(String, String, String, String, i64)> =
            self.read(query.bind(hash).fetch_optional(&self.pool)).await?;
        columns
            .map(|(hash, sub, elevation, content, expires_at)| {
                Ok(SessionRow { hash, sub, elevation, content, expires_at: time(expires_at)? })
            })
            .transpose()
    }
}

pub(super) async fn open(
    connection: &mut AnyConnection,
    row: &SessionRow,
    at: Timestamp,
    most: i64,
) -> Result<(), StoreError> {
    // Holds the user's row, so that two nodes do not both count what the other is about to add.
    let held = sqlx::query("UPDATE \"user\" SET created_at = created_at WHERE sub = $1 AND disabled_at IS NULL")
        .bind(&row.sub)
        .execute(&mut *connection)
        .await?;
    one_row(held.rows_affected(), "your account was disabled meanwhile")?;
    // Spent and expired sessions are kept an hour, so that a late answer is told apart from a made-up one.
    sqlx::query("DELETE FROM auth_session WHERE sub = $1 AND expires_at < $2")
        .bind(&row.sub)
        .bind(row.expires_at.as_second() - 3600)
        .execute(&mut *connection)
        .await?;
    let done = sqlx::query(
        "INSERT INTO auth_session (hash, sub, elevation, content, expires_at) SELECT $1, $2, $3, $4, $5 WHERE \
         (SELECT count(*) FROM auth_session WHERE sub = $2 AND expires_at > $6 AND spent_at IS NULL) < $7",
    )
    .bind(&row.hash)
    .bind(&row.sub)
    .bind(&row.elevation)
    .bind(&row.content)
    .bind(row.expires_at.as_second())
    .bind(at.as_second())
    .bind(most)
    .execute(connection)
    .await?;
    one_row(done.rows_affected(), TOO_MANY)
}

pub(super) async fn spend(connection: &mut AnyConnection, hash: &str, at: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE auth_session SET spent_at = $1 WHERE hash = $2 AND spent_at IS NULL")
        .bind(at.as_second())
        .bind(hash)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "this step-up was answered already")
}
