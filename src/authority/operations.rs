//! Operations on the authority itself. Each is an elevation of its own: the access token was issued for exactly this
//! operation and this body, is spent by it, and the change commits with its log entry.

mod people;
mod resources;
mod secrets;

use super::Authority;
use super::audit::Entry;
use super::caller::Caller;
use super::elevation::ElevationId;
use super::error::Refusal;
use super::sign_in::invitations;
use super::signer::new_signing_key;
use super::store::{Change, GrantRow};
use crate::log::leaf::Event;
use crate::protocol::access_token;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::messages::{Operation, OperationName, OperationRequest, SealedFor};
use jiff::Timestamp;
use serde_json::{Value, json};

/// An operation that somebody may carry out now.
pub struct Authorized {
    grant: GrantRow,
    operation: Operation,
    elevation: String,
}

impl Authorized {
    /// Who.
    #[must_use]
    pub fn sub(&self) -> &str {
        &self.grant.sub
    }

    /// Which keys the user had when policy let it through.
    #[must_use]
    pub fn keys(&self) -> Option<&str> {
        self.grant.keys.as_deref()
    }

    /// The grant that lets them.
    #[must_use]
    pub fn grant_id(&self) -> &str {
        &self.grant.id
    }

    /// What was shown and signed as its target.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.operation.target.as_deref()
    }

    /// The elevation that vouches for it.
    #[must_use]
    pub fn elevation(&self) -> &str {
        &self.elevation
    }

    /// Carrying it out spends the grant.
    #[must_use]
    pub fn spend(&self, at: Timestamp) -> Change {
        Change::SpendGrant { id: self.grant.id.clone(), at }
    }
}

/// Checks the access token as a resource server does, and that its grant is for this operation and this very body.
///
/// # Errors
/// [`Refusal::Token`], saying which check failed.
pub async fn authorize(
    authority: &Authority,
    caller: Caller,
    jkt: &str,
    access_token: &str,
    name: OperationName,
    body: &[u8],
) -> Result<Authorized, Refusal> {
    let now = authority.clock.now();
    let keys = authority.signer.keys_for(access_token, now).await?;
    let claims =
        access_token::verify(access_token, &keys, authority.issuer.as_str(), Some(authority.issuer.as_str()), now)
            .map_err(|access_token::NotAcceptable(check)| Refusal::Token(check))?;
    if claims.cnf.jkt != jkt {
        return Err(Refusal::Token("it is bound to another proof key"));
    }
    caller.may_speak_for(&claims.sub, authority.served)?;
    let grant = authority.store.grant(&claims.jti).await?.ok_or(Refusal::Token("there is no such grant"))?;
    if !grant.stands(now) {
        return Err(Refusal::Token("its grant is over"));
    }
    let operation: Operation = grant
        .operation
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(Refusal::Token("its grant is for no operation"))?;
    if operation.name != name || operation.body_sha256 != base64url(sha256(&[body])) {
        return Err(Refusal::Token("its grant is for another operation"));
    }
    Ok(Authorized { grant, operation, elevation: claims.txn })
}

/// Carries out one operation; answers what there is to show.
///
/// # Errors
/// [`Refusal`]; then nothing was changed.
pub async fn carry_out(
    authority: &Authority,
    caller: Caller,
    jkt: &str,
    access_token: &str,
    name: OperationName,
    body: &[u8],
) -> Result<Value, Refusal> {
    let now = authority.clock.now();
    let authorized = authorize(authority, caller, jkt, access_token, name, body).await?;
    let request: OperationRequest =
        serde_json::from_slice(body).map_err(|_| Refusal::Malformed("the operation's body can't be read".into()))?;
    let target = request.target.clone();
    if authorized.target() != target.as_deref() {
        return Err(Refusal::Token("its grant is for another target"));
    }
    let sealed_for = request.sealed_for.as_ref().map(|sealed_for| sealed_for.credential_ids.len());
    let Effect { event, changes, answer, about } = effect(authority, name, &authorized, request, now).await?;
    let elevation = ElevationId::stored(authorized.elevation.clone());
    let mut private =
        json!({ "sub": authorized.sub(), "operation": name, "target": target, "grant_id": authorized.grant.id });
    if let Some(keys) = sealed_for {
        private["sealed_for_keys"] = json!(keys);
    }
    if let (Some(private), Value::Object(about)) = (private.as_object_mut(), about) {
        private.extend(about);
    }
    let mut entry = Entry::new(event, elevation, private);
    // A user's or a grant's name is personal; a resource's is not.
    let of_resource = [Event::SecretSet, Event::SecretRemoved, Event::ResourceSet, Event::ResourceRemoved];
    entry.resource = target.filter(|_| of_resource.contains(&event));
    let changes = std::iter::once(authorized.spend(now)).chain(changes).collect();
    authority.audit.record(entry, changes).await?;
    if name == OperationName::SigningKeyRotate {
        let reloaded = authority.signer.reload().await;
        reloaded.map_err(|_| Refusal::Keys("the new signing key can't be read back"))?;
    }
    if matches!(event, Event::ResourceSet | Event::ResourceRemoved) {
        // It is done: where this look fails, the next one is soon.
        let _ = authority.watched.look_again().await;
    }
    Ok(answer)
}

/// What an operation does.
struct Effect {
    event: Event,
    changes: Vec<Change>,
    /// What there is to show.
    answer: Value,
    /// What the log keeps beside who and what: an object, or nothing.
    about: Value,
}

impl Effect {
    const fn read(answer: Value) -> Self {
        Self { event: Event::AdminRead, changes: Vec::new(), answer, about: Value::Null }
    }

    fn change(event: Event, changes: Vec<Change>) -> Self {
        Self { event, changes, answer: json!({}), about: Value::Null }
    }
}

async fn effect(
    authority: &Authority,
    name: OperationName,
    authorized: &Authorized,
    request: OperationRequest,
    at: Timestamp,
) -> Result<Effect, Refusal> {
    let target = || request.target.clone().ok_or_else(|| Refusal::Malformed(format!("{name} needs a target")));
    Ok(match name {
        OperationName::KeyEnroll => return Err(Refusal::Malformed("keys are enrolled at /keys".into())),
        OperationName::KeyRemove => {
            let sub = authorized.sub().to_owned();
            Effect::change(Event::KeyRemoved, vec![Change::RemoveSecurityKey { sub, name: target()? }])
        }
        OperationName::SecretSet => {
            let resource = secrets::secret_resource(authority, &target()?).await?;
            let row = secrets::secret_row(authority, authorized.sub(), &resource, &request).await?;
            Effect::change(Event::SecretSet, vec![Change::PutSecret { resource: resource.to_string(), row, at }])
        }
        OperationName::SecretRemove => {
            Effect::change(Event::SecretRemoved, vec![Change::RemoveSecret { resource: target()? }])
        }
        OperationName::SecretList => {
            let names = authority.store.secret_names().await?;
            let keys = authority.store.security_key_names().await?;
            let row = |(resource, set_at, sealed_for): &(String, Timestamp, Option<String>)| {
                let sealed_for = sealed_for.as_deref().and_then(|text| serde_json::from_str::<SealedFor>(text).ok());
                let names = sealed_for.map(|sealed_for| {
                    sealed_for.credential_ids.iter().filter_map(|id| keys.get(id)).collect::<Vec<_>>()
                });
                json!({ "resource": resource, "set_at": set_at, "sealed_for": names })
            };
            Effect::read(json!({ "secrets": names.iter().map(row).collect::<Vec<_>>() }))
        }
        OperationName::UserList => Effect::read(people::users(authority, at).await?),
        OperationName::UserDisable => {
            let sub = target()?;
            if sub == authorized.sub() {
                return Err(Refusal::Conflict("you can't shut yourself out"));
            }
            let ends = [Change::RevokeGrantsOf { sub: sub.clone(), at }, Change::EndSignInsOf { sub: sub.clone(), at }];
            Effect::change(Event::UserDisabled, std::iter::once(Change::DisableUser { sub, at }).chain(ends).collect())
        }
        OperationName::UserEnable => Effect::change(Event::UserEnabled, vec![Change::EnableUser { sub: target()? }]),
        OperationName::UserInvite => {
            let (answer, change) = invitations::invite(authority, &target()?, request.ttl, at).await?;
            Effect { answer, ..Effect::change(Event::UserInvited, vec![change]) }
        }
        OperationName::GrantList => {
            let grants = authority.store.standing_grants(at).await?;
            let shown = grants.iter().filter(|grant| grant.operation.is_none()).map(|grant| {
                json!({
                    "grant_id": grant.id, "user": grant.sub, "resource": grant.resource, "scope": grant.scope,
                    "acr": grant.acr, "issued_at": grant.issued_at, "expires_at": grant.expires_at,
                })
            });
            Effect::read(json!({ "grants": shown.collect::<Vec<_>>() }))
        }
        OperationName::GrantRevoke => {
            Effect::change(Event::GrantRevoked, vec![Change::RevokeGrant { id: target()?, at }])
        }
        OperationName::SessionList => Effect::read(people::sessions(authority, at).await?),
        OperationName::SessionEnd => people::end_session(authority, &target()?, at).await?,
        OperationName::UserKeyList => Effect::read(people::keys(authority, request.target.as_deref()).await?),
        OperationName::UserKeyRemove => {
            people::remove_key(authority, authorized.sub(), &target()?, request.key, at).await?
        }
        OperationName::ResourceList => Effect::read(resources::list(authority).await?),
        OperationName::ResourceSet => resources::set(authority, &target()?, request.definition, at).await?,
        OperationName::ResourceRemove => resources::remove(authority, &target()?).await?,
        OperationName::SigningKeyList => {
            let keys = authority.store.signing_keys().await?;
            let row = |key: &super::store::SigningKeyRow| json!({ "kid": key.kid, "created_at": key.created_at, "retired_at": key.retired_at });
            Effect::read(json!({ "keys": keys.iter().map(row).collect::<Vec<_>>() }))
        }
        OperationName::SigningKeyRotate => {
            let fresh = new_signing_key(&authority.master, &authority.clock)
                .map_err(|_| Refusal::Keys("no signing key could be made"))?;
            let retire = Change::RetireSigningKeys { except: fresh.kid.clone(), at };
            let answer = json!({ "kid": fresh.kid });
            let changes = vec![Change::AddSigningKey(fresh), retire];
            Effect { event: Event::SigningKeyRotated, changes, answer, about: Value::Null }
        }
    })
}
