//! What makes a `DPoP` proof fresh (RFC 9449 sections 8 and 11.1): nonces that only this authority could have made and
//! that are a few minutes old at most, and ids that are used once.
//!
//! Where the store is this process's alone, nonces and ids are, too, and a restart makes every older proof worthless.
//! Nodes of one store take each other's nonces and remember ids there. What is remembered may get lost with the server,
//! not with a node; every older proof is worthless then as well, because nonces are good for one epoch. A process whose
//! memory is full ends its own epoch in the same way: whoever floods it costs everybody another round, and nobody a place.

use super::error::Refusal;
use super::signer::{KeyError, MasterKey};
use super::store::{Spent, Store};
use crate::protocol::dpop::{self, DpopError, Expected, IAT_WINDOW, Proof};
use crate::protocol::encoding::{base64url, from_base64url, random, sha256};
use aws_lc_rs::hmac;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Seconds a nonce is good for.
const NONCE_LIFETIME: i64 = 300;
/// Seconds by which the clock of the node that made a nonce may be ahead.
const NODES_APART: i64 = 60;
/// Ids kept in memory at most; with one more, those that are out of their window are forgotten, or all with their epoch.
const IDS_MAX: usize = 100_000;
/// Seconds after which an id is forgotten in the store: no clock is so far off that its proof would be taken again.
const REMEMBERED: i64 = 900;
/// Seconds between two rounds of forgetting.
const ROUND: i64 = 60;

/// Nonces, and which proofs were used.
pub enum Proofs {
    /// Of this process.
    Own(Box<Own>),
    /// Of every node of the store.
    Shared(Box<Shared>),
}

/// Nonces of one process, and the ids it saw.
pub struct Own(Mutex<Seen>);

struct Seen {
    /// How often all was forgotten.
    epoch: u64,
    nonces: Nonces,
    spent: HashMap<String, i64>,
}

/// Nonces of one epoch, and ids that the store remembers.
pub struct Shared {
    store: Store,
    master: Arc<MasterKey>,
    current: RwLock<(String, Nonces)>,
    forgotten: AtomicI64,
}

impl Proofs {
    /// Those of an authority with this store.
    ///
    /// # Errors
    /// [`KeyError`]: the store does not answer.
    pub async fn of(store: &Store, master: &Arc<MasterKey>) -> Result<Self, KeyError> {
        if !store.is_shared() {
            return Ok(Self::Own(Box::new(Own::new())));
        }
        let epoch = store.proof_epoch().await?;
        let nonces = Nonces::of(master, &epoch)?;
        let current = RwLock::new((epoch, nonces));
        let (store, master, forgotten) = (store.clone(), master.clone(), AtomicI64::new(0));
        Ok(Self::Shared(Box::new(Shared { store, master, current, forgotten })))
    }

    /// A nonce for the next request.
    #[must_use]
    pub fn nonce(&self, now: Timestamp) -> String {
        match self {
            Self::Own(own) => own.seen().nonces.make(now),
            Self::Shared(shared) => shared.current.read().unwrap_or_else(PoisonError::into_inner).1.make(now),
        }
    }

    /// Checks a proof (RFC 9449 section 4.3), and marks it as used.
    ///
    /// # Errors
    /// [`Refusal::Dpop`]; [`Refusal::Store`]: nobody can say whether it was used before.
    pub async fn accept(&self, proof: &str, expected: &Expected<'_>) -> Result<Proof, Refusal> {
        match self {
            Self::Own(own) => {
                let epoch = AtomicU64::new(0);
                let proof = dpop::verify(proof, expected, |nonce| {
                    let seen = own.seen();
                    epoch.store(seen.epoch, Ordering::Relaxed);
                    seen.nonces.is_fresh(nonce, expected.now)
                })?;
                own.spend(&proof.jti, epoch.into_inner(), expected.now)?;
                Ok(proof)
            }
            Self::Shared(shared) => {
                let proof = shared.verify(proof, expected).await?;
                shared.spend(&proof.jti, expected.now).await?;
                Ok(proof)
            }
        }
    }
}

impl Own {
    fn new() -> Self {
        Self(Mutex::new(Seen { epoch: 0, nonces: Nonces::fresh(), spent: HashMap::new() }))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the id of a proof as used whose nonce was good in `epoch`.
    fn spend(&self, jti: &str, epoch: u64, now: Timestamp) -> Result<(), DpopError> {
        let mut seen = self.seen();
        let now = now.as_second();
        if seen.spent.len() >= IDS_MAX {
            seen.spent.retain(|_, used| now.abs_diff(*used) <= 2 * IAT_WINDOW);
        }
        if seen.spent.len() >= IDS_MAX {
            *seen = Seen { epoch: seen.epoch + 1, nonces: Nonces::fresh(), spent: HashMap::new() };
        }
        // Its nonce is worth nothing any more, and whether it was used before is forgotten.
        if seen.epoch != epoch {
            return Err(DpopError::NonceNeeded);
        }
        match seen.spent.insert(jti.to_owned(), now) {
            None => Ok(()),
            Some(_) => Err(USED),
        }
    }
}

const USED: DpopError = DpopError::Invalid("it was used before");

impl Shared {
    async fn verify(&self, proof: &str, expected: &Expected<'_>) -> Result<Proof, Refusal> {
        let has_nonce = AtomicBool::new(false);
        let once = || {
            dpop::verify(proof, expected, |nonce| {
                has_nonce.store(true, Ordering::Relaxed);
                let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
                current.1.is_fresh(nonce, expected.now)
            })
        };
        match once() {
            // Another node may have made it in an epoch that this one has not heard of.
            Err(DpopError::NonceNeeded) if has_nonce.load(Ordering::Relaxed) && self.take_up_epoch().await? => {
                Ok(once()?)
            }
            verified => Ok(verified?),
        }
    }

    async fn spend(&self, jti: &str, now: Timestamp) -> Result<(), Refusal> {
        let epoch = self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone();
        self.forget(now).await;
        match self.store.spend_proof(&base64url(sha256(&[jti.as_bytes()])), &epoch, now).await? {
            Spent::Now => Ok(()),
            Spent::Before => Err(USED.into()),
            Spent::Forgotten => {
                self.take_up_epoch().await?;
                Err(DpopError::NonceNeeded.into())
            }
        }
    }

    /// Whether the epoch is another one than before.
    async fn take_up_epoch(&self) -> Result<bool, Refusal> {
        let epoch = self.store.proof_epoch().await?;
        let nonces = Nonces::of(&self.master, &epoch)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.0 != epoch;
        *current = (epoch, nonces);
        Ok(is_new)
    }

    async fn forget(&self, now: Timestamp) {
        let (now, last) = (now.as_second(), self.forgotten.load(Ordering::Relaxed));
        let is_time = (now - last).abs() >= ROUND;
        if is_time && self.forgotten.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let Ok(before) = Timestamp::from_second(now - REMEMBERED) else { return };
            // What is remembered for too long harms nobody.
            let _ = self.store.forget_proofs(before).await;
        }
    }
}

/// Makes nonces and knows its own: base64url of time ‖ HMAC.
struct Nonces {
    key: hmac::Key,
    /// Seconds by which one may be from the future.
    apart: i64,
}

impl Nonces {
    /// Of this process alone.
    fn fresh() -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()), apart: 0 }
    }

    fn of(master: &MasterKey, epoch: &str) -> Result<Self, KeyError> {
        let key = master.derive(&format!("dpop-nonce:{epoch}"))?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), apart: NODES_APART })
    }

    fn make(&self, now: Timestamp) -> String {
        let time = now.as_second().to_be_bytes();
        base64url([time.as_slice(), hmac::sign(&self.key, &time).as_ref()].concat())
    }

    /// Whether a nonce is ours and young.
    fn is_fresh(&self, nonce: &str, now: Timestamp) -> bool {
        let Some(bytes) = from_base64url(nonce) else { return false };
        let Some((time, tag)) = bytes.split_first_chunk::<8>() else { return false };
        let age = now.as_second() - i64::from_be_bytes(*time);
        hmac::verify(&self.key, time, tag).is_ok() && (-self.apart..=NONCE_LIFETIME).contains(&age)
    }
}

#[cfg(test)]
mod tests {
    use super::{IDS_MAX, Own, USED};
    use crate::protocol::dpop::DpopError;
    use jiff::Timestamp;

    #[test]
    fn a_flood_ends_the_epoch_and_shuts_nobody_out() {
        let (own, now) = (Own::new(), Timestamp::from_second(1_000_000).unwrap());
        let old = own.seen().nonces.make(now);
        own.spend("first", 0, now).unwrap();
        assert_eq!(own.spend("first", 0, now), Err(USED));
        for number in 1..IDS_MAX {
            own.spend(&number.to_string(), 0, now).unwrap();
        }
        // The one too many, and whoever was verified before it: neither is taken, since nobody knows what was used.
        assert_eq!(own.spend("one too many", 0, now), Err(DpopError::NonceNeeded));
        assert_eq!(own.spend("first", 0, now), Err(DpopError::NonceNeeded));
        assert!(!own.seen().nonces.is_fresh(&old, now), "an older proof would be taken again");
        own.spend("another", 1, now).unwrap();
        assert_eq!(own.spend("another", 1, now), Err(USED));
    }
}
