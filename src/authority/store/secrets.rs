//! What is kept sealed: secrets of resources, and signing keys. The store sees ciphertext only.

use super::{Store, StoreError, one_row, time};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// A resource's secret.
#[derive(Debug, Clone)]
pub struct SecretRow {
    /// The text under the authority's key.
    pub sealed: Vec<u8>,
    /// JSON of the security keys under which the text itself is sealed once more, if it is.
    pub sealed_for: Option<String>,
}

/// A token signing key, its private half sealed.
#[derive(Debug, Clone)]
pub struct SigningKeyRow {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// Sealed PKCS#8.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it only verifies.
    pub retired_at: Option<Timestamp>,
}

impl Store {
    /// A resource's secret.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn secret(&self, resource: &str) -> Result<Option<SecretRow>, StoreError> {
        let query = sqlx::query_as("SELECT sealed, sealed_for FROM secret WHERE resource = $1").bind(resource);
        let row: Option<(Vec<u8>, Option<String>)> = self.read(query.fetch_optional(&self.pool)).await?;
        Ok(row.map(|(sealed, sealed_for)| SecretRow { sealed, sealed_for }))
    }

    /// Which resources have a secret, since when, and for which security keys it is sealed, if it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn secret_names(&self) -> Result<Vec<(String, Timestamp, Option<String>)>, StoreError> {
        let query = sqlx::query_as("SELECT resource, set_at, sealed_for FROM secret ORDER BY resource");
        let rows: Vec<(String, i64, Option<String>)> = self.read(query.fetch_all(&self.pool)).await?;
        rows.into_iter().map(|(resource, set_at, sealed_for)| Ok((resource, time(set_at)?, sealed_for))).collect()
    }

    /// Every signing key, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT kid, sealed, created_at, retired_at FROM signing_key \
             ORDER BY retired_at IS NOT NULL, created_at DESC, kid",
        );
        let rows: Vec<(String, Vec<u8>, i64, Option<i64>)> = self.read(query.fetch_all(&self.pool)).await?;
        rows.into_iter()
            .map(|(kid, sealed, created_at, retired_at)| {
                Ok(SigningKeyRow {
                    kid,
                    sealed,
                    created_at: time(created_at)?,
                    retired_at: retired_at.map(time).transpose()?,
                })
            })
            .collect()
    }
}

pub(super) async fn put(
    connection: &mut AnyConnection,
    resource: &str,
    row: &SecretRow,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO secret (resource, sealed, set_at, sealed_for) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (resource) DO UPDATE SET sealed = $2, set_at = $3, sealed_for = $4",
    )
    .bind(resource)
    .bind(&row.sealed)
    .bind(at.as_second())
    .bind(&row.sealed_for)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut AnyConnection, resource: &str) -> Result<(), StoreError> {
    let done = sqlx::query("DELETE FROM secret WHERE resource = $1").bind(resource).execute(connection).await?;
    one_row(done.rows_affected(), "there is no secret of that name")
}

pub(super) async fn add_signing_key(connection: &mut AnyConnection, row: &SigningKeyRow) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO signing_key (kid, sealed, created_at) VALUES ($1, $2, $3)")
        .bind(&row.kid)
        .bind(&row.sealed)
        .bind(row.created_at.as_second())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn retire_signing_keys(
    connection: &mut AnyConnection,
    except: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE signing_key SET retired_at = $1 WHERE kid <> $2 AND retired_at IS NULL")
        .bind(at.as_second())
        .bind(except)
        .execute(connection)
        .await?;
    Ok(())
}
