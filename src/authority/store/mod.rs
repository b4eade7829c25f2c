//! The one owner of SQL. State changes are values ([`Change`]) applied in a [`Batch`], which commits whole or not
//! at all; a log entry commits in the same batch as the state it records. `SQLite` in the data directory, or one
//! `PostgreSQL` for several nodes: the queries are the same, and `$1` is a placeholder to both.

mod connections;
mod fault;
mod grants;
mod history;
mod invitations;
mod log;
mod nodes;
mod postgres;
mod proofs;
pub mod replay;
mod resources;
mod secrets;
mod security_keys;
mod sessions;
mod sign_ins;
mod sqlite;
mod transfer;
mod users;

pub use fault::StoreError;
pub use grants::GrantRow;
pub use history::Past;
pub use invitations::InvitationRow;
pub use log::{EntryRow, LogRows, Newest};
pub use nodes::NodeRow;
pub use postgres::PostgresUrl;
pub use proofs::Spent;
pub use resources::{RECOVERIES, ResourceRow};
pub use secrets::{SecretRow, SigningKeyRow};
pub use security_keys::{KEY_REMOVED, SecurityKeyRow, set_of_keys};
pub use sessions::{SessionRow, TOO_MANY};
pub use sign_ins::{SignInRow, StepRow};
pub use users::UserRow;

use super::context::history::Happened;
use crate::protocol::issuer::Issuer;
use connections::Connections;
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit};

/// The number of a schema's step.
type VersionOf = usize;

/// Programs that know this version of the schema or a later one can use it. A step that only adds leaves it as it is, so
/// that nodes of the version before go on beside it; one that changes what is there raises it.
const NEEDS: usize = 1;

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
    /// Refused where it is not the user's any more: what is recorded with it rests on it.
    HoldSecurityKey {
        sub: String,
        credential_id: String,
    },
    RemoveSecurityKey {
        sub: String,
        name: String,
    },
    RemoveSecurityKeysOf {
        sub: String,
    },
    /// Refused where it is not declared as it was `before`.
    PutResource {
        name: String,
        definition: String,
        before: Option<String>,
        at: Timestamp,
    },
    /// As [`Change::PutResource`].
    RemoveResource {
        name: String,
        before: String,
    },
    /// Refused where `most` of the user's wait for an answer already.
    OpenSession {
        row: SessionRow,
        at: Timestamp,
        most: i64,
    },
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
    /// Refused where it has ended: what is recorded with it is the sign-in's own.
    HoldSignIn {
        id: String,
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
    /// In the place of the one that the person had.
    PutInvitation(InvitationRow),
    SpendInvitation {
        hash: String,
        at: Timestamp,
    },
    AddFailure {
        sub: String,
        at: Timestamp,
    },
    /// Adds to what is remembered of a user.
    Remember {
        sub: String,
        happened: Happened,
    },
    PutSecret {
        resource: String,
        row: SecretRow,
        at: Timestamp,
    },
    RemoveSecret {
        resource: String,
    },
    /// For nodes of a shared store alone.
    NodeSeen {
        name: String,
        rules: String,
    },
    NodeGone {
        name: String,
    },
    /// Refused where the store has one: another node founded the authority.
    Found {
        issuer: Issuer,
        key_id: String,
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

/// Where an authority keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `SQLite`, this file.
    File(PathBuf),
    /// `PostgreSQL`.
    Postgres(PostgresUrl),
}

impl Place {
    /// Where `data`'s authority keeps it, if `authority.toml` names `url`.
    #[must_use]
    pub fn of(data: &Path, url: Option<&PostgresUrl>) -> Self {
        url.map_or_else(|| Self::File(data.join("authority.db")), |url| Self::Postgres(url.clone()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Postgres,
}

/// How long a server may take that answers nothing at all, as after the network went away: longer than a statement may.
const SILENCE: Duration = Duration::from_secs(12);

impl Backend {
    /// The answer; for `PostgreSQL`, one that comes in time.
    async fn answer<T>(self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self {
            Self::Sqlite => asked.await,
            Self::Postgres => match tokio::time::timeout(SILENCE, asked).await {
                Ok(answer) => answer.map_err(|error| self.own(error)),
                Err(_) => Err(StoreError::PostgreSql(format!("it did not answer for {} s", SILENCE.as_secs()))),
            },
        }
    }

    /// The error of whoever does not answer, with what helps there.
    fn own(self, error: StoreError) -> StoreError {
        match (self, error) {
            (Self::Postgres, StoreError::Unavailable(reason)) => StoreError::PostgreSql(reason),
            (Self::Sqlite | Self::Postgres, error) => error,
        }
    }

    const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::BEGIN,
            Self::Postgres => postgres::BEGIN,
        }
    }

    const fn begin_note(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::BEGIN,
            Self::Postgres => postgres::BEGIN_NOTE,
        }
    }

    const fn begin_log(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::BEGIN,
            Self::Postgres => postgres::BEGIN_LOG,
        }
    }

    const fn begin_migration(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::BEGIN,
            Self::Postgres => postgres::BEGIN_MIGRATION,
        }
    }

    /// Ends a query whose rows must stay as they are until the transaction ends.
    const fn hold(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::HOLD,
            Self::Postgres => postgres::HOLD,
        }
    }

    const fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &sqlite::STEPS,
            Self::Postgres => &postgres::STEPS,
        }
    }

    async fn version(self, connection: &mut AnyConnection) -> Result<i64, StoreError> {
        Ok(match self {
            Self::Sqlite => sqlite::version(connection).await?,
            Self::Postgres => postgres::version(connection).await?,
        })
    }

    async fn set_version(self, connection: &mut AnyConnection, version: usize) -> Result<(), StoreError> {
        match self {
            Self::Sqlite => sqlite::set_version(connection, version).await?,
            Self::Postgres => postgres::set_version(connection, version).await?,
        }
        Ok(())
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Connections,
    /// For batches that append to the log.
    log: Connections,
    /// For what need not survive a crash of the machine.
    notes: Connections,
    backend: Backend,
    /// Who writes: a second writer of this process waits here, in turn, and not for a lock that is asked for again and
    /// again.
    alone: Arc<Mutex<()>>,
    faults: Faults,
}

/// A transaction under way. Dropped without [`Batch::commit`], it leaves nothing: its connection is closed.
pub struct Batch {
    connection: AnyConnection,
    home: Connections,
    /// Whether there is a savepoint, at the end of what was applied last.
    saved: bool,
    backend: Backend,
    faults: Faults,
    _alone: Option<OwnedMutexGuard<()>>,
    _turn: OwnedSemaphorePermit,
}

impl Store {
    /// Opens or creates the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`]; also where the database was changed by a newer version so that this one can't use it.
    pub async fn open(place: &Place, faults: Faults) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (pool, log, notes, backend) = match place {
            Place::File(path) => {
                let (pool, notes) = sqlite::connect(path)?;
                (pool.clone(), pool, notes, Backend::Sqlite)
            }
            Place::Postgres(url) => {
                let (pool, log) = Backend::Postgres.answer(postgres::connect(url)).await?;
                (pool.clone(), log, pool, Backend::Postgres)
            }
        };
        let store = Self { pool, log, notes, backend, alone: Arc::default(), faults };
        backend.answer(store.migrate()).await?;
        Ok(store)
    }

    /// Whether other nodes use the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.backend == Backend::Postgres
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.pool.take().await?;
        if self.is_up_to_date(&mut connection).await? {
            self.pool.keep(connection);
            return Ok(());
        }
        let mut transaction = connection.begin_with(self.backend.begin_migration()).await?;
        // Another node may have been here while this one waited.
        if self.is_up_to_date(&mut transaction).await? {
            return Ok(());
        }
        let done = usize::try_from(self.backend.version(&mut transaction).await?).unwrap_or_default();
        let steps = self.backend.steps();
        for step in &steps[done..] {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        self.backend.set_version(&mut transaction, steps.len()).await?;
        set_meta(&mut transaction, "schema_needs", &NEEDS.to_string()).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn is_up_to_date(&self, connection: &mut AnyConnection) -> Result<bool, StoreError> {
        let version = self.backend.version(connection).await?;
        let known = i64::try_from(self.backend.steps().len()).unwrap_or(i64::MAX);
        if version <= known {
            return Ok(version == known);
        }
        // A newer program was here. What it added is none of our business, unless it says so.
        let needs = meta(connection, "schema_needs").await?.and_then(|needs| needs.parse::<i64>().ok());
        if needs.is_some_and(|needs| needs <= known) {
            return Ok(true);
        }
        Err(StoreError::Unavailable(format!(
            "its schema is version {version}, and this program knows {known}: use a newer elevate-authority"
        )))
    }

    /// Begins a batch that appends to the log; waits for the one before it, on whichever node that is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self) -> Result<Batch, StoreError> {
        self.begin_with(&self.log, self.backend.begin_log()).await
    }

    async fn begin_with(&self, home: &Connections, statement: &'static str) -> Result<Batch, StoreError> {
        let alone = match self.backend {
            Backend::Sqlite => Some(self.alone.clone().lock_owned().await),
            Backend::Postgres => None,
        };
        let turn = self.turn(home).await?;
        let begun = self.backend.answer(async { Ok(home.begin(statement).await?) });
        let (connection, home) = (begun.await?, home.clone());
        let (backend, faults) = (self.backend, self.faults.clone());
        Ok(Batch { connection, home, saved: false, backend, faults, _alone: alone, _turn: turn })
    }

    async fn turn(&self, home: &Connections) -> Result<OwnedSemaphorePermit, StoreError> {
        home.turn().await.map_err(|error| self.backend.own(error))
    }

    /// Makes changes that need no log entry of their own.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them was made.
    pub async fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.begin_with(&self.pool, self.backend.begin()).await?.commit_with(changes).await
    }

    /// Makes changes that a crash of the machine may lose, with no harm but that somebody asks again: a step-up that
    /// opens. Nobody waits for a disk.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them was made.
    pub async fn note(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.begin_with(&self.notes, self.backend.begin_note()).await?.commit_with(changes).await
    }

    /// A value of the store's own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(sqlx::query_scalar(META).bind(key).fetch_optional(&self.pool)).await
    }

    /// Folds the write-ahead log into the database and closes it.
    pub async fn close(&self) {
        self.notes.close().await;
        self.log.close().await;
        self.pool.close().await;
    }

    /// What a query of one statement answers.
    async fn read<T>(&self, query: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        let _turn = self.turn(&self.pool).await?;
        self.backend.answer(async { Ok(query.await?) }).await
    }
}

impl Batch {
    /// Applies all of `changes`, or none: a conflict leaves the batch as it was before the call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply_together(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        // What was applied before stays; one statement says both.
        let begin = if self.saved { "RELEASE SAVEPOINT entry; SAVEPOINT entry" } else { "SAVEPOINT entry" };
        self.tell(begin).await?;
        self.saved = true;
        let (connection, backend) = (&mut self.connection, self.backend);
        let together = async {
            for change in changes {
                apply(connection, backend, change).await?;
            }
            Ok(())
        };
        match self.backend.answer(together).await {
            Err(StoreError::Conflict(what)) => {
                self.tell("ROLLBACK TO SAVEPOINT entry").await?;
                Err(StoreError::Conflict(what))
            }
            applied => applied,
        }
    }

    async fn tell(&mut self, statement: &'static str) -> Result<(), StoreError> {
        let told = sqlx::raw_sql(statement).execute(&mut self.connection);
        self.backend.answer(async { Ok(told.await.map(drop)?) }).await
    }

    /// Applies one change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        self.backend.answer(apply(&mut self.connection, self.backend, change)).await
    }

    async fn commit_with(mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            if let Err(error) = self.apply(change).await {
                if matches!(error, StoreError::Conflict(_)) {
                    self.roll_back().await;
                }
                return Err(error);
            }
        }
        self.commit().await
    }

    /// Ends a batch of which nothing is to be kept; one that is dropped takes its connection with it.
    pub async fn roll_back(mut self) {
        if self.tell("ROLLBACK").await.is_ok() {
            self.home.keep(self.connection);
        }
    }

    /// Makes the batch durable. An error says nothing about whether it became so: read again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let fault = self.faults.take();
        if fault == 1 {
            return Err(StoreError::Unavailable("the write was lost (fault injected)".into()));
        }
        self.tell("COMMIT").await?;
        self.home.keep(self.connection);
        if fault == 2 {
            return Err(StoreError::Unavailable("the write was reported lost (fault injected)".into()));
        }
        Ok(())
    }
}

async fn apply(connection: &mut AnyConnection, backend: Backend, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::SetMeta { key, value } => set_meta(connection, key, value).await,
        Change::Found { issuer, key_id } => found(connection, issuer, key_id).await,
        Change::NodeSeen { name, rules } => nodes::seen(connection, name, rules).await,
        Change::NodeGone { name } => nodes::gone(connection, name).await,
        Change::CreateUser { sub, at } => users::create(connection, sub, *at).await,
        Change::DisableUser { sub, at } => {
            invitations::withdraw(connection, sub).await?;
            users::set_disabled(connection, sub, Some(*at)).await
        }
        Change::EnableUser { sub } => users::set_disabled(connection, sub, None).await,
        Change::AddFailure { sub, at } => users::add_failure(connection, sub, *at).await,
        Change::Remember { sub, happened } => history::remember(connection, sub, happened).await,
        Change::AddSecurityKey { row, among } => {
            invitations::withdraw(connection, &row.sub).await?;
            security_keys::add(connection, row, among).await
        }
        Change::UseSecurityKey { credential_id, credential, at } => {
            security_keys::used(connection, credential_id, credential, *at).await
        }
        Change::HoldSecurityKey { sub, credential_id } => security_keys::hold(connection, sub, credential_id).await,
        Change::RemoveSecurityKey { sub, name } => security_keys::remove(connection, sub, name).await,
        Change::RemoveSecurityKeysOf { sub } => {
            invitations::withdraw(connection, sub).await?;
            security_keys::remove_of(connection, sub).await
        }
        Change::PutResource { name, definition, before, at } => {
            resources::put(connection, name, definition, before.as_deref(), *at).await
        }
        Change::RemoveResource { name, before } => resources::remove(connection, name, before).await,
        Change::OpenSession { row, at, most } => sessions::open(connection, row, *at, *most).await,
        Change::SpendSession { hash, at } => sessions::spend(connection, hash, *at).await,
        Change::AddGrant(row) => grants::add(connection, row).await,
        Change::SpendGrant { id, at } => grants::spend(connection, id, *at).await,
        Change::RevokeGrant { id, at } => grants::revoke(connection, id, *at).await,
        Change::RevokeGrantsOf { sub, at } => grants::revoke_of(connection, sub, *at).await,
        Change::AddSignIn(row) => sign_ins::add(connection, row).await,
        Change::UseSignIn { id, at } => sign_ins::used(connection, id, *at).await,
        Change::AddGrantOfSignIn { sign_in, grant } => {
            sign_ins::add_grant(connection, backend.hold(), sign_in, grant).await
        }
        Change::EndSignIn { id, at } => sign_ins::end(connection, id, *at).await,
        Change::EndSignInsOf { sub, at } => sign_ins::end_of(connection, sub, *at).await,
        Change::HoldSignIn { id } => sign_ins::hold(connection, id).await,
        Change::AddSignInStep(row) => sign_ins::add_step(connection, row).await,
        Change::SpendSignInStep { hash, at } => sign_ins::spend_step(connection, hash, *at).await,
        Change::AnswerSignInStep { hash, before, content } => {
            sign_ins::answer_step(connection, hash, before, content).await
        }
        Change::AskedForSignInStep { hash, at } => sign_ins::asked_for_step(connection, hash, *at).await,
        Change::PutInvitation(row) => invitations::put(connection, row).await,
        Change::SpendInvitation { hash, at } => invitations::spend(connection, hash, *at).await,
        Change::PutSecret { resource, row, at } => secrets::put(connection, resource, row, *at).await,
        Change::RemoveSecret { resource } => secrets::remove(connection, resource).await,
        Change::AddSigningKey(row) => secrets::add_signing_key(connection, row).await,
        Change::RetireSigningKeys { except, at } => secrets::retire_signing_keys(connection, except, *at).await,
    }
}

const META: &str = "SELECT value FROM meta WHERE key = $1";

async fn meta(connection: &mut AnyConnection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(META).bind(key).fetch_optional(connection).await?)
}

async fn set_meta(connection: &mut AnyConnection, key: &str, value: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2")
        .bind(key)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}

async fn found(connection: &mut AnyConnection, issuer: &Issuer, key_id: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO meta (key, value) VALUES ('issuer', $1), ('key_id', $2)")
        .bind(issuer.as_str())
        .bind(key_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// A time as it is stored, or the error that says which row is not ours.
fn time(seconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_second(seconds).map_err(|_| StoreError::Corrupt(format!("{seconds} is no time")))
}

fn one_row(affected: u64, otherwise: &'static str) -> Result<(), StoreError> {
    if affected == 1 { Ok(()) } else { Err(StoreError::Conflict(otherwise)) }
}
