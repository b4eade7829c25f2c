//! One operation on the authority itself: an elevation for exactly this body, spent at once.

use super::Device;
use super::elevation::{Cache, Wanted, ask};
use super::error::Error;
use super::grant_store::StoredGrant;
use crate::protocol::AUTHORITY_RESOURCE;
use crate::protocol::dpop::ProofKey;
use crate::protocol::encoding::{base64url, random, sha256};
use crate::protocol::messages::{Operation, OperationName, OperationRequest};
use serde_json::Value;
use zeroize::Zeroizing;

/// What an operation concerns, with a salt that makes its hash unguessable.
#[must_use]
pub fn request(target: Option<&str>) -> OperationRequest {
    OperationRequest {
        target: target.map(str::to_owned),
        salt: base64url(random::<16>()),
        ..OperationRequest::default()
    }
}

/// Carries out one operation; returns what the authority has to show. `does` says for the person what is approved.
///
/// # Errors
/// [`Error`]; then nothing was changed.
pub fn operate(device: &Device, name: OperationName, request: OperationRequest, does: &str) -> Result<Value, Error> {
    let body = serde_json::to_vec(&request).map(Zeroizing::new).map_err(|error| Error::failed(error.to_string()))?;
    let (grant, key) = vouch(device, name, request.target, &body, does)?;
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
    does: &str,
) -> Result<(StoredGrant, ProofKey), Error> {
    let operation = Operation { name, target, body_sha256: base64url(sha256(&[body])) };
    let wanted =
        Wanted { cache: Cache::Ignore, does: Some(does.to_owned()), ..Wanted::of(AUTHORITY_RESOURCE.parse()?) };
    let (grant, _) = ask(device, device.api()?, &wanted, Some(operation))?;
    let key = ProofKey::from_stored(grant.proof_key.clone()).map_err(|error| Error::failed(error.to_string()))?;
    Ok((grant, key))
}
