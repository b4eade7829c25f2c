//! The one owner of SQL. State changes are values ([`Change`]) applied in a [`Batch`], which commits whole or not
//! at all; a log entry commits in the same batch as the state it records. `SQLite` in WAL mode, `synchronous=FULL`.

mod grants;
mod log;
mod secrets;
mod security_keys;
mod sessions;
mod sign_ins;
mod users;

pub use grants::GrantRow;
pub use log::{EntryRow, LogRows};
pub use secrets::{SecretRow, SigningKeyRow};
pub use security_keys::{SecurityKeyRow, set_of_keys};
pub use sessions::SessionRow;
pub use sign_ins::{SignInRow, StepRow};
pub use users::UserRow;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// The steps from an empty database to the newest version: the first one makes version 1, and so on.
const SCHEMA: [&str; 3] = [include_str!("schema.sql"), include_str!("schema-2.sql"), include_str!("schema-3.sql")];

/// Why the store could not answer. Nobody gets in then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database can't be read or written.
    #[error("the store can't be used: {0}")]
    Unavailable(String),
    /// Somebody else was first, or the thing is not there: the change was not made.
    #[error("{0}")]
    Conflict(&'static str),
    /// What stands in the store is not what was written there.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Conflict("it is there already"),
            sqlx::Error::Database(db) if matches!(db.code().as_deref(), Some("11" | "26")) => {
                Self::Corrupt(db.message().to_owned())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// One change of state.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is its name")]
pub enum Change {
    SetMeta {
        key: &'static str,
        value: String,
    },
    CreateUser {
        sub: String,
        at: Timestamp,
    },
    DisableUser {
        sub: String,
        at: Timestamp,
    },
    EnableUser {
        sub: String,
    },
    /// Refused where the user's keys are not `among`: what was decided for those holds for no others.
    AddSecurityKey {
        row: SecurityKeyRow,
        among: String,
    },
    UseSecurityKey {
        credential_id: String,
        credential: String,
        at: Timestamp,
    },
    RemoveSecurityKey {
        sub: String,
        name: String,
    },
    OpenSession(SessionRow),
    SpendSession {
        hash: String,
        at: Timestamp,
    },
    AddGrant(GrantRow),
    SpendGrant {
        id: String,
        at: Timestamp,
    },
    RevokeGrant {
        id: String,
        at: Timestamp,
    },
    RevokeGrantsOf {
        sub: String,
        at: Timestamp,
    },
    AddSignIn(SignInRow),
    UseSignIn {
        id: String,
        at: Timestamp,
    },
    /// The grant ends with the sign-in; refused where that has ended.
    AddGrantOfSignIn {
        sign_in: String,
        grant: String,
    },
    EndSignIn {
        id: String,
        at: Timestamp,
    },
    EndSignInsOf {
        sub: String,
        at: Timestamp,
    },
    AddSignInStep(StepRow),
    SpendSignInStep {
        hash: String,
        at: Timestamp,
    },
    /// Refused where it is not `before` any more.
    AnswerSignInStep {
        hash: String,
        before: String,
        content: String,
    },
    AskedForSignInStep {
        hash: String,
        at: Timestamp,
    },
    AddFailure {
        sub: String,
        at: Timestamp,
    },
    PutSecret {
        resource: String,
        row: SecretRow,
        at: Timestamp,
    },
    RemoveSecret {
        resource: String,
    },
    AddSigningKey(SigningKeyRow),
    RetireSigningKeys {
        except: String,
        at: Timestamp,
    },
}

/// How the next commits fail. For tests; a store that was opened for use never fails by itself.
#[derive(Clone, Default)]
pub struct Faults(Arc<AtomicU8>);

impl Faults {
    /// The next commit is lost, and reported so.
    pub fn lose_next(&self) {
        self.0.store(1, Ordering::SeqCst);
    }

    /// The next commit is kept, but reported lost.
    pub fn keep_next_but_report_it_lost(&self) {
        self.0.store(2, Ordering::SeqCst);
    }

    fn take(&self) -> u8 {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
    writer: Arc<Mutex<()>>,
    faults: Faults,
}

/// A transaction under way. Dropped without [`Batch::commit`], it leaves nothing.
pub struct Batch<'a> {
    transaction: Transaction<'a, Sqlite>,
    faults: Faults,
    _writer: MutexGuard<'a, ()>,
}

impl Store {
    /// Opens or creates the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`]; also where the database was written by a newer version.
    pub async fn open(path: &Path, faults: Faults) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("trusted_schema", "OFF");
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        let store = Self { pool, writer: Arc::default(), faults };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
        let known = SCHEMA.len();
        let version = usize::try_from(version).ok().filter(|version| *version <= known).ok_or_else(|| {
            StoreError::Unavailable(format!(
                "its schema is version {version}, and this program knows {known}: use a newer elevate-authority"
            ))
        })?;
        if version == known {
            return Ok(());
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for step in &SCHEMA[version..] {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        let now = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {known}"));
        sqlx::query(now).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Begins a batch; waits for the one before it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self) -> Result<Batch<'_>, StoreError> {
        let writer = self.writer.lock().await;
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Batch { transaction, faults: self.faults.clone(), _writer: writer })
    }

    /// Makes changes that need no log entry of their own: a step-up that opens, and counters.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them was made.
    pub async fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut batch = self.begin().await?;
        for change in changes {
            batch.apply(change).await?;
        }
        batch.commit().await
    }

    /// A value of the store's own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT value FROM meta WHERE key = ?").bind(key).fetch_optional(&self.pool).await?)
    }

    /// Folds the write-ahead log into the database and closes it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Batch<'_> {
    /// Applies all of `changes`, or none: a conflict leaves the batch as it was before the call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply_together(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut savepoint = self.transaction.begin().await?;
        for change in changes {
            apply(&mut savepoint, change).await?;
        }
        savepoint.commit().await?;
        Ok(())
    }

    /// Applies one change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        apply(&mut self.transaction, change).await
    }

    /// Makes the batch durable. An error says nothing about whether it became so: read again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.faults.take() {
            1 => Err(StoreError::Unavailable("the write was lost (fault injected)".into())),
            2 => {
                self.transaction.commit().await?;
                Err(StoreError::Unavailable("the write was reported lost (fault injected)".into()))
            }
            _ => Ok(self.transaction.commit().await?),
        }
    }
}

async fn apply(connection: &mut SqliteConnection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::SetMeta { key, value } => {
            sqlx::query("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")
                .bind(*key)
                .bind(value)
                .execute(connection)
                .await?;
            Ok(())
        }
        Change::CreateUser { sub, at } => users::create(connection, sub, *at).await,
        Change::DisableUser { sub, at } => users::set_disabled(connection, sub, Some(*at)).await,
        Change::EnableUser { sub } => users::set_disabled(connection, sub, None).await,
        Change::AddFailure { sub, at } => users::add_failure(connection, sub, *at).await,
        Change::AddSecurityKey { row, among } => security_keys::add(connection, row, among).await,
        Change::UseSecurityKey { credential_id, credential, at } => {
            security_keys::used(connection, credential_id, credential, *at).await
        }
        Change::RemoveSecurityKey { sub, name } => security_keys::remove(connection, sub, name).await,
        Change::OpenSession(row) => sessions::open(connection, row).await,
        Change::SpendSession { hash, at } => sessions::spend(connection, hash, *at).await,
        Change::AddGrant(row) => grants::add(connection, row).await,
        Change::SpendGrant { id, at } => grants::spend(connection, id, *at).await,
        Change::RevokeGrant { id, at } => grants::revoke(connection, id, *at).await,
        Change::RevokeGrantsOf { sub, at } => grants::revoke_of(connection, sub, *at).await,
        Change::AddSignIn(row) => sign_ins::add(connection, row).await,
        Change::UseSignIn { id, at } => sign_ins::used(connection, id, *at).await,
        Change::AddGrantOfSignIn { sign_in, grant } => sign_ins::add_grant(connection, sign_in, grant).await,
        Change::EndSignIn { id, at } => sign_ins::end(connection, id, *at).await,
        Change::EndSignInsOf { sub, at } => sign_ins::end_of(connection, sub, *at).await,
        Change::AddSignInStep(row) => sign_ins::add_step(connection, row).await,
        Change::SpendSignInStep { hash, at } => sign_ins::spend_step(connection, hash, *at).await,
        Change::AnswerSignInStep { hash, before, content } => {
            sign_ins::answer_step(connection, hash, before, content).await
        }
        Change::AskedForSignInStep { hash, at } => sign_ins::asked_for_step(connection, hash, *at).await,
        Change::PutSecret { resource, row, at } => secrets::put(connection, resource, row, *at).await,
        Change::RemoveSecret { resource } => secrets::remove(connection, resource).await,
        Change::AddSigningKey(row) => secrets::add_signing_key(connection, row).await,
        Change::RetireSigningKeys { except, at } => secrets::retire_signing_keys(connection, except, *at).await,
    }
}

/// A time as it is stored, or the error that says which row is not ours.
fn time(seconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_second(seconds).map_err(|_| StoreError::Corrupt(format!("{seconds} is no time")))
}

fn one_row(affected: u64, otherwise: &'static str) -> Result<(), StoreError> {
    if affected == 1 { Ok(()) } else { Err(StoreError::Conflict(otherwise)) }
}
