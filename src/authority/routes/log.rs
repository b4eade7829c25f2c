//! The log, for whoever wants to check it.

use super::{Answered, From, Shared, asker, ok};
use crate::authority::error::Refusal;
use crate::log::leaf::Private;
use crate::protocol::messages::{LogCheckpoints, LogEntry, LogPage};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;

/// Entries in one page.
const PAGE: u64 = 500;

#[derive(Deserialize)]
pub(super) struct EntriesQuery {
    #[serde(default)]
    from: u64,
}

/// The log as it is stored, so that a fault in it can be seen and named. Private parts go to their owners only.
pub(super) async fn entries(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    query: Result<Query<EntriesQuery>, QueryRejection>,
) -> Answered {
    let Query(EntriesQuery { from }) = query.map_err(Refusal::from)?;
    let subject = asker(&authority, caller, &headers, ("GET", "/log/entries")).await?;
    let sub = subject.sub();
    let size = authority.store.log_size().await?;
    let to = from.saturating_add(PAGE).min(size);
    let rows = authority.store.log_rows(from, to).await?;
    let mut private = authority.store.log_private(from, to).await?;
    let places: Vec<u64> = (from..to).map(|index| tlog_tiles::stored_hash_index(0, index)).collect();
    let hashes = authority.store.log_hashes_left(&places).await?;
    let entries = (from..to).zip(rows.leaves).zip(places).map(|((index, leaf), place)| LogEntry {
        leaf: leaf.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        hash: hashes.get(&place).map(ToString::to_string),
        private: private.remove(&index).and_then(|private| shown_to(sub, private)),
    });
    ok(&LogPage { entries: entries.collect(), size })
}

/// A private part that is this subject's, or nobody's. Of one that can't be read any more, which may be anybody's, nothing
/// is shown but that it is none.
fn shown_to(sub: &str, private: Private) -> Option<Private> {
    match private.clear.as_object() {
        Some(members) => members.get("sub").is_none_or(|of| of == sub).then_some(private),
        None => Some(Private { salt: String::new(), clear: serde_json::Value::Null }),
    }
}

#[derive(Deserialize)]
pub(super) struct CheckpointsQuery {
    #[serde(default)]
    above: u64,
}

pub(super) async fn checkpoints(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    query: Result<Query<CheckpointsQuery>, QueryRejection>,
) -> Answered {
    let Query(CheckpointsQuery { above }) = query.map_err(Refusal::from)?;
    asker(&authority, caller, &headers, ("GET", "/log/checkpoints")).await?;
    ok(&LogCheckpoints { checkpoints: authority.store.checkpoints(above).await? })
}
