//! Operations on the authority itself. Each is an elevation of its own: the access token was issued for exactly this
//! operation and this body, is spent by it, and the change commits with its log entry.

use super::Authority;
use super::audit::Entry;
use super::caller::Caller;
use super::elevation::ElevationId;
use super::error::Refusal;
use super::issue::secret;
use super::sign_in::{Person, invitations};
use super::signer::new_signing_key;
use super::store::{Change, GrantRow, SecretRow, SecurityKeyRow};
use crate::log::leaf::Event;
use crate::protocol::access_token;
use crate::protocol::encoding::{base64url, from_base64url, sha256};
use crate::protocol::messages::{Operation, OperationName, OperationRequest, ResourceKind, SealedFor};
use crate::protocol::names::ResourceName;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Bytes a stored secret may have.
const SECRET_MAX: usize = 64 << 10;
/// Bytes that one may have once it is sealed for 32 keys and written in ASCII armor.
const SEALED_MAX: usize = 128 << 10;
/// How an age file in ASCII armor begins.
const AGE_ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

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
    let Effect { event, changes, answer } = effect(authority, name, &authorized, request, now).await?;
    let elevation = ElevationId::stored(authorized.elevation.clone());
    let mut private =
        json!({ "sub": authorized.sub(), "operation": name, "target": target, "grant_id": authorized.grant.id });
    if let Some(keys) = sealed_for {
        private["sealed_for_keys"] = json!(keys);
    }
    let mut entry = Entry::new(event, elevation, private);
    // A user's or a grant's name is personal; a resource's is not.
    entry.resource = target.filter(|_| matches!(event, Event::SecretSet | Event::SecretRemoved));
    let changes = std::iter::once(authorized.spend(now)).chain(changes).collect();
    authority.audit.record(entry, changes).await?;
    if name == OperationName::KeysRotate {
        let reloaded = authority.signer.reload().await;
        reloaded.map_err(|_| Refusal::Keys("the new signing key can't be read back"))?;
    }
    Ok(answer)
}

struct Effect {
    event: Event,
    changes: Vec<Change>,
    answer: Value,
}

async fn effect(
    authority: &Authority,
    name: OperationName,
    authorized: &Authorized,
    request: OperationRequest,
    at: Timestamp,
) -> Result<Effect, Refusal> {
    let target = || request.target.clone().ok_or_else(|| Refusal::Malformed(format!("{name} needs a target")));
    let reads = |answer| Effect { event: Event::AdminRead, changes: Vec::new(), answer };
    let changes = |event, changes| Effect { event, changes, answer: json!({}) };
    Ok(match name {
        OperationName::KeyEnroll => return Err(Refusal::Malformed("keys are enrolled at /keys".into())),
        OperationName::KeyRemove => {
            let sub = authorized.sub().to_owned();
            changes(Event::KeyRemoved, vec![Change::RemoveSecurityKey { sub, name: target()? }])
        }
        OperationName::SecretSet => {
            let resource = secret_resource(authority, &target()?).await?;
            let row = secret_row(authority, authorized.sub(), &resource, &request).await?;
            changes(Event::SecretSet, vec![Change::PutSecret { resource: resource.to_string(), row, at }])
        }
        OperationName::SecretRemove => {
            changes(Event::SecretRemoved, vec![Change::RemoveSecret { resource: target()? }])
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
            reads(json!({ "secrets": names.iter().map(row).collect::<Vec<_>>() }))
        }
        OperationName::UserList => {
            let users = authority.store.users().await?;
            let people = authority.store.people().await?;
            let invited = authority.store.open_invitations(at).await?;
            let person = |sub: &str| serde_json::from_str::<Person>(people.get(sub)?).ok();
            let name = |sub: &str| person(sub).map(|person| person.name);
            let row = |user: &super::store::UserRow| json!({ "user": user.sub, "name": name(&user.sub), "created_at": user.created_at, "disabled_at": user.disabled_at, "invited_until": invited.get(&user.sub) });
            reads(json!({ "users": users.iter().map(row).collect::<Vec<_>>() }))
        }
        OperationName::UserDisable => {
            let sub = target()?;
            if sub == authorized.sub() {
                return Err(Refusal::Conflict("you can't shut yourself out"));
            }
            let ends = [Change::RevokeGrantsOf { sub: sub.clone(), at }, Change::EndSignInsOf { sub: sub.clone(), at }];
            changes(Event::UserDisabled, std::iter::once(Change::DisableUser { sub, at }).chain(ends).collect())
        }
        OperationName::UserEnable => changes(Event::UserEnabled, vec![Change::EnableUser { sub: target()? }]),
        OperationName::UserInvite => {
            let (answer, change) = invitations::invite(authority, &target()?, request.ttl, at).await?;
            Effect { event: Event::UserInvited, changes: vec![change], answer }
        }
        OperationName::GrantList => {
            let grants = authority.store.standing_grants(at).await?;
            let shown = grants.iter().filter(|grant| grant.operation.is_none()).map(|grant| {
                json!({
                    "grant_id": grant.id, "user": grant.sub, "resource": grant.resource, "scope": grant.scope,
                    "acr": grant.acr, "issued_at": grant.issued_at, "expires_at": grant.expires_at,
                })
            });
            reads(json!({ "grants": shown.collect::<Vec<_>>() }))
        }
        OperationName::GrantRevoke => changes(Event::GrantRevoked, vec![Change::RevokeGrant { id: target()?, at }]),
        OperationName::KeysList => {
            let keys = authority.store.signing_keys().await?;
            let row = |key: &super::store::SigningKeyRow| json!({ "kid": key.kid, "created_at": key.created_at, "retired_at": key.retired_at });
            reads(json!({ "keys": keys.iter().map(row).collect::<Vec<_>>() }))
        }
        OperationName::KeysRotate => {
            let fresh = new_signing_key(&authority.master, &authority.clock)
                .map_err(|_| Refusal::Keys("no signing key could be made"))?;
            let retire = Change::RetireSigningKeys { except: fresh.kid.clone(), at };
            let answer = json!({ "kid": fresh.kid });
            Effect { event: Event::SigningKeyRotated, changes: vec![Change::AddSigningKey(fresh), retire], answer }
        }
    })
}

/// A secret as it is stored, after a look at it.
async fn secret_row(
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
async fn secret_resource(authority: &Authority, name: &str) -> Result<ResourceName, Refusal> {
    let name: ResourceName = name.parse()?;
    let rules = authority.rules().await?;
    match rules.config.resources.get(&name).map(|resource| resource.kind) {
        Some(ResourceKind::Secret) => Ok(name),
        Some(ResourceKind::Jwt) => Err(Refusal::Malformed(format!("'{name}' is of kind jwt and holds no secret"))),
        None => Err(Refusal::UnknownResource(name.to_string())),
    }
}
