//! The other nodes of the same store. Each goes by its own files: where they differ, one request has two answers, and which
//! one depends on where it arrives. That is nothing to stop for, since it is so whenever files are rolled out; but it is
//! said, for as long as it lasts.

use super::Authority;
use super::error::Refusal;
use super::store::{Change, NodeRow};
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use tokio::time::sleep;

/// How often a node shows that it is there, and looks for others.
const LOOK: Duration = Duration::from_secs(5);

/// This node, and what it saw of the others.
pub struct Nodes {
    name: String,
    differing: RwLock<Vec<NodeRow>>,
}

impl Nodes {
    /// The node whose state is in `data`.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        Self { name: format!("{host}:{}", data.display()), differing: RwLock::default() }
    }

    /// Those that went by other rules at the last look.
    #[must_use]
    pub fn differing(&self) -> Vec<NodeRow> {
        self.differing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks again and again; where no others can be, not at all.
    pub async fn keep_looking(&self, authority: &Authority) {
        while authority.store.is_shared() {
            if let Err(error) = self.look(authority).await {
                tracing::debug!(%error, "the other nodes can't be seen");
            }
            sleep(LOOK).await;
        }
    }

    async fn look(&self, authority: &Authority) -> Result<(), Refusal> {
        let rules = authority.rules().await?.digest.clone();
        authority.store.note(&[Change::NodeSeen { name: self.name.clone(), rules: rules.clone() }]).await?;
        let mut differing = authority.store.nodes_beside(&self.name).await?;
        differing.retain(|node| node.rules != rules);
        let before = self.differing();
        if differing == before {
            return Ok(());
        }
        if differing.is_empty() {
            tracing::info!(rules, "all nodes go by the same rules again");
        } else {
            tracing::warn!(rules, others = said(&differing), "nodes of this store go by different rules");
        }
        *self.differing.write().unwrap_or_else(PoisonError::into_inner) = differing;
        Ok(())
    }

    /// This node ends: its rules are nobody's concern any more.
    pub async fn leave(&self, authority: &Authority) {
        if authority.store.is_shared() {
            // Where that fails, it is forgotten within half a minute.
            let _ = authority.store.note(&[Change::NodeGone { name: self.name.clone() }]).await;
        }
    }
}

/// `name (digest), name (digest)`.
#[must_use]
pub fn said(nodes: &[NodeRow]) -> String {
    nodes.iter().map(|node| format!("{} ({})", node.name, node.rules)).collect::<Vec<_>>().join(", ")
}
