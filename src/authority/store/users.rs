//! Users, and their recent failures.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// Failures older than this count for nothing, in seconds.
pub const FAILURE_MEMORY: i64 = 600;

/// A user, known since the first request.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// `uid:N`.
    pub sub: String,
    /// When the first request came.
    pub created_at: Timestamp,
    /// Since when the user is shut out.
    pub disabled_at: Option<Timestamp>,
}

type Columns = (String, i64, Option<i64>);

fn row((sub, created_at, disabled_at): Columns) -> Result<UserRow, StoreError> {
    Ok(UserRow { sub, created_at: time(created_at)?, disabled_at: disabled_at.map(time).transpose()? })
}

impl Store {
    /// One user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&self, sub: &str) -> Result<Option<UserRow>, StoreError> {
        let query = sqlx::query_as("SELECT sub, created_at, disabled_at FROM \"user\" WHERE sub = $1").bind(sub);
        self.read(query.fetch_optional(&self.pool)).await?.map(row).transpose()
    }

    /// Every user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        let query = sqlx::query_as("SELECT sub, created_at, disabled_at FROM \"user\" ORDER BY sub");
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        rows.into_iter().map(row).collect()
    }
}

pub(super) async fn create(connection: &mut AnyConnection, sub: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO \"user\" (sub, created_at) VALUES ($1, $2)")
        .bind(sub)
        .bind(at.as_second())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn set_disabled(
    connection: &mut AnyConnection,
    sub: &str,
    at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE \"user\" SET disabled_at = $1 WHERE sub = $2")
        .bind(at.map(Timestamp::as_second))
        .bind(sub)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "there is no such user")
}

pub(super) async fn add_failure(connection: &mut AnyConnection, sub: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM failure WHERE at <= $1")
        .bind(at.as_second() - FAILURE_MEMORY)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO failure (sub, at) VALUES ($1, $2)")
        .bind(sub)
        .bind(at.as_second())
        .execute(connection)
        .await?;
    Ok(())
}
