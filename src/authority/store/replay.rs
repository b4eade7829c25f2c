//! The log's decisions, for whoever only reads: nothing is written, and an authority that runs goes on.

use super::connections::Connections;
use super::{Place, StoreError, postgres, sqlite};
use crate::log::leaf::Event;
use jiff::Timestamp;
use serde::Deserialize;

/// Rows that one query asks for.
const AT_ONCE: i64 = 5_000;

/// A store that is only read.
pub struct Replay {
    connections: Connections,
    after: i64,
}

/// One entry that records a decision, as far as it is left.
pub struct Decided {
    /// When.
    pub time: Timestamp,
    /// Its private part, as JSON; none where it was erased.
    pub private: Option<String>,
}

#[derive(Deserialize)]
struct Leaf {
    time: Timestamp,
    event: Event,
}

impl Replay {
    /// Opens a store or a backup of one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(place: &Place) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let connections = match place {
            Place::File(path) => Connections::new(sqlite::url(path, "ro")?.parse()?, &[], 1),
            Place::Postgres(url) => postgres::connect(url).await?.0,
        };
        Ok(Self { connections, after: -1 })
    }

    /// The next decisions, grants and denials, that are no older; `None` after the last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next(&mut self, since: Timestamp) -> Result<Option<Vec<Decided>>, StoreError> {
        let query = sqlx::query_as(
            "SELECT log_entry.idx, leaf, coalesce(clear, '') FROM log_entry LEFT JOIN log_private \
             ON log_private.idx = log_entry.idx WHERE log_entry.idx > $1 ORDER BY log_entry.idx LIMIT $2",
        );
        let rows: Vec<(i64, Vec<u8>, String)> =
            query.bind(self.after).bind(AT_ONCE).fetch_all(&self.connections).await?;
        let Some((last, ..)) = rows.last() else { return Ok(None) };
        self.after = *last;
        let decided = |(index, leaf, clear): (i64, Vec<u8>, String)| {
            let leaf: Leaf = match serde_json::from_slice(&leaf) {
                Ok(leaf) => leaf,
                Err(error) => return Some(Err(StoreError::Corrupt(format!("entry {index} of the log: {error}")))),
            };
            let is_wanted = matches!(leaf.event, Event::GrantIssued | Event::ElevationDenied) && leaf.time >= since;
            let private = Some(clear).filter(|clear| !clear.is_empty());
            is_wanted.then_some(Ok(Decided { time: leaf.time, private }))
        };
        rows.into_iter().filter_map(decided).collect::<Result<_, _>>().map(Some)
    }
}
