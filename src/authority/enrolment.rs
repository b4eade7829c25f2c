//! Enrolment of security keys (`WebAuthn` Level 3, section 7.1): vouched for by an elevation, finished by the key.

use super::Authority;
use super::audit::Entry;
use super::caller::{Caller, Subject};
use super::elevation::ElevationId;
use super::error::Refusal;
use super::operations::authorize;
use super::relying_party::public_key;
use super::rules::Rules;
use super::sign_in::{How, sessions};
use super::store::{Change, SecurityKeyRow, SessionRow, set_of_keys};
use crate::clock::after;
use crate::log::leaf::Event;
use crate::protocol::SOFTWARE_AAGUID;
use crate::protocol::authenticator_data::{AttestedCredential, of_attestation_object};
use crate::protocol::challenge::session_hash;
use crate::protocol::encoding::{Digest, base64url, from_base64url, random, sha256};
use crate::protocol::issuer::Issuer;
use crate::protocol::messages::{
    EnrolledKey, EnrolmentChallenge, EnrolmentRequest, EnrolmentResponse, OperationName, SealedFor,
};
use crate::protocol::names::KeyName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;
use webauthn_rs_core::proto::{Credential, RegistrationState};

/// Seconds a new key can be made.
const ENROLMENT_LIFETIME: u64 = 120;
/// Keys a user may have.
const KEYS_MAX: usize = 32;

/// What is stored of an enrolment that waits.
#[derive(Serialize, Deserialize)]
struct Content {
    name: KeyName,
    jkt: String,
    among: String,
    state: RegistrationState,
    /// In which it was begun; none on a socket.
    #[serde(default)]
    sign_in: Option<SignIn>,
}

/// The sign-in behind an enrolment: it must stand to the end.
#[derive(Serialize, Deserialize)]
struct SignIn {
    id: String,
    how: How,
}

impl SignIn {
    /// One by invitation has done its work; any other has to stand still.
    fn change(self, at: Timestamp) -> Change {
        match self.how {
            How::Invitation => Change::EndSignIn { id: self.id, at },
            How::Provider | How::Key => Change::HoldSignIn { id: self.id },
        }
    }
}

/// It says nothing about the user outside this authority (Level 3, section 14.6.1).
pub(super) fn user_handle(issuer: &Issuer, sub: &str) -> Digest {
    sha256(&[issuer.as_str().as_bytes(), b"\0", sub.as_bytes()])
}

/// First round: spends the elevation that vouches, and says what a key is to make.
///
/// # Errors
/// [`Refusal`].
pub async fn begin(
    authority: &Authority,
    caller: Caller,
    jkt: &str,
    access_token: &str,
    body: &[u8],
) -> Result<EnrolmentChallenge, Refusal> {
    let now = authority.clock.now();
    let authorized = authorize(authority, caller, jkt, access_token, OperationName::KeyEnroll, body).await?;
    let request: EnrolmentRequest = serde_json::from_slice(body)
        .map_err(|error| Refusal::Malformed(format!("the enrolment can't be read: {error}")))?;
    let sub = authorized.sub();
    if authorized.target() != Some(request.name.as_str()) {
        return Err(Refusal::Token("its grant is for another name"));
    }
    let keys = authority.store.security_keys(sub).await?;
    // What policy let through for an account without a key must not add a second one.
    let among = set_of_keys(keys.iter().map(|key| key.credential_id.as_str()));
    if authorized.keys() != Some(among.as_str()) {
        return Err(Refusal::Conflict("your keys changed since this was approved: begin again"));
    }
    if keys.len() >= KEYS_MAX {
        return Err(Refusal::Conflict("you have 32 keys already: remove one first"));
    }
    if keys.iter().any(|key| key.name == request.name.as_str()) {
        return Err(Refusal::Conflict("you have a key of that name already: choose another name"));
    }
    let exclude = keys.iter().filter_map(|key| from_base64url(&key.credential_id)).collect();
    let handle = user_handle(&authority.issuer, sub);
    // Whoever is here over the network may want to sign in with it; on a socket nobody does, and the room on a key is small.
    let discoverable = matches!(caller, Caller::Remote(_));
    let (public_key, state) = authority
        .relying_party
        .begin_registration(&handle, sub, exclude, discoverable)
        .map_err(|cause| Refusal::Malformed(cause.into()))?;
    let sign_in = match authority.store.sign_in_of_grant(authorized.grant_id()).await? {
        Some(row) => Some(SignIn { how: sessions::person(&row)?.how, id: row.id }),
        None => None,
    };
    let enrolment = base64url(random::<32>());
    let content = Content { name: request.name, jkt: jkt.to_owned(), among, state, sign_in };
    let session = SessionRow {
        hash: session_hash(&enrolment),
        sub: sub.to_owned(),
        elevation: authorized.elevation().to_owned(),
        content: serde_json::to_string(&content).map_err(|_| Refusal::Malformed("it has no JSON form".into()))?,
        expires_at: after(now, ENROLMENT_LIFETIME),
    };
    let opened = Change::OpenSession { row: session, at: now, most: i64::MAX };
    authority.store.write(&[opened, authorized.spend(now)]).await?;
    Ok(EnrolmentChallenge { enrolment, public_key })
}

/// Second round: checks what the key made, and records it.
///
/// # Errors
/// [`Refusal`].
pub async fn finish(
    authority: &Authority,
    caller: Caller,
    jkt: &str,
    response: &EnrolmentResponse,
) -> Result<EnrolledKey, Refusal> {
    let now = authority.clock.now();
    let rules = authority.rules().await?;
    let hash = session_hash(&response.enrolment);
    let session = authority.store.session(&hash).await?.ok_or(Refusal::SessionGone)?;
    let content: Content = serde_json::from_str(&session.content).map_err(|_| Refusal::SessionGone)?;
    if session.expires_at <= now || content.jkt != jkt {
        return Err(Refusal::SessionGone);
    }
    let sub = session.sub;
    caller.may_speak_for(&sub, authority.served)?;
    let elevation = ElevationId::stored(session.elevation);
    if authority.store.user(&sub).await?.is_none_or(|user| user.disabled_at.is_some()) {
        return Err(Refusal::UserDisabled(elevation));
    }
    let credential = authority.relying_party.finish_registration(&response.credential, &content.state);
    let refused = async |cause: &str| {
        let mut entry = Entry::new(Event::StepUpFailed, elevation.clone(), json!({ "sub": sub, "name": content.name }));
        entry.cause = Some(format!("enrolment: {cause}"));
        authority.audit.record(entry, vec![Change::SpendSession { hash: hash.clone(), at: now }]).await
    };
    let credential = match credential {
        Ok(credential) => credential,
        Err(cause) => {
            refused(cause).await?;
            return Err(Refusal::StepUpFailed { elevation, cause: cause.to_owned() });
        }
    };
    let aaguid = of_attestation_object(&response.credential.response.attestation_object)
        .and_then(|data| AttestedCredential::parse(&data))
        .map(|credential| credential.aaguid)
        .ok_or_else(|| Refusal::Malformed("the new key does not say which model it is".into()))?;
    let software = aaguid == SOFTWARE_AAGUID;
    if software && !rules.config.allow_software_keys {
        return Err(Refusal::SoftwareKey);
    }
    let row = SecurityKeyRow {
        credential_id: base64url(&credential.cred_id),
        sub: sub.clone(),
        name: content.name.to_string(),
        credential: serde_json::to_string(&credential)
            .map_err(|_| Refusal::Malformed("the key can't be written".into()))?,
        aaguid: Uuid::from_bytes(aaguid).to_string(),
        software,
        verifies_user: credential.user_verified,
        transports: serde_json::to_string(&response.credential.response.transports.as_deref().unwrap_or_default())
            .map_err(|_| Refusal::Malformed("the key's transports can't be written".into()))?,
        enrolled_at: now,
        last_used_at: None,
    };
    let attested = row.attested(&rules);
    if rules.config.require_attestation && attested.is_none() {
        refused("nobody trusted vouches for the key").await?;
        return Err(Refusal::NotAttested(elevation));
    }
    let private = json!({
        "sub": sub,
        "name": row.name,
        "credential_id": row.credential_id,
        "aaguid": row.aaguid,
        "attested": attested,
        "attestationObject": base64url(&response.credential.response.attestation_object),
        "clientDataJSON": base64url(&response.credential.response.client_data_json),
    });
    let entry = Entry::new(Event::KeyEnrolled, elevation, private);
    let mut changes =
        vec![Change::SpendSession { hash, at: now }, Change::AddSecurityKey { row: row.clone(), among: content.among }];
    changes.extend(content.sign_in.map(|sign_in| sign_in.change(now)));
    authority.audit.record(entry, changes).await?;
    listed(row, &rules, Vec::new())
}

/// The caller's own keys, oldest first.
///
/// # Errors
/// [`Refusal`].
pub async fn list(authority: &Authority, subject: &Subject) -> Result<Vec<EnrolledKey>, Refusal> {
    list_of(authority, subject.sub()).await
}

/// Anybody's keys, oldest first.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn list_of(authority: &Authority, sub: &str) -> Result<Vec<EnrolledKey>, Refusal> {
    let rules = authority.rules().await?;
    let keys = authority.store.security_keys(sub).await?;
    let mut only_one_for = only_ones(&keys, &authority.store.secret_names().await?);
    let listed = |row: SecurityKeyRow| {
        let secrets = only_one_for.remove(&row.credential_id).unwrap_or_default();
        listed(row, &rules, secrets)
    };
    keys.into_iter().map(listed).collect()
}

/// For each key that is the last one to unseal a secret, which ones.
fn only_ones(keys: &[SecurityKeyRow], secrets: &[(String, Timestamp, Option<String>)]) -> HashMap<String, Vec<String>> {
    let mut only_ones = HashMap::<String, Vec<String>>::new();
    for (resource, _, sealed_for) in secrets {
        let sealed_for = sealed_for.as_deref().and_then(|text| serde_json::from_str::<SealedFor>(text).ok());
        let Some(sealed_for) = sealed_for else { continue };
        let mut left = keys.iter().filter(|key| sealed_for.credential_ids.contains(&key.credential_id));
        if let (Some(key), None) = (left.next(), left.next()) {
            only_ones.entry(key.credential_id.clone()).or_default().push(resource.clone());
        }
    }
    only_ones
}

/// A key as its owner sees it; `only_one_for` are the secrets that it is the last one to unseal.
///
/// # Errors
/// Where what is stored of it can't be read.
pub(super) fn listed(row: SecurityKeyRow, rules: &Rules, only_one_for: Vec<String>) -> Result<EnrolledKey, Refusal> {
    let broken = || Refusal::Keys("an enrolled key can't be read");
    let credential: Credential = serde_json::from_str(&row.credential).map_err(|_| broken())?;
    Ok(EnrolledKey {
        attested: row.attested(rules),
        backup_eligible: row.backup_eligible(),
        transports: serde_json::from_str(&row.transports).unwrap_or_default(),
        can_seal: row.can_seal(),
        only_one_for,
        credential_id: row.credential_id,
        name: row.name.parse()?,
        public_key: public_key(&credential).map(base64url).ok_or_else(broken)?,
        aaguid: row.aaguid,
        software: row.software,
        verifies_user: row.verifies_user,
        enrolled_at: row.enrolled_at,
        last_used_at: row.last_used_at,
    })
}
