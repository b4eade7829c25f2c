//! The challenge is the transaction: what a key signs is a hash of exactly what was asked, shown and decided.
//!
//! `challenge = SHA-256("elevate/challenge/v1" ‖ 0x00 ‖ nonce(32) ‖ SHA-256(JCS(txn)))`, JCS being RFC 8785.
//! Test vectors that other languages reproduce: `tests/vectors/challenge.json`.

use super::CLIENT_ID;
use super::assurance::Assurance;
use super::encoding::{Digest, base64url, canonical_json, from_base64url, sha256};
use super::messages::AuthorizationDetail;
use super::names::{ResourceName, Scope, Ttl};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const DOMAIN: &[u8] = b"elevate/challenge/v1\0";
/// Another one for signing in: what a key signs for the one is never good for the other.
const SIGN_IN_DOMAIN: &[u8] = b"elevate/sign-in/v1\0";

/// What a key signs where somebody signs in with it: nobody is known yet, so it names none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInTransaction {
    /// Version of this object; 1.
    pub v: u8,
    /// `sign_in`.
    pub action: String,
    /// Issuer (RFC 8414).
    pub iss: String,
    /// OAuth client.
    pub client_id: String,
    /// RFC 7638 thumbprint of the proof key that the sign-in will be bound to.
    pub jkt: String,
    /// base64url SHA-256 of `auth_session`.
    pub auth_session_hash: String,
    /// Unix time at which this challenge dies.
    pub exp: i64,
}

impl SignInTransaction {
    /// The one transaction that these make.
    #[must_use]
    pub fn new(issuer: &str, jkt: &str, auth_session: &str, expires: Timestamp) -> Self {
        Self {
            v: 1,
            action: "sign_in".to_owned(),
            iss: issuer.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            jkt: jkt.to_owned(),
            auth_session_hash: session_hash(auth_session),
            exp: expires.as_second(),
        }
    }

    /// The 32 bytes a key signs for this sign-in and nonce.
    ///
    /// # Errors
    /// Where it has no canonical form.
    pub fn challenge(&self, nonce: &[u8; 32]) -> Result<Digest, NotWhatWasAsked> {
        let bytes = canonical_json(self).map_err(|_| NotWhatWasAsked::Malformed("txn"))?;
        Ok(sha256(&[SIGN_IN_DOMAIN, nonce, &sha256(&[&bytes])]))
    }

    /// The client's side: is `challenge` what comes of *our* sign-in? When it dies, if so.
    ///
    /// # Errors
    /// [`NotWhatWasAsked`], naming what differs.
    pub fn rebuild(
        &self,
        issuer: &str,
        jkt: &str,
        auth_session: &str,
        nonce: &str,
        challenge: &[u8],
    ) -> Result<Timestamp, NotWhatWasAsked> {
        let expires = Timestamp::from_second(self.exp).map_err(|_| NotWhatWasAsked::Malformed("exp"))?;
        let own = Self::new(issuer, jkt, auth_session, expires);
        if own != *self {
            return Err(NotWhatWasAsked::Differs("txn"));
        }
        if own.challenge(&read_nonce(nonce)?)?.as_slice() == challenge {
            Ok(expires)
        } else {
            Err(NotWhatWasAsked::Challenge)
        }
    }
}

fn read_nonce(nonce: &str) -> Result<[u8; 32], NotWhatWasAsked> {
    from_base64url(nonce).and_then(|bytes| bytes.try_into().ok()).ok_or(NotWhatWasAsked::Malformed("nonce"))
}

/// Everything one elevation is about: what the client asked, and how the authority narrowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Version of this object; 1.
    pub v: u8,
    /// Issuer (RFC 8414).
    pub iss: String,
    /// OAuth client.
    pub client_id: String,
    /// Whom the grant is for.
    pub sub: String,
    /// RFC 7638 thumbprint of the proof key that the grant will be bound to.
    pub jkt: String,
    /// base64url SHA-256 of `auth_session`.
    pub auth_session_hash: String,
    /// RFC 8707 resource indicator.
    pub resource: String,
    /// Scope that will be granted.
    pub scope: Scope,
    /// RFC 9396 details, exactly as asked.
    pub authorization_details: Vec<AuthorizationDetail>,
    /// The rung policy asks for, as its `acr`.
    pub acr_values: String,
    /// Oldest acceptable authentication, in seconds; 0 means this one.
    pub max_age: u64,
    /// Seconds the grant will last.
    pub ttl: u64,
    /// Unix time at which this challenge dies.
    pub exp: i64,
    /// The policies that decided, joined by commas.
    pub policy_id: String,
}

/// What the authority may add to a request. It can only take away; the client checks that with [`Transaction::narrowed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// The rung policy asks for.
    pub assurance: Assurance,
    /// Scope that will be granted.
    pub scope: Scope,
    /// Seconds the grant will last.
    pub ttl: u64,
    /// When the challenge dies.
    pub expires: Timestamp,
    /// The policies that decided.
    pub policy_id: String,
}

/// What the client asked, as far as it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Issuer.
    pub issuer: String,
    /// Whom the grant is for.
    pub subject: String,
    /// Thumbprint of the proof key.
    pub jkt: String,
    /// The resource.
    pub resource: ResourceName,
    /// Scope asked; empty asks for the resource's default.
    pub scope: Scope,
    /// The details, with the time asked, reason and claims.
    pub detail: AuthorizationDetail,
}

/// Why a transaction is not what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWhatWasAsked {
    /// A field differs that the authority may not change.
    #[error("the authority's challenge differs from what was asked in '{0}'")]
    Differs(&'static str),
    /// The authority offers more than was asked.
    #[error("the authority's challenge offers more than was asked in '{0}'")]
    Widened(&'static str),
    /// The challenge bytes are not the hash of the transaction.
    #[error("the bytes to be signed are not the hash of the transaction that was shown")]
    Challenge,
    /// The nonce or the transaction can't be read.
    #[error("the authority's challenge is malformed: {0}")]
    Malformed(&'static str),
}

impl Transaction {
    /// The one transaction that `asked` and `narrowing` make.
    #[must_use]
    pub fn new(asked: &Asked, auth_session: &str, narrowing: &Narrowing) -> Self {
        Self {
            v: 1,
            iss: asked.issuer.clone(),
            client_id: CLIENT_ID.to_owned(),
            sub: asked.subject.clone(),
            jkt: asked.jkt.clone(),
            auth_session_hash: session_hash(auth_session),
            resource: asked.resource.indicator(),
            scope: narrowing.scope.clone(),
            authorization_details: vec![asked.detail.clone()],
            acr_values: narrowing.assurance.acr().to_owned(),
            max_age: 0,
            ttl: narrowing.ttl,
            exp: narrowing.expires.as_second(),
            policy_id: narrowing.policy_id.clone(),
        }
    }

    /// What the authority added, if nothing in it is wider than `asked`.
    ///
    /// # Errors
    /// [`NotWhatWasAsked`], naming the field.
    pub fn narrowed(&self, asked: &Asked, auth_session: &str) -> Result<Narrowing, NotWhatWasAsked> {
        use NotWhatWasAsked::{Differs, Malformed, Widened};
        if !asked.scope.is_empty() && !asked.scope.covers(&self.scope) {
            return Err(Widened("scope"));
        }
        if asked.detail.ttl.is_some_and(|ttl| self.ttl > ttl.seconds()) {
            return Err(Widened("ttl"));
        }
        Ttl::try_from(self.ttl).map_err(|_| Malformed("ttl"))?;
        let narrowing = Narrowing {
            assurance: Assurance::from_acr(&self.acr_values).ok_or(Malformed("acr_values"))?,
            scope: self.scope.clone(),
            ttl: self.ttl,
            expires: Timestamp::from_second(self.exp).map_err(|_| Malformed("exp"))?,
            policy_id: self.policy_id.clone(),
        };
        let own = Self::new(asked, auth_session, &narrowing);
        let fields = [
            ("v", self.v == own.v),
            ("iss", self.iss == own.iss),
            ("client_id", self.client_id == own.client_id),
            ("sub", self.sub == own.sub),
            ("jkt", self.jkt == own.jkt),
            ("auth_session_hash", self.auth_session_hash == own.auth_session_hash),
            ("resource", self.resource == own.resource),
            ("authorization_details", self.authorization_details == own.authorization_details),
            ("max_age", self.max_age == own.max_age),
        ];
        match fields.iter().find(|(_, same)| !same) {
            Some((field, _)) => Err(Differs(field)),
            None if own == *self => Ok(narrowing),
            None => Err(Differs("txn")),
        }
    }

    /// SHA-256 of the RFC 8785 form.
    ///
    /// # Errors
    /// Where the transaction has no canonical form.
    pub fn hash(&self) -> Result<Digest, NotWhatWasAsked> {
        let bytes = canonical_json(self).map_err(|_| NotWhatWasAsked::Malformed("txn"))?;
        Ok(sha256(&[&bytes]))
    }

    /// The 32 bytes a key signs for this transaction and nonce.
    ///
    /// # Errors
    /// Where the transaction has no canonical form.
    pub fn challenge(&self, nonce: &[u8; 32]) -> Result<Digest, NotWhatWasAsked> {
        Ok(sha256(&[DOMAIN, nonce, &self.hash()?]))
    }
}

/// The client's side: is `challenge` what comes of what *we* asked? If one byte differs, nothing is touched.
///
/// # Errors
/// [`NotWhatWasAsked`], naming what differs.
pub fn rebuild(
    asked: &Asked,
    auth_session: &str,
    transaction: &Transaction,
    nonce: &str,
    challenge: &[u8],
) -> Result<Narrowing, NotWhatWasAsked> {
    let nonce = read_nonce(nonce)?;
    let narrowing = transaction.narrowed(asked, auth_session)?;
    let own = Transaction::new(asked, auth_session, &narrowing);
    if own.challenge(&nonce)?.as_slice() == challenge { Ok(narrowing) } else { Err(NotWhatWasAsked::Challenge) }
}

/// How an `auth_session` appears in a transaction and in the store.
#[must_use]
pub fn session_hash(auth_session: &str) -> String {
    base64url(sha256(&[auth_session.as_bytes()]))
}
