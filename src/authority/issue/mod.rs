//! The one place where a credential comes to be. [`issue`] takes three proofs, each of which only its owner can make:
//! policy's yes, the step-up that was verified, and the entry on disk. It refuses proofs of different elevations.

mod jwt;
pub(in crate::authority) mod secret;

use super::Authority;
use super::audit::Recorded;
use super::config::Resource;
use super::error::Refusal;
use super::policy::Permitted;
use super::step_up::StepUp;
use super::store::GrantRow;
use crate::clock::seconds_between;
use crate::log::leaf::Event;
use crate::protocol::assurance::Assurance;
use crate::protocol::messages::{ACCESS_TOKEN_TYPE, GrantResponse, ResourceKind, SealedFor};
use crate::protocol::names::Scope;
use secret::StoredSecret;

/// What is there to be issued for a resource; looked at before anybody is made to touch a key, and issued as it was then.
pub struct Issuable<'a> {
    resource: &'a Resource,
    secret: Option<StoredSecret>,
}

impl<'a> Issuable<'a> {
    /// # Errors
    /// [`Refusal::NoSecret`]; [`Refusal::Keys`], where the stored secret was changed; [`Refusal::Store`].
    pub async fn look(authority: &Authority, name: &str, resource: &'a Resource) -> Result<Self, Refusal> {
        let secret = match resource.kind {
            ResourceKind::Jwt => None,
            ResourceKind::Secret => Some(secret::stored(authority, name).await?),
        };
        Ok(Self { resource, secret })
    }

    /// The security keys that unseal the secret, if it is one and sealed.
    #[must_use]
    pub fn sealed_for(&self) -> Option<&SealedFor> {
        self.secret.as_ref().and_then(StoredSecret::sealed_for)
    }
}

/// A key gives another `hmac-secret` with and without verifying its user: what is sealed under one is to be had at
/// `verified` or above, whatever policy says.
#[must_use]
pub fn raised_for_sealed(permitted: Permitted, sealed_for: Option<&SealedFor>) -> Permitted {
    match sealed_for {
        Some(_) => permitted.at_least(Assurance::Verified, "the secret is sealed under your security keys"),
        None => permitted,
    }
}

/// Issues the credential of a recorded grant.
///
/// # Errors
/// [`Refusal::Keys`], also where the three proofs are not of one elevation or the step-up is below what policy asks;
/// [`Refusal::Audit`].
pub async fn issue(
    authority: &Authority,
    permitted: &Permitted,
    step_up: &StepUp,
    recorded: &Recorded,
    grant: &GrantRow,
    issuable: &Issuable<'_>,
    log_size: u64,
) -> Result<GrantResponse, Refusal> {
    let elevation = permitted.elevation();
    if step_up.elevation() != elevation || recorded.elevation() != elevation {
        return Err(Refusal::Keys("the proofs belong to different elevations"));
    }
    if step_up.assurance() < permitted.assurance() || recorded.event() != Event::GrantIssued {
        return Err(Refusal::Keys("the proofs do not carry this grant"));
    }
    let access_token = jwt::issue(authority, elevation, step_up, grant, issuable.resource).await?;
    let secret =
        issuable.secret.as_ref().map(|secret| secret::issue(authority, &grant.resource, secret)).transpose()?;
    Ok(GrantResponse {
        access_token,
        issued_token_type: ACCESS_TOKEN_TYPE.to_owned(),
        token_type: "DPoP".to_owned(),
        expires_in: seconds_between(grant.issued_at, grant.expires_at),
        scope: grant.scope.parse::<Scope>()?,
        grant_id: grant.id.clone(),
        kind: issuable.resource.kind,
        issued_at: grant.issued_at,
        expires_at: grant.expires_at,
        acr: step_up.assurance().acr().to_owned(),
        amr: step_up.amr(),
        receipt: authority.audit.receipt(recorded, log_size).await?,
        secret,
        secret_sealed: issuable.sealed_for().is_some(),
    })
}
