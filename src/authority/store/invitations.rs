//! Invitations to enrol a first key: one for each person, good once.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::AnyConnection;
use std::collections::HashMap;

/// An invitation, spent or not.
#[derive(Debug, Clone)]
pub struct InvitationRow {
    /// Who is invited.
    pub sub: String,
    /// base64url SHA-256 of the code.
    pub hash: String,
    /// When it dies.
    pub expires_at: Timestamp,
    /// When it was taken. Not written with it.
    pub spent_at: Option<Timestamp>,
}

impl Store {
    /// The invitation whose code has this hash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invitation(&self, hash: &str) -> Result<Option<InvitationRow>, StoreError> {
        let query = sqlx::query_as("SELECT sub, hash, expires_at, spent_at FROM invitation WHERE hash = $1");
        let columns: Option<(String, String, i64, Option<i64>)> =
            self.read(query.bind(hash).fetch_optional(&self.pool)).await?;
        let row = |(sub, hash, expires_at, spent_at): (String, String, i64, Option<i64>)| {
            Ok(InvitationRow { sub, hash, expires_at: time(expires_at)?, spent_at: spent_at.map(time).transpose()? })
        };
        columns.map(row).transpose()
    }

    /// Who is invited now, and until when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_invitations(&self, now: Timestamp) -> Result<HashMap<String, Timestamp>, StoreError> {
        let query = sqlx::query_as("SELECT sub, expires_at FROM invitation WHERE spent_at IS NULL AND expires_at > $1");
        let rows: Vec<(String, i64)> = self.read(query.bind(now.as_second()).fetch_all(&self.pool)).await?;
        rows.into_iter().map(|(sub, expires_at)| Ok((sub, time(expires_at)?))).collect()
    }
}

/// Puts one in the place of the one before.
pub(super) async fn put(connection: &mut AnyConnection, row: &InvitationRow) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO invitation (sub, hash, expires_at) VALUES ($1, $2, $3) \
         ON CONFLICT (sub) DO UPDATE SET hash = $2, expires_at = $3, spent_at = NULL",
    )
    .bind(&row.sub)
    .bind(&row.hash)
    .bind(row.expires_at.as_second())
    .execute(connection)
    .await?;
    Ok(())
}

/// What nobody took up is good no more: they are shut out, have a key, or begin anew.
pub(super) async fn withdraw(connection: &mut AnyConnection, sub: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM invitation WHERE sub = $1 AND spent_at IS NULL").bind(sub).execute(connection).await?;
    Ok(())
}

pub(super) async fn spend(connection: &mut AnyConnection, hash: &str, at: Timestamp) -> Result<(), StoreError> {
    let done =
        sqlx::query("UPDATE invitation SET spent_at = $1 WHERE hash = $2 AND spent_at IS NULL AND expires_at > $1")
            .bind(at.as_second())
            .bind(hash)
            .execute(connection)
            .await?;
    one_row(done.rows_affected(), "the invitation was used already, or its time is over")
}
