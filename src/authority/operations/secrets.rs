//! Secrets of resources: what may be stored, for which resource.

use crate::authority::Authority;
use crate::authority::error::Refusal;
use crate::authority::issue::secret;
use crate::authority::store::{SecretRow, SecurityKeyRow};
use crate::protocol::encoding::from_base64url;
use crate::protocol::messages::{OperationRequest, ResourceKind, SealedFor};
use crate::protocol::names::ResourceName;
use std::collections::BTreeSet;

/// Bytes a stored secret may have.
const SECRET_MAX: usize = 64 << 10;
/// Bytes that one may have once it is sealed for 32 keys and written in ASCII armor.
const SEALED_MAX: usize = 128 << 10;
/// How an age file in ASCII armor begins.
const AGE_ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// A secret as it is stored, after a look at it.
pub(super) async fn secret_row(
    authority: &Authority,
    sub: &str,
    resource: &ResourceName,
    request: &OperationRequest,
) -> Result<SecretRow, Refusal> {
    let malformed = |reason: &str| Refusal::Malformed(reason.to_owned());
    let secret = request.secret.as_ref().ok_or_else(|| malformed("there is no secret to store"))?;
    let text = secret.expose();
    if text.contains('\0') {
        return Err(malformed("a secret holds no NUL: no variable could carry it"));
    }
    if let Some(sealed_for) = &request.sealed_for {
        if text.len() > SEALED_MAX {
            return Err(malformed("a sealed secret has 128 KiB at most"));
        }
        if !text.starts_with(AGE_ARMOR) {
            return Err(malformed("a sealed secret is an age file in ASCII armor"));
        }
        check_sealed_for(sealed_for, &authority.store.security_keys(sub).await?)?;
    } else if text.is_empty() || text.len() > SECRET_MAX {
        return Err(malformed("a secret has 1 byte to 64 KiB"));
    }
    secret::seal(authority, resource.as_str(), secret, request.sealed_for.as_ref())
}

fn check_sealed_for(sealed_for: &SealedFor, keys: &[SecurityKeyRow]) -> Result<(), Refusal> {
    if from_base64url(&sealed_for.salt).is_none_or(|salt| salt.len() != 32) {
        return Err(Refusal::Malformed("the salt of a sealed secret is base64url of 32 bytes".into()));
    }
    let distinct: BTreeSet<&String> = sealed_for.credential_ids.iter().collect();
    if distinct.is_empty() || distinct.len() != sealed_for.credential_ids.len() {
        return Err(Refusal::Malformed("a secret is sealed for one key or more, each named once".into()));
    }
    for id in distinct {
        let key = keys.iter().find(|key| key.credential_id == *id);
        match key {
            None => return Err(Refusal::Conflict("the secret is sealed for a key that is not one of yours")),
            Some(key) if !key.verifies_user => {
                return Err(Refusal::Conflict(
                    "the secret is sealed for a key that did not check a PIN or biometric when it was enrolled: remove it and \
                     enrol it again with its PIN",
                ));
            }
            Some(key) if !key.can_seal() => {
                return Err(Refusal::Conflict(
                    "the secret is sealed for a key that has no hmac-secret: remove it and enrol it again if its model can",
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The resource of a secret; it must be in the catalogue, as one of that kind.
pub(super) async fn secret_resource(authority: &Authority, name: &str) -> Result<ResourceName, Refusal> {
    let name: ResourceName = name.parse()?;
    let rules = authority.rules().await?;
    match authority.catalogue(&rules).await?.resource(&name)?.kind {
        ResourceKind::Secret => Ok(name),
        ResourceKind::Jwt => Err(Refusal::Malformed(format!("'{name}' is of kind jwt and holds no secret"))),
    }
}
