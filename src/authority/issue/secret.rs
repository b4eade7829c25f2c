//! Stored secrets: sealed under the authority's key with the resource's name bound in, opened only for a grant. Where the
//! text is sealed under security keys as well, so is for which ones: a row of which a part was changed does not open.

use crate::authority::Authority;
use crate::authority::error::Refusal;
use crate::authority::store::SecretRow;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::messages::SealedFor;
use crate::protocol::secret::Secret;

/// A secret as it stands in the store, found to be whole.
pub(in crate::authority) struct StoredSecret {
    row: SecretRow,
    sealed_for: Option<SealedFor>,
}

impl StoredSecret {
    /// The security keys that unseal it, if it is sealed under any.
    pub(in crate::authority) const fn sealed_for(&self) -> Option<&SealedFor> {
        self.sealed_for.as_ref()
    }
}

/// Seals a text for the store.
pub(in crate::authority) fn seal(
    authority: &Authority,
    resource: &str,
    text: &Secret,
    sealed_for: Option<&SealedFor>,
) -> Result<SecretRow, Refusal> {
    let sealed_for = sealed_for.map(serde_json::to_string).transpose();
    let sealed_for = sealed_for.map_err(|_| Refusal::Keys("sealing failed"))?;
    let purpose = purpose(resource, sealed_for.as_deref());
    let sealed = authority.master.seal(&purpose, text.expose().as_bytes());
    Ok(SecretRow { sealed: sealed.map_err(|_| Refusal::Keys("sealing failed"))?, sealed_for })
}

/// What the sealing is bound to.
fn purpose(resource: &str, sealed_for: Option<&str>) -> String {
    match sealed_for {
        None => format!("secret:{resource}"),
        // No resource has a colon in its name.
        Some(sealed_for) => format!("secret:{resource}:sealed-for:{}", base64url(sha256(&[sealed_for.as_bytes()]))),
    }
}

/// Looks at a stored secret before anybody touches a key for it.
pub(super) async fn stored(authority: &Authority, resource: &str) -> Result<StoredSecret, Refusal> {
    let row = authority.store.secret(resource).await?.ok_or_else(|| Refusal::NoSecret(resource.to_owned()))?;
    open(authority, resource, &row)?;
    let sealed_for = row.sealed_for.as_deref().map(serde_json::from_str).transpose();
    let sealed_for = sealed_for.map_err(|_| Refusal::Keys("it can't be read for which keys the secret is sealed"))?;
    Ok(StoredSecret { row, sealed_for })
}

pub(super) fn issue(authority: &Authority, resource: &str, secret: &StoredSecret) -> Result<Secret, Refusal> {
    open(authority, resource, &secret.row)
}

fn open(authority: &Authority, resource: &str, row: &SecretRow) -> Result<Secret, Refusal> {
    let plain = authority
        .master
        .open(&purpose(resource, row.sealed_for.as_deref()), &row.sealed)
        .map_err(|_| Refusal::Keys("the stored secret does not open: it was changed, or sealed under another key"))?;
    Secret::from_utf8(plain.to_vec()).ok_or(Refusal::Keys("the stored secret is no text"))
}
