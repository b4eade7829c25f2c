//! Stored secrets: sealed under the authority's key with the resource's name bound in, opened only for a grant.

use crate::authority::Authority;
use crate::authority::error::Refusal;
use crate::protocol::secret::Secret;

/// What the sealing is bound to.
pub(in crate::authority) fn purpose(resource: &str) -> String {
    format!("secret:{resource}")
}

pub(super) async fn is_stored(authority: &Authority, resource: &str) -> Result<(), Refusal> {
    sealed(authority, resource).await.map(|_| ())
}

pub(super) async fn issue(authority: &Authority, resource: &str) -> Result<Secret, Refusal> {
    let sealed = sealed(authority, resource).await?;
    let plain = authority
        .master
        .open(&purpose(resource), &sealed)
        .map_err(|_| Refusal::Keys("the stored secret does not open: it was changed, or sealed under another key"))?;
    Secret::from_utf8(plain.to_vec()).ok_or(Refusal::Keys("the stored secret is no text"))
}

async fn sealed(authority: &Authority, resource: &str) -> Result<Vec<u8>, Refusal> {
    authority.store.sealed_secret(resource).await?.ok_or_else(|| Refusal::NoSecret(resource.to_owned()))
}
