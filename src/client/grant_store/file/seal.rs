//! From a passphrase to sealed bytes: PBKDF2-HMAC-SHA-256 (RFC 8018), then AES-256-GCM (NIST SP 800-38D).

use super::super::KeyringError;
use super::NAME;
use crate::protocol::encoding::random;
use crate::protocol::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Fixed by [`VERSION`], not written down: nobody can make a passphrase cheaper to guess by editing a file.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(599_999);
const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
/// Sealed beside the salt: what tells a wrong passphrase from damaged grants.
const CHECK: &str = "elevate/grants/v1 passphrase check";

/// A key from a passphrase, and the salt file it belongs to: version (1), salt (16), sealed nothing (28 bytes).
pub(super) struct Seal {
    key: RandomizedNonceKey,
    salt: Vec<u8>,
}

/// Why a salt file and a passphrase give no key.
#[derive(Debug)]
pub(super) enum NoSeal {
    WrongPassphrase,
    Damaged(&'static str),
    Refused(KeyringError),
}

impl NoSeal {
    pub(super) fn into_keyring_error(self, damaged: impl FnOnce(&str) -> KeyringError) -> KeyringError {
        match self {
            Self::WrongPassphrase => KeyringError::WrongPassphrase,
            Self::Damaged(reason) => damaged(reason),
            Self::Refused(error) => error,
        }
    }
}

impl Seal {
    /// A new one, with a salt of its own.
    pub(super) fn create(passphrase: &Secret) -> Result<Self, KeyringError> {
        let salt = random::<SALT_LEN>();
        let mut seal = Self { key: derive(passphrase, &salt)?, salt: Vec::new() };
        let check = seal.seal(CHECK, &[])?;
        seal.salt = [[VERSION].as_slice(), &salt, &check].concat();
        Ok(seal)
    }

    /// The one a salt file was made with.
    pub(super) fn open(passphrase: &Secret, file: &[u8]) -> Result<Self, NoSeal> {
        let (version, rest) = file.split_first().ok_or(NoSeal::Damaged("it is empty"))?;
        if *version != VERSION {
            return Err(NoSeal::Damaged("it was not written by this version of elevate"));
        }
        let (salt, check) = rest.split_first_chunk::<SALT_LEN>().ok_or(NoSeal::Damaged("it was cut off"))?;
        if check.len() != NONCE_LEN + AES_256_GCM.tag_len() {
            return Err(NoSeal::Damaged("it was cut off"));
        }
        let seal = Self { key: derive(passphrase, salt).map_err(NoSeal::Refused)?, salt: file.to_vec() };
        match seal.unseal(CHECK, check.to_vec()) {
            Some(_) => Ok(seal),
            None => Err(NoSeal::WrongPassphrase),
        }
    }

    /// The salt file's bytes.
    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Nonce, ciphertext and tag; `name` is bound to it.
    pub(super) fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, KeyringError> {
        // Room for the tag beforehand: a vector that grows leaves the plain text behind.
        let mut body = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
        body.extend_from_slice(plain);
        let nonce = self.key.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut *body).map_err(|_| refused())?;
        Ok([nonce.as_ref().as_slice(), &body].concat())
    }

    /// What [`Seal::seal`] sealed under this name; `None` for anything else.
    pub(super) fn unseal(&self, name: &str, sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        let mut sealed = Zeroizing::new(sealed);
        let (nonce, body) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(name.as_bytes()), body).ok()?;
        Some(Zeroizing::new(plain.to_vec()))
    }
}

fn derive(passphrase: &Secret, salt: &[u8]) -> Result<RandomizedNonceKey, KeyringError> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(PBKDF2_HMAC_SHA256, ITERATIONS, salt, passphrase.expose().as_bytes(), key.as_mut_slice());
    RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| refused())
}

fn refused() -> KeyringError {
    KeyringError::io(NAME, "sealing")(std::io::Error::other("the cryptographic library refused"))
}
