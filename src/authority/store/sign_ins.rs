//! Who is signed in on which device, and the steps of signing in. Taking a step is a race that exactly one request wins.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::{AnyConnection as Connection, AssertSqlSafe};
use std::collections::HashMap;

/// Seconds a step is kept after its end, so that a late or second use is told apart from a made-up one.
const STEP_MEMORY: i64 = 3600;
/// Seconds a sign-in is kept after it began; none lasts as long.
const SIGN_IN_MEMORY: i64 = 90 * 86_400;
const SIGNED_OUT: &str = "you were signed out meanwhile";

/// A person signed in on a device.
#[derive(Debug, Clone)]
pub struct SignInRow {
    /// Names it, for people and in the log.
    pub id: String,
    /// base64url SHA-256 of the token that the device holds.
    pub hash: String,
    /// Who.
    pub sub: String,
    /// The device's proof key.
    pub jkt: String,
    /// What the device says that it is called.
    pub host: String,
    /// JSON: name, groups and how the provider knew them.
    pub person: String,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used, to about a minute.
    pub last_used_at: Timestamp,
    /// When it ended before its time.
    pub ended_at: Option<Timestamp>,
    /// Since when the person is shut out. Not written with it: it is the user's.
    pub disabled_at: Option<Timestamp>,
}

/// One step of signing in.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// base64url SHA-256 of the secret that names it.
    pub hash: String,
    /// JSON.
    pub content: String,
    /// When it dies.
    pub expires_at: Timestamp,
    /// When it was taken.
    pub spent_at: Option<Timestamp>,
    /// When a device last asked for it.
    pub asked_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct SignInColumns {
    id: String,
    hash: String,
    sub: String,
    jkt: String,
    host: String,
    person: String,
    created_at: i64,
    last_used_at: i64,
    ended_at: Option<i64>,
    disabled_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct StepColumns {
    hash: String,
    content: String,
    expires_at: i64,
    spent_at: Option<i64>,
    asked_at: Option<i64>,
}

fn sign_in_row(columns: SignInColumns) -> Result<SignInRow, StoreError> {
    Ok(SignInRow {
        id: columns.id,
        hash: columns.hash,
        sub: columns.sub,
        jkt: columns.jkt,
        host: columns.host,
        person: columns.person,
        created_at: time(columns.created_at)?,
        last_used_at: time(columns.last_used_at)?,
        ended_at: columns.ended_at.map(time).transpose()?,
        disabled_at: columns.disabled_at.map(time).transpose()?,
    })
}

macro_rules! select_sign_ins {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.hash, s.sub, s.jkt, s.host, s.person, s.created_at, s.last_used_at, s.ended_at, u.disabled_at \
             FROM sign_in s JOIN \"user\" u ON u.sub = s.sub ",
            $rest
        )
    };
}

impl Store {
    /// The sign-in whose token has this hash, ended or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_in(&self, hash: &str) -> Result<Option<SignInRow>, StoreError> {
        let query = sqlx::query_as(select_sign_ins!("WHERE s.hash = $1")).bind(hash);
        self.read(query.fetch_optional(&self.pool)).await?.map(sign_in_row).transpose()
    }

    /// The sign-in that a grant was asked for in; `None` for one on a socket.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_in_of_grant(&self, grant: &str) -> Result<Option<SignInRow>, StoreError> {
        let query = sqlx::query_as(select_sign_ins!("JOIN sign_in_grant g ON g.sign_in = s.id WHERE g.grant_id = $1"));
        self.read(query.bind(grant).fetch_optional(&self.pool)).await?.map(sign_in_row).transpose()
    }

    /// A person's sign-ins, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_ins_of(&self, sub: &str) -> Result<Vec<SignInRow>, StoreError> {
        let query = sqlx::query_as(select_sign_ins!("WHERE s.sub = $1 ORDER BY s.created_at DESC, s.id"));
        self.read(query.bind(sub).fetch_all(&self.pool)).await?.into_iter().map(sign_in_row).collect()
    }

    /// Every sign-in that has not been ended and began after `since`, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_ins(&self, since: Timestamp) -> Result<Vec<SignInRow>, StoreError> {
        let query = sqlx::query_as(select_sign_ins!(
            "WHERE s.ended_at IS NULL AND s.created_at > $1 AND u.disabled_at IS NULL ORDER BY s.created_at DESC, s.id"
        ));
        self.read(query.bind(since.as_second()).fetch_all(&self.pool)).await?.into_iter().map(sign_in_row).collect()
    }

    /// What the provider last said of each person: JSON by `sub`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn people(&self) -> Result<HashMap<String, String>, StoreError> {
        let query = sqlx::query_as("SELECT sub, person FROM sign_in ORDER BY created_at");
        let rows: Vec<(String, String)> = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().collect())
    }

    /// A step, taken or not, over or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_in_step(&self, hash: &str) -> Result<Option<StepRow>, StoreError> {
        let query =
            sqlx::query_as("SELECT hash, content, expires_at, spent_at, asked_at FROM sign_in_step WHERE hash = $1");
        let columns: Option<StepColumns> = self.read(query.bind(hash).fetch_optional(&self.pool)).await?;
        let row = |columns: StepColumns| {
            Ok(StepRow {
                hash: columns.hash,
                content: columns.content,
                expires_at: time(columns.expires_at)?,
                spent_at: columns.spent_at.map(time).transpose()?,
                asked_at: columns.asked_at.map(time).transpose()?,
            })
        };
        columns.map(row).transpose()
    }
}

pub(super) async fn add(connection: &mut Connection, row: &SignInRow) -> Result<(), StoreError> {
    let old = row.created_at.as_second() - SIGN_IN_MEMORY;
    sqlx::query("DELETE FROM sign_in_grant WHERE sign_in IN (SELECT id FROM sign_in WHERE created_at < $1)")
        .bind(old)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM sign_in WHERE created_at < $1").bind(old).execute(&mut *connection).await?;
    let done = sqlx::query(
        "INSERT INTO sign_in (id, hash, sub, jkt, host, person, created_at, last_used_at) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
         WHERE EXISTS (SELECT 1 FROM \"user\" WHERE sub = $3 AND disabled_at IS NULL)",
    )
    .bind(&row.id)
    .bind(&row.hash)
    .bind(&row.sub)
    .bind(&row.jkt)
    .bind(&row.host)
    .bind(&row.person)
    .bind(row.created_at.as_second())
    .bind(row.last_used_at.as_second())
    .execute(connection)
    .await?;
    one_row(done.rows_affected(), "your account was disabled")
}

pub(super) async fn used(connection: &mut Connection, id: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE sign_in SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1")
        .bind(at.as_second())
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Holds a sign-in's row, so that it does not end unseen meanwhile.
pub(super) async fn hold(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    let held = sqlx::query("UPDATE sign_in SET last_used_at = last_used_at WHERE id = $1 AND ended_at IS NULL")
        .bind(id)
        .execute(connection)
        .await?;
    one_row(held.rows_affected(), SIGNED_OUT)
}

/// Ties a grant to the sign-in that asked for it.
pub(super) async fn add_grant(
    connection: &mut Connection,
    hold: &str,
    sign_in: &str,
    grant: &str,
) -> Result<(), StoreError> {
    let text = format!(
        "INSERT INTO sign_in_grant (grant_id, sign_in) \
         SELECT $1, id FROM sign_in WHERE id = $2 AND ended_at IS NULL {hold}"
    );
    let done = sqlx::query(AssertSqlSafe(text)).bind(grant).bind(sign_in).execute(connection).await?;
    one_row(done.rows_affected(), SIGNED_OUT)
}

/// Ends a sign-in and its grants.
pub(super) async fn end(connection: &mut Connection, id: &str, at: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE sign_in SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL")
        .bind(at.as_second())
        .bind(id)
        .execute(&mut *connection)
        .await?;
    one_row(done.rows_affected(), "there is no such sign-in, or it was ended already")?;
    sqlx::query(
        "UPDATE elevation_grant SET revoked_at = $1 WHERE revoked_at IS NULL \
         AND id IN (SELECT grant_id FROM sign_in_grant WHERE sign_in = $2)",
    )
    .bind(at.as_second())
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends every sign-in of a person; their grants are [`super::Change::RevokeGrantsOf`]'s.
pub(super) async fn end_of(connection: &mut Connection, sub: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE sign_in SET ended_at = $1 WHERE sub = $2 AND ended_at IS NULL")
        .bind(at.as_second())
        .bind(sub)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn add_step(connection: &mut Connection, row: &StepRow) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sign_in_step WHERE expires_at < $1")
        .bind(row.expires_at.as_second() - STEP_MEMORY)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO sign_in_step (hash, content, expires_at) VALUES ($1, $2, $3)")
        .bind(&row.hash)
        .bind(&row.content)
        .bind(row.expires_at.as_second())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn spend_step(connection: &mut Connection, hash: &str, at: Timestamp) -> Result<(), StoreError> {
    let done =
        sqlx::query("UPDATE sign_in_step SET spent_at = $1 WHERE hash = $2 AND spent_at IS NULL AND expires_at > $1")
            .bind(at.as_second())
            .bind(hash)
            .execute(connection)
            .await?;
    one_row(done.rows_affected(), "this step of signing in was taken already, or its time is over")
}

/// Puts an answer in the place of what waits for one.
pub(super) async fn answer_step(
    connection: &mut Connection,
    hash: &str,
    before: &str,
    content: &str,
) -> Result<(), StoreError> {
    let done =
        sqlx::query("UPDATE sign_in_step SET content = $1 WHERE hash = $2 AND content = $3 AND spent_at IS NULL")
            .bind(content)
            .bind(hash)
            .bind(before)
            .execute(connection)
            .await?;
    one_row(done.rows_affected(), "this device was answered already")
}

pub(super) async fn asked_for_step(connection: &mut Connection, hash: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE sign_in_step SET asked_at = $1 WHERE hash = $2")
        .bind(at.as_second())
        .bind(hash)
        .execute(connection)
        .await?;
    Ok(())
}
