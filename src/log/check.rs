//! Checking a whole log, entry by entry, in one pass and constant memory per entry: what was changed, removed,
//! moved, or rewritten behind a signed checkpoint, and which entry it was.

use super::checkpoint::TreeHead;
use super::leaf::{Leaf, Private};
use std::fmt;
use tlog_tiles::{EMPTY_HASH, Hash, node_hash, record_hash};

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The entry is not what its own hash in the tree says.
    Changed(u64),
    /// There is no entry where there was one.
    Missing(u64),
    /// The entry belongs at another place.
    Moved {
        /// Where it stands.
        at: u64,
        /// Where it says it belongs.
        belongs: u64,
    },
    /// The private part kept aside is not the one committed to.
    Private(u64),
    /// Entries and hashes agree with each other but not with what was signed at the time.
    Rewritten {
        /// First entry it may be.
        from: u64,
        /// Last entry it may be.
        to: u64,
    },
    /// The log ends before its last signed checkpoint.
    Short {
        /// Entries there are.
        entries: u64,
        /// Entries that were signed.
        signed: u64,
    },
    /// Entries after the last signed checkpoint: nobody signed them.
    Unsigned(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(index) => write!(f, "entry {index} was changed"),
            Self::Missing(index) => write!(f, "entry {index} is missing"),
            Self::Moved { at, belongs } => write!(f, "entry {belongs} stands at place {at}: entries were reordered"),
            Self::Private(index) => write!(f, "the private part of entry {index} was changed"),
            Self::Rewritten { from, to } if from == to => write!(f, "entry {from} was rewritten after it was signed"),
            Self::Rewritten { from, to } => write!(f, "an entry from {from} to {to} was rewritten after it was signed"),
            Self::Short { entries, signed } => {
                write!(f, "entries {entries} to {} are missing: {signed} were signed", signed.saturating_sub(1))
            }
            Self::Unsigned(index) => write!(f, "entry {index} was added without a signature"),
        }
    }
}

/// A running check. Push every entry in order, then finish with the checkpoints.
#[derive(Default)]
pub struct LogCheck {
    size: u64,
    /// Roots of the complete subtrees so far, largest first, with their levels.
    peaks: Vec<(u32, Hash)>,
    /// Signed heads to be met on the way, by size, largest first.
    expected: Vec<TreeHead>,
    last_good: u64,
    /// Entries that the last head signs; `None` where no heads were given.
    signed: Option<u64>,
    rewritten: Option<Fault>,
    faults: Vec<Fault>,
}

impl LogCheck {
    /// A check against every head that was ever signed, in any order.
    #[must_use]
    pub fn against(mut heads: Vec<TreeHead>) -> Self {
        heads.sort_by_key(|head| std::cmp::Reverse(head.size));
        Self { signed: heads.first().map(|head| head.size), expected: heads, ..Self::default() }
    }

    /// The next entry and the hash that the tree holds for it, `None` where they are gone, and its private part where
    /// it can be seen. Returns the entry, where it can be read.
    pub fn push(&mut self, entry: Option<&[u8]>, stored: Option<Hash>, private: Option<&Private>) -> Option<Leaf> {
        let index = self.size;
        let leaf = entry.and_then(|bytes| serde_json::from_slice::<Leaf>(bytes).ok());
        let own_hash = entry.map(record_hash);
        let changed = stored.is_some() && stored != own_hash;
        let fault = match (&own_hash, &leaf) {
            (None, _) => Some(Fault::Missing(index)),
            (Some(_), Some(leaf)) if leaf.index != index => Some(Fault::Moved { at: index, belongs: leaf.index }),
            (Some(_), None) => Some(Fault::Changed(index)),
            (Some(_), Some(_)) if changed => Some(Fault::Changed(index)),
            (Some(_), Some(leaf)) => {
                let kept = private.is_none_or(|private| private.commitment().as_deref() == Some(leaf.private.as_str()));
                (!kept).then_some(Fault::Private(index))
            }
        };
        self.faults.extend(fault);
        self.append(stored.or(own_hash).unwrap_or(EMPTY_HASH));
        self.meet_signed_heads();
        leaf
    }

    /// What was wrong, once every entry is in. Empty means: this is the log that was signed.
    #[must_use]
    pub fn finish(mut self) -> Vec<Fault> {
        if let Some(head) = self.expected.first() {
            self.faults.push(Fault::Short { entries: self.size, signed: head.size });
        }
        if let Some(signed) = self.signed.filter(|signed| *signed < self.size) {
            self.faults.push(Fault::Unsigned(signed));
        }
        // A hash that was changed alone shows as its entry and as a broken checkpoint: the entry says it better.
        if self.faults.is_empty() {
            self.faults.extend(self.rewritten);
        }
        self.faults
    }

    /// The head of what was pushed so far.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let root = self.peaks.iter().rev().map(|(_, hash)| *hash).reduce(|right, left| node_hash(left, right));
        TreeHead { size: self.size, root: root.unwrap_or(EMPTY_HASH) }
    }

    fn append(&mut self, leaf: Hash) {
        let (mut level, mut hash) = (0, leaf);
        while let Some((_, left)) = self.peaks.pop_if(|(peak, _)| *peak == level) {
            hash = node_hash(left, hash);
            level += 1;
        }
        self.peaks.push((level, hash));
        self.size += 1;
    }

    fn meet_signed_heads(&mut self) {
        while let Some(signed) = self.expected.pop_if(|head| head.size <= self.size) {
            if signed.size == 0 || signed == self.head() {
                self.last_good = signed.size;
            } else if self.rewritten.is_none() {
                self.rewritten = Some(Fault::Rewritten { from: self.last_good, to: signed.size - 1 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::leaf::Event;
    use proptest::prelude::*;

    fn entries(count: u64) -> Vec<Vec<u8>> {
        let leaf = |index| Leaf {
            v: 1,
            index,
            time: jiff::Timestamp::UNIX_EPOCH,
            event: Event::GrantIssued,
            elevation: format!("e{index}"),
            resource: None,
            acr: None,
            policies: vec![],
            signals: vec![],
            cause: None,
            private: Private { salt: String::new(), clear: index.into() }.commitment().unwrap(),
        };
        (0..count).map(|index| leaf(index).to_bytes().unwrap()).collect()
    }

    /// Every head, as if each entry had been signed alone.
    fn heads(entries: &[Vec<u8>]) -> Vec<TreeHead> {
        let mut check = LogCheck::default();
        let mut heads = vec![];
        for entry in entries {
            check.append(record_hash(entry));
            heads.push(check.head());
        }
        heads
    }

    fn run(entries: &[Option<Vec<u8>>], hashes: &[Hash], heads: Vec<TreeHead>) -> Vec<Fault> {
        let mut check = LogCheck::against(heads);
        for (entry, hash) in entries.iter().zip(hashes) {
            check.push(entry.as_deref(), Some(*hash), None);
        }
        check.finish()
    }

    proptest! {
        #[test]
        fn the_faulty_entry_is_named(count in 2_u64..70, at in 0_u64..70, kind in 0..5) {
            let at = usize::try_from(at % count).unwrap();
            let other = (at + 1) % usize::try_from(count).unwrap();
            let good = entries(count);
            let signed = heads(&good);
            let mut rows: Vec<Option<Vec<u8>>> = good.iter().cloned().map(Some).collect();
            let mut hashes: Vec<Hash> = good.iter().map(|entry| record_hash(entry)).collect();
            prop_assert_eq!(run(&rows, &hashes, signed.clone()), vec![]);
            let expected = match kind {
                0 => {
                    rows[at] = rows[at].clone().map(|bytes| String::from_utf8(bytes).unwrap().replace("\"elevation\":\"e", "\"elevation\":\"f").into_bytes());
                    Fault::Changed(at as u64)
                }
                1 => { rows[at] = None; Fault::Missing(at as u64) }
                2 => {
                    rows.swap(at, other);
                    let first = at.min(other);
                    Fault::Moved { at: first as u64, belongs: at.max(other) as u64 }
                }
                3 => {
                    // entry and hash both, consistently
                    let forged = String::from_utf8(good[at].clone()).unwrap().replace("\"elevation\":\"e", "\"elevation\":\"f").into_bytes();
                    hashes[at] = record_hash(&forged);
                    rows[at] = Some(forged);
                    Fault::Rewritten { from: at as u64, to: at as u64 }
                }
                _ => {
                    rows.truncate(at);
                    Fault::Short { entries: at as u64, signed: count }
                }
            };
            let faults = run(&rows, &hashes, signed);
            prop_assert_eq!(faults.first(), Some(&expected));
        }
    }

    #[test]
    fn heads_agree_with_the_library() {
        let good = entries(13);
        let mut stored = Vec::new();
        for (index, entry) in (0..).zip(&good) {
            let more = tlog_tiles::stored_hashes(index, entry, &Stored(&stored)).unwrap();
            stored.extend(more);
            let root = tlog_tiles::tree_hash(index + 1, &Stored(&stored)).unwrap();
            assert_eq!(heads(&good)[usize::try_from(index).unwrap()].root, root);
        }
    }

    struct Stored<'a>(&'a [Hash]);

    impl tlog_tiles::HashReader for Stored<'_> {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
            Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
        }
    }
}
