//! Rows of the log: entries, their private parts, the tree's hashes, and every checkpoint that was signed.

use super::{Batch, Store, StoreError};
use crate::log::leaf::Private;
use std::collections::HashMap;
use tlog_tiles::Hash;

/// An entry to be written.
pub struct EntryRow {
    /// Its place.
    pub index: u64,
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// The private part, kept aside.
    pub private: Private,
    /// Hashes that the entry completes, in stored order from `first_hash`.
    pub hashes: Vec<Hash>,
    /// Where the first of them is stored.
    pub first_hash: u64,
}

/// A stretch of the log as it stands in the store.
pub struct LogRows {
    /// The leaf's bytes per place; `None` where the row is gone.
    pub leaves: Vec<Option<Vec<u8>>>,
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Store {
    /// The newest checkpoint, as signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_checkpoint(&self) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1")
            .fetch_optional(&self.pool)
            .await?)
    }

    /// Every checkpoint that was signed for more than `above` entries, smallest first, at most 1,000.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoints(&self, above: u64) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT note FROM log_checkpoint WHERE size > ? ORDER BY size LIMIT 1000")
            .bind(signed(above))
            .fetch_all(&self.pool)
            .await?)
    }

    /// How many places of the log are taken, gaps included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_size(&self) -> Result<u64, StoreError> {
        let last: Option<i64> = sqlx::query_scalar("SELECT max(idx) FROM log_entry").fetch_one(&self.pool).await?;
        Ok(last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1))
    }

    /// The hashes at these places of the tree.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] where one is missing.
    pub async fn log_hashes(&self, places: &[u64]) -> Result<HashMap<u64, Hash>, StoreError> {
        let found = self.log_hashes_left(places).await?;
        match places.iter().find(|place| !found.contains_key(place)) {
            Some(place) => Err(StoreError::Corrupt(format!("hash {place} of the log is missing"))),
            None => Ok(found),
        }
    }

    /// Those of the hashes at these places that are there, so that a damaged log can still be read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_hashes_left(&self, places: &[u64]) -> Result<HashMap<u64, Hash>, StoreError> {
        let mut found = HashMap::with_capacity(places.len());
        for place in places {
            let bytes: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM log_hash WHERE idx = ?")
                .bind(signed(*place))
                .fetch_optional(&self.pool)
                .await?;
            // One of another length is no hash.
            if let Some(bytes) = bytes.and_then(|bytes| bytes.try_into().ok()) {
                found.insert(*place, Hash(bytes));
            }
        }
        Ok(found)
    }

    /// Entries `from..to`, gaps included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_rows(&self, from: u64, to: u64) -> Result<LogRows, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT idx, leaf FROM log_entry WHERE idx >= ? AND idx < ? ORDER BY idx")
                .bind(signed(from))
                .bind(signed(to))
                .fetch_all(&self.pool)
                .await?;
        let mut by_index: HashMap<i64, Vec<u8>> = rows.into_iter().collect();
        Ok(LogRows { leaves: (from..to).map(|index| by_index.remove(&signed(index))).collect() })
    }

    /// Private parts of entries `from..to`; erased ones are missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_private(&self, from: u64, to: u64) -> Result<HashMap<u64, Private>, StoreError> {
        let rows: Vec<(i64, String, String)> =
            sqlx::query_as("SELECT idx, salt, clear FROM log_private WHERE idx >= ? AND idx < ?")
                .bind(signed(from))
                .bind(signed(to))
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter()
            .map(|(index, salt, clear)| {
                let index =
                    u64::try_from(index).map_err(|_| StoreError::Corrupt("a negative place in the log".into()))?;
                // A text that is no JSON any more is handed on as a string: its commitment will not match.
                let clear = serde_json::from_str(&clear).unwrap_or(serde_json::Value::String(clear));
                Ok((index, Private { salt, clear }))
            })
            .collect()
    }
}

impl Batch<'_> {
    /// Writes an entry with its hashes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_entry(&mut self, row: &EntryRow) -> Result<(), StoreError> {
        let index = signed(row.index);
        sqlx::query("INSERT INTO log_entry VALUES (?, ?)")
            .bind(index)
            .bind(&row.leaf)
            .execute(&mut *self.transaction)
            .await?;
        sqlx::query("INSERT INTO log_private VALUES (?, ?, ?)")
            .bind(index)
            .bind(&row.private.salt)
            .bind(row.private.clear.to_string())
            .execute(&mut *self.transaction)
            .await?;
        for (place, hash) in (row.first_hash..).zip(&row.hashes) {
            sqlx::query("INSERT INTO log_hash VALUES (?, ?)")
                .bind(signed(place))
                .bind(hash.0.as_slice())
                .execute(&mut *self.transaction)
                .await?;
        }
        Ok(())
    }

    /// Writes a signed checkpoint.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_checkpoint(&mut self, size: u64, note: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO log_checkpoint VALUES (?, ?)")
            .bind(signed(size))
            .bind(note)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}
