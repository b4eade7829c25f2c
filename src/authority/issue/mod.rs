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
use crate::protocol::messages::{ACCESS_TOKEN_TYPE, GrantResponse, ResourceKind};
use crate::protocol::names::Scope;

/// Issues the credential of a recorded grant.
///
/// # Errors
/// [`Refusal::Keys`], also where the three proofs are not of one elevation or the step-up is below what policy asks;
/// [`Refusal::NoSecret`]; [`Refusal::Store`].
pub async fn issue(
    authority: &Authority,
    permitted: &Permitted,
    step_up: &StepUp,
    recorded: &Recorded,
    grant: &GrantRow,
    resource: &Resource,
    log_size: u64,
) -> Result<GrantResponse, Refusal> {
    let elevation = permitted.elevation();
    if step_up.elevation() != elevation || recorded.elevation() != elevation {
        return Err(Refusal::Keys("the proofs belong to different elevations"));
    }
    if step_up.assurance() < permitted.assurance() || recorded.event() != Event::GrantIssued {
        return Err(Refusal::Keys("the proofs do not carry this grant"));
    }
    let access_token = jwt::issue(authority, elevation, step_up, grant, resource).await?;
    let secret = match resource.kind {
        ResourceKind::Jwt => None,
        ResourceKind::Secret => Some(secret::issue(authority, &grant.resource).await?),
    };
    Ok(GrantResponse {
        access_token,
        issued_token_type: ACCESS_TOKEN_TYPE.to_owned(),
        token_type: "DPoP".to_owned(),
        expires_in: seconds_between(grant.issued_at, grant.expires_at),
        scope: grant.scope.parse::<Scope>()?,
        grant_id: grant.id.clone(),
        kind: resource.kind,
        issued_at: grant.issued_at,
        expires_at: grant.expires_at,
        acr: step_up.assurance().acr().to_owned(),
        amr: step_up.amr(),
        receipt: authority.audit.receipt(recorded, log_size).await?,
        secret,
        secret_sealed: false,
    })
}

/// Whether a credential for this resource can be issued at all; asked before anybody is made to touch a key.
///
/// # Errors
/// [`Refusal::NoSecret`]; [`Refusal::Store`].
pub async fn can_issue(authority: &Authority, name: &str, resource: &Resource) -> Result<(), Refusal> {
    match resource.kind {
        ResourceKind::Jwt => Ok(()),
        ResourceKind::Secret => secret::is_stored(authority, name).await,
    }
}
