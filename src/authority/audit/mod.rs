//! The audit log's writer: one task, entries in order, many entries per commit. An entry and the state it records
//! become durable together, under one signed checkpoint; only then does [`Audit::record`] return [`Recorded`],
//! without which nothing is issued.
//!
//! What a crash leaves: either the whole batch with its checkpoint, or nothing of it. After a commit that failed or
//! whose outcome is unknown the writer reads the tree again, as at start; where another node of the same store was there
//! meanwhile, too. What it reads must contain what it saw signed before.

mod clocks;
pub mod tree;

use super::elevation::ElevationId;
use super::store::{Batch, Change, EntryRow, Store, StoreError};
use crate::clock::Clock;
use crate::log::checkpoint::{LogSigner, TreeHead};
use crate::log::leaf::{Event, Leaf, Private};
use crate::log::receipt::Receipt;
use crate::protocol::assurance::Assurance;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tree::Tree;

/// Entries that wait at most; more callers wait for a place.
const QUEUE: usize = 1024;
/// Entries that share a commit at most.
const BATCH: usize = 64;
/// How far the clock may go back between two entries, in seconds, before nobody gets in.
const CLOCK_SLACK: i64 = 60;

/// Why an entry could not be made durable. Nothing that depends on it happens.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The store failed under it.
    #[error("the audit log can't be written: {0}")]
    Store(StoreError),
    /// The tree in the store is not the one that was signed.
    #[error("the audit log does not match its last signed checkpoint")]
    Mismatch,
    /// The clock went back.
    #[error("the clock went back {0} seconds since the last entry of the audit log")]
    Clock(i64),
    /// The clock of this node differs from that of the store.
    #[error("the clock of this node says {node}, {off} s {way} PostgreSQL's")]
    NodeClock {
        /// What it says.
        node: Timestamp,
        /// By how many seconds.
        off: i64,
        /// Ahead or behind.
        way: &'static str,
    },
    /// The entry can't be encoded or signed.
    #[error("the audit log can't sign its checkpoint")]
    Signing,
    /// The writer is gone.
    #[error("the audit log's writer has stopped")]
    Stopped,
}

impl AuditError {
    pub(super) const fn hint(&self) -> &'static str {
        match self {
            Self::Store(error) => error.hint(),
            Self::Mismatch => {
                "nobody gets in; `elevate audit verify` names the entry, or none where only the tree's inner hashes are damaged; \
                 a backup brings it back"
            }
            Self::Clock(_) => {
                "set the clock right; if the earlier time was the wrong one, run `elevate-authority accept-clock`"
            }
            Self::NodeClock { .. } => {
                "nobody gets in at this node until its clock is right: look at its time synchronisation; where every node says \
                 so, at that of PostgreSQL's machine"
            }
            Self::Signing | Self::Stopped => "nobody gets in until the authority is started again",
        }
    }
}

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// The elevation it belongs to.
    pub elevation: ElevationId,
    /// The resource or thing.
    pub resource: Option<String>,
    /// The rung reached or asked for.
    pub assurance: Option<Assurance>,
    /// Policies that decided.
    pub policies: Vec<String>,
    /// Signals seen.
    pub signals: Vec<String>,
    /// Why, where it was no success.
    pub cause: Option<String>,
    /// Who, with what, and the evidence.
    pub private: Value,
}

impl Entry {
    /// An entry with nothing but what happened and to whom.
    #[must_use]
    pub const fn new(event: Event, elevation: ElevationId, private: Value) -> Self {
        Self {
            event,
            elevation,
            resource: None,
            assurance: None,
            policies: Vec::new(),
            signals: Vec::new(),
            cause: None,
            private,
        }
    }
}

/// Proof that an entry is on disk, under a signed checkpoint. Only [`Audit::record`] makes one.
#[derive(Debug)]
pub struct Recorded {
    elevation: ElevationId,
    event: Event,
    leaf: Vec<u8>,
    index: u64,
    private: Private,
    head: TreeHead,
    inclusion: Vec<String>,
    checkpoint: String,
}

impl Recorded {
    /// Which elevation was recorded.
    #[must_use]
    pub const fn elevation(&self) -> &ElevationId {
        &self.elevation
    }

    /// What was recorded of it.
    #[must_use]
    pub const fn event(&self) -> Event {
        self.event
    }
}

struct Job {
    entry: Entry,
    changes: Vec<Change>,
    reply: oneshot::Sender<Result<Recorded, RecordError>>,
}

/// Why [`Audit::record`] made nothing durable.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// One of the changes was refused; entry and changes were both not made.
    #[error("{0}")]
    Conflict(&'static str),
    /// The log failed.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl From<RecordError> for super::error::Refusal {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Conflict(what) => Self::Conflict(what),
            RecordError::Audit(error) => Self::Audit(error),
        }
    }
}

/// The handle to the writer. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<Job>,
    store: Store,
    log_key: Arc<str>,
    seen: Seen,
}

/// What was signed last, as far as this node knows: the log never gets behind it.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<TreeHead>>>);

impl Seen {
    fn get(&self) -> Option<TreeHead> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, head: TreeHead) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }
}

impl Audit {
    /// Starts the writer. The tree is read and checked against its last checkpoint before the first entry, so a log
    /// that was tampered with can still be read and verified, but nothing is recorded in it, and nobody gets in.
    #[must_use]
    pub fn start(store: Store, signer: LogSigner, clock: Clock) -> Self {
        let log_key: Arc<str> = signer.verifier_key().into();
        let (queue, jobs) = mpsc::channel(QUEUE);
        let seen = Seen::default();
        let writer = Writer { store: store.clone(), signer, clock, tree: None, seen: seen.clone() };
        tokio::spawn(writer.run(jobs));
        Self { queue, store, log_key, seen }
    }

    /// Makes `entry` and `changes` durable, together.
    ///
    /// # Errors
    /// [`RecordError`]; then neither was made, or (reported so by the store) it is unknown: nothing may depend on it.
    pub async fn record(&self, entry: Entry, changes: Vec<Change>) -> Result<Recorded, RecordError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Job { entry, changes, reply }).await.map_err(|_| AuditError::Stopped)?;
        answer.await.map_err(|_| AuditError::Stopped)?
    }

    /// Whether an entry could be recorded now: the tree is the one that was signed, the clock is right and did not go back,
    /// and the store takes a write.
    ///
    /// # Errors
    /// [`AuditError`]: what keeps everybody out.
    pub async fn check(&self, clock: &Clock) -> Result<(), AuditError> {
        // While this batch is open nobody appends.
        let mut batch = self.store.begin().await.map_err(AuditError::Store)?;
        let newest = clocks::newest_checkpoint(&mut batch, clock).await?;
        let now = clock.now();
        let tree = Tree::load(&mut batch, &self.log_key, newest, self.seen.get()).await?;
        let back = tree.last_time().as_second() - now.as_second();
        if back > CLOCK_SLACK {
            return Err(AuditError::Clock(back));
        }
        let checked = Change::SetMeta { key: "checked", value: now.to_string() };
        batch.apply(&checked).await.map_err(AuditError::Store)?;
        batch.commit().await.map_err(AuditError::Store)
    }

    /// The receipt of a recorded entry, proving consistency with a log of `seen` entries.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn receipt(&self, recorded: &Recorded, seen: u64) -> Result<Receipt, AuditError> {
        let consistency = tree::prove_consistency(&self.store, recorded.head.size, seen).await?;
        Ok(Receipt {
            leaf: String::from_utf8(recorded.leaf.clone()).map_err(|_| AuditError::Signing)?,
            private: recorded.private.clone(),
            inclusion: recorded.inclusion.clone(),
            checkpoint: recorded.checkpoint.clone(),
            consistency,
        })
    }

    /// The log's public key.
    #[must_use]
    pub fn log_key(&self) -> &str {
        &self.log_key
    }
}

struct Writer {
    store: Store,
    signer: LogSigner,
    clock: Clock,
    /// `None` at start, and after a commit whose outcome is unknown.
    tree: Option<Tree>,
    seen: Seen,
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.recv().await {
            let mut batch = vec![first];
            while batch.len() < BATCH {
                match jobs.try_recv() {
                    Ok(job) => batch.push(job),
                    Err(_) => break,
                }
            }
            self.write(batch).await;
        }
    }

    /// Writes a batch and answers every job in it, exactly once, after the commit.
    async fn write(&mut self, mut batch: Vec<Job>) {
        // Whose caller was told meanwhile that it took too long: what it asked for must not happen afterwards.
        batch.retain(|job| !job.reply.is_closed());
        let (accepted, outcome) = {
            let mut accepted = Vec::new();
            let outcome = self.commit(batch, &mut accepted).await;
            (accepted, outcome)
        };
        if outcome.is_err() {
            self.tree = None;
        }
        for (job, recorded) in accepted {
            let answer = match &outcome {
                Ok((head, checkpoint)) => Ok(Recorded { head: *head, checkpoint: checkpoint.clone(), ..recorded }),
                Err(error) => Err(RecordError::Audit(error.clone())),
            };
            // A caller that went away doesn't unmake what is durable.
            let _ = job.send(answer);
        }
    }

    async fn commit(
        &mut self,
        batch: Vec<Job>,
        accepted: &mut Vec<(oneshot::Sender<Result<Recorded, RecordError>>, Recorded)>,
    ) -> Result<(TreeHead, String), AuditError> {
        let mut refused = batch.into_iter();
        let result = self.commit_inner(&mut refused, accepted).await;
        // Where the batch broke off, the rest is told so as well.
        if let Err(error) = &result {
            for job in refused {
                let _ = job.reply.send(Err(RecordError::Audit(error.clone())));
            }
        }
        result
    }

    async fn commit_inner(
        &mut self,
        jobs: &mut impl Iterator<Item = Job>,
        accepted: &mut Vec<(oneshot::Sender<Result<Recorded, RecordError>>, Recorded)>,
    ) -> Result<(TreeHead, String), AuditError> {
        let mut transaction = self.store.begin().await.map_err(AuditError::Store)?;
        let mut tree = self.newest_tree(&mut transaction).await?;
        let mut rows = Vec::new();
        for job in jobs.by_ref() {
            let applied = self.append(&mut transaction, &mut tree, &mut rows, &job).await;
            match applied {
                Ok(recorded) => accepted.push((job.reply, recorded)),
                Err(RecordError::Conflict(what)) => {
                    let _ = job.reply.send(Err(RecordError::Conflict(what)));
                }
                Err(RecordError::Audit(error)) => {
                    let _ = job.reply.send(Err(RecordError::Audit(error.clone())));
                    return Err(error);
                }
            }
        }
        let head = tree.head()?;
        let note = self.signer.sign(head).map_err(|_| AuditError::Signing)?;
        for (_, recorded) in accepted.iter_mut() {
            recorded.inclusion = tree.prove(recorded.index)?;
        }
        if accepted.is_empty() {
            transaction.roll_back().await;
        } else {
            transaction.add_entries(&rows).await.map_err(AuditError::Store)?;
            transaction.add_checkpoint(head.size, &note).await.map_err(AuditError::Store)?;
            transaction.commit().await.map_err(AuditError::Store)?;
            tree.committed(note.clone());
            self.seen.set(head);
        }
        self.tree = Some(tree);
        Ok((head, note))
    }

    /// The tree that this batch appends to: the one before it left, where no other node was there.
    async fn newest_tree(&mut self, transaction: &mut Batch) -> Result<Tree, AuditError> {
        let newest = clocks::newest_checkpoint(transaction, &self.clock).await?;
        match self.tree.take() {
            Some(tree) if tree.ends_with(newest.as_ref()) => Ok(tree),
            Some(_) | None => {
                let tree = Tree::load(transaction, self.signer.verifier_key(), newest, self.seen.get()).await?;
                self.seen.set(tree.head()?);
                Ok(tree)
            }
        }
    }

    async fn append(
        &self,
        transaction: &mut Batch,
        tree: &mut Tree,
        rows: &mut Vec<EntryRow>,
        job: &Job,
    ) -> Result<Recorded, RecordError> {
        let time = self.time(tree.last_time(), job.entry.event)?;
        match transaction.apply_together(&job.changes).await {
            Ok(()) => {}
            Err(StoreError::Conflict(what)) => return Err(RecordError::Conflict(what)),
            Err(error) => return Err(AuditError::Store(error).into()),
        }
        let private = Private::new(job.entry.private.clone());
        let leaf = Leaf {
            v: 1,
            index: tree.size(),
            time,
            event: job.entry.event,
            elevation: job.entry.elevation.to_string(),
            resource: job.entry.resource.clone(),
            acr: job.entry.assurance.map(|assurance| assurance.acr().to_owned()),
            policies: job.entry.policies.clone(),
            signals: job.entry.signals.clone(),
            cause: job.entry.cause.clone(),
            private: private.commitment().ok_or(AuditError::Signing)?,
        };
        let bytes = leaf.to_bytes().map_err(|_| AuditError::Signing)?;
        let (first_hash, hashes) = tree.push(&bytes, time)?;
        rows.push(EntryRow { index: leaf.index, leaf: bytes.clone(), private: private.clone(), hashes, first_hash });
        Ok(Recorded {
            elevation: job.entry.elevation.clone(),
            event: leaf.event,
            leaf: bytes,
            index: leaf.index,
            private,
            head: TreeHead { size: 0, root: tlog_tiles::EMPTY_HASH },
            inclusion: Vec::new(),
            checkpoint: String::new(),
        })
    }

    /// The time of an entry: never before the one before it.
    fn time(&self, last: Timestamp, event: Event) -> Result<Timestamp, AuditError> {
        let now = self.clock.now();
        let back = last.as_second() - now.as_second();
        if back > CLOCK_SLACK && event != Event::ClockAccepted {
            return Err(AuditError::Clock(back));
        }
        Ok(if event == Event::ClockAccepted { now } else { now.max(last) })
    }
}
