//! Everything of one store, whole: into another one, and into a file. What was copied is read again and recomputed.

use super::log::signed;
use super::{Backend, Batch, Store, StoreError, sqlite};
use crate::authority::audit::tree::Edge;
use crate::log::checkpoint::TreeHead;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use std::path::Path;
use tlog_tiles::stored_hash_index;

/// Rows that are read and written at once.
const ROWS: usize = 500;

/// What stands in a column.
#[derive(Clone, Copy)]
enum Column {
    Text(&'static str),
    Number(&'static str),
    Bytes(&'static str),
}
use Column::{Bytes, Number, Text};

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Text(name) | Number(name) | Bytes(name) => name,
        }
    }
}

/// Every table, each after those it refers to. What only one kind of store has is not worth moving.
#[rustfmt::skip]
const TABLES: [(&str, &[Column]); 18] = [
    ("meta", &[Text("key"), Text("value")]),
    ("\"user\"", &[Text("sub"), Number("created_at"), Number("disabled_at")]),
    ("security_key", &[
        Text("credential_id"), Text("sub"), Text("name"), Text("credential"), Text("aaguid"), Number("software"),
        Number("verifies_user"), Number("enrolled_at"), Number("last_used_at"), Text("transports"),
    ]),
    ("auth_session", &[
        Text("hash"), Text("sub"), Text("elevation"), Text("content"), Number("expires_at"), Number("spent_at"),
    ]),
    ("elevation_grant", &[
        Text("id"), Text("sub"), Text("resource"), Text("scope"), Text("jkt"), Text("acr"), Text("operation"),
        Number("issued_at"), Number("expires_at"), Number("revoked_at"), Number("spent_at"), Text("keys"),
    ]),
    ("failure", &[Text("sub"), Number("at")]),
    ("history", &[Text("sub"), Text("content")]),
    ("secret", &[Text("resource"), Bytes("sealed"), Number("set_at"), Text("sealed_for")]),
    ("signing_key", &[Text("kid"), Bytes("sealed"), Number("created_at"), Number("retired_at")]),
    ("resource", &[Text("name"), Text("definition"), Number("set_at")]),
    ("sign_in", &[
        Text("id"), Text("hash"), Text("sub"), Text("jkt"), Text("host"), Text("person"), Number("created_at"),
        Number("last_used_at"), Number("ended_at"),
    ]),
    ("sign_in_grant", &[Text("grant_id"), Text("sign_in")]),
    ("sign_in_step", &[
        Text("hash"), Text("content"), Number("expires_at"), Number("spent_at"), Number("asked_at"),
    ]),
    ("invitation", &[Text("sub"), Text("hash"), Number("expires_at"), Number("spent_at")]),
    ("log_entry", &[Number("idx"), Bytes("leaf")]),
    ("log_private", &[Number("idx"), Text("salt"), Text("clear")]),
    ("log_hash", &[Number("idx"), Bytes("hash")]),
    ("log_checkpoint", &[Number("size"), Text("note")]),
];

impl Store {
    /// Writes a copy of an `SQLite` store into a file that is not there yet, while an authority goes on using it; the
    /// head of the copy's log, and its newest checkpoint.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`], where the copy's log is not whole.
    pub async fn copy_to_file(&self, file: &Path) -> Result<(TreeHead, Option<String>), StoreError> {
        let name = file.to_str().ok_or_else(|| StoreError::Unavailable("its path is no UTF-8".to_owned()))?;
        self.read(sqlx::query("VACUUM INTO $1").bind(name).execute(&self.pool)).await?;
        let mut copy = AnyConnection::connect(&sqlite::url(file, "ro")?).await?;
        let head = recomputed(&mut copy).await?;
        let newest = sqlx::query_scalar(super::log::NEWEST).fetch_optional(&mut copy).await?;
        copy.close().await?;
        Ok((head, newest))
    }
}

impl Batch {
    /// Whether nothing was founded here, and nothing else was put here either.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_empty(&mut self) -> Result<bool, StoreError> {
        for (table, _) in TABLES {
            let rows = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 3) AS rows");
            let query = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut self.connection);
            let rows: i64 = self.backend.answer(async { Ok(query.await?) }).await?;
            // The schema's version and what it needs.
            if rows > if table == "meta" { 2 } else { 0 } {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether this checkpoint was signed for the log that is here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holds_checkpoint(&mut self, note: &str) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT size FROM log_checkpoint WHERE note = $1").bind(note);
        let query = query.fetch_optional(&mut self.connection);
        let found: Option<i64> = self.backend.answer(async { Ok(query.await?) }).await?;
        Ok(found.is_some())
    }

    /// Copies every row of an `SQLite` store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn copy_from(&mut self, source: &Store) -> Result<(), StoreError> {
        for (table, columns) in TABLES {
            let mut after = i64::MIN;
            loop {
                let rows = read(source, table, columns, after).await?;
                let Some(last) = rows.last() else { break };
                after = last.try_get(columns.len())?;
                let connection = &mut self.connection;
                self.backend.answer(write(connection, table, columns, &rows)).await?;
            }
        }
        Ok(())
    }

    /// The head of the log, computed anew from its entries; every hash of the tree is looked at.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`], where a hash is not the one that was computed.
    pub async fn recomputed_head(&mut self) -> Result<TreeHead, StoreError> {
        recomputed(&mut self.connection).await
    }
}

async fn read(source: &Store, table: &str, columns: &[Column], after: i64) -> Result<Vec<AnyRow>, StoreError> {
    if source.backend != Backend::Sqlite {
        return Err(StoreError::Unavailable("only SQLite can be moved".to_owned()));
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    // A version is the schema's own.
    let kept = if table == "meta" { "AND key <> 'schema_needs'" } else { "" };
    let text =
        format!("SELECT {}, rowid FROM {table} WHERE rowid > $1 {kept} ORDER BY rowid LIMIT {ROWS}", names.join(", "));
    source.read(sqlx::query(AssertSqlSafe(text)).bind(after).fetch_all(&source.pool)).await
}

async fn write(
    connection: &mut AnyConnection,
    table: &str,
    columns: &[Column],
    rows: &[AnyRow],
) -> Result<(), StoreError> {
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    let values = super::log::placeholders(rows.len(), columns.len());
    let text = format!("INSERT INTO {table} ({}) VALUES {values}", names.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
    for row in rows {
        for (place, column) in columns.iter().enumerate() {
            query = match column {
                Text(_) => query.bind(row.try_get::<Option<String>, _>(place)?),
                Number(_) => query.bind(row.try_get::<Option<i64>, _>(place)?),
                Bytes(_) => query.bind(row.try_get::<Option<Vec<u8>>, _>(place)?),
            };
        }
    }
    query.execute(connection).await?;
    Ok(())
}

async fn recomputed(connection: &mut AnyConnection) -> Result<TreeHead, StoreError> {
    let wrong = |place: u64| StoreError::Corrupt(format!("hash {place} of the log is not that of its entries"));
    let mut edge = Edge::default();
    let mut size = 0_u64;
    loop {
        let leaves: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT idx, leaf FROM log_entry WHERE idx >= $1 ORDER BY idx LIMIT $2")
                .bind(signed(size))
                .bind(signed(ROWS as u64))
                .fetch_all(&mut *connection)
                .await?;
        let range = [size, size + leaves.len() as u64].map(|index| signed(stored_hash_index(0, index)));
        let stored: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT idx, hash FROM log_hash WHERE idx >= $1 AND idx < $2 ORDER BY idx")
                .bind(range[0])
                .bind(range[1])
                .fetch_all(&mut *connection)
                .await?;
        if leaves.is_empty() {
            return edge.head().map_err(|_| wrong(0));
        }
        let mut stored = stored.into_iter();
        for (index, leaf) in leaves {
            if index != signed(size) {
                return Err(StoreError::Corrupt(format!("entry {size} of the log is missing")));
            }
            let (first, hashes) = edge.push(&leaf).map_err(|_| wrong(stored_hash_index(0, size)))?;
            for (place, hash) in (first..).zip(hashes) {
                if stored.next() != Some((signed(place), hash.0.to_vec())) {
                    return Err(wrong(place));
                }
            }
            size += 1;
        }
        edge.prune();
    }
}
