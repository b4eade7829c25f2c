//! The authority's keys: one master key in a file, everything else derived from it or sealed under it.

use super::store::{SigningKeyRow, Store, StoreError};
use crate::clock::Clock;
use crate::log::checkpoint::LogSigner;
use crate::protocol::access_token::{self, Claims};
use crate::protocol::encoding::{base64url, from_base64url, random};
use crate::protocol::names::Ttl;
use crate::protocol::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Why keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file.
    #[error("the authority's key file {path} can't be used: {reason}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The cryptographic library refused.
    #[error("{0}")]
    Crypto(&'static str),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The master key: 32 bytes in `authority.key`, mode 0600.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Reads the key file, or makes it where there is none.
    ///
    /// # Errors
    /// [`KeyError::File`]; also where others can read it.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if !path.exists() {
            let made = Self::create(path);
            made.map_err(|error| KeyError::File { path: path.display().to_string(), reason: error.to_string() })?;
        }
        Self::load(path)
    }

    /// Reads the key file. Where it is gone, none is made: what is in the store would not open with another one.
    ///
    /// # Errors
    /// [`KeyError::File`]; also where others can read it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let fault = |reason: String| KeyError::File { path: path.display().to_string(), reason };
        let io = |error: std::io::Error| fault(error.to_string());
        let mut file = match std::fs::File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let gone =
                    "it is gone, and the store is sealed under it: bring it back from a backup, or from another node";
                return Err(fault(gone.into()));
            }
            opened => opened.map_err(io)?,
        };
        let mode = file.metadata().map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(fault("others can read it: run chmod 600 on it".into()));
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(io)?;
        let bytes = from_base64url(text.trim()).map(Zeroizing::new);
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        key.map(|key| Self(Zeroizing::new(key))).ok_or_else(|| fault("it does not hold a key".into()))
    }

    /// Makes a key, whole or not at all, and on disk before anything is sealed under it.
    fn create(path: &Path) -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let temporary = directory.join(".authority.key.new");
        let _ = std::fs::remove_file(&temporary);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let key = Zeroizing::new(random::<32>());
        file.write_all(Zeroizing::new(base64url(key.as_slice())).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(directory)?.sync_all()
    }

    /// HKDF-SHA-256 (RFC 5869), one key per purpose.
    pub(super) fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let unusable = |_| KeyError::Crypto("a key could not be derived");
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"elevate/v1").extract(self.0.as_slice());
        let info = [purpose.as_bytes()];
        let expanded = extracted.expand(&info, hkdf::HKDF_SHA256).map_err(unusable)?;
        let mut out = Zeroizing::new([0; 32]);
        expanded.fill(out.as_mut_slice()).map_err(unusable)?;
        Ok(out)
    }

    /// Seals with AES-256-GCM under a random nonce; `what` is bound to it, so that a row moved elsewhere does not open.
    ///
    /// # Errors
    /// [`KeyError::Crypto`].
    pub fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut body = plain.to_vec();
        let nonce = self
            .sealing_key()?
            .seal_in_place_append_tag(Aad::from(what.as_bytes()), &mut body)
            .map_err(|_| KeyError::Crypto("sealing failed"))?;
        Ok([nonce.as_ref().as_slice(), &body].concat())
    }

    /// Opens what [`MasterKey::seal`] sealed.
    ///
    /// # Errors
    /// [`KeyError::Crypto`]: changed, moved, or sealed under another key.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let unopened =
            || KeyError::Crypto("what was sealed does not open: it was changed, moved, or sealed under another key");
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(unopened)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self
            .sealing_key()?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(what.as_bytes()), &mut body)
            .map_err(|_| unopened())?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    fn sealing_key(&self) -> Result<RandomizedNonceKey, KeyError> {
        let key = self.derive("seal")?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice())
            .map_err(|_| KeyError::Crypto("the sealing key can't be used"))
    }

    /// What an authority with this key is called.
    ///
    /// # Errors
    /// [`KeyError::Crypto`].
    pub fn name(&self) -> Result<String, KeyError> {
        let derived = self.derive("instance")?;
        let (number, _) = derived.split_first_chunk().ok_or(KeyError::Crypto("a key could not be derived"))?;
        Ok(format!("{:016x}", u64::from_be_bytes(*number)))
    }

    /// Which key it is, without a word of the key.
    ///
    /// # Errors
    /// [`KeyError::Crypto`].
    pub fn id(&self) -> Result<String, KeyError> {
        Ok(base64url(&self.derive("key-id")?[..16]))
    }

    /// The log's signer.
    ///
    /// # Errors
    /// [`KeyError::Crypto`].
    pub fn log_signer(&self, issuer: &str) -> Result<LogSigner, KeyError> {
        let seed = self.derive("log")?;
        LogSigner::new(issuer, &seed).map_err(|_| KeyError::Crypto("the log's key can't be used"))
    }
}

/// How long a node signs and publishes what it read before it looks whether another node rotated.
const LOOK: Duration = Duration::from_millis(500);
/// How long after one look for a key that is not known the next may follow: whoever makes up names has nothing read for it
/// more often, and waits.
const UNKNOWN: Duration = Duration::from_millis(50);
/// How old what it read may be at most.
const OLDEST: Duration = Duration::from_millis(900);
/// Seconds for which a key verifies after it signed last: the longest grant, and what clocks may be apart.
const VERIFIES: i64 = Ttl::MAX.cast_signed() + 3600;

struct SigningKey {
    kid: String,
    key: EncodingKey,
}

/// Signs tokens with the newest key, publishes every one whose tokens may be good.
pub struct Signer {
    store: Store,
    master: Arc<MasterKey>,
    state: RwLock<State>,
    /// Held by the one that looks.
    looking: Mutex<()>,
}

struct State {
    current: SigningKey,
    /// Public halves, each with the time of its retirement.
    keys: Vec<(Jwk, Option<Timestamp>)>,
    read: Instant,
}

impl State {
    fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|(jwk, _)| jwk.common.key_id.as_deref() == Some(kid))
    }

    fn published(&self, now: Timestamp) -> JwkSet {
        let verifies =
            |retired: Option<Timestamp>| retired.is_none_or(|at| now.as_second() - at.as_second() < VERIFIES);
        JwkSet {
            keys: self.keys.iter().filter(|(_, retired)| verifies(*retired)).map(|(jwk, _)| jwk.clone()).collect(),
        }
    }
}

/// A new key, sealed, ready to be recorded.
///
/// # Errors
/// [`KeyError`].
pub fn new_signing_key(master: &MasterKey, clock: &Clock) -> Result<SigningKeyRow, KeyError> {
    let unusable = |_| KeyError::Crypto("no signing key could be made");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(unusable)?;
    let der = pair.to_pkcs8v1().map_err(unusable)?;
    let (kid, _) = public_jwk(der.as_ref())?;
    let sealed = master.seal(&purpose(&kid), der.as_ref())?;
    Ok(SigningKeyRow { kid, sealed, created_at: clock.now(), retired_at: None })
}

fn purpose(kid: &str) -> String {
    format!("signing-key:{kid}")
}

fn public_jwk(der: &[u8]) -> Result<(String, Jwk), KeyError> {
    let unusable = |_| KeyError::Crypto("a signing key can't be read");
    let mut jwk = Jwk::from_encoding_key(&EncodingKey::from_ec_der(der), Algorithm::ES256).map_err(unusable)?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(unusable)?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    jwk.common.key_algorithm = Some(KeyAlgorithm::ES256);
    Ok((kid, jwk))
}

impl Signer {
    /// Opens every signing key in the store.
    ///
    /// # Errors
    /// [`KeyError`]; also where there is none.
    pub async fn load(store: &Store, master: &Arc<MasterKey>) -> Result<Self, KeyError> {
        let state = RwLock::new(read(store, master).await?);
        Ok(Self { store: store.clone(), master: master.clone(), state, looking: Mutex::default() })
    }

    /// Takes up a rotation.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn reload(&self) -> Result<(), KeyError> {
        let fresh = read(&self.store, &self.master).await?;
        let mut state = self.state.write().await;
        // Of two at once the one that began first may end last.
        if fresh.read >= state.read {
            *state = fresh;
        }
        Ok(())
    }

    /// Takes up what another node rotated. One call looks, and the others go on meanwhile, for as long as what is known
    /// is young enough.
    async fn look(&self) -> Result<(), KeyError> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let age = self.state.read().await.read.elapsed();
        if age < LOOK {
            return Ok(());
        }
        match self.looking.try_lock() {
            Ok(_alone) => self.reload().await,
            Err(_) if age < OLDEST => Ok(()),
            Err(_) => self.reload().await,
        }
    }

    /// Signs claims with the newest key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn sign(&self, claims: &Claims) -> Result<Secret, KeyError> {
        self.look().await?;
        let state = self.state.read().await;
        let token = access_token::sign(claims, &state.current.kid, &state.current.key);
        token.map(Secret::new).map_err(|_| KeyError::Crypto("signing failed"))
    }

    /// The public halves, to be published.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn jwks(&self, now: Timestamp) -> Result<JwkSet, KeyError> {
        self.look().await?;
        Ok(self.state.read().await.published(now))
    }

    /// The public halves, to check `token` with: one that another node signed with a key it just made is known at once.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn keys_for(&self, token: &str, now: Timestamp) -> Result<JwkSet, KeyError> {
        let kid = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        if let Some(kid) = kid.filter(|_| self.store.is_shared())
            && !self.state.read().await.knows(&kid)
        {
            self.look_for_another().await?;
        }
        self.jwks(now).await
    }

    /// Takes up what there is by now. One call looks for all that wait.
    async fn look_for_another(&self) -> Result<(), KeyError> {
        let asked = Instant::now();
        let _alone = self.looking.lock().await;
        let read = self.state.read().await.read;
        if read >= asked {
            return Ok(());
        }
        tokio::time::sleep_until(read + UNKNOWN).await;
        self.reload().await
    }
}

async fn read(store: &Store, master: &MasterKey) -> Result<State, KeyError> {
    let read = Instant::now();
    let mut current = None;
    let mut keys = Vec::new();
    for row in store.signing_keys().await? {
        let der = master.open(&purpose(&row.kid), &row.sealed)?;
        let (kid, jwk) = public_jwk(&der)?;
        keys.push((jwk, row.retired_at));
        if row.retired_at.is_none() && current.is_none() {
            current = Some(SigningKey { kid, key: EncodingKey::from_ec_der(&der) });
        }
    }
    let current = current.ok_or(KeyError::Crypto("there is no signing key"))?;
    Ok(State { current, keys, read })
}
