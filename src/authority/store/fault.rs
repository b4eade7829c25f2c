//! Why the store could not answer, in words that say which store it is.

use super::postgres;
use sqlx::postgres::PgDatabaseError;

/// Why the store could not answer. Nobody gets in then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database in the data directory can't be read or written.
    #[error("the store can't be used: {0}")]
    Unavailable(String),
    /// The database server can't be reached, or does not do what it is asked.
    #[error("the store can't be used: PostgreSQL: {0}")]
    PostgreSql(String),
    /// Somebody else was first, or the thing is not there: the change was not made.
    #[error("{0}")]
    Conflict(&'static str),
    /// What stands in the store is not what was written there.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// What to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Conflict(_) => {
                "nobody gets in until the store answers; look at the disk it is on"
            }
            Self::PostgreSql(_) => "nobody gets in until PostgreSQL answers; it goes on by itself then",
            Self::Corrupt(_) => "nobody gets in until the store is restored from a backup; keep the damaged files",
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Conflict("it is there already"),
            sqlx::Error::Database(db) => match (db.try_downcast_ref::<PgDatabaseError>(), db.code().as_deref()) {
                (Some(db), _) => postgres::fault(db.code(), db.message()),
                (None, Some("11" | "26")) => Self::Corrupt(db.message().to_owned()),
                (None, _) => Self::Unavailable(error.to_string()),
            },
            // SQLite is no peer and speaks no protocol.
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Self::PostgreSql(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
