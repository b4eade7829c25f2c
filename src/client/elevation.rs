//! The flow: grant cache -> single flight -> ask -> show, touch -> exchange -> store, read top to bottom.

use super::Device;
use super::authority_api::{AuthorityApi, TokenAnswer};
use super::error::Error;
use super::grant_store::{KeyringError, StoredGrant};
use super::known_keys;
use super::presence::Approval;
use super::progress::Event;
use super::sealing::{Identity, unseal};
use super::security_key::{check_assertion, for_challenge};
use super::single_flight;
use super::suggestions;
use super::terminal::person_is_there;
use crate::clock::{human, seconds_between};
use crate::log::checkpoint::TreeHead;
use crate::protocol::CLIENT_ID;
use crate::protocol::access_token::Claims;
use crate::protocol::assurance::Assurance;
use crate::protocol::challenge::{Asked, Narrowing, rebuild};
use crate::protocol::display::{escaped, wrapped};
use crate::protocol::dpop::ProofKey;
use crate::protocol::encoding::from_base64url;
use crate::protocol::messages::{
    ACCESS_TOKEN_TYPE, AuthorizationDetail, Claimed, ElevateType, ErrorCode, GrantResponse, JWT_TYPE, Operation,
    PEER_TOKEN_TYPE, ResourceKind, StepUpResponse, TOKEN_EXCHANGE, TokenRequest,
};
use crate::protocol::names::{ResourceName, Scope, Ttl};
use crate::protocol::secret::Secret;
use std::fmt::Write as _;
use std::time::Duration;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of which resource.
    pub resource: ResourceName,
    /// Which scope; empty for its default.
    pub scope: Scope,
    /// For how long at most.
    pub ttl: Option<Ttl>,
    /// How long a cached grant must still last.
    pub min_ttl: Option<Ttl>,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// File name of the command it is for.
    pub command: Option<String>,
    /// What it is for: a secret that is no use is refused before anybody touches a key for it.
    pub purpose: Purpose,
    /// What to do with the grants that are there.
    pub cache: Cache,
    /// What an operation does, for the person who approves it.
    pub does: Option<String>,
}

impl Wanted {
    /// A resource, and nothing particular about it.
    #[must_use]
    pub fn of(resource: ResourceName) -> Self {
        Self {
            resource,
            scope: Scope::default(),
            ttl: None,
            min_ttl: None,
            reason: None,
            command: None,
            purpose: Purpose::Any,
            cache: Cache::Use,
            does: None,
        }
    }
}

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whatever it is.
    Any,
    /// To be printed as a token.
    Token,
    /// To be renewed while a command runs.
    Renewal,
}

/// What to do with the grants that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Use one that is good enough, and keep the new one.
    Use,
    /// Ask anew, and keep the new one (`-v`).
    Renew,
    /// Ask anew, and leave the ones that are kept as they are (`-k`).
    Ignore,
}

/// A grant in hand.
#[derive(Debug, Clone)]
pub struct Held {
    /// The grant.
    pub grant: StoredGrant,
    /// What its token says.
    pub claims: Claims,
    /// Where it is kept; `None` where it is not.
    pub kept_in: Option<&'static str>,
    /// Whether it was there already.
    pub cached: bool,
}

/// Elevates: from the cache if it can, by asking if it must.
///
/// # Errors
/// [`Error`]; then nothing is held that was not held before.
pub fn elevate(device: &Device, wanted: &Wanted) -> Result<Held, Error> {
    if let Some(held) = cached(device, wanted)? {
        tracing::debug!(resource = %wanted.resource, "a grant that is held covers it");
        return Ok(held.announced(device));
    }
    suggestions::refuse_mistyped_verb(device, &wanted.resource)?;
    let known = device.known()?;
    let waiting = || {
        device.terminal.progress(&Event::WaitingForFlight, Some(&wanted.resource));
        if !device.terminal.progress {
            device.terminal.note(&format!("another elevate is asking for {}; waiting for its answer", wanted.resource));
        }
    };
    let mut flight = single_flight::enter(device, known, wanted, waiting)?;
    // Whoever was before us may have left what we want.
    if let Some(held) = cached(device, wanted)? {
        return Ok(held.announced(device));
    }
    let granted = device.api().and_then(|api| ask(device, api, wanted, None));
    let granted = granted.map_err(|error| suggestions::with_nearest(device, &wanted.resource, error));
    let (grant, claims) = granted.inspect_err(|error| flight.leave(error))?;
    let kept_in = if wanted.cache == Cache::Ignore { None } else { keep(device, &grant) };
    drop(flight);
    hear_names(device);
    Ok(Held { grant, claims, kept_in, cached: false }.announced(device))
}

impl Held {
    /// Says so to programs that follow the progress.
    fn announced(self, device: &Device) -> Self {
        if let Ok(scope) = self.claims.scope.parse() {
            let event = Event::Granted { scope, expires_at: self.grant.expires_at, cached: self.cached };
            device.terminal.progress(&event, Some(&self.grant.resource));
        }
        self
    }
}

/// Completion asks nobody, so now and then whoever talks to the authority anyhow asks for the names.
fn hear_names(device: &Device) {
    if matches!(device.identity_token(), Ok(None))
        && let Ok(api) = device.api()
        && api.names().is_stale(device.clock.now())
    {
        let _ = device.resources();
    }
}

/// A live grant that covers what is wanted. A keyring that can't be used only costs the cache.
///
/// # Errors
/// Where what is kept is no use, or can't be read.
pub fn cached(device: &Device, wanted: &Wanted) -> Result<Option<Held>, Error> {
    if wanted.cache != Cache::Use || device.met()?.is_none() {
        return Ok(None);
    }
    let Ok(store) = device.grant_store() else { return Ok(None) };
    let now = device.clock.now();
    let grant = match store.get(&wanted.resource, now) {
        Ok(Some(grant)) => grant,
        // Where it reaches nobody it is not kept either, and that is said then.
        Ok(None) | Err(KeyringError::NoReach(_)) => return Ok(None),
        Err(error) => {
            device.terminal.note(&error.to_string());
            return Ok(None);
        }
    };
    refuse_useless(wanted, grant.kind)?;
    let claims = read_claims(&grant)?;
    // One that was made out to somebody else is theirs.
    if claims.sub != device.subject()? {
        return Ok(None);
    }
    let granted: Scope = claims.scope.parse()?;
    let left = seconds_between(now, grant.expires_at);
    let long_enough = wanted.min_ttl.is_none_or(|least| left >= least.seconds());
    // Asking for less than is held is covered; asking for a longer time is not a reason to touch again.
    // Who names no scope wants all there is, which only a grant that was asked so has.
    let wide_enough = if wanted.scope.is_empty() { grant.whole } else { granted.covers(&wanted.scope) };
    let covers = wide_enough && long_enough;
    Ok(covers.then_some(Held { grant, claims, kept_in: Some(store.name()), cached: true }))
}

/// The claims of a token of ours. The service that takes it checks its signature; we were given it by the authority.
///
/// # Errors
/// Where it is no token.
pub fn read_claims(grant: &StoredGrant) -> Result<Claims, Error> {
    let payload = grant.access_token.expose().split('.').nth(1).and_then(from_base64url);
    let claims = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claims.ok_or_else(|| {
        Error::failed(format!("the token kept for {} can't be read", grant.resource))
            .hint(format!("`elevate drop {}` removes it", grant.resource))
    })
}

/// Puts a grant into the keyring; without one it is used once, and that is said.
fn keep(device: &Device, grant: &StoredGrant) -> Option<&'static str> {
    let kept = device.grant_store().and_then(|store| {
        store.put(grant, device.clock.now())?;
        if !store.expires_by_itself() {
            device.start_reaper();
        }
        Ok(store.name())
    });
    match kept {
        Ok(name) => Some(name),
        Err(error) => {
            device.terminal.note(&format!("the grant is not kept: {error}"));
            None
        }
    }
}

/// Asks the authority, answers the step-up if there is one, and checks what comes back.
///
/// # Errors
/// [`Error`].
pub fn ask(
    device: &Device,
    api: &AuthorityApi,
    wanted: &Wanted,
    operation: Option<Operation>,
) -> Result<(StoredGrant, Claims), Error> {
    let key = device.proof_key()?;
    let seen = device.trust().seen(api.known())?;
    let asked = asked(device, api, wanted, operation, &key)?;
    let mut request = token_request(&asked, seen, device)?;
    let mut approved = None;
    device.terminal.progress(&Event::Asking, Some(&wanted.resource));
    let response = match api.token(&request, &key)? {
        TokenAnswer::Grant(grant) => grant,
        TokenAnswer::StepUp(step_up) => {
            tracing::debug!(acr = step_up.elevate_txn.acr_values, "a step-up is asked");
            refuse_useless(wanted, step_up.elevate_kind)?;
            // A step-up takes a key: an authority that lists none is one that does not tell.
            if !step_up.elevate_enrolled.is_empty() {
                known_keys::heard(device, &step_up.elevate_enrolled, &step_up.elevate_recoveries);
            }
            let approval = approve(device, wanted, &asked, &step_up)?;
            request.auth_session = Some(step_up.auth_session.clone());
            request.authn_response = Some(approval.assertion.clone());
            approved = Some(approval);
            match api.token(&request, &key)? {
                TokenAnswer::Grant(grant) => grant,
                TokenAnswer::StepUp(_) => return Err(Error::failed("the authority asks for a second step-up")),
            }
        }
    };
    refuse_useless(wanted, response.kind)?;
    let response = unsealed(response, approved.as_ref())?;
    let narrowing = approved.as_ref().map(|approved| &approved.narrowing);
    check(device, api, &asked, narrowing, response, &key, seen)
}

/// What a key approved.
struct Approved {
    narrowing: Narrowing,
    /// JSON, for the authority.
    assertion: String,
    /// What opens a secret that is sealed under the key; the authority never sees it.
    identity: Option<Identity>,
}

/// A secret that is sealed under security keys is opened with what the key gave along with its signature.
fn unsealed(mut response: Box<GrantResponse>, approved: Option<&Approved>) -> Result<Box<GrantResponse>, Error> {
    if let (true, Some(sealed)) = (response.secret_sealed, &response.secret) {
        let identity = approved.and_then(|approved| approved.identity.as_ref()).ok_or_else(|| {
            Error::new(ErrorCode::VerificationFailed, "the secret is sealed, and no key gave what opens it")
        })?;
        response.secret = Some(unseal(sealed.expose(), identity)?);
    }
    Ok(response)
}

/// A secret is no token, and is not handed out as one.
///
/// # Errors
/// [`ErrorCode::Usage`], with what to write.
fn refuse_useless(wanted: &Wanted, kind: ResourceKind) -> Result<(), Error> {
    let resource = &wanted.resource;
    match (kind, wanted.purpose) {
        (ResourceKind::Secret, Purpose::Token) => Err(Error::usage(format!("{resource} is a secret and has no token"))
            .hint(format!("use `elevate {resource} -- COMMAND` or `elevate env {resource}`"))),
        (ResourceKind::Secret, Purpose::Renewal) => {
            Err(Error::usage(format!("{resource} is a secret, which is the same after its grant is renewed"))
                .hint("leave --renew out"))
        }
        (ResourceKind::Secret, Purpose::Any)
        | (ResourceKind::Jwt, Purpose::Any | Purpose::Token | Purpose::Renewal) => Ok(()),
    }
}

fn asked(
    device: &Device,
    api: &AuthorityApi,
    wanted: &Wanted,
    operation: Option<Operation>,
    key: &ProofKey,
) -> Result<Asked, Error> {
    Ok(Asked {
        issuer: api.known().issuer.to_string(),
        subject: device.subject()?,
        jkt: key.jkt().to_owned(),
        resource: wanted.resource.clone(),
        scope: wanted.scope.clone(),
        detail: AuthorizationDetail {
            r#type: ElevateType::Elevate,
            ttl: wanted.ttl,
            reason: wanted.reason.clone(),
            operation,
            claimed: claimed(device, wanted),
        },
    })
}

/// What this machine says of itself.
fn claimed(device: &Device, wanted: &Wanted) -> Claimed {
    Claimed {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        os: std::env::consts::OS.to_owned(),
        tty: !device.non_interactive && person_is_there(),
        ssh: std::env::var_os("SSH_CONNECTION").is_some(),
        command: wanted.command.clone(),
    }
}

fn token_request(asked: &Asked, seen: Option<TreeHead>, device: &Device) -> Result<TokenRequest, Error> {
    let (subject_token, subject_token_type) = match (device.identity_token()?, device.session()?) {
        (Some(token), _) => (token.jwt(&device.clock)?.clone(), JWT_TYPE),
        (None, Some(session)) => (session.token.clone(), ACCESS_TOKEN_TYPE),
        (None, None) => (Secret::new(asked.subject.clone()), PEER_TOKEN_TYPE),
    };
    let details = serde_json::to_string(&[&asked.detail]).map_err(|error| Error::failed(error.to_string()))?;
    Ok(TokenRequest {
        grant_type: TOKEN_EXCHANGE.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        subject_token,
        subject_token_type: subject_token_type.to_owned(),
        resource: asked.resource.indicator(),
        scope: asked.scope.clone(),
        authorization_details: details,
        log_size: seen.map_or(0, |head| head.size),
        prompt: device.non_interactive.then(|| "none".to_owned()),
        auth_session: None,
        authn_response: None,
    })
}

/// Rebuilds the challenge from what *we* asked, shows it, and has it signed. If one byte differs nothing is touched.
fn approve(device: &Device, wanted: &Wanted, asked: &Asked, step_up: &StepUpResponse) -> Result<Approved, Error> {
    let options = &step_up.authn_params_public_key;
    let narrowing =
        rebuild(asked, &step_up.auth_session, &step_up.elevate_txn, &step_up.elevate_nonce, &options.challenge)
            .map_err(|error| {
                Error::new(ErrorCode::VerificationFailed, error.to_string()).hint("nothing was touched or approved")
            })?;
    if options.rp_id != device.known()?.rp_id() {
        return Err(Error::new(ErrorCode::VerificationFailed, "the authority asks for a key of another relying party"));
    }
    let shown = approval_text(wanted, asked, &narrowing, &step_up.error_description);
    let (assurance, expires_at) = (narrowing.assurance, narrowing.expires);
    device.terminal.progress(&Event::StepUp { assurance, expires_at }, Some(&asked.resource));
    let limit = Duration::from_secs(seconds_between(device.clock.now(), narrowing.expires));
    let key = for_challenge(device, options, &step_up.elevate_keys);
    let mut assertion = key.get_assertion(options, &Approval::new(device, shown, limit).of(&asked.resource))?;
    check_assertion(options, &assertion, &step_up.elevate_keys)?;
    let identity = Identity::of(&mut assertion, &options.rp_id)?;
    let assertion = serde_json::to_string(&assertion).map_err(|error| Error::failed(error.to_string()))?;
    Ok(Approved { narrowing, assertion, identity })
}

/// What a touch approves, in full, each value on a line of its own.
fn approval_text(wanted: &Wanted, asked: &Asked, narrowing: &Narrowing, why: &str) -> String {
    let detail = &asked.detail;
    let mut text = String::new();
    let what = match &detail.operation {
        Some(operation) => format!("{} on this authority", operation.name),
        None => format!("elevation to {}", asked.resource),
    };
    let _ = writeln!(text, "\nelevate: approve {}?", escaped(&what));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9}{}", wrapped(&escaped(value), 68).join("\n           "));
    };
    if let Some(does) = &wanted.does {
        line("to", does);
    }
    if let Some(target) = detail.operation.as_ref().and_then(|operation| operation.target.as_deref()) {
        line("target", target);
    }
    if !narrowing.scope.is_empty() {
        line("scope", &narrowing.scope.to_string());
    }
    line("for", &human(narrowing.ttl));
    if let Some(command) = &detail.claimed.command {
        line("command", command);
    }
    if let Some(reason) = &detail.reason {
        line("reason", reason);
    }
    line("because", why);
    if narrowing.assurance != Assurance::Touch {
        line("takes", narrowing.assurance.takes());
    }
    text
}

/// Nothing that comes back is taken on trust: it must be what was asked and approved, bound to our key, and stand in the
/// log.
fn check(
    device: &Device,
    api: &AuthorityApi,
    asked: &Asked,
    approved: Option<&Narrowing>,
    response: Box<GrantResponse>,
    key: &ProofKey,
    seen: Option<TreeHead>,
) -> Result<(StoredGrant, Claims), Error> {
    let grant = StoredGrant {
        resource: asked.resource.clone(),
        kind: response.kind,
        access_token: response.access_token,
        proof_key: key.to_stored(),
        secret: response.secret,
        whole: asked.scope.is_empty(),
        reach: None,
        issued_at: response.issued_at,
        expires_at: response.expires_at,
    };
    let claims = read_claims(&grant)?;
    let scope: Scope = claims.scope.parse()?;
    let ttl = claims.exp.checked_sub(claims.iat).and_then(|ttl| u64::try_from(ttl).ok()).unwrap_or(u64::MAX);
    let reached = Assurance::from_acr(&claims.acr);
    let as_approved = approved.is_none_or(|approved| {
        approved.scope.covers(&scope) && ttl <= approved.ttl && reached.is_some_and(|it| it >= approved.assurance)
    });
    let as_asked = claims.cnf.jkt == key.jkt()
        && claims.iss == asked.issuer
        && claims.sub == asked.subject
        && claims.exp == grant.expires_at.as_second()
        && (asked.scope.is_empty() || asked.scope.covers(&scope))
        && asked.detail.ttl.is_none_or(|most| ttl <= most.seconds());
    if !as_asked || !as_approved {
        return Err(Error::new(ErrorCode::VerificationFailed, "the authority's token is not what was asked for")
            .hint("it is not used"));
    }
    device.trust().keep(api.known(), &response.receipt, seen, &claims.txn, &claims.jti)?;
    Ok((grant, claims))
}
