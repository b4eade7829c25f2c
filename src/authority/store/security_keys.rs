//! Enrolled security keys.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::SqliteConnection;

/// An enrolled key.
#[derive(Debug, Clone)]
pub struct SecurityKeyRow {
    /// base64url credential id.
    pub credential_id: String,
    /// Whose it is.
    pub sub: String,
    /// What they call it.
    pub name: String,
    /// JSON of the library's credential: public key, counter, flags.
    pub credential: String,
    /// Model.
    pub aaguid: String,
    /// A file, not a device.
    pub software: bool,
    /// Verified its user at enrolment.
    pub verifies_user: bool,
    /// When enrolled.
    pub enrolled_at: Timestamp,
    /// When it last approved something.
    pub last_used_at: Option<Timestamp>,
}

type Columns = (String, String, String, String, String, bool, bool, i64, Option<i64>);

fn row(columns: Columns) -> Result<SecurityKeyRow, StoreError> {
    let (credential_id, sub, name, credential, aaguid, software, verifies_user, enrolled_at, last_used_at) = columns;
    Ok(SecurityKeyRow {
        credential_id,
        sub,
        name,
        credential,
        aaguid,
        software,
        verifies_user,
        enrolled_at: time(enrolled_at)?,
        last_used_at: last_used_at.map(time).transpose()?,
    })
}

impl Store {
    /// A user's keys, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn security_keys(&self, sub: &str) -> Result<Vec<SecurityKeyRow>, StoreError> {
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT credential_id, sub, name, credential, aaguid, software, verifies_user, enrolled_at, last_used_at \
             FROM security_key WHERE sub = ? ORDER BY enrolled_at, name",
        )
        .bind(sub)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(row).collect()
    }
}

pub(super) async fn add(connection: &mut SqliteConnection, row: &SecurityKeyRow, among: i64) -> Result<(), StoreError> {
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM security_key WHERE sub = ?")
        .bind(&row.sub)
        .fetch_one(&mut *connection)
        .await?;
    if keys != among {
        return Err(StoreError::Conflict("your keys changed since this enrolment was begun: begin again"));
    }
    sqlx::query(
        "INSERT INTO security_key (credential_id, sub, name, credential, aaguid, software, verifies_user, enrolled_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.credential_id)
    .bind(&row.sub)
    .bind(&row.name)
    .bind(&row.credential)
    .bind(&row.aaguid)
    .bind(row.software)
    .bind(row.verifies_user)
    .bind(row.enrolled_at.as_second())
    .execute(connection)
    .await
    .map_err(|error| match StoreError::from(error) {
        StoreError::Conflict(_) => StoreError::Conflict("a key of that name, or this very key, is enrolled already"),
        other => other,
    })?;
    Ok(())
}

pub(super) async fn used(
    connection: &mut SqliteConnection,
    credential_id: &str,
    credential: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE security_key SET credential = ?, last_used_at = ? WHERE credential_id = ?")
        .bind(credential)
        .bind(at.as_second())
        .bind(credential_id)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "the key is no longer enrolled")
}

pub(super) async fn remove(connection: &mut SqliteConnection, sub: &str, name: &str) -> Result<(), StoreError> {
    let done = sqlx::query("DELETE FROM security_key WHERE sub = ? AND name = ?")
        .bind(sub)
        .bind(name)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "you have no key of that name")
}
