//! Step-up: a challenge that is the transaction, and the verification of what comes back (`WebAuthn` Level 3,
//! section 7.2). A challenge is answered once, within two minutes, by the session and proof key it was made for.

use super::Authority;
use super::assertion::{self, Verified, read_assertion};
use super::audit::Entry;
use super::context::Context;
use super::elevation::{Considered, ElevationId, Wanted};
use super::enrolment::listed;
use super::error::Refusal;
use super::policy::Permitted;
use super::security_key::Keys;
use super::store::{Change, SecurityKeyRow, SessionRow, StoreError, TOO_MANY};
use crate::clock::after;
use crate::log::leaf::Event;
use crate::protocol::assurance::Assurance;
use crate::protocol::challenge::{Narrowing, NotWhatWasAsked, Transaction, session_hash};
use crate::protocol::encoding::{base64url, from_base64url, random};
use crate::protocol::messages::{SealedFor, StepUpResponse, TokenRequest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webauthn_rs_proto::{
    AllowCredentials, AuthenticatorTransport, HmacGetSecretInput, PublicKeyCredentialRequestOptions,
    RequestAuthenticationExtensions, UserVerificationPolicy,
};

/// Seconds a challenge can be answered.
pub const CHALLENGE_LIFETIME: u64 = 120;
/// Step-ups of one user that may wait for an answer at the same time.
const OPEN_MAX: i64 = 64;

/// A reached rung, with its evidence. Made only by [`reach`]: from a verified assertion, or where none is asked.
#[derive(Debug)]
pub struct StepUp {
    elevation: ElevationId,
    assurance: Assurance,
    auth_time: Option<Timestamp>,
    amr: Vec<String>,
    narrowing: Option<Narrowing>,
    evidence: Option<Value>,
    changes: Vec<Change>,
}

impl StepUp {
    /// The elevation it was reached for.
    #[must_use]
    pub const fn elevation(&self) -> &ElevationId {
        &self.elevation
    }

    /// The rung really reached.
    #[must_use]
    pub const fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// When; `None` where nothing was asked.
    #[must_use]
    pub const fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }

    /// How (RFC 8176); empty where nothing was asked.
    #[must_use]
    pub fn amr(&self) -> Vec<String> {
        self.amr.clone()
    }

    /// What the key signed of scope and time.
    pub(super) const fn narrowing(&self) -> Option<&Narrowing> {
        self.narrowing.as_ref()
    }

    /// txn, nonce, clientDataJSON, authenticatorData, signature: enough for anybody to verify it again later.
    pub(super) const fn evidence(&self) -> Option<&Value> {
        self.evidence.as_ref()
    }

    /// What has to become durable with the grant: the session is spent, the key's counter moved.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn not_asked(permitted: &Permitted) -> Self {
        Self {
            elevation: permitted.elevation().clone(),
            assurance: Assurance::Session,
            auth_time: None,
            amr: Vec::new(),
            narrowing: None,
            evidence: None,
            changes: Vec::new(),
        }
    }
}

/// A step-up that was begun and is being answered.
pub struct Waiting {
    hash: String,
    elevation: String,
    content: Content,
    narrowing: Narrowing,
}

impl Waiting {
    /// The elevation it belongs to.
    #[must_use]
    pub fn elevation(&self) -> ElevationId {
        ElevationId::stored(self.elevation.clone())
    }
}

/// What is stored of a step-up that waits.
#[derive(Serialize, Deserialize)]
struct Content {
    transaction: Transaction,
    nonce: String,
    /// What the keys are asked to unseal.
    sealed_for: Option<SealedFor>,
}

/// What came of a step-up.
pub enum Answered {
    /// The rung is reached.
    Reached(Box<StepUp>),
    /// A key has to be asked.
    Needed(Box<StepUpResponse>),
}

/// The step-up that `request` answers, if it answers one: it must be this caller's, and everything that was asked
/// then must be asked again now, to the byte.
///
/// # Errors
/// [`Refusal::SessionGone`], also where the session is somebody else's; [`Refusal::Malformed`] where the request differs.
pub async fn resume(
    authority: &Authority,
    wanted: &Wanted,
    request: &TokenRequest,
    now: Timestamp,
) -> Result<Option<Waiting>, Refusal> {
    let Some(auth_session) = &request.auth_session else { return Ok(None) };
    let hash = session_hash(auth_session);
    let row = authority.store.session(&hash).await?.ok_or(Refusal::SessionGone)?;
    if row.sub != wanted.asked.subject || row.expires_at <= now {
        return Err(Refusal::SessionGone);
    }
    let content: Content = serde_json::from_str(&row.content).map_err(|_| Refusal::SessionGone)?;
    let another = |error| Refusal::Malformed(format!("the step-up was begun for another request: {error}"));
    let narrowing = content.transaction.narrowed(&wanted.asked, auth_session).map_err(another)?;
    if narrowing.scope != wanted.scope {
        return Err(another(NotWhatWasAsked::Differs("scope")));
    }
    Ok(Some(Waiting { hash, elevation: row.elevation, content, narrowing }))
}

/// Reaches the rung that policy asks: at once, by the answer that `request` brings, or by asking for one.
///
/// # Errors
/// [`Refusal::StepUpFailed`], [`Refusal::NoSecurityKey`] and [`Refusal::NoKeyUnseals`], recorded; [`Refusal::TooMany`].
#[allow(clippy::too_many_arguments, reason = "the flow's own values, each used once")]
pub async fn reach(
    authority: &Authority,
    permitted: &Permitted,
    wanted: &Wanted,
    considered: &Considered,
    keys: &Keys<'_>,
    waiting: Option<Waiting>,
    request: &TokenRequest,
    now: Timestamp,
) -> Result<Answered, Refusal> {
    match waiting {
        Some(waiting) => match verify(authority, permitted, keys, &waiting, request, now) {
            Ok(step_up) => Ok(Answered::Reached(Box::new(step_up))),
            Err(cause) => Err(failed(authority, permitted, wanted, considered, &waiting.hash, cause, now).await),
        },
        None if permitted.assurance() == Assurance::Session => {
            Ok(Answered::Reached(Box::new(StepUp::not_asked(permitted))))
        }
        None if request.prompt.as_deref() == Some("none") => {
            let kept = wanted.asked.detail.operation.is_none();
            Err(Refusal::InteractionRequired { assurance: permitted.assurance(), kept })
        }
        None => ask(authority, permitted, wanted, considered, keys, now).await.map(Answered::Needed),
    }
}

async fn ask(
    authority: &Authority,
    permitted: &Permitted,
    wanted: &Wanted,
    considered: &Considered,
    keys: &Keys<'_>,
    now: Timestamp,
) -> Result<Box<StepUpResponse>, Refusal> {
    let assurance = permitted.assurance();
    let elevation = permitted.elevation().clone();
    let able = keys.able(assurance);
    if able.is_empty() {
        let refusal = keys.refusal(elevation.clone(), assurance, &wanted.asked.resource);
        let mut entry = Entry::new(Event::ElevationDenied, elevation.clone(), wanted.private(considered));
        entry.resource = Some(wanted.asked.resource.to_string());
        entry.assurance = Some(assurance);
        entry.cause = Some(match refusal {
            Refusal::NoKeyUnseals { .. } => "no security key unseals the secret".to_owned(),
            _ => "no security key can give the proof".to_owned(),
        });
        authority.audit.record(entry, Vec::new()).await?;
        return Err(refusal);
    }
    let auth_session = base64url(random::<32>());
    let nonce = random::<32>();
    let narrowing = Narrowing {
        assurance,
        scope: wanted.scope.clone(),
        ttl: permitted.ttl(),
        expires: after(now, CHALLENGE_LIFETIME),
        policy_id: permitted.policies().join(","),
    };
    let transaction = Transaction::new(&wanted.asked, &auth_session, &narrowing);
    let challenge = transaction.challenge(&nonce).map_err(|error| Refusal::Malformed(error.to_string()))?;
    let waiting = Content { transaction, nonce: base64url(nonce), sealed_for: keys.sealed_for().cloned() };
    let session = SessionRow {
        hash: session_hash(&auth_session),
        sub: wanted.asked.subject.clone(),
        elevation: elevation.to_string(),
        content: serde_json::to_string(&waiting).map_err(|_| Refusal::Malformed("it has no JSON form".into()))?,
        expires_at: narrowing.expires,
    };
    match authority.store.note(&[Change::OpenSession { row: session, at: now, most: OPEN_MAX }]).await {
        Err(StoreError::Conflict(TOO_MANY)) => return Err(Refusal::TooMany),
        opened => opened?,
    }
    let shown = |key: &SecurityKeyRow| listed(key.clone(), keys.rules(), Vec::new());
    Ok(Box::new(StepUpResponse {
        error: "insufficient_authorization".to_owned(),
        error_description: why(permitted, &considered.context),
        elevate_kind: wanted.resource.kind,
        auth_session,
        authn_params_public_key: options(authority, challenge.to_vec(), assurance, &able, keys.sealed_for()),
        elevate_txn: waiting.transaction,
        elevate_nonce: waiting.nonce,
        elevate_keys: able.into_iter().map(shown).collect::<Result<_, _>>()?,
        elevate_enrolled: keys.enrolled().to_vec(),
        elevate_recoveries: Vec::new(),
    }))
}

/// Why a touch is asked this time: the policies' sentences, then the signals'.
fn why(permitted: &Permitted, context: &Context) -> String {
    let signals = context.observed.signals.iter().map(|signal| signal.sentence().to_owned());
    let sentences: Vec<String> = permitted.reasons().iter().cloned().chain(signals).collect();
    if sentences.is_empty() {
        format!("policy asks for {}", permitted.assurance().takes())
    } else {
        sentences.join("; ")
    }
}

fn options(
    authority: &Authority,
    challenge: Vec<u8>,
    assurance: Assurance,
    keys: &[&SecurityKeyRow],
    sealed_for: Option<&SealedFor>,
) -> PublicKeyCredentialRequestOptions {
    let allow = keys.iter().filter_map(|key| {
        let transports: Vec<AuthenticatorTransport> = serde_json::from_str(&key.transports).unwrap_or_default();
        Some(AllowCredentials {
            type_: "public-key".to_owned(),
            id: from_base64url(&key.credential_id)?,
            transports: (!transports.is_empty()).then_some(transports),
        })
    });
    let salt = sealed_for.and_then(|sealed_for| from_base64url(&sealed_for.salt));
    let extensions = salt.map(|output1| RequestAuthenticationExtensions {
        appid: None,
        uvm: None,
        hmac_get_secret: Some(HmacGetSecretInput { output1, output2: None }),
    });
    PublicKeyCredentialRequestOptions {
        challenge,
        timeout: Some(u32::try_from(CHALLENGE_LIFETIME * 1000).unwrap_or(u32::MAX)),
        rp_id: authority.relying_party.id.clone(),
        allow_credentials: allow.collect(),
        user_verification: user_verification(assurance),
        hints: None,
        extensions,
    }
}

const fn user_verification(assurance: Assurance) -> UserVerificationPolicy {
    match assurance {
        Assurance::Session | Assurance::Touch => UserVerificationPolicy::Discouraged_DO_NOT_USE,
        Assurance::Verified | Assurance::VerifiedHardware => UserVerificationPolicy::Required,
    }
}

/// `WebAuthn` Level 3, section 7.2, over the challenge that *our* transaction makes; the cause, where it fails.
fn verify(
    authority: &Authority,
    permitted: &Permitted,
    keys: &Keys<'_>,
    waiting: &Waiting,
    request: &TokenRequest,
    now: Timestamp,
) -> Result<StepUp, &'static str> {
    let assertion = read_assertion(request.authn_response.as_deref().unwrap_or_default())?;
    if waiting.content.sealed_for.as_ref() != keys.sealed_for() {
        return Err("the secret was set anew since the step-up was begun");
    }
    let key = keys.find(&base64url(&assertion.raw_id)).ok_or("the key is not enrolled")?;
    if !keys.unseals(key) {
        return Err("the key is none of those that unseal the secret");
    }
    let nonce =
        from_base64url(&waiting.content.nonce).and_then(|bytes| bytes.try_into().ok()).ok_or("the nonce is gone")?;
    let challenge = waiting.content.transaction.challenge(&nonce).map_err(|_| "the transaction has no JSON form")?;
    let policy = user_verification(waiting.narrowing.assurance);
    let verified = assertion::verify(authority, keys.rules(), key, &assertion, &challenge, policy, now)?;
    let Verified { assurance, amr, used, mut evidence } = verified;
    if assurance < permitted.assurance() {
        return Err("policy asks for more than when the step-up was begun");
    }
    evidence["txn"] = json!(waiting.content.transaction);
    evidence["nonce"] = json!(waiting.content.nonce);
    Ok(StepUp {
        elevation: permitted.elevation().clone(),
        assurance,
        auth_time: Some(now),
        amr,
        narrowing: Some(waiting.narrowing.clone()),
        evidence: Some(evidence),
        changes: vec![Change::SpendSession { hash: waiting.hash.clone(), at: now }, used],
    })
}

/// Records a failed step-up; its session is over with it.
async fn failed(
    authority: &Authority,
    permitted: &Permitted,
    wanted: &Wanted,
    considered: &Considered,
    hash: &str,
    cause: &'static str,
    now: Timestamp,
) -> Refusal {
    let mut entry = Entry::new(Event::StepUpFailed, permitted.elevation().clone(), wanted.private(considered));
    entry.resource = Some(wanted.asked.resource.to_string());
    entry.assurance = Some(permitted.assurance());
    entry.cause = Some(cause.to_owned());
    let changes = vec![
        Change::SpendSession { hash: hash.to_owned(), at: now },
        Change::AddFailure { sub: wanted.asked.subject.clone(), at: now },
    ];
    match authority.audit.record(entry, changes).await {
        Ok(_) => Refusal::StepUpFailed { elevation: permitted.elevation().clone(), cause: cause.to_owned() },
        // Somebody answered the same step-up first.
        Err(super::audit::RecordError::Conflict(_)) => Refusal::SessionGone,
        Err(error) => error.into(),
    }
}
