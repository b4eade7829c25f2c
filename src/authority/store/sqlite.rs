//! `SQLite`: one file, one process, one writer at a time. WAL mode, `synchronous=FULL`.

use super::connections::Connections;
use super::{StoreError, VersionOf};
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, AssertSqlSafe};
use std::path::Path;

/// The steps from an empty database to the newest version: the first one makes version 1, and so on.
pub(super) const STEPS: [&str; 6] = [
    include_str!("sqlite/1.sql"),
    include_str!("sqlite/2.sql"),
    include_str!("sqlite/3.sql"),
    include_str!("sqlite/004_direct.sql"),
    include_str!("sqlite/005_admin.sql"),
    include_str!("sqlite/006_history.sql"),
];
/// Begins a transaction that writes: the one lock there is.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Holds the rows that a query finds: they are held already.
pub(super) const HOLD: &str = "";

const EACH_CONNECTION: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                               PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;";
/// In WAL mode, a commit then waits for no disk: a crash of the machine may lose it, and nothing before it.
const NOTES: &str = "PRAGMA synchronous = NORMAL";

/// Opens or creates the file: for whoever reads and writes, and for notes.
pub(super) fn connect(path: &Path) -> Result<(Connections, Connections), StoreError> {
    let options: AnyConnectOptions = url(path, "rwc")?.parse()?;
    let pool = Connections::new(options.clone(), &[EACH_CONNECTION], 4);
    Ok((pool, Connections::new(options, &[EACH_CONNECTION, NOTES], 1)))
}

/// How sqlx names a file.
pub(super) fn url(path: &Path, mode: &str) -> Result<String, StoreError> {
    let path = std::path::absolute(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let path = path.to_str().ok_or_else(|| StoreError::Unavailable("its path is no UTF-8".to_owned()))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let encoded =
        path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    Ok(format!("sqlite://{}?mode={mode}", encoded.collect::<String>()))
}

/// The version of its schema.
pub(super) async fn version(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT user_version FROM pragma_user_version").fetch_one(connection).await
}

pub(super) async fn set_version(connection: &mut AnyConnection, version: VersionOf) -> Result<(), sqlx::Error> {
    let statement = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::raw_sql(statement).execute(connection).await.map(drop)
}
