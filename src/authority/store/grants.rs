//! Grants: what was issued, to whom, until when, and whether it still stands.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// A grant.
#[derive(Debug, Clone)]
pub struct GrantRow {
    /// The token's `jti`.
    pub id: String,
    /// Whose it is.
    pub sub: String,
    /// For what.
    pub resource: String,
    /// Granted scope.
    pub scope: String,
    /// The proof key it is bound to.
    pub jkt: String,
    /// The rung reached.
    pub acr: String,
    /// JSON of the one operation it is for, for the authority's own resource.
    pub operation: Option<String>,
    /// For `key.enroll`: which keys the user had when it was decided.
    pub keys: Option<String>,
    /// When it began.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// When its operation was carried out.
    pub spent_at: Option<Timestamp>,
}

impl GrantRow {
    /// Whether the grant stands at this time.
    #[must_use]
    pub fn stands(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.spent_at.is_none() && now < self.expires_at
    }
}

#[derive(sqlx::FromRow)]
struct Columns {
    id: String,
    sub: String,
    resource: String,
    scope: String,
    jkt: String,
    acr: String,
    operation: Option<String>,
    keys: Option<String>,
    issued_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    spent_at: Option<i64>,
}

fn row(columns: Columns) -> Result<GrantRow, StoreError> {
    Ok(GrantRow {
        id: columns.id,
        sub: columns.sub,
        resource: columns.resource,
        scope: columns.scope,
        jkt: columns.jkt,
        acr: columns.acr,
        operation: columns.operation,
        keys: columns.keys,
        issued_at: time(columns.issued_at)?,
        expires_at: time(columns.expires_at)?,
        revoked_at: columns.revoked_at.map(time).transpose()?,
        spent_at: columns.spent_at.map(time).transpose()?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, sub, resource, scope, jkt, acr, operation, keys, issued_at, expires_at, revoked_at, spent_at \
             FROM elevation_grant ",
            $rest
        )
    };
}

impl Store {
    /// One grant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grant(&self, id: &str) -> Result<Option<GrantRow>, StoreError> {
        let query = sqlx::query_as(select!("WHERE id = $1")).bind(id);
        self.read(query.fetch_optional(&self.pool)).await?.map(row).transpose()
    }

    /// Every grant that stands, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standing_grants(&self, now: Timestamp) -> Result<Vec<GrantRow>, StoreError> {
        let query = sqlx::query_as(select!(
            "WHERE expires_at > $1 AND revoked_at IS NULL AND spent_at IS NULL ORDER BY issued_at DESC, id"
        ));
        let rows = self.read(query.bind(now.as_second()).fetch_all(&self.pool)).await?;
        rows.into_iter().map(row).collect()
    }
}

pub(super) async fn add(connection: &mut AnyConnection, row: &GrantRow) -> Result<(), StoreError> {
    let done = sqlx::query(
        "INSERT INTO elevation_grant (id, sub, resource, scope, jkt, acr, operation, keys, issued_at, expires_at) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 \
         WHERE EXISTS (SELECT 1 FROM \"user\" WHERE sub = $2 AND disabled_at IS NULL)",
    )
    .bind(&row.id)
    .bind(&row.sub)
    .bind(&row.resource)
    .bind(&row.scope)
    .bind(&row.jkt)
    .bind(&row.acr)
    .bind(&row.operation)
    .bind(&row.keys)
    .bind(row.issued_at.as_second())
    .bind(row.expires_at.as_second())
    .execute(connection)
    .await?;
    one_row(done.rows_affected(), "your account was disabled meanwhile")
}

pub(super) async fn spend(connection: &mut AnyConnection, id: &str, at: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE elevation_grant SET spent_at = $1 WHERE id = $2 AND spent_at IS NULL AND revoked_at IS NULL",
    )
    .bind(at.as_second())
    .bind(id)
    .execute(connection)
    .await?;
    one_row(done.rows_affected(), "this approval was used already")
}

pub(super) async fn revoke(connection: &mut AnyConnection, id: &str, at: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE elevation_grant SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
        .bind(at.as_second())
        .bind(id)
        .execute(connection)
        .await?;
    one_row(done.rows_affected(), "there is no such grant, or it was revoked already")
}

pub(super) async fn revoke_of(connection: &mut AnyConnection, sub: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE elevation_grant SET revoked_at = $1 WHERE sub = $2 AND revoked_at IS NULL")
        .bind(at.as_second())
        .bind(sub)
        .execute(connection)
        .await?;
    Ok(())
}
