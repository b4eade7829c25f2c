//! Rows of the log: entries, their private parts, the tree's hashes, and every checkpoint that was signed.

use super::{Backend, Batch, Store, StoreError, postgres};
use crate::log::leaf::Private;
use sqlx::{Any, AssertSqlSafe, Error, Executor};
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

/// Where the log ends, for whoever appends to it.
pub struct Newest {
    /// The newest checkpoint, as signed.
    pub checkpoint: Option<String>,
    /// What the database's clock says, in Unix seconds; `None` where it has none of its own.
    pub time: Option<i64>,
}

pub(super) const NEWEST: &str = "SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1";
/// Hashes that one query asks for at most.
const HASHES_AT_ONCE: usize = 500;

/// `($1, $2), ($3, $4)`, for as many rows of as many columns.
pub(super) fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let columns: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", columns.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Store {
    /// The newest checkpoint, as signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_checkpoint(&self) -> Result<Option<String>, StoreError> {
        self.read(sqlx::query_scalar(NEWEST).fetch_optional(&self.pool)).await
    }

    /// Every checkpoint that was signed for more than `above` entries, smallest first, at most 1,000.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoints(&self, above: u64) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT note FROM log_checkpoint WHERE size > $1 ORDER BY size LIMIT 1000");
        self.read(query.bind(signed(above)).fetch_all(&self.pool)).await
    }

    /// How many places of the log are taken, gaps included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_size(&self) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar("SELECT max(idx) FROM log_entry");
        let last: Option<i64> = self.read(query.fetch_one(&self.pool)).await?;
        Ok(last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1))
    }

    /// The hashes at these places of the tree.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] where one is missing.
    pub async fn log_hashes(&self, places: &[u64]) -> Result<HashMap<u64, Hash>, StoreError> {
        whole(places, self.log_hashes_left(places).await?)
    }

    /// Those of the hashes at these places that are there, so that a damaged log can still be read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_hashes_left(&self, places: &[u64]) -> Result<HashMap<u64, Hash>, StoreError> {
        let mut found = HashMap::with_capacity(places.len());
        for places in places.chunks(HASHES_AT_ONCE) {
            found.extend(self.read(hashes(&self.pool, places)).await?);
        }
        Ok(found)
    }

    /// Entries `from..to`, gaps included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_rows(&self, from: u64, to: u64) -> Result<LogRows, StoreError> {
        self.read(rows(&self.pool, from, to)).await
    }

    /// Private parts of entries `from..to`; erased ones are missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_private(&self, from: u64, to: u64) -> Result<HashMap<u64, Private>, StoreError> {
        let query = sqlx::query_as("SELECT idx, salt, clear FROM log_private WHERE idx >= $1 AND idx < $2");
        let rows: Vec<(i64, String, String)> =
            self.read(query.bind(signed(from)).bind(signed(to)).fetch_all(&self.pool)).await?;
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

/// The hashes at these places that are there; one of another length is no hash.
async fn hashes<'c>(
    connection: impl Executor<'c, Database = Any>,
    places: &[u64],
) -> Result<HashMap<u64, Hash>, Error> {
    let text = format!("SELECT idx, hash FROM log_hash WHERE idx IN {}", placeholders(1, places.len()));
    let query = sqlx::query_as(AssertSqlSafe(text));
    let query = places.iter().fold(query, |query, place| query.bind(signed(*place)));
    let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(connection).await?;
    let hash = |(place, bytes): (i64, Vec<u8>)| Some((u64::try_from(place).ok()?, Hash(bytes.try_into().ok()?)));
    Ok(rows.into_iter().filter_map(hash).collect())
}

async fn rows<'c>(connection: impl Executor<'c, Database = Any>, from: u64, to: u64) -> Result<LogRows, Error> {
    let query = sqlx::query_as("SELECT idx, leaf FROM log_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx");
    let rows: Vec<(i64, Vec<u8>)> = query.bind(signed(from)).bind(signed(to)).fetch_all(connection).await?;
    let mut by_index: HashMap<i64, Vec<u8>> = rows.into_iter().collect();
    Ok(LogRows { leaves: (from..to).map(|index| by_index.remove(&signed(index))).collect() })
}

fn whole(places: &[u64], found: HashMap<u64, Hash>) -> Result<HashMap<u64, Hash>, StoreError> {
    match places.iter().find(|place| !found.contains_key(place)) {
        Some(place) => Err(StoreError::Corrupt(format!("hash {place} of the log is missing"))),
        None => Ok(found),
    }
}

impl Batch {
    /// As [`Store::log_rows`], on the batch's own connection: whoever holds the log's lock waits for no reader.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_rows(&mut self, from: u64, to: u64) -> Result<LogRows, StoreError> {
        let rows = rows(&mut self.connection, from, to);
        self.backend.answer(async { Ok(rows.await?) }).await
    }

    /// As [`Store::log_hashes`], for a few places, on the batch's own connection.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] where one is missing.
    pub async fn log_hashes(&mut self, places: &[u64]) -> Result<HashMap<u64, Hash>, StoreError> {
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let found = hashes(&mut self.connection, places);
        whole(places, self.backend.answer(async { Ok(found.await?) }).await?)
    }

    /// The newest checkpoint, as signed. Nobody signs another one before this batch is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_checkpoint(&mut self) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar(NEWEST).fetch_optional(&mut self.connection);
        self.backend.answer(async { Ok(query.await?) }).await
    }

    /// The same, with the database's time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest(&mut self) -> Result<Newest, StoreError> {
        match self.backend {
            Backend::Sqlite => Ok(Newest { checkpoint: self.newest_checkpoint().await?, time: None }),
            Backend::Postgres => {
                let query = sqlx::query_as(postgres::NEWEST_AND_TIME).fetch_one(&mut self.connection);
                let (checkpoint, time) = self.backend.answer(async { Ok(query.await?) }).await?;
                Ok(Newest { checkpoint, time: Some(time) })
            }
        }
    }

    /// Writes entries with their hashes, a statement for each table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_entries(&mut self, rows: &[EntryRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let leaves = format!("INSERT INTO log_entry (idx, leaf) VALUES {}", placeholders(count, 2));
        let leaves = rows
            .iter()
            .fold(sqlx::query(AssertSqlSafe(leaves)), |query, row| query.bind(signed(row.index)).bind(&row.leaf));
        let private = format!("INSERT INTO log_private (idx, salt, clear) VALUES {}", placeholders(count, 3));
        let private = rows.iter().fold(sqlx::query(AssertSqlSafe(private)), |query, row| {
            query.bind(signed(row.index)).bind(&row.private.salt).bind(row.private.clear.to_string())
        });
        let placed = rows.iter().flat_map(|row| (row.first_hash..).zip(&row.hashes));
        let hashes = format!("INSERT INTO log_hash (idx, hash) VALUES {}", placeholders(placed.clone().count(), 2));
        let hashes = placed.fold(sqlx::query(AssertSqlSafe(hashes)), |query, (place, hash)| {
            query.bind(signed(place)).bind(hash.0.as_slice())
        });
        let connection = &mut self.connection;
        let written = async {
            for query in [leaves, private, hashes] {
                query.execute(&mut *connection).await?;
            }
            Ok(())
        };
        self.backend.answer(written).await
    }

    /// Writes a signed checkpoint.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_checkpoint(&mut self, size: u64, note: &str) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT INTO log_checkpoint (size, note) VALUES ($1, $2)");
        let written = query.bind(signed(size)).bind(note).execute(&mut self.connection);
        let written = async {
            written.await?;
            Ok(())
        };
        self.backend.answer(written).await
    }
}
