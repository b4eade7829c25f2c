//! Access tokens (RFC 9068): for every grant, and the credential itself for resources of kind `jwt`.

use crate::authority::Authority;
use crate::authority::config::Resource;
use crate::authority::elevation::ElevationId;
use crate::authority::error::Refusal;
use crate::authority::step_up::StepUp;
use crate::authority::store::GrantRow;
use crate::protocol::CLIENT_ID;
use crate::protocol::access_token::{Claims, Confirmation};
use crate::protocol::secret::Secret;

pub(super) async fn issue(
    authority: &Authority,
    elevation: &ElevationId,
    step_up: &StepUp,
    grant: &GrantRow,
    resource: &Resource,
) -> Result<Secret, Refusal> {
    // A secret's token opens nothing but introspection and revocation: its audience is the resource's own name.
    let own_name = || format!("urn:elevate:resource:{}", grant.resource);
    let claims = Claims {
        iss: authority.issuer.to_string(),
        aud: resource.audience.clone().unwrap_or_else(own_name),
        sub: grant.sub.clone(),
        client_id: CLIENT_ID.to_owned(),
        iat: grant.issued_at.as_second(),
        exp: grant.expires_at.as_second(),
        jti: grant.id.clone(),
        scope: grant.scope.clone(),
        auth_time: step_up.auth_time().map(jiff::Timestamp::as_second),
        acr: step_up.assurance().acr().to_owned(),
        amr: step_up.amr(),
        cnf: Confirmation { jkt: grant.jkt.clone() },
        txn: elevation.to_string(),
    };
    Ok(authority.signer.sign(&claims).await?)
}
