//! The flow: caller -> context -> policy -> step-up -> record -> issue, read top to bottom.

use super::Authority;
use super::audit::{Entry, Recorded};
use super::caller::{Caller, Subject};
use super::config::Resource;
use super::context::{Context, Observed};
use super::error::Refusal;
use super::issue::{Issuable, issue, raised_for_sealed};
use super::policy::{NotPermitted, Permitted};
use super::question::{Action, Principal, Question, Target};
use super::rules::Rules;
use super::security_key::Keys;
use super::sign_in::How;
use super::sign_in::config::FirstKey;
use super::step_up::{self, Answered, StepUp, Waiting};
use super::store::{Change, GrantRow, SecurityKeyRow, set_of_keys};
use super::watched::Catalogue;
use crate::clock::after;
use crate::log::leaf::Event;
use crate::protocol::assurance::Assurance;
use crate::protocol::challenge::Asked;
use crate::protocol::display::escaped;
use crate::protocol::encoding::{base64url, random};
use crate::protocol::messages::{
    AuthorizationDetail, Claimed, GrantResponse, OperationName, SealedFor, StepUpResponse, TokenRequest,
};
use crate::protocol::names::{ResourceName, Scope};
use crate::protocol::{AUTHORITY_RESOURCE, CLIENT_ID};
use jiff::Timestamp;
use serde_json::json;
use std::fmt;
use uuid::Uuid;

/// Names one elevation through policy, step-up, log and token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElevationId(String);

impl ElevationId {
    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// One that was stored with a step-up session.
    pub(super) const fn stored(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for ElevationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What `POST /token` answers when it does not refuse.
#[derive(Debug)]
pub enum Answer {
    /// A credential.
    Grant(ElevationId, Box<GrantResponse>),
    /// A stronger proof is needed.
    StepUp(ElevationId, Box<StepUpResponse>),
}

/// One elevation request of `caller`, to be bound to the proof key with thumbprint `jkt`.
///
/// # Errors
/// [`Refusal`]; every denial and failed step-up is in the log before it is told.
pub async fn elevate(
    authority: &Authority,
    caller: Caller,
    jkt: &str,
    request: &TokenRequest,
) -> Result<Answer, Refusal> {
    // caller
    let rules = authority.rules().await?;
    let now = authority.clock.now();
    let subject = &caller.of_token_request(authority, &rules, jkt, request).await?;
    let catalogue = authority.catalogue(&rules).await?;
    let wanted = Wanted::parse(authority, &catalogue, subject, jkt, request)?;
    let waiting = step_up::resume(authority, &wanted, request, now).await?;
    let elevation = waiting.as_ref().map_or_else(ElevationId::fresh, Waiting::elevation);
    admit(authority, subject, &elevation, &wanted, now).await?;

    // context
    let keys = authority.store.security_keys(subject.sub()).await?;
    let considered = wanted.consider(authority, &rules, subject, &keys, now).await?;

    // policy
    let issuable = Issuable::look(authority, wanted.asked.resource.as_str(), &wanted.resource).await;
    let sealed_for = issuable.as_ref().ok().and_then(Issuable::sealed_for);
    let permitted = match decide(&rules, &elevation, subject, &considered, sealed_for) {
        Ok(permitted) => permitted,
        Err(no) => return Err(denied(authority, &elevation, &wanted, &considered, no).await),
    };
    let issuable = issuable?;

    // step-up
    let seen = set_of_keys(keys.iter().map(|key| key.credential_id.as_str()));
    let keys = Keys::usable(keys, &rules, issuable.sealed_for());
    let reached = step_up::reach(authority, &permitted, &wanted, &considered, &keys, waiting, request, now);
    let step_up = match reached.await? {
        Answered::Reached(step_up) => step_up,
        Answered::Needed(mut response) => {
            response.elevate_recoveries = authority.recoveries_for(&rules, subject).await?;
            return Ok(Answer::StepUp(elevation, response));
        }
    };

    // record
    let grant = wanted.grant(&permitted, &step_up, seen, now)?;
    let recorded = record_grant(authority, subject, &permitted, &wanted, &considered, &step_up, &grant).await?;

    // issue
    let response = issue(authority, &permitted, &step_up, &recorded, &grant, &issuable, request.log_size).await?;
    Ok(Answer::Grant(elevation, Box::new(response)))
}

/// Policy's answer, within what no policy can give.
fn decide(
    rules: &Rules,
    elevation: &ElevationId,
    subject: &Subject,
    considered: &Considered,
    sealed_for: Option<&SealedFor>,
) -> Result<Permitted, NotPermitted> {
    let permitted = rules.policy.decide(elevation, &considered.question)?;
    let permitted = within_sign_in(rules, subject, &considered.context, permitted)?;
    within_reach(&considered.question, raised_for_sealed(permitted, sealed_for))
}

/// What a sign-in can't do whatever policy says: one by invitation but for the first key, and a first key without one where
/// the configuration wants it.
fn within_sign_in(
    rules: &Rules,
    subject: &Subject,
    context: &Context,
    permitted: Permitted,
) -> Result<Permitted, NotPermitted> {
    let Some(signed_in) = subject.sign_in() else { return Ok(permitted) };
    let first_key = context.operation == Some(OperationName::KeyEnroll) && context.observed.enrolled_keys == 0;
    let config = rules.config.sign_in.as_ref().map(|sign_in| sign_in.first_key);
    let cause = match (signed_in.person.how, first_key, config) {
        (How::Invitation, false, _) => "a sign-in by invitation is for enrolling a first key, and for nothing else",
        (How::Provider | How::Key, true, Some(FirstKey::Invitation) | None) => {
            "a first key takes an invitation here: ask an administrator for one, then run `elevate login --invitation`"
        }
        // The key that signed in is gone: whoever has it may be the reason.
        (How::Key, true, Some(FirstKey::FreshSignIn)) => {
            "the key that signed in was removed: a first key takes a sign-in with the provider, or an invitation"
        }
        (How::Invitation, true, _)
        | (How::Provider, true, Some(FirstKey::FreshSignIn))
        | (How::Provider | How::Key, false, _) => return Ok(permitted),
    };
    Err(NotPermitted { cause: cause.to_owned(), policies: permitted.policies().to_vec() })
}

/// A workload has no hands, and no keys: what takes a touch, or concerns keys, is out of its reach whatever policy says.
fn within_reach(question: &Question, permitted: Permitted) -> Result<Permitted, NotPermitted> {
    if question.principal.workload.is_none() {
        return Ok(permitted);
    }
    let cause = match (permitted.assurance(), question.action) {
        (Assurance::Session, Action::Elevate | Action::Administer) => return Ok(permitted),
        (Assurance::Session, Action::ManageOwnKeys) => "a workload has no security keys".to_owned(),
        (rung @ (Assurance::Touch | Assurance::Verified | Assurance::VerifiedHardware), _) => {
            format!("a workload can't touch a key, and policy asks for {rung}")
        }
    };
    Err(NotPermitted { cause, policies: permitted.policies().to_vec() })
}

fn principal(authority: &Authority, rules: &Rules, subject: &Subject) -> Principal {
    Principal::of(subject, authority.is_admin(rules, subject), rules.config.roles_of(subject))
}

/// What is known of a request, and the question to policy that comes of it.
pub struct Considered {
    pub(super) context: Context,
    question: Question,
    /// The digest of the rules under which it is asked.
    rules: String,
}

/// What is asked, parsed and checked against the catalogue.
pub struct Wanted {
    pub(super) asked: Asked,
    pub(super) resource: Resource,
    action: Action,
    /// What will be granted of the scope that was asked.
    pub(super) scope: Scope,
}

impl Wanted {
    fn parse(
        authority: &Authority,
        catalogue: &Catalogue,
        subject: &Subject,
        jkt: &str,
        request: &TokenRequest,
    ) -> Result<Self, Refusal> {
        if request.client_id != CLIENT_ID {
            return Err(parameter("invalid_client", format!("client_id must be {CLIENT_ID}")));
        }
        let name = ResourceName::from_indicator(&request.resource)
            .map_err(|malformed| parameter("invalid_target", malformed.to_string()))?;
        let detail = the_detail(&request.authorization_details)
            .map_err(|says| parameter("invalid_authorization_details", says))?;
        let (resource, action) = find(authority, catalogue, &name, &detail)?;
        let scope = narrowed_scope(&name, &resource, &request.scope)?;
        let asked = Asked {
            issuer: authority.issuer.to_string(),
            subject: subject.sub().to_owned(),
            jkt: jkt.to_owned(),
            resource: name,
            scope: request.scope.clone(),
            detail,
        };
        Ok(Self { asked, resource, action, scope })
    }

    async fn consider(
        &self,
        authority: &Authority,
        rules: &Rules,
        subject: &Subject,
        keys: &[SecurityKeyRow],
        now: Timestamp,
    ) -> Result<Considered, Refusal> {
        let detail = &self.asked.detail;
        let context = Context {
            observed: Observed::look(&authority.store, subject, &self.asked.resource, keys, now).await?,
            claimed: detail.claimed.clone(),
            has_reason: detail.reason.is_some(),
            operation: detail.operation.as_ref().map(|operation| operation.name),
        };
        let question = Question {
            action: self.action,
            principal: principal(authority, rules, subject),
            resource: Target::of(&self.asked.resource, &self.resource),
            context: context.record(subject, detail.ttl, &self.scope),
            ttl: detail.ttl,
            default_ttl: rules.config.default_ttl,
        };
        Ok(Considered { context, question, rules: rules.digest.clone() })
    }

    /// The grant that the proofs allow: never more than was signed, never more than policy allows now.
    fn grant(
        &self,
        permitted: &Permitted,
        step_up: &StepUp,
        keys: String,
        now: Timestamp,
    ) -> Result<GrantRow, Refusal> {
        let signed = step_up.narrowing();
        let scope = signed.map_or(&self.scope, |narrowing| &narrowing.scope);
        let ttl = signed.map_or(u64::MAX, |narrowing| narrowing.ttl).min(permitted.ttl());
        let operation = self.asked.detail.operation.as_ref().map(serde_json::to_string).transpose();
        Ok(GrantRow {
            id: base64url(random::<16>()),
            sub: self.asked.subject.clone(),
            resource: self.asked.resource.to_string(),
            scope: scope.to_string(),
            jkt: self.asked.jkt.clone(),
            acr: step_up.assurance().acr().to_owned(),
            operation: operation.map_err(|_| Refusal::Malformed("the operation can't be written".into()))?,
            keys: (self.action == Action::ManageOwnKeys).then_some(keys),
            issued_at: now,
            expires_at: after(now, ttl),
            revoked_at: None,
            spent_at: None,
        })
    }

    /// The private part of every log entry about this request.
    pub(super) fn private(&self, considered: &Considered) -> serde_json::Value {
        let context = &considered.context;
        let mut private = json!({
            "sub": self.asked.subject,
            "uid": context.observed.uid,
            "scope": self.scope,
            "detail": self.asked.detail,
            "jkt": self.asked.jkt,
            "question": considered.question,
            "rules": considered.rules,
        });
        if let Some(workload) = &context.observed.workload {
            private["workload"] = json!(workload);
        }
        private
    }
}

/// What OAuth has an error code of its own for.
fn parameter(error: &'static str, says: String) -> Refusal {
    Refusal::Parameter { error, says }
}

/// RFC 9396 section 5: one detail, of our type, or what is wrong with it.
fn the_detail(text: &str) -> Result<AuthorizationDetail, String> {
    let details: Vec<AuthorizationDetail> = serde_json::from_str(text)
        .map_err(|error| escaped(&format!("authorization_details can't be read: {error}")))?;
    let [detail] = <[AuthorizationDetail; 1]>::try_from(details)
        .map_err(|_| "authorization_details holds one detail of type 'elevate'".to_owned())?;
    if detail.reason.as_ref().is_some_and(|reason| reason.chars().count() > 500) {
        return Err("a reason has 500 characters at most".to_owned());
    }
    Ok(detail)
}

fn find(
    authority: &Authority,
    catalogue: &Catalogue,
    name: &ResourceName,
    detail: &AuthorizationDetail,
) -> Result<(Resource, Action), Refusal> {
    match (&detail.operation, name.as_str() == AUTHORITY_RESOURCE) {
        (Some(operation), true) => {
            let action = if operation.name.is_own_keys() { Action::ManageOwnKeys } else { Action::Administer };
            Ok((Resource::authority(&authority.issuer), action))
        }
        (None, true) => Err(Refusal::Malformed("an elevation to the authority itself names its one operation".into())),
        (Some(_), false) => Err(Refusal::Malformed("operations are for the authority itself".into())),
        (None, false) => Ok((catalogue.resource(name)?.clone(), Action::Elevate)),
    }
}

fn narrowed_scope(name: &ResourceName, resource: &Resource, asked: &Scope) -> Result<Scope, Refusal> {
    let all = resource.scope();
    if asked.is_empty() {
        return Ok(all);
    }
    if all.covers(asked) {
        return Ok(asked.clone());
    }
    let offered = if all.is_empty() { "none".to_owned() } else { all.to_string() };
    Err(parameter("invalid_scope", format!("'{asked}' is not a scope of {name}; it has: {offered}")))
}

/// Lets a user in who is not shut out; a first request makes the user known.
async fn admit(
    authority: &Authority,
    subject: &Subject,
    elevation: &ElevationId,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<(), Refusal> {
    let sub = subject.sub().to_owned();
    match authority.store.user(&sub).await? {
        None => make_known(authority, &sub, elevation, now).await,
        Some(user) if user.disabled_at.is_some() => {
            let mut entry = Entry::new(Event::ElevationDenied, elevation.clone(), json!({ "sub": sub }));
            entry.resource = Some(wanted.asked.resource.to_string());
            entry.cause = Some("the account is disabled".to_owned());
            authority.audit.record(entry, Vec::new()).await?;
            Err(Refusal::UserDisabled(elevation.clone()))
        }
        Some(_) => Ok(()),
    }
}

/// Records that there is such a user, where that is new.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn make_known(
    authority: &Authority,
    sub: &str,
    elevation: &ElevationId,
    now: Timestamp,
) -> Result<(), Refusal> {
    if authority.store.user(sub).await?.is_some() {
        return Ok(());
    }
    let entry = Entry::new(Event::UserCreated, elevation.clone(), json!({ "sub": sub }));
    match authority.audit.record(entry, vec![Change::CreateUser { sub: sub.to_owned(), at: now }]).await {
        // Two first requests at once: the other one made the user.
        Ok(_) | Err(super::audit::RecordError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Records a denial; it is told only once it is recorded.
async fn denied(
    authority: &Authority,
    elevation: &ElevationId,
    wanted: &Wanted,
    considered: &Considered,
    no: NotPermitted,
) -> Refusal {
    let mut entry = Entry::new(Event::ElevationDenied, elevation.clone(), wanted.private(considered));
    entry.resource = Some(wanted.asked.resource.to_string());
    entry.policies = no.policies;
    entry.signals = considered.context.signal_names();
    entry.cause = Some(no.cause.clone());
    match authority.audit.record(entry, Vec::new()).await {
        Ok(_) => Refusal::Denied { elevation: elevation.clone(), cause: no.cause },
        Err(error) => error.into(),
    }
}

async fn record_grant(
    authority: &Authority,
    subject: &Subject,
    permitted: &Permitted,
    wanted: &Wanted,
    considered: &Considered,
    step_up: &StepUp,
    grant: &GrantRow,
) -> Result<Recorded, Refusal> {
    let mut changes = step_up.changes().to_vec();
    changes.push(Change::AddGrant(grant.clone()));
    let mut private = wanted.private(considered);
    if let Some(signed_in) = subject.sign_in() {
        changes.push(Change::AddGrantOfSignIn { sign_in: signed_in.id.clone(), grant: grant.id.clone() });
        private["sign_in"] = json!(signed_in.id);
    }
    private["grant_id"] = json!(grant.id);
    private["expires_at"] = json!(grant.expires_at);
    private["evidence"] = json!(step_up.evidence());
    let mut entry = Entry::new(Event::GrantIssued, permitted.elevation().clone(), private);
    entry.resource = Some(grant.resource.clone());
    entry.assurance = Some(step_up.assurance());
    entry.policies = permitted.policies().to_vec();
    entry.signals = considered.context.signal_names();
    Ok(authority.audit.record(entry, changes).await?)
}

/// What would be answered to a plain request.
pub struct Foreseen {
    /// What is known.
    pub context: Context,
    /// What policy says.
    pub decision: Result<Permitted, NotPermitted>,
    /// Set where it takes a key that the caller has not: what would help.
    pub way_out: Option<String>,
}

/// Asks policy what it would say to a plain request for one resource. Nothing is recorded: nothing happens.
///
/// # Errors
/// [`Refusal::Store`].
pub async fn foresee(
    authority: &Authority,
    subject: &Subject,
    name: &ResourceName,
    resource: &Resource,
    rules: &Rules,
) -> Result<Foreseen, Refusal> {
    let keys = authority.store.security_keys(subject.sub()).await?;
    let context = Context {
        observed: Observed::look(&authority.store, subject, name, &keys, authority.clock.now()).await?,
        claimed: Claimed::default(),
        has_reason: false,
        operation: None,
    };
    let question = Question {
        action: Action::Elevate,
        principal: principal(authority, rules, subject),
        resource: Target::of(name, resource),
        context: context.record(subject, None, &resource.scope()),
        ttl: None,
        default_ttl: rules.config.default_ttl,
    };
    let sealed_for = authority.store.secret(name.as_str()).await?.and_then(|row| row.sealed_for);
    let sealed_for: Option<SealedFor> = sealed_for.and_then(|text| serde_json::from_str(&text).ok());
    let considered = Considered { context, question, rules: rules.digest.clone() };
    let decision = decide(rules, &ElevationId::fresh(), subject, &considered, sealed_for.as_ref());
    let keys = Keys::usable(keys, rules, sealed_for.as_ref());
    let way_out = decision.as_ref().ok().and_then(|permitted| keys.way_out(permitted.assurance(), name));
    Ok(Foreseen { context: considered.context, decision, way_out })
}
