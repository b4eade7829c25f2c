//! The tree's frontier and its proofs, over hashes that stand in the store.

use super::AuditError;
use crate::authority::store::{Batch, Store, StoreError};
use crate::log::checkpoint::{self, TreeHead};
use crate::log::leaf::Leaf;
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::HashMap;
use tlog_tiles::{
    EMPTY_HASH, Hash, HashReader, check_tree, prove_record, prove_tree, record_hash, stored_hash_index, stored_hashes,
    tree_hash,
};

/// The hashes at the right edge of a tree: what the next entries are hashed with.
#[derive(Default)]
pub struct Edge {
    size: u64,
    /// Of every complete subtree, and of what was pushed since they were last pruned.
    hashes: HashMap<u64, Hash>,
}

impl Edge {
    /// Appends an entry; returns the hashes it completes and where they belong.
    ///
    /// # Errors
    /// [`AuditError::Mismatch`], where a hash is missing.
    pub fn push(&mut self, leaf: &[u8]) -> Result<(u64, Vec<Hash>), AuditError> {
        let hashes = stored_hashes(self.size, leaf, &Reader::of(&self.hashes)).map_err(|_| AuditError::Mismatch)?;
        let first = stored_hash_index(0, self.size);
        self.hashes.extend((first..).zip(hashes.iter().copied()));
        self.size += 1;
        Ok((first, hashes))
    }

    /// The head of the tree.
    ///
    /// # Errors
    /// [`AuditError::Mismatch`], where a hash is missing.
    pub fn head(&self) -> Result<TreeHead, AuditError> {
        let root = match self.size {
            0 => EMPTY_HASH,
            size => tree_hash(size, &Reader::of(&self.hashes)).map_err(|_| AuditError::Mismatch)?,
        };
        Ok(TreeHead { size: self.size, root })
    }

    /// Proves that the tree holds the entry at `index`, which was pushed since the edge was last pruned: every hash that
    /// takes is here.
    ///
    /// # Errors
    /// [`AuditError::Mismatch`], where one is not.
    pub fn prove(&self, index: u64) -> Result<Vec<String>, AuditError> {
        let reader = Reader::of(&self.hashes);
        let proof = prove_record(self.size, index, &reader).map_err(|_| AuditError::Mismatch)?;
        let is_whole = reader.wanted.borrow().is_empty();
        is_whole.then(|| proof.iter().map(ToString::to_string).collect()).ok_or(AuditError::Mismatch)
    }

    /// Forgets what is not at the edge any more.
    pub fn prune(&mut self) {
        let edge = edge_of(self.size);
        self.hashes.retain(|place, _| edge.contains(place));
    }
}

/// The end of the log: what was signed last, the time of its last entry, and the tree's edge. What is appended to is
/// what was signed, not what the store says later.
pub(super) struct Tree {
    edge: Edge,
    /// The newest checkpoint, as signed; `None` for an empty log.
    note: Option<String>,
    last_time: Timestamp,
}

impl Tree {
    /// Reads the tree from the store, and checks it against its newest checkpoint, and that against what was `seen`
    /// before, which it must contain.
    pub(super) async fn load(
        batch: &mut Batch,
        log_key: &str,
        newest: Option<String>,
        seen: Option<TreeHead>,
    ) -> Result<Self, AuditError> {
        let Some(note) = newest else {
            // No checkpoint: only an empty log may be without one.
            let rows = batch.log_rows(0, 1).await.map_err(AuditError::Store)?;
            let empty = seen.is_none() && rows.leaves.iter().all(Option::is_none);
            let tree = Self { edge: Edge::default(), note: None, last_time: Timestamp::UNIX_EPOCH };
            return if empty { Ok(tree) } else { Err(AuditError::Mismatch) };
        };
        let signed = checkpoint::open(&note, log_key).map_err(|_| AuditError::Mismatch)?;
        let last = signed.size.checked_sub(1).ok_or(AuditError::Mismatch)?;
        let rows = batch.log_rows(last, signed.size + 1).await.map_err(AuditError::Store)?;
        let [Some(leaf), None] = rows.leaves.as_slice() else { return Err(AuditError::Mismatch) };
        // Its time is what the next entry's is held to: it must be the entry that was signed.
        let place = stored_hash_index(0, last);
        let stored = batch.log_hashes(&[place]).await.map_err(|error| mismatch(AuditError::Store(error)))?;
        if stored.get(&place) != Some(&record_hash(leaf)) {
            return Err(AuditError::Mismatch);
        }
        let last_time = serde_json::from_slice::<Leaf>(leaf).map_err(|_| AuditError::Mismatch)?.time;
        let hashes = batch.log_hashes(&edge_of(signed.size)).await;
        let edge = Edge { size: signed.size, hashes: hashes.map_err(|error| mismatch(AuditError::Store(error)))? };
        if edge.head()? != signed || !continues(batch, signed, seen).await.map_err(mismatch)? {
            return Err(AuditError::Mismatch);
        }
        Ok(Self { edge, note: Some(note), last_time })
    }

    /// Whether the store's newest checkpoint is the one that this tree ends with: nobody else was there.
    pub(super) fn ends_with(&self, newest: Option<&String>) -> bool {
        self.note.as_ref() == newest
    }

    pub(super) const fn size(&self) -> u64 {
        self.edge.size
    }

    pub(super) const fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// Appends an entry; returns the hashes it completes and where they belong.
    pub(super) fn push(&mut self, leaf: &[u8], time: Timestamp) -> Result<(u64, Vec<Hash>), AuditError> {
        self.last_time = time;
        self.edge.push(leaf)
    }

    /// The tree's head, with all that was appended.
    pub(super) fn head(&self) -> Result<TreeHead, AuditError> {
        self.edge.head()
    }

    /// Proves that the tree holds an entry that was appended and is not on disk yet.
    pub(super) fn prove(&self, index: u64) -> Result<Vec<String>, AuditError> {
        self.edge.prove(index)
    }

    /// What was appended is on disk, under this checkpoint.
    pub(super) fn committed(&mut self, note: String) {
        self.note = Some(note);
        self.edge.prune();
    }
}

/// Whether what is signed contains what was seen before.
async fn continues(batch: &mut Batch, signed: TreeHead, seen: Option<TreeHead>) -> Result<bool, AuditError> {
    let Some(seen) = seen.filter(|seen| seen.size > 0) else { return Ok(true) };
    if seen.size >= signed.size {
        return Ok(seen == signed);
    }
    let prove = |reader: &Reader<'_>| prove_tree(signed.size, seen.size, reader);
    let hashes = batch.log_hashes(&wanted(prove)).await.map_err(AuditError::Store)?;
    let proof = prove(&Reader::of(&hashes)).map_err(|_| AuditError::Mismatch)?;
    Ok(check_tree(&proof, signed.size, signed.root, seen.size, seen.root).is_ok())
}

/// Where the hashes at the right edge of a tree of this size are stored.
fn edge_of(size: u64) -> Vec<u64> {
    match size {
        0 => Vec::new(),
        size => wanted(|reader| tree_hash(size, reader)),
    }
}

/// What is not in the store any more is not what was signed.
fn mismatch(error: AuditError) -> AuditError {
    match error {
        AuditError::Store(StoreError::Corrupt(_)) => AuditError::Mismatch,
        other => other,
    }
}

/// Empty where nothing was seen before, or where the log has not grown, or where it is shorter than what was seen:
/// the client will say so.
pub(super) async fn prove_consistency(store: &Store, size: u64, seen: u64) -> Result<Vec<String>, AuditError> {
    if seen == 0 || seen >= size {
        return Ok(Vec::new());
    }
    let prove = |reader: &Reader<'_>| prove_tree(size, seen, reader);
    let hashes = store.log_hashes(&wanted(prove)).await.map_err(AuditError::Store)?;
    let proof = prove(&Reader::of(&hashes)).map_err(|_| AuditError::Mismatch)?;
    Ok(proof.iter().map(ToString::to_string).collect())
}

/// The places that a computation reads. The library reads hashes through a synchronous trait: the first pass only notes
/// which it wants, then they are fetched, and the second pass computes.
fn wanted<T>(compute: impl Fn(&Reader<'_>) -> Result<T, tlog_tiles::Error>) -> Vec<u64> {
    let nothing = HashMap::new();
    let reader = Reader::of(&nothing);
    // Computed over zeros; the result means nothing.
    let _ = compute(&reader);
    reader.wanted.into_inner()
}

/// A hash that is not known is read as zeros: what is computed with it fits nothing.
struct Reader<'a> {
    known: &'a HashMap<u64, Hash>,
    wanted: RefCell<Vec<u64>>,
}

impl<'a> Reader<'a> {
    fn of(known: &'a HashMap<u64, Hash>) -> Self {
        Self { known, wanted: RefCell::default() }
    }
}

impl HashReader for Reader<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let read = |place: &u64| {
            self.known.get(place).copied().unwrap_or_else(|| {
                self.wanted.borrow_mut().push(*place);
                Hash::default()
            })
        };
        Ok(places.iter().map(read).collect())
    }
}
