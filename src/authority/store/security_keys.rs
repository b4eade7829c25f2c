//! Enrolled security keys.

use super::{Store, StoreError, one_row, time};
use crate::protocol::encoding::{base64url, sha256};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::AnyConnection;
use std::collections::HashMap;

/// What is said where a key is needed that signed in a moment ago.
pub const KEY_REMOVED: &str = "the key that signed in was removed meanwhile";

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
    /// JSON: hints how it can be reached.
    pub transports: String,
    /// When enrolled.
    pub enrolled_at: Timestamp,
    /// When it last approved something.
    pub last_used_at: Option<Timestamp>,
}

/// What is yes or no is 1 or 0.
type Columns = (String, String, String, String, String, i64, i64, String, i64, Option<i64>);

fn row(columns: Columns) -> Result<SecurityKeyRow, StoreError> {
    let (credential_id, sub, name, credential, aaguid, software, verifies_user, transports, enrolled_at, last_used_at) =
        columns;
    Ok(SecurityKeyRow {
        credential_id,
        sub,
        name,
        credential,
        aaguid,
        software: software != 0,
        verifies_user: verifies_user != 0,
        transports,
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
        let query = sqlx::query_as(
            "SELECT credential_id, sub, name, credential, aaguid, software, verifies_user, transports, enrolled_at, \
             last_used_at FROM security_key WHERE sub = $1 ORDER BY enrolled_at, name",
        );
        let rows = self.read(query.bind(sub).fetch_all(&self.pool)).await?;
        rows.into_iter().map(row).collect()
    }

    /// Who has keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owners_of_keys(&self) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT DISTINCT sub FROM security_key ORDER BY sub");
        self.read(query.fetch_all(&self.pool)).await
    }

    /// The key of this credential id, whoever's it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn security_key(&self, credential_id: &str) -> Result<Option<SecurityKeyRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT credential_id, sub, name, credential, aaguid, software, verifies_user, transports, enrolled_at, \
             last_used_at FROM security_key WHERE credential_id = $1",
        );
        self.read(query.bind(credential_id).fetch_optional(&self.pool)).await?.map(row).transpose()
    }

    /// Credential ids and names of everybody's keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn security_key_names(&self) -> Result<HashMap<String, String>, StoreError> {
        let query = sqlx::query_as("SELECT credential_id, name FROM security_key");
        let rows: Vec<(String, String)> = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().collect())
    }
}

/// One text for a set of keys: another set, another text.
#[must_use]
pub fn set_of_keys<'a>(credential_ids: impl IntoIterator<Item = &'a str>) -> String {
    let mut ids: Vec<&str> = credential_ids.into_iter().collect();
    ids.sort_unstable();
    base64url(sha256(&[ids.join(",").as_bytes()]))
}

pub(super) async fn add(connection: &mut AnyConnection, row: &SecurityKeyRow, among: &str) -> Result<(), StoreError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT credential_id FROM security_key WHERE sub = $1")
        .bind(&row.sub)
        .fetch_all(&mut *connection)
        .await?;
    if set_of_keys(ids.iter().map(String::as_str)) != among {
        return Err(StoreError::Conflict("your keys changed since this enrolment was begun: begin again"));
    }
    let added = sqlx::query(
        "INSERT INTO security_key (credential_id, sub, name, credential, aaguid, software, verifies_user, \
         transports, enrolled_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 \
         WHERE EXISTS (SELECT 1 FROM \"user\" WHERE sub = $2 AND disabled_at IS NULL)",
    )
    .bind(&row.credential_id)
    .bind(&row.sub)
    .bind(&row.name)
    .bind(&row.credential)
    .bind(&row.aaguid)
    .bind(i64::from(row.software))
    .bind(i64::from(row.verifies_user))
    .bind(&row.transports)
    .bind(row.enrolled_at.as_second())
    .execute(connection)
    .await
    .map_err(|error| match StoreError::from(error) {
        StoreError::Conflict(_) => StoreError::Conflict("a key of that name, or this very key, is enrolled already"),
        other => other,
    })?;
    one_row(added.rows_affected(), "your account was disabled meanwhile")
}

pub(super) async fn used(
    connection: &mut AnyConnection,
    credential_id: &str,
    credential: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    // What is known of it is read here, where nobody else writes once the row is held: of two answers at once the later one
    // may be the first to be recorded.
    let held: Vec<String> =
        sqlx::query_scalar("UPDATE security_key SET last_used_at = $1 WHERE credential_id = $2 RETURNING credential")
            .bind(at.as_second())
            .bind(credential_id)
            .fetch_all(&mut *connection)
            .await?;
    let before = held.first().ok_or(StoreError::Conflict("the key is no longer enrolled"))?;
    let (known, new) = (counter(before), counter(credential));
    if new != 0 && new == known {
        return Err(StoreError::Conflict("the key counted the same for two answers: it may have been copied"));
    }
    if new < known || credential == before {
        return Ok(());
    }
    let done = sqlx::query("UPDATE security_key SET credential = $1 WHERE credential_id = $2")
        .bind(credential)
        .bind(credential_id)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "the key is no longer enrolled")
}

/// Holds a key's row, so that it is not removed unseen meanwhile.
pub(super) async fn hold(connection: &mut AnyConnection, sub: &str, credential_id: &str) -> Result<(), StoreError> {
    let held = sqlx::query("UPDATE security_key SET last_used_at = last_used_at WHERE credential_id = $1 AND sub = $2")
        .bind(credential_id)
        .bind(sub)
        .execute(connection)
        .await?;
    one_row(held.rows_affected(), KEY_REMOVED)
}

/// The signature counter of a credential; 0 where its key has none.
fn counter(credential: &str) -> u64 {
    #[derive(Deserialize)]
    struct Counted {
        #[serde(default)]
        counter: u64,
    }
    serde_json::from_str::<Counted>(credential).map_or(0, |credential| credential.counter)
}

pub(super) async fn remove(connection: &mut AnyConnection, sub: &str, name: &str) -> Result<(), StoreError> {
    let done = sqlx::query("DELETE FROM security_key WHERE sub = $1 AND name = $2")
        .bind(sub)
        .bind(name)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "there is no key of that name")
}

/// Removes every key of a person.
pub(super) async fn remove_of(connection: &mut AnyConnection, sub: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM security_key WHERE sub = $1").bind(sub).execute(connection).await?;
    Ok(())
}
