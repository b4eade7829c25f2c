//! What makes a `DPoP` proof fresh (RFC 9449 sections 8 and 11.1): nonces that only this process could have made and
//! that are a few minutes old at most, and ids that are used once. A restart makes every older proof worthless.

use crate::protocol::dpop::{DpopError, IAT_WINDOW};
use crate::protocol::encoding::{base64url, from_base64url, random};
use aws_lc_rs::hmac;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;

/// Seconds a nonce is good for.
const NONCE_LIFETIME: i64 = 300;
/// Ids kept at most; further proofs wait until older ones are out of their window.
const IDS_MAX: usize = 100_000;

/// Nonces and spent ids of one process.
pub struct Proofs {
    key: hmac::Key,
    spent: Mutex<HashMap<String, i64>>,
}

impl Proofs {
    /// With a key of its own.
    #[must_use]
    pub fn new() -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()), spent: Mutex::default() }
    }

    /// A nonce for the next request: base64url of time ‖ HMAC.
    #[must_use]
    pub fn nonce(&self, now: Timestamp) -> String {
        let time = now.as_second().to_be_bytes();
        base64url([time.as_slice(), hmac::sign(&self.key, &time).as_ref()].concat())
    }

    /// Whether a nonce is ours and young.
    #[must_use]
    pub fn is_fresh(&self, nonce: &str, now: Timestamp) -> bool {
        let Some(bytes) = from_base64url(nonce) else { return false };
        let Some((time, tag)) = bytes.split_first_chunk::<8>() else { return false };
        let age = now.as_second() - i64::from_be_bytes(*time);
        hmac::verify(&self.key, time, tag).is_ok() && (0..=NONCE_LIFETIME).contains(&age)
    }

    /// Marks a proof's id as used.
    ///
    /// # Errors
    /// Where it was used before.
    pub fn spend(&self, jti: &str, now: Timestamp) -> Result<(), DpopError> {
        let mut spent = self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = now.as_second();
        if spent.len() >= IDS_MAX {
            spent.retain(|_, used| now.abs_diff(*used) <= 2 * IAT_WINDOW);
        }
        if spent.len() >= IDS_MAX {
            return Err(DpopError::Invalid("too many proofs arrive at once"));
        }
        match spent.insert(jti.to_owned(), now) {
            None => Ok(()),
            Some(_) => Err(DpopError::Invalid("it was used before")),
        }
    }
}

impl Default for Proofs {
    fn default() -> Self {
        Self::new()
    }
}
