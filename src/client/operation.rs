//! One operation on the authority itself: an elevation for exactly this body, spent at once.

use super::Device;
use super::elevation::{Cache, Wanted, ask};
use super::error::Error;
use super::grant_store::StoredGrant;
use crate::protocol::AUTHORITY_RESOURCE;
use crate::protocol::dpop::ProofKey;
use crate::protocol::encoding::{base64url, random, sha256};
use crate::protocol::messages::{Operation, OperationName, OperationRequest, SealedFor};
use crate::protocol::names::{ResourceName, Ttl};
use crate::protocol::secret::Secret;
use serde_json::Value;
use zeroize::Zeroizing;

/// Carries out one operation; returns what the authority has to show.
///
/// # Errors
/// [`Error`]; then nothing was changed.
pub fn operate(
    device: &Device,
    name: OperationName,
    target: Option<String>,
    secret: Option<Secret>,
) -> Result<Value, Error> {
    carry_out(
        device,
        name,
        OperationRequest { target, secret, sealed_for: None, ttl: None, salt: base64url(random::<16>()) },
    )
}

/// Stores a secret that is sealed under security keys.
///
/// # Errors
/// [`Error`]; then nothing was changed.
pub fn store_sealed(
    device: &Device,
    resource: &ResourceName,
    secret: Secret,
    sealed_for: SealedFor,
) -> Result<Value, Error> {
    let (target, salt) = (Some(resource.to_string()), base64url(random::<16>()));
    let request = OperationRequest { target, secret: Some(secret), sealed_for: Some(sealed_for), ttl: None, salt };
    carry_out(device, OperationName::SecretSet, request)
}

/// Invites somebody to enrol a first key.
///
/// # Errors
/// [`Error`]; then nothing was changed.
pub fn invite(device: &Device, user: &str, ttl: Option<Ttl>) -> Result<Value, Error> {
    let (target, salt) = (Some(user.to_owned()), base64url(random::<16>()));
    let request = OperationRequest { target, secret: None, sealed_for: None, ttl, salt };
    carry_out(device, OperationName::UserInvite, request)
}

fn carry_out(device: &Device, name: OperationName, request: OperationRequest) -> Result<Value, Error> {
    let body = serde_json::to_vec(&request).map(Zeroizing::new).map_err(|error| Error::failed(error.to_string()))?;
    let (grant, key) = vouch(device, name, request.target, &body)?;
    device.api()?.operation(name, &body, &grant.access_token, &key)
}

/// The elevation that vouches for an operation with this body, and the key it is bound to.
///
/// # Errors
/// [`Error`].
pub fn vouch(
    device: &Device,
    name: OperationName,
    target: Option<String>,
    body: &[u8],
) -> Result<(StoredGrant, ProofKey), Error> {
    let operation = Operation { name, target, body_sha256: base64url(sha256(&[body])) };
    let wanted = Wanted { cache: Cache::Ignore, ..Wanted::of(AUTHORITY_RESOURCE.parse()?) };
    let (grant, _) = ask(device, device.api()?, &wanted, Some(operation))?;
    let key = ProofKey::from_stored(grant.proof_key.clone()).map_err(|error| Error::failed(error.to_string()))?;
    Ok((grant, key))
}
