//! Connections to one database, kept by us: `sqlx`'s own pool asks each one whether it is alive before it is lent, and
//! again when it comes back, which is two round trips more for every statement. Here only what was answered in full is
//! kept; anything else is closed, and with it whatever it had begun.

use super::StoreError;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::any::{AnyConnectOptions, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyConnection, Connection as _, Either, Error, Execute, Executor, SqlStr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// How long a connection is waited for.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one may have lain idle before it is asked whether it is alive, and how long it has to answer.
const IDLE: Duration = Duration::from_secs(1);
/// How long somebody waits for a turn, where others have every connection.
const QUEUE: Duration = Duration::from_secs(15);

/// So many at most. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    options: AnyConnectOptions,
    /// What each is told first.
    settings: &'static [&'static str],
    most: u32,
    turns: Arc<Semaphore>,
    kept: Arc<Mutex<Vec<(AnyConnection, Instant)>>>,
}

impl Connections {
    /// None yet.
    pub(super) fn new(options: AnyConnectOptions, settings: &'static [&'static str], most: u32) -> Self {
        Self { options, settings, most, turns: Arc::new(Semaphore::new(most as usize)), kept: Arc::default() }
    }

    /// Whoever holds it may take a connection: who waits for the database does so after having waited for others.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let busy = || StoreError::Unavailable(format!("its connections were all taken for {} s", QUEUE.as_secs()));
        let turn = timeout(QUEUE, self.turns.clone().acquire_owned()).await.map_err(|_| busy())?;
        turn.map_err(|_| StoreError::Unavailable("it is closed".to_owned()))
    }

    /// One that is alive.
    pub(super) async fn take(&self) -> Result<AnyConnection, Error> {
        while let Some((mut connection, since)) = self.pop() {
            if since.elapsed() < IDLE || timeout(IDLE, connection.ping()).await.is_ok_and(|pong| pong.is_ok()) {
                return Ok(connection);
            }
            // The others are older.
            self.kept().clear();
        }
        let connecting = AnyConnection::connect_with(&self.options);
        let mut connection = timeout(CONNECT, connecting).await.map_err(|_| Error::PoolTimedOut)??;
        for settings in self.settings {
            connection.execute(sqlx::raw_sql(*settings)).await?;
        }
        Ok(connection)
    }

    /// One that has answered `statement`, which changes nothing. Of those that were kept all may have died since, with
    /// their server: then a new one is asked.
    pub(super) async fn begin(&self, statement: &'static str) -> Result<AnyConnection, Error> {
        let mut connection = self.take().await?;
        match connection.execute(sqlx::raw_sql(statement)).await {
            Ok(_) => return Ok(connection),
            Err(error) if !is_over(&error) => return Err(error),
            Err(_) => self.kept().clear(),
        }
        let mut connection = self.take().await?;
        connection.execute(sqlx::raw_sql(statement)).await?;
        Ok(connection)
    }

    /// Keeps one that has nothing left to answer.
    pub(super) fn keep(&self, connection: AnyConnection) {
        self.kept().push((connection, Instant::now()));
    }

    /// Waits for those that are taken, and closes all.
    pub(super) async fn close(&self) {
        let _all = self.turns.acquire_many(self.most).await;
        self.turns.close();
        while let Some((connection, _)) = self.pop() {
            let _ = connection.close().await;
        }
    }

    fn pop(&self) -> Option<(AnyConnection, Instant)> {
        self.kept().pop()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(AnyConnection, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is kept if it answered. One that failed makes the others suspicious: they are older.
    fn answered<T>(&self, connection: AnyConnection, answer: Result<T, Error>) -> Result<T, Error> {
        match &answer {
            Ok(_) => self.keep(connection),
            Err(Error::Database(error)) if error.is_unique_violation() => self.keep(connection),
            Err(_) => self.kept().clear(),
        }
        answer
    }
}

/// Whether it is the connection that is over, and not what was asked of it (PostgreSQL, appendix A, class 57P).
fn is_over(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Protocol(_) => true,
        Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// One statement, on any of them.
impl<'c> Executor<'c> for &'c Connections {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let answer = async move {
            let mut connection = self.take().await?;
            let rows = connection.fetch_many(query).try_collect::<Vec<_>>().await;
            self.answered(connection, rows).map(|rows| stream::iter(rows.into_iter().map(Ok)))
        };
        stream::once(answer).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> Pin<Box<dyn Future<Output = Result<Option<AnyRow>, Error>> + Send + 'e>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move {
            let mut connection = self.take().await?;
            // To its end: what is left of an answer would be told to whoever asks next.
            let rows = connection.fetch_many(query).try_collect::<Vec<_>>().await;
            let rows = self.answered(connection, rows)?;
            Ok(rows.into_iter().find_map(Either::right))
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> Pin<Box<dyn Future<Output = Result<AnyStatement, Error>> + Send + 'e>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut connection = self.take().await?;
            let statement = connection.prepare_with(sql, parameters).await;
            self.answered(connection, statement)
        })
    }
}
