//! What is remembered of each user, a row each: what it holds is [`History`]'s matter. It is deleted with the user.

use super::users::FAILURE_MEMORY;
use super::{Store, StoreError};
use crate::authority::context::history::{Happened, History};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// What a request is judged by, of what was before it.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// What is remembered of the user.
    pub history: History,
    /// How many proofs failed within ten minutes.
    pub recent_failures: i64,
    /// Whether the user ever had a grant for the resource.
    pub used_before: bool,
}

impl Store {
    /// What was before a request of `sub` for `resource`: one statement, and a row of each index, however much there was.
    ///
    /// # Errors
    /// [`StoreError`]; also where what is remembered can't be read.
    pub async fn past(&self, sub: &str, resource: &str, now: Timestamp) -> Result<Past, StoreError> {
        let query = sqlx::query_as(
            "SELECT (SELECT content FROM history WHERE sub = $1), \
             (SELECT count(*) FROM failure WHERE sub = $1 AND at > $2), \
             (SELECT count(*) FROM (SELECT 1 FROM elevation_grant WHERE sub = $1 AND resource = $3 LIMIT 1) AS one)",
        );
        let query = query.bind(sub).bind(now.as_second() - FAILURE_MEMORY).bind(resource);
        let (content, recent_failures, used): (Option<String>, i64, i64) =
            self.read(query.fetch_one(&self.pool)).await?;
        Ok(Past { history: read(content.as_deref())?, recent_failures, used_before: used > 0 })
    }
}

fn read(content: Option<&str>) -> Result<History, StoreError> {
    let corrupt = |_| StoreError::Corrupt("what is remembered of a user can't be read".to_owned());
    content.map_or_else(|| Ok(History::default()), |content| serde_json::from_str(content).map_err(corrupt))
}

/// In the transaction of the log's entry: one after the other on every node, so that nothing is lost or counted twice.
pub(super) async fn remember(connection: &mut AnyConnection, sub: &str, happened: &Happened) -> Result<(), StoreError> {
    let before: Option<String> = sqlx::query_scalar("SELECT content FROM history WHERE sub = $1")
        .bind(sub)
        .fetch_optional(&mut *connection)
        .await?;
    let after = read(before.as_deref())?.after(happened);
    let content = serde_json::to_string(&after)
        .map_err(|_| StoreError::Corrupt("what is remembered of a user can't be written".to_owned()))?;
    sqlx::query("INSERT INTO history (sub, content) VALUES ($1, $2) ON CONFLICT (sub) DO UPDATE SET content = $2")
        .bind(sub)
        .bind(content)
        .execute(connection)
        .await?;
    Ok(())
}
