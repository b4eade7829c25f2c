//! `PostgreSQL`: several nodes on one database. What must happen in one order happens under locks that end with their
//! transaction; everything else relies on rows.

use super::connections::Connections;
use super::{StoreError, VersionOf};
use crate::files::check_trusted;
use serde::Deserialize;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _};
use std::fmt;
use std::path::Path;
use url::{Host, Url};

/// The steps from an empty database to the newest version: the first one makes version 1, and so on.
pub(super) const STEPS: [&str; 6] = [
    include_str!("postgres/1.sql"),
    include_str!("postgres/2.sql"),
    include_str!("postgres/003_direct.sql"),
    include_str!("postgres/004_admin.sql"),
    include_str!("postgres/005_nodes.sql"),
    include_str!("postgres/006_history.sql"),
];
/// Begins a transaction that writes.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Begins a transaction whose end waits for no disk.
pub(super) const BEGIN_NOTE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off";
/// Begins a transaction that appends to the log: one at a time, over all nodes. The number is no other program's.
pub(super) const BEGIN_LOG: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(731031089, 1)";
/// Holds the rows that a query finds, so that they do not change unseen meanwhile.
pub(super) const HOLD: &str = "FOR NO KEY UPDATE";
/// Begins a transaction that brings the schema up to date: one at a time, over all nodes.
pub(super) const BEGIN_MIGRATION: &str = "BEGIN; SELECT pg_advisory_xact_lock(731031089, 2)";
/// The newest checkpoint, and the time now rather than that of the transaction, which waited for others.
pub(super) const NEWEST_AND_TIME: &str = "SELECT (SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1), \
                                          floor(extract(epoch FROM clock_timestamp()))::BIGINT";

/// Connections of one node, besides the one that appends to the log and waits for no reader.
const CONNECTIONS: u32 = 8;
/// Statements that wait for a lock or a disk end before the request does, and a node that is gone frees the log's lock.
/// What is confirmed is on disk: a server that is set to confirm earlier does not do so here.
const EACH_CONNECTION: &str = "SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'; \
                               SET client_min_messages = 'warning'; \
                               SELECT set_config('synchronous_commit', 'on', false) \
                               WHERE current_setting('synchronous_commit') = 'off'";

/// Which database, as `authority.toml` names it: without a password, and with TLS wherever it leaves this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PostgresUrl(Url);

impl TryFrom<String> for PostgresUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut url: Url = text.parse().map_err(|error| format!("store is no URL: {error}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err("store begins with postgres:// (without it, the store is SQLite in the data directory)".into());
        }
        let value = |key: &str| url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        if url.password().is_some() || value("password").is_some() {
            return Err("store holds no password: keep it in ~/.pgpass, or in the file that PGPASSFILE names".into());
        }
        if let Some((unknown, _)) = url.query_pairs().find(|(name, _)| !PARAMETERS.contains(&&**name)) {
            return Err(format!("store has no parameter '{unknown}'; it knows {}", PARAMETERS.join(", ")));
        }
        let host = value("host").or_else(|| url.host_str().filter(|host| !host.is_empty()).map(str::to_owned));
        let Some(host) = host else {
            return Err("store names no host: write postgres://user@host/database, or ?host=/run/postgresql".into());
        };
        if url.path().trim_matches('/').is_empty() {
            return Err("store names no database".into());
        }
        let mode = value("sslmode");
        match (stays_here(&host), mode.as_deref()) {
            (false, None) => drop(url.query_pairs_mut().append_pair("sslmode", "verify-full")),
            (false, Some("verify-full")) | (true, _) => {}
            (false, Some(other)) => {
                return Err(format!(
                    "store is on another host, and sslmode '{other}' would let whoever is in between read and answer: \
                     leave it out, or write verify-full"
                ));
            }
        }
        Ok(Self(url))
    }
}

/// Those of libpq's parameters that mean something here.
const PARAMETERS: [&str; 6] = ["host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Whether what is sent to it does not leave this machine.
fn stays_here(host: &str) -> bool {
    let socket = host.starts_with('/') || host.starts_with("%2F") || host.starts_with("%2f");
    socket
        || match Host::parse(host) {
            Ok(Host::Domain(name)) => name == "localhost",
            Ok(Host::Ipv4(address)) => address.is_loopback(),
            Ok(Host::Ipv6(address)) => address.is_loopback(),
            Err(_) => false,
        }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Connects, once, so that what is wrong is said at the start: for whoever reads and writes, and for the log.
pub(super) async fn connect(url: &PostgresUrl) -> Result<(Connections, Connections), StoreError> {
    for (name, file) in url.0.query_pairs() {
        if matches!(&*name, "sslrootcert" | "sslkey" | "sslcert") {
            check_trusted(Path::new(&*file)).map_err(|fault| StoreError::PostgreSql(fault.to_string()))?;
        }
    }
    let mut full = url.0.clone();
    full.query_pairs_mut()
        .append_pair("application_name", "elevate-authority")
        .append_pair("statement-cache-capacity", "512");
    let options = AnyConnectOptions::from_url(&full)?;
    let pool = Connections::new(options.clone(), &[EACH_CONNECTION], CONNECTIONS);
    let log = Connections::new(options, &[EACH_CONNECTION], 1);
    let durable: String = sqlx::query_scalar("SELECT current_setting('fsync')").fetch_one(&pool).await?;
    if durable != "on" {
        return Err(StoreError::PostgreSql("its fsync is off, so what it confirms may be lost: set it to on".into()));
    }
    Ok((pool, log))
}

/// The version of its schema.
pub(super) async fn version(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    // Read as a row: what to_regclass remembers may be from before another node's commit that this one waited for.
    let there =
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'meta')";
    if !sqlx::query_scalar(there).fetch_one(&mut *connection).await? {
        return Ok(0);
    }
    let version: Option<String> =
        sqlx::query_scalar("SELECT value FROM meta WHERE key = 'schema'").fetch_optional(connection).await?;
    let version = version.and_then(|text| text.parse().ok());
    version.ok_or_else(|| sqlx::Error::Protocol("its table 'meta' is no authority's: name an empty database".into()))
}

pub(super) async fn set_version(connection: &mut AnyConnection, version: VersionOf) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO meta (key, value) VALUES ('schema', $1) ON CONFLICT (key) DO UPDATE SET value = $1")
        .bind(version.to_string())
        .execute(connection)
        .await
        .map(drop)
}

/// What its error codes mean to whoever has to mend it.
pub(super) fn fault(code: &str, message: &str) -> StoreError {
    match code {
        // A NUL in a name: there can be no such thing.
        "22021" => StoreError::Conflict("what it names can't be stored"),
        "XX001" | "XX002" => StoreError::Corrupt(message.to_owned()),
        "25006" => StoreError::PostgreSql("it is read-only".into()),
        "53100" => StoreError::PostgreSql(format!("its disk is full: {message}")),
        "57014" | "55P03" => StoreError::PostgreSql(format!("it did not answer in time: {message}")),
        "57P01" | "57P02" | "57P03" => StoreError::PostgreSql(format!("it is stopping or starting: {message}")),
        _ => StoreError::PostgreSql(format!("{message} ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PostgresUrl, String> {
        PostgresUrl::try_from(text.to_owned())
    }

    #[test]
    fn tls_is_asked_wherever_it_leaves_the_machine() {
        for good in [
            "postgres://elevate@localhost/elevate",
            "postgresql://elevate@127.0.0.1:5433/elevate?sslmode=disable",
            "postgres://elevate@[::1]/elevate",
            "postgres://elevate@%2Frun%2Fpostgresql/elevate",
            "postgres:///elevate?host=/run/postgresql",
        ] {
            assert_eq!(parse(good).unwrap().to_string(), good);
        }
        let remote = parse("postgres://elevate@db.example/elevate").unwrap().to_string();
        assert_eq!(remote, "postgres://elevate@db.example/elevate?sslmode=verify-full");
        for mode in ["disable", "allow", "prefer", "require"] {
            let refused = parse(&format!("postgres://elevate@db.example/elevate?sslmode={mode}")).unwrap_err();
            assert!(refused.contains(mode), "{refused}");
            // `host` as a parameter wins over the one before.
            parse(&format!("postgres://localhost/elevate?host=10.0.0.1&sslmode={mode}")).unwrap_err();
        }
    }

    #[test]
    fn no_password_stands_in_the_file() {
        for text in ["postgres://a:b@localhost/c", "postgres://a@localhost/c?password=b"] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains("PGPASSFILE"), "{refused}");
        }
    }

    #[test]
    fn what_is_not_meant_is_refused() {
        for (text, says) in [
            ("authority.db", "is no URL"),
            ("mysql://localhost/c", "begins with postgres://"),
            ("postgres:///c", "names no host"),
            ("postgres://localhost", "names no database"),
            ("postgres://localhost/c?options=-csearch_path%3Dx", "no parameter 'options'"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}
