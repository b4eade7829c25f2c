//! Proofs of possession that were used, over all nodes. On `SQLite` a process remembers its own.

use super::{Store, StoreError};
use crate::protocol::encoding::{base64url, random};
use jiff::Timestamp;

/// What became of a proof's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It is used now, and was not before.
    Now,
    /// It was used before.
    Before,
    /// The store forgot which were used: whatever was made before that is too old.
    Forgotten,
}

impl Store {
    /// The epoch in which nonces are good. It ends where the store forgets which proofs were used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn proof_epoch(&self) -> Result<String, StoreError> {
        // Two nodes at once: the first one's stands.
        let begun = sqlx::query("INSERT INTO proof_epoch (one, epoch) VALUES (1, $1) ON CONFLICT (one) DO NOTHING");
        let known = || sqlx::query_scalar("SELECT epoch FROM proof_epoch").fetch_optional(&self.pool);
        if let Some(epoch) = self.read(known()).await? {
            return Ok(epoch);
        }
        self.read(begun.bind(base64url(random::<16>())).execute(&self.pool)).await?;
        self.read(known()).await?.ok_or_else(|| StoreError::PostgreSql("it forgets at once what it is told".into()))
    }

    /// Marks a proof's id as used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spend_proof(&self, id: &str, epoch: &str, now: Timestamp) -> Result<Spent, StoreError> {
        let query = sqlx::query(
            "INSERT INTO spent_proof (id, at) SELECT $1, $2 WHERE EXISTS (SELECT 1 FROM proof_epoch WHERE epoch = $3)",
        );
        let done = self.read(query.bind(id).bind(now.as_second()).bind(epoch).execute(&self.pool)).await;
        match done {
            Ok(done) if done.rows_affected() == 1 => Ok(Spent::Now),
            Ok(_) => Ok(Spent::Forgotten),
            Err(StoreError::Conflict(_)) => Ok(Spent::Before),
            Err(error) => Err(error),
        }
    }

    /// Forgets proofs that were used before this time: they are too old by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_proofs(&self, before: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM spent_proof WHERE at < $1").bind(before.as_second());
        self.read(query.execute(&self.pool)).await.map(drop)
    }
}
