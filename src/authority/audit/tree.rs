//! The tree's frontier and its proofs, over hashes that stand in the store.

use super::AuditError;
use crate::authority::store::{Store, StoreError};
use crate::log::checkpoint::{self, TreeHead};
use crate::log::leaf::Leaf;
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::HashMap;
use tlog_tiles::{
    EMPTY_HASH, Hash, HashReader, prove_record, prove_tree, record_hash, stored_hash_index, stored_hashes, tree_hash,
};

/// The end of the log: its size, the time of its last entry, and hashes that are not committed yet.
pub(super) struct Tree {
    size: u64,
    last_time: Timestamp,
    pending: HashMap<u64, Hash>,
}

impl Tree {
    /// Reads the tree from the store, and checks it against the last checkpoint that was signed.
    pub(super) async fn load(store: &Store, log_key: &str) -> Result<Self, AuditError> {
        let Some(note) = store.newest_checkpoint().await.map_err(AuditError::Store)? else {
            // No checkpoint: only an empty log may be without one.
            let rows = store.log_rows(0, 1).await.map_err(AuditError::Store)?;
            let empty = rows.leaves.iter().all(Option::is_none);
            let tree = Self { size: 0, last_time: Timestamp::UNIX_EPOCH, pending: HashMap::new() };
            return if empty { Ok(tree) } else { Err(AuditError::Mismatch) };
        };
        let signed = checkpoint::open(&note, log_key).map_err(|_| AuditError::Mismatch)?;
        let last = signed.size.checked_sub(1).ok_or(AuditError::Mismatch)?;
        let rows = store.log_rows(last, signed.size + 1).await.map_err(AuditError::Store)?;
        let [Some(leaf), None] = rows.leaves.as_slice() else { return Err(AuditError::Mismatch) };
        // Its time is what the next entry's is held to: it must be the entry that was signed.
        let place = stored_hash_index(0, last);
        let stored = store.log_hashes(&[place]).await.map_err(|error| mismatch(AuditError::Store(error)))?;
        if stored.get(&place) != Some(&record_hash(leaf)) {
            return Err(AuditError::Mismatch);
        }
        let leaf_time = serde_json::from_slice::<Leaf>(leaf).map_err(|_| AuditError::Mismatch)?.time;
        let tree = Self { size: signed.size, last_time: leaf_time, pending: HashMap::new() };
        let head = tree.head(store).await.map_err(mismatch)?;
        if head == signed { Ok(tree) } else { Err(AuditError::Mismatch) }
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) const fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// Appends an entry; returns the hashes it completes and where they belong.
    pub(super) async fn push(
        &mut self,
        store: &Store,
        leaf: &[u8],
        time: Timestamp,
    ) -> Result<(u64, Vec<Hash>), AuditError> {
        let size = self.size;
        let hashes = with_hashes(store, &self.pending, |reader| stored_hashes(size, leaf, reader)).await?;
        let first = stored_hash_index(0, size);
        self.pending.extend((first..).zip(hashes.iter().copied()));
        self.size += 1;
        self.last_time = time;
        Ok((first, hashes))
    }

    pub(super) async fn head(&self, store: &Store) -> Result<TreeHead, AuditError> {
        let root = match self.size {
            0 => EMPTY_HASH,
            size => with_hashes(store, &self.pending, |reader| tree_hash(size, reader)).await?,
        };
        Ok(TreeHead { size: self.size, root })
    }

    /// What was pending can now be read from the store.
    pub(super) fn committed(&mut self) {
        self.pending.clear();
    }
}

/// What is not in the store any more is not what was signed.
fn mismatch(error: AuditError) -> AuditError {
    match error {
        AuditError::Store(StoreError::Corrupt(_)) => AuditError::Mismatch,
        other => other,
    }
}

pub(super) async fn prove_inclusion(store: &Store, size: u64, index: u64) -> Result<Vec<String>, AuditError> {
    let proof = with_hashes(store, &HashMap::new(), |reader| prove_record(size, index, reader)).await?;
    Ok(proof.iter().map(ToString::to_string).collect())
}

/// Empty where nothing was seen before, or where the log has not grown, or where it is shorter than what was seen:
/// the client will say so.
pub(super) async fn prove_consistency(store: &Store, size: u64, seen: u64) -> Result<Vec<String>, AuditError> {
    if seen == 0 || seen >= size {
        return Ok(Vec::new());
    }
    let proof = with_hashes(store, &HashMap::new(), |reader| prove_tree(size, seen, reader)).await?;
    Ok(proof.iter().map(ToString::to_string).collect())
}

/// The library reads hashes through a synchronous trait: the first pass only notes which it wants, then they are
/// fetched, and the second pass computes.
async fn with_hashes<T>(
    store: &Store,
    pending: &HashMap<u64, Hash>,
    compute: impl Fn(&Reader<'_>) -> Result<T, tlog_tiles::Error>,
) -> Result<T, AuditError> {
    let wanted = {
        let first = Reader { pending, fetched: HashMap::new(), wanted: RefCell::default() };
        // Computed over zeros; the result means nothing.
        let _ = compute(&first);
        first.wanted.into_inner()
    };
    let fetched = store.log_hashes(&wanted).await.map_err(AuditError::Store)?;
    let second = Reader { pending, fetched, wanted: RefCell::default() };
    compute(&second).map_err(|_| AuditError::Mismatch)
}

struct Reader<'a> {
    pending: &'a HashMap<u64, Hash>,
    fetched: HashMap<u64, Hash>,
    wanted: RefCell<Vec<u64>>,
}

impl HashReader for Reader<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let read = |place: &u64| {
            self.pending.get(place).or_else(|| self.fetched.get(place)).copied().unwrap_or_else(|| {
                self.wanted.borrow_mut().push(*place);
                Hash::default()
            })
        };
        Ok(places.iter().map(read).collect())
    }
}
