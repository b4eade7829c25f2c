//! A receipt: the entry of a grant, proof that it stands in the log, and proof that the log only grew since the
//! client last looked.

use super::checkpoint::{self, BadCheckpoint, TreeHead};
use super::leaf::{Leaf, Private};
use serde::{Deserialize, Serialize};
use tlog_tiles::{Hash, check_record, check_tree, record_hash};

/// What comes back with a grant, and is kept as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The entry, to the byte.
    pub leaf: String,
    /// The owner's own copy of the private part.
    pub private: Private,
    /// Inclusion proof (RFC 6962 section 2.1.1), base64 hashes, leaf upwards.
    pub inclusion: Vec<String>,
    /// Signed checkpoint (C2SP signed-note).
    pub checkpoint: String,
    /// Consistency proof (RFC 6962 section 2.1.2) from the size the client named; empty where it named 0.
    pub consistency: Vec<String>,
}

/// Why a receipt is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReceipt {
    /// The checkpoint is not good.
    #[error(transparent)]
    Checkpoint(#[from] BadCheckpoint),
    /// The entry can't be read.
    #[error("the log entry of this grant can't be read")]
    Malformed,
    /// The entry does not stand in the tree.
    #[error("the log entry of this grant is not in the log that the checkpoint signs")]
    NotIncluded,
    /// The private part is another one.
    #[error("the private part of the log entry is not the one that the log committed to")]
    Private,
    /// The log shrank.
    #[error("the log went back from {seen} entries to {now}: it was rolled back")]
    RolledBack {
        /// Entries seen before.
        seen: u64,
        /// Entries now.
        now: u64,
    },
    /// The log is another one from some entry on.
    #[error("the log is not a continuation of the one seen before: it was forked or rewritten")]
    Forked,
}

impl Receipt {
    /// Checks everything that can be checked without trusting the authority, and returns the entry and the new tree head.
    ///
    /// # Errors
    /// [`BadReceipt`], saying what is wrong.
    pub fn verify(&self, log_key: &str, seen: Option<TreeHead>) -> Result<(Leaf, TreeHead), BadReceipt> {
        let head = checkpoint::open(&self.checkpoint, log_key)?;
        let leaf: Leaf = serde_json::from_str(&self.leaf).map_err(|_| BadReceipt::Malformed)?;
        if self.private.commitment().as_deref() != Some(leaf.private.as_str()) {
            return Err(BadReceipt::Private);
        }
        let inclusion = hashes(&self.inclusion).ok_or(BadReceipt::Malformed)?;
        let leaf_hash = record_hash(self.leaf.as_bytes());
        if leaf.index >= head.size || check_record(&inclusion, head.size, head.root, leaf.index, leaf_hash).is_err() {
            return Err(BadReceipt::NotIncluded);
        }
        if let Some(seen) = seen {
            continues(seen, head, &self.consistency)?;
        }
        Ok((leaf, head))
    }
}

/// Whether `head` is `seen` with entries appended, by a consistency proof.
///
/// # Errors
/// [`BadReceipt::RolledBack`] or [`BadReceipt::Forked`].
pub fn continues(seen: TreeHead, head: TreeHead, proof: &[String]) -> Result<(), BadReceipt> {
    if head.size < seen.size {
        return Err(BadReceipt::RolledBack { seen: seen.size, now: head.size });
    }
    let proof = hashes(proof).ok_or(BadReceipt::Malformed)?;
    let same = head.size == seen.size && head.root == seen.root && proof.is_empty();
    if seen.size == 0
        || same
        || (head.size > seen.size && check_tree(&proof, head.size, head.root, seen.size, seen.root).is_ok())
    {
        Ok(())
    } else {
        Err(BadReceipt::Forked)
    }
}

fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    texts.iter().map(|text| Hash::parse_hash(text).ok()).collect()
}
