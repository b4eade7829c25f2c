//! Signing in without a provider (draft-ietf-oauth-first-party-apps): the device asks, a security key says whose it is, or
//! somebody brings an invitation, and the answer is an authorization code as any other.

use super::authorization::{
    CODE_LIFETIME, Parameters, asking, check_client, code_challenge, parameter, record_failure, refused,
    rules_for_sign_in,
};
use super::config::SignInConfig;
use super::sessions::{KnownBy, Over, person as person_of};
use super::steps::{Asking, Found, Redeemable, Step, find, room, secret_name};
use super::{How, Identity, Person, SignedIn, invitations};
use crate::authority::Authority;
use crate::authority::assertion::{self, Verified, read_assertion};
use crate::authority::caller::{Caller, Subject};
use crate::authority::enrolment::user_handle;
use crate::authority::error::Refusal;
use crate::authority::rules::Rules;
use crate::authority::step_up::CHALLENGE_LIFETIME;
use crate::authority::store::{Change, SecurityKeyRow};
use crate::clock::{after, seconds_between};
use crate::protocol::assurance::Assurance;
use crate::protocol::challenge::SignInTransaction;
use crate::protocol::encoding::{base64url, from_base64url, random};
use crate::protocol::messages::{CodeResponse, SignInChallenge};
use crate::protocol::secret::Secret;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use webauthn_rs_proto::{PublicKeyCredentialRequestOptions, UserVerificationPolicy};

/// Wrong invitations that one address may bring in ten minutes.
const WRONG_MAX: usize = 10;
/// Wrong invitations of everybody together after which whoever brought one already waits; others do not.
pub(super) const WRONG_MAX_OF_ALL: usize = 1000;

/// What `POST /authorize-challenge` answers when it does not refuse.
pub(super) enum Answer {
    /// It is known who it is.
    Code(CodeResponse),
    /// A key has to say.
    Challenge(Box<SignInChallenge>),
}

/// One request to the endpoint; `jkt` is the thumbprint of its proof.
///
/// # Errors
/// [`Refusal`]; every failed one is in the log before it is told.
pub(super) async fn answer(
    authority: &Authority,
    caller: Caller,
    jkt: String,
    form: &Parameters,
) -> Result<Answer, Refusal> {
    let rules = rules_for_sign_in(authority).await?;
    check_client(form)?;
    if let Some(auth_session) = form.get("auth_session") {
        return by_key(authority, &rules, &jkt, auth_session, parameter(form, "authn_response")?).await;
    }
    let code_challenge = code_challenge(form)?;
    let asking = asking(authority, caller, Some(jkt.clone()), form);
    match form.get("invitation") {
        Some(typed) => by_invitation(authority, &rules, caller, asking, code_challenge, typed).await,
        None => ask(authority, caller, &jkt, asking, code_challenge).await,
    }
}

/// Asks a key. It is told no names: whose it is, only the key knows.
async fn ask(
    authority: &Authority,
    caller: Caller,
    jkt: &str,
    asking: Asking,
    code_challenge: String,
) -> Result<Answer, Refusal> {
    room(authority, caller)?;
    let now = authority.clock.now();
    let (auth_session, nonce) = (secret_name(), random::<32>());
    let expires = after(now, CHALLENGE_LIFETIME);
    let transaction = SignInTransaction::new(authority.issuer.as_str(), jkt, &auth_session, expires);
    let challenge = transaction.challenge(&nonce).map_err(|_| Refusal::Broken)?.to_vec();
    let nonce = base64url(nonce);
    let step = Step::Challenge { asking, code_challenge, transaction: transaction.clone(), nonce: nonce.clone() };
    authority.store.note(&[step.waiting(&auth_session, now, CHALLENGE_LIFETIME)?]).await?;
    Ok(Answer::Challenge(Box::new(SignInChallenge {
        error: "insufficient_authorization".to_owned(),
        error_description: "a security key has to say who it is".to_owned(),
        auth_session,
        authn_params_public_key: PublicKeyCredentialRequestOptions {
            challenge,
            timeout: Some(u32::try_from(CHALLENGE_LIFETIME * 1000).unwrap_or(u32::MAX)),
            rp_id: authority.relying_party.id.clone(),
            allow_credentials: Vec::new(),
            user_verification: UserVerificationPolicy::Required,
            hints: None,
            extensions: None,
        },
        elevate_txn: transaction,
        elevate_nonce: nonce,
    })))
}

/// A key answered: it names its owner by what is enrolled of it.
async fn by_key(
    authority: &Authority,
    rules: &Rules,
    jkt: &str,
    auth_session: &str,
    response: &str,
) -> Result<Answer, Refusal> {
    let now = authority.clock.now();
    let over =
        || refused("invalid_session", "this sign-in is over: it was answered already, or its two minutes have passed");
    let found = find(authority, auth_session).await?.filter(|found| found.stands(now)).ok_or_else(over)?;
    let taken = found.taken(now);
    let Found { step: Step::Challenge { asking, code_challenge, transaction, nonce }, .. } = found else {
        return Err(over());
    };
    if asking.jkt.as_deref() != Some(jkt) {
        return Err(over());
    }
    let shown = match shown(authority, rules, &transaction, &nonce, response, now).await? {
        Ok(shown) => shown,
        Err(cause) => return Err(no(authority, &asking, None, cause, vec![taken]).await?),
    };
    let Shown { key, verified } = shown;
    let mut person = match person(authority, config(rules)?, &key.sub, How::Key).await? {
        Ok(person) => person,
        Err(cause) => return Err(no(authority, &asking, Some(&key.sub), cause, vec![taken]).await?),
    };
    person.acr = Some(verified.assurance.acr().to_owned());
    person.amr = verified.amr;
    let mut evidence = verified.evidence;
    evidence["txn"] = json!(transaction);
    evidence["nonce"] = json!(nonce);
    let changes = vec![taken, verified.used];
    match code(
        authority,
        asking.clone(),
        code_challenge,
        Identity { sub: key.sub.clone(), person },
        Some(evidence),
        changes,
    )
    .await
    {
        // Two at once, or a key that was copied.
        Err(Refusal::Conflict(cause)) => Err(no(authority, &asking, Some(&key.sub), cause, Vec::new()).await?),
        done => done,
    }
}

struct Shown {
    key: SecurityKeyRow,
    verified: Verified,
}

/// Which key signed it, if one did that may; the cause, where not. Whoever asks is nobody yet: nobody's failures are counted.
async fn shown(
    authority: &Authority,
    rules: &Rules,
    transaction: &SignInTransaction,
    nonce: &str,
    response: &str,
    now: Timestamp,
) -> Result<Result<Shown, &'static str>, Refusal> {
    let assertion = match read_assertion(response) {
        Ok(assertion) => assertion,
        Err(cause) => return Ok(Err(cause)),
    };
    let Some(key) = authority.store.security_key(&base64url(&assertion.raw_id)).await? else {
        return Ok(Err("the key is not enrolled"));
    };
    if key.software && !rules.config.allow_software_keys {
        return Ok(Err("software keys are not allowed here"));
    }
    let handle = assertion.response.user_handle.as_deref();
    if handle.is_some_and(|handle| handle != user_handle(&authority.issuer, &key.sub)) {
        return Ok(Err("the key says that it is somebody else's"));
    }
    let nonce = from_base64url(nonce).and_then(|bytes| bytes.try_into().ok()).ok_or(Refusal::Broken)?;
    let challenge = transaction.challenge(&nonce).map_err(|_| Refusal::Broken)?;
    // A key that is a file never verifies anybody. Where they are allowed, they are for trying things out.
    let policy =
        if key.software { UserVerificationPolicy::Discouraged_DO_NOT_USE } else { UserVerificationPolicy::Required };
    let verified = assertion::verify(authority, rules, &key, &assertion, &challenge, policy, now);
    Ok(verified.and_then(|verified| {
        // Whoever finds a key without a PIN can give it one.
        if !key.software && verified.assurance < Assurance::Verified {
            return Err("the key did not check a PIN or biometric when it was enrolled: enrol it anew with one");
        }
        Ok(Shown { key, verified })
    }))
}

/// Somebody brings an invitation.
async fn by_invitation(
    authority: &Authority,
    rules: &Rules,
    caller: Caller,
    asking: Asking,
    code_challenge: String,
    typed: &str,
) -> Result<Answer, Refusal> {
    let now = authority.clock.now();
    let wrong = &authority.sign_in.uninvited;
    // Wrong until it is found: many at once count as many.
    if !wrong.take(caller, now, WRONG_MAX) {
        return Err(Refusal::Flood(600));
    }
    let row = match invitations::hash_of(typed) {
        Some(hash) => authority.store.invitation(&hash).await.inspect_err(|_| wrong.give_back(caller))?,
        None => None,
    };
    let Some(row) = row else {
        return Err(no(authority, &asking, None, "there is no such invitation", Vec::new()).await?);
    };
    wrong.give_back(caller);
    let sub = row.sub;
    if row.spent_at.is_some() {
        return Err(no(authority, &asking, Some(&sub), USED, Vec::new()).await?);
    }
    if row.expires_at <= now {
        return Err(no(authority, &asking, Some(&sub), "the invitation's time is over", Vec::new()).await?);
    }
    let person = match person(authority, config(rules)?, &sub, How::Invitation).await? {
        Ok(person) => person,
        Err(cause) => return Err(no(authority, &asking, Some(&sub), cause, Vec::new()).await?),
    };
    let spent = vec![Change::SpendInvitation { hash: row.hash, at: now }];
    match code(authority, asking.clone(), code_challenge, Identity { sub: sub.clone(), person }, None, spent).await {
        Err(Refusal::Conflict(_)) => Err(no(authority, &asking, Some(&sub), USED, Vec::new()).await?),
        done => done,
    }
}

const USED: &str = "the invitation was used already: if that was not you, tell an administrator at once";

/// What is known of a person who signs in without the provider, or why they are not let in. Whom the provider knows has
/// the groups that it last named, and its word must not be older than `max_age`; who only enrols a first key needs none.
pub(super) async fn person(
    authority: &Authority,
    config: &SignInConfig,
    sub: &str,
    how: How,
) -> Result<Result<Person, &'static str>, Refusal> {
    let now = authority.clock.now();
    let Some(known_by) = KnownBy::of(authority, config, sub) else {
        return Ok(Err("whoever knew you is not asked any more"));
    };
    if authority.store.user(sub).await?.is_some_and(|user| user.disabled_at.is_some()) {
        return Ok(Err(DISABLED));
    }
    let mut said = None;
    for row in authority.store.sign_ins_of(sub).await? {
        let person = person_of(&row)?;
        if person.how == How::Provider {
            said = Some(person);
            break;
        }
    }
    let fresh = |person: &Person| {
        // Without one of its own it is good as long as a sign-in: whom the provider removed goes on no longer.
        let max_age = config.provider.as_ref().and_then(|provider| provider.max_age).unwrap_or(config.length);
        Timestamp::from_second(person.auth_time).is_ok_and(|at| seconds_between(at, now) <= max_age.seconds())
    };
    if known_by == KnownBy::Provider && how == How::Key && !said.as_ref().is_some_and(fresh) {
        return Ok(Err(
            "the identity provider has not said of late who you are: run `elevate login` once without --key",
        ));
    }
    let (name, groups) = match said {
        Some(said) => (said.name, said.groups),
        None => (sub.split_once('#').map_or(sub, |(_, name)| name).to_owned(), BTreeSet::new()),
    };
    let person = Person { name, groups, acr: None, amr: Vec::new(), auth_time: now.as_second(), how };
    let somebody = SignedIn { id: String::new(), person: person.clone() };
    if !config.lets_in(&Subject::signed_in(sub.to_owned(), somebody)) {
        return Ok(Err(NOT_LET_IN));
    }
    Ok(Ok(person))
}

const DISABLED: &str = "your account was disabled";
const NOT_LET_IN: &str = "you are none of those who may sign in here";

fn config(rules: &Rules) -> Result<&SignInConfig, Refusal> {
    rules.config.sign_in.as_ref().ok_or(Refusal::SignInOver(Over::OtherProvider))
}

/// A code for the device, along with what got it.
async fn code(
    authority: &Authority,
    asking: Asking,
    code_challenge: String,
    identity: Identity,
    evidence: Option<Value>,
    mut changes: Vec<Change>,
) -> Result<Answer, Refusal> {
    let code = secret_name();
    let sign_in = base64url(random::<16>());
    let step = Step::Code(Redeemable { asking, redirect_uri: None, code_challenge, identity, sign_in, evidence });
    changes.push(step.waiting(&code, authority.clock.now(), CODE_LIFETIME)?);
    authority.store.write(&changes).await?;
    Ok(Answer::Code(CodeResponse { authorization_code: Secret::new(code) }))
}

/// Records a no, and says it.
async fn no(
    authority: &Authority,
    asking: &Asking,
    sub: Option<&str>,
    cause: &'static str,
    changes: Vec<Change>,
) -> Result<Refusal, Refusal> {
    match record_failure(authority, asking, sub, cause, changes).await {
        Ok(()) | Err(Refusal::Conflict(_)) => Ok(refused("access_denied", cause)),
        Err(error) => Err(error),
    }
}
