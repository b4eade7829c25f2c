//! What becomes of a token that was issued: revoked (RFC 7009), or looked up (RFC 7662).

use super::{Answered, From, Shared, ok, onlooker};
use crate::authority::Authority;
use crate::authority::audit::{Entry, RecordError};
use crate::authority::caller::Subject;
use crate::authority::elevation::ElevationId;
use crate::authority::error::Refusal;
use crate::authority::sign_in;
use crate::authority::store::Change;
use crate::log::leaf::Event;
use crate::protocol::access_token::{self, Claims};
use crate::protocol::messages::{Introspection, TokenParameter};
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use serde_json::json;

/// RFC 7009: 200 whether or not there was something to revoke.
pub(super) async fn revoke(
    State(authority): Shared,
    ConnectInfo(caller): From,
    form: Result<Form<TokenParameter>, FormRejection>,
) -> Answered {
    let Form(request) = form.map_err(Refusal::from)?;
    let account = caller.account(authority.served)?;
    if sign_in::sessions::sign_out(&authority, request.token.expose()).await?.is_some() {
        return ok(&json!({}));
    }
    let Some(claims) = own_claims(&authority, account.as_ref(), &request).await? else { return ok(&json!({})) };
    let now = authority.clock.now();
    let private = json!({ "sub": claims.sub, "grant_id": claims.jti });
    let entry = Entry::new(Event::GrantRevoked, ElevationId::stored(claims.txn), private);
    let grant_id = claims.jti.clone();
    match authority.audit.record(entry, vec![Change::RevokeGrant { id: claims.jti, at: now }]).await {
        Ok(_) => ok(&json!({})),
        // Over already, or somebody else's revocation is under way: then that one has to be on disk as well.
        Err(RecordError::Conflict(what)) => match authority.store.grant(&grant_id).await? {
            Some(grant) if grant.stands(now) => Err(Refusal::Conflict(what).into()),
            Some(_) | None => ok(&json!({})),
        },
        Err(error) => Err(error.into()),
    }
}

/// What a token of ours says. On a socket it has to be the account's own, or of somebody who is no account, as a workload;
/// over the network whoever holds one may revoke it (RFC 7009 section 2.1: the client is public).
async fn own_claims(
    authority: &Authority,
    account: Option<&Subject>,
    request: &TokenParameter,
) -> Result<Option<Claims>, Refusal> {
    let now = authority.clock.now();
    let keys = authority.signer.keys_for(request.token.expose(), now).await?;
    let claims = access_token::verify(request.token.expose(), &keys, authority.issuer.as_str(), None, now);
    let is_account = |sub: &str| sub.starts_with("uid:");
    let may = |sub: &str| account.is_none_or(|subject| sub == subject.sub() || !is_account(sub));
    Ok(claims.ok().filter(|claims| may(&claims.sub)))
}

/// RFC 7662. The one place that knows of revocation at once.
pub(super) async fn introspect(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<Form<TokenParameter>, FormRejection>,
) -> Answered {
    let Form(request) = form.map_err(Refusal::from)?;
    // A service has no hands to sign in with: its identity token says who it is.
    onlooker(&authority, authority.rules(), caller, &headers, ("POST", "/introspect")).await?;
    let now = authority.clock.now();
    let keys = authority.signer.keys_for(request.token.expose(), now).await?;
    let inactive = Introspection { active: false, claims: None };
    let Ok(claims) = access_token::verify(request.token.expose(), &keys, authority.issuer.as_str(), None, now) else {
        return ok(&inactive);
    };
    let grant = authority.store.grant(&claims.jti).await?;
    let user = authority.store.user(&claims.sub).await?;
    let active = grant.is_some_and(|grant| grant.stands(now)) && user.is_some_and(|user| user.disabled_at.is_none());
    if active { ok(&Introspection { active, claims: Some(claims) }) } else { ok(&inactive) }
}
