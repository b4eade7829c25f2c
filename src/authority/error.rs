//! Every way the authority says no: rich inside, few codes outside, each a fact and then what to do.

use super::audit::AuditError;
use super::elevation::ElevationId;
use super::sign_in::sessions::Over;
use super::signer::KeyError;
use super::store::StoreError;
use super::workloads::NotTaken;
use crate::protocol::assurance::Assurance;
use crate::protocol::display::escaped;
use crate::protocol::dpop::DpopError;
use crate::protocol::messages::{ErrorCode, ErrorResponse};
use crate::protocol::names::Malformed;

/// A refusal. Nothing was issued, and nothing is half-written.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// A parameter is not acceptable, and OAuth has a code of its own for that.
    #[error("{says}")]
    Parameter {
        /// RFC 6749 section 5.2, RFC 8707 section 2, RFC 9396 section 5.
        error: &'static str,
        /// What is wrong with it.
        says: String,
    },
    /// The client tries to authenticate in a header (RFC 6749 section 2.3), and it is a public one.
    #[error("clients are public here: there is nothing to authenticate with")]
    ClientAuthentication,
    /// No such resource, or none for this caller: the two are not told apart.
    #[error("there is no resource '{}' for you", escaped(.0))]
    UnknownResource(String),
    /// The caller is somebody else than the one account that is served.
    #[error("this authority serves {owner}, and the kernel says that {observed} calls")]
    NotServed {
        /// Whom it serves.
        owner: String,
        /// What the kernel says.
        observed: String,
    },
    /// The caller is not whom the request speaks for.
    #[error("the request speaks for {claimed}, and the kernel says it comes from {observed}")]
    NotTheCaller {
        /// What the request says.
        claimed: String,
        /// What the kernel says.
        observed: String,
    },
    /// Nobody vouches for the caller.
    #[error("you are not signed in")]
    NotSignedIn,
    /// A request that somebody has to be signed in for shows nobody.
    #[error("you are not signed in")]
    Anonymous,
    /// The device was signed in, and is not any more.
    #[error("{0}")]
    SignInOver(Over),
    /// What the `Authorization` header shows is not acceptable, or its proof is not.
    #[error(transparent)]
    Unauthorized(Box<Refusal>),
    /// A step of signing in that OAuth has an error code for.
    #[error("{cause}")]
    SignIn {
        /// RFC 6749 section 5.2, RFC 8628 section 3.5.
        error: &'static str,
        /// Which check.
        cause: String,
    },
    /// The provider does not say who somebody is.
    #[error("the identity provider can't say who you are: {0}")]
    Provider(String),
    /// Shut out by an administrator.
    #[error("your account was disabled")]
    UserDisabled(ElevationId),
    /// Policy says no.
    #[error("{cause}")]
    Denied {
        /// The log entry.
        elevation: ElevationId,
        /// Why.
        cause: String,
    },
    /// Policy wants a proof that none of the caller's keys can give.
    #[error("this takes {}, and you have no key that can give it", .assurance.takes())]
    NoSecurityKey {
        /// The log entry.
        elevation: ElevationId,
        /// The rung.
        assurance: Assurance,
    },
    /// A secret is sealed for keys of which the caller has none.
    #[error("its secret is sealed for security keys, and you have none of them")]
    NoKeyUnseals {
        /// The log entry.
        elevation: ElevationId,
        /// Whose secret.
        resource: String,
    },
    /// Nobody trusted vouches for a new key.
    #[error("nobody whom this authority trusts vouches for this key's model")]
    NotAttested(ElevationId),
    /// What came back is no proof.
    #[error("the step-up failed: {cause}")]
    StepUpFailed {
        /// The log entry.
        elevation: ElevationId,
        /// Which check.
        cause: String,
    },
    /// Expired, answered already, or never begun.
    #[error("this step-up is over: it was answered already, or its two minutes have passed")]
    SessionGone,
    /// An identity token names nobody who is let in.
    #[error(transparent)]
    IdentityToken(#[from] NotTaken),
    /// The keys of a trusted issuer are not to be had, so that nothing it signed can be checked.
    #[error("{name} can't be asked for the keys that sign its identity tokens: {cause}")]
    Issuer {
        /// Its name in the configuration.
        name: String,
        /// Why.
        cause: String,
    },
    /// The proof of possession is not acceptable.
    #[error(transparent)]
    Dpop(#[from] DpopError),
    /// The access token shown for an operation is not acceptable.
    #[error("the access token is not acceptable: {0}")]
    Token(&'static str),
    /// Too many step-ups are open for this caller.
    #[error("too many of your step-ups wait for an answer")]
    TooMany,
    /// More requests than the caller's budget holds; in how many seconds there is room again.
    #[error("too many requests from you at once")]
    Flood(u64),
    /// What is stored of a resource is none that this version knows.
    #[error("the resource '{}' is stored, and can't be used: {reason}", escaped(name))]
    BrokenResource {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// The resource has no secret yet.
    #[error("no secret is stored for '{0}'")]
    NoSecret(String),
    /// A thing named in a request is not there, or there already.
    #[error("{0}")]
    Conflict(&'static str),
    /// The store can't answer.
    #[error(transparent)]
    Store(StoreError),
    /// The log can't take the entry.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Policy can't answer.
    #[error("the policy can't answer: {0}")]
    Policy(String),
    /// The key says of itself that it is a file, and the configuration does not allow those.
    #[error("software keys are not allowed here")]
    SoftwareKey,
    /// There is no such endpoint.
    #[error("there is no {}", escaped(.0))]
    NoSuchPath(String),
    /// The endpoint has another method.
    #[error("there is no {}; the endpoint has another method", escaped(.0))]
    WrongMethod(String),
    /// The request is bigger than any has to be.
    #[error("the request is too large")]
    TooLarge,
    /// Its body did not arrive.
    #[error("the request took too long to arrive")]
    TooSlow,
    /// It arrived, and there was no answer in time.
    #[error("the authority could not answer in time")]
    Overdue,
    /// The authority's own code failed.
    #[error("the authority failed on this request")]
    Broken,
    /// `prompt=none`, and policy asks for a touch.
    #[error("this takes {}", .assurance.takes())]
    InteractionRequired {
        /// The rung.
        assurance: Assurance,
        /// Whether what comes of it can be kept: an operation is approved each time.
        kept: bool,
    },
    /// Sealing, signing or opening failed.
    #[error("the authority's keys can't be used: {0}")]
    Keys(&'static str),
}

/// The class of an error that OAuth has a name for.
const fn sign_in_code(error: &'static str) -> ErrorCode {
    match error.as_bytes() {
        b"authorization_pending" | b"slow_down" => ErrorCode::ApprovalPending,
        b"access_denied" => ErrorCode::Denied,
        b"invalid_grant" | b"invalid_session" | b"expired_token" => ErrorCode::VerificationFailed,
        _ => ErrorCode::Usage,
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Conflict(what),
            StoreError::Unavailable(_) | StoreError::PostgreSql(_) | StoreError::Corrupt(_) => Self::Store(error),
        }
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(error) => error.into(),
            KeyError::Crypto(what) => Self::Keys(what),
            KeyError::File { .. } => Self::Keys("the key file can't be read"),
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.0)
    }
}

impl Refusal {
    /// The same, of what stands in an `Authorization` header (RFC 6750 section 3.1, RFC 9449 sections 7.1 and 9).
    #[must_use]
    pub fn of_authorization(self) -> Self {
        let is_about_it =
            matches!(self, Self::NotSignedIn | Self::SignInOver(_) | Self::IdentityToken(_) | Self::Dpop(_));
        if is_about_it { Self::Unauthorized(Box::new(self)) } else { self }
    }

    /// What would be accepted (RFC 9110 section 11.6.1); only where the status is 401.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let (status, error, _) = self.class();
        let is_bearer = matches!(self, Self::Unauthorized(inner) if matches!(**inner, Self::IdentityToken(_)));
        let challenge = if matches!(self, Self::ClientAuthentication) {
            "Basic realm=\"elevate\"".to_owned()
        } else if matches!(self, Self::Anonymous) {
            // RFC 6750 section 3.1: who shows nothing is told of no error.
            "DPoP algs=\"ES256\"".to_owned()
        } else if is_bearer {
            format!("Bearer error=\"{error}\"")
        } else {
            format!("DPoP error=\"{error}\", algs=\"ES256\"")
        };
        (status == 401).then_some(challenge)
    }

    /// HTTP status, OAuth error code (RFC 6749 section 5.2, RFC 8707, RFC 9449) and our own class.
    #[must_use]
    pub fn class(&self) -> (u16, &'static str, ErrorCode) {
        match self {
            Self::Malformed(_) => (400, "invalid_request", ErrorCode::Usage),
            Self::Parameter { error, .. } => (400, error, ErrorCode::Usage),
            Self::ClientAuthentication => (401, "invalid_client", ErrorCode::Usage),
            Self::NoSuchPath(_) => (404, "invalid_request", ErrorCode::Failed),
            Self::WrongMethod(_) => (405, "invalid_request", ErrorCode::Failed),
            Self::TooSlow => (408, "invalid_request", ErrorCode::Failed),
            Self::TooLarge => (413, "invalid_request", ErrorCode::Usage),
            Self::Broken => (500, "server_error", ErrorCode::Failed),
            Self::InteractionRequired { .. } => (400, "interaction_required", ErrorCode::InteractionRequired),
            Self::UnknownResource(_) => (400, "invalid_target", ErrorCode::Usage),
            Self::NotServed { .. } => (403, "invalid_request", ErrorCode::Denied),
            // RFC 8693 section 2.2.2: it is the subject token that is wrong.
            Self::NotTheCaller { .. } => (400, "invalid_request", ErrorCode::Denied),
            Self::UserDisabled(_) | Self::Denied { .. } | Self::SoftwareKey | Self::NotAttested(_) => {
                (403, "access_denied", ErrorCode::Denied)
            }
            Self::NoSecurityKey { .. } | Self::NoKeyUnseals { .. } => (403, "access_denied", ErrorCode::NoSecurityKey),
            Self::StepUpFailed { .. } | Self::SessionGone => (400, "invalid_grant", ErrorCode::VerificationFailed),
            // RFC 8693 section 2.2.2: a subject token that is not acceptable for whatever reason.
            Self::IdentityToken(_) | Self::NotSignedIn | Self::SignInOver(_) => {
                (400, "invalid_request", ErrorCode::NotSignedIn)
            }
            Self::Anonymous => (401, "invalid_token", ErrorCode::NotSignedIn),
            Self::Unauthorized(inner) => match (&**inner, inner.class()) {
                (Self::Dpop(_), (_, error, code)) => (401, error, code),
                (_, (_, _, code)) => (401, "invalid_token", code),
            },
            Self::SignIn { error, .. } => (400, error, sign_in_code(error)),
            Self::Dpop(DpopError::NonceNeeded) => (400, "use_dpop_nonce", ErrorCode::Failed),
            Self::Dpop(DpopError::Invalid(_) | DpopError::Clock { .. }) => {
                (400, "invalid_dpop_proof", ErrorCode::Failed)
            }
            Self::Token(_) => (401, "invalid_token", ErrorCode::Denied),
            Self::TooMany => (429, "slow_down", ErrorCode::Denied),
            Self::Flood(_) => (429, "slow_down", ErrorCode::Failed),
            Self::NoSecret(_) | Self::Conflict(_) => (409, "invalid_request", ErrorCode::No),
            Self::Provider(_)
            | Self::Issuer { .. }
            | Self::Store(_)
            | Self::Audit(_)
            | Self::Policy(_)
            | Self::Keys(_)
            | Self::BrokenResource { .. }
            | Self::Overdue => (503, "temporarily_unavailable", ErrorCode::Failed),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownResource(_) => "`elevate list` shows what there is".to_owned(),
            Self::UserDisabled(_) | Self::SignInOver(Over::Disabled) => {
                "an administrator can let you in again with `elevate admin user enable`".to_owned()
            }
            Self::Denied { .. } => {
                "`elevate explain RESOURCE` says which policy decided and what would help".to_owned()
            }
            Self::NoSecurityKey { assurance: Assurance::VerifiedHardware, .. } => {
                "enrol an attested hardware key with `elevate key enroll`".to_owned()
            }
            Self::NoSecurityKey { .. } => "enrol one with `elevate key enroll`".to_owned(),
            Self::NoKeyUnseals { resource, .. } => super::security_key::restored(resource),
            Self::NotAttested(_) => {
                "enrol a key of a model that is vouched for, or name its maker's root under [attestation] in authority.toml"
                    .to_owned()
            }
            Self::StepUpFailed { .. } | Self::SessionGone => "run the command again".to_owned(),
            Self::TooMany => "wait two minutes, or answer those that are open".to_owned(),
            Self::Flood(seconds) => format!("wait {}", crate::clock::human(*seconds)),
            Self::NoSecret(name) => format!("put it in with `elevate admin secret set {name}`"),
            Self::Store(error) => error.hint().to_owned(),
            Self::Audit(error) => error.hint().to_owned(),
            Self::InteractionRequired { kept: true, .. } => {
                "run it without -n first: the grant is then kept for a while".to_owned()
            }
            Self::InteractionRequired { kept: false, .. } => "run it without -n".to_owned(),
            Self::BrokenResource { name, .. } => {
                format!("an administrator can set it anew with `elevate admin resource set {name}`")
            }
            Self::SoftwareKey => {
                "enrol a hardware key, or set `allow_software_keys = true` in authority.toml".to_owned()
            }
            Self::Policy(_) => "run `elevate-authority check-config`".to_owned(),
            Self::SignInOver(Over::Invited) => "run `elevate login --key`".to_owned(),
            Self::SignInOver(Over::OnlyToEnrol) => "run `elevate key enroll NAME`, then `elevate login --key`".to_owned(),
            Self::NotSignedIn | Self::Anonymous | Self::SignInOver(_) => "run `elevate login`".to_owned(),
            Self::SignIn { .. } | Self::Provider(_) => "run `elevate login` again".to_owned(),
            Self::IdentityToken(why) => why.hint().to_owned(),
            Self::Issuer { .. } | Self::Overdue => "run the command again in a while".to_owned(),
            Self::Dpop(DpopError::Clock { .. }) => {
                "set the one that is wrong; `timedatectl` says whether yours is synchronised".to_owned()
            }
            Self::Unauthorized(inner) => return inner.hint(),
            Self::Malformed(_)
            | Self::Parameter { .. }
            | Self::ClientAuthentication
            | Self::NotServed { .. }
            | Self::NotTheCaller { .. }
            | Self::WrongMethod(_)
            | Self::TooLarge
            | Self::TooSlow
            | Self::Dpop(DpopError::Invalid(_) | DpopError::NonceNeeded)
            | Self::Token(_)
            | Self::Conflict(_)
            | Self::NoSuchPath(_)
            | Self::Broken
            | Self::Keys(_) => return None,
        };
        Some(hint)
    }

    fn elevation(&self) -> Option<&ElevationId> {
        match self {
            Self::UserDisabled(elevation)
            | Self::NotAttested(elevation)
            | Self::Denied { elevation, .. }
            | Self::NoKeyUnseals { elevation, .. }
            | Self::NoSecurityKey { elevation, .. }
            | Self::StepUpFailed { elevation, .. } => Some(elevation),
            Self::Unauthorized(inner) => inner.elevation(),
            Self::Malformed(_)
            | Self::Parameter { .. }
            | Self::ClientAuthentication
            | Self::WrongMethod(_)
            | Self::TooLarge
            | Self::TooSlow
            | Self::Overdue
            | Self::UnknownResource(_)
            | Self::NotServed { .. }
            | Self::NotTheCaller { .. }
            | Self::SessionGone
            | Self::NotSignedIn
            | Self::Anonymous
            | Self::SignInOver(_)
            | Self::SignIn { .. }
            | Self::Provider(_)
            | Self::IdentityToken(_)
            | Self::Issuer { .. }
            | Self::Dpop(_)
            | Self::Token(_)
            | Self::TooMany
            | Self::Flood(_)
            | Self::NoSecret(_)
            | Self::Conflict(_)
            | Self::Store(_)
            | Self::Audit(_)
            | Self::Policy(_)
            | Self::SoftwareKey
            | Self::NoSuchPath(_)
            | Self::Broken
            | Self::BrokenResource { .. }
            | Self::InteractionRequired { .. }
            | Self::Keys(_) => None,
        }
    }

    /// Why, for the log: without what the caller wrote, which may be a secret in the wrong place.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Malformed(_) => "the request makes no sense".to_owned(),
            Self::UnknownResource(_) => "there is no such resource for the caller".to_owned(),
            Self::NotTheCaller { observed, .. } => format!("the request speaks for somebody else than {observed}"),
            Self::NoSuchPath(_) => "there is no such path".to_owned(),
            Self::WrongMethod(_) => "the endpoint has another method".to_owned(),
            Self::Parameter { error, .. } => format!("a parameter is not acceptable: {error}"),
            Self::Unauthorized(inner) => inner.cause(),
            Self::IdentityToken(why) => why.cause(),
            Self::ClientAuthentication
            | Self::NotServed { .. }
            | Self::TooLarge
            | Self::TooSlow
            | Self::Overdue
            | Self::NotSignedIn
            | Self::Anonymous
            | Self::SignInOver(_)
            | Self::SignIn { .. }
            | Self::Provider(_)
            | Self::UserDisabled(_)
            | Self::Denied { .. }
            | Self::NoSecurityKey { .. }
            | Self::NoKeyUnseals { .. }
            | Self::NotAttested(_)
            | Self::StepUpFailed { .. }
            | Self::SessionGone
            | Self::Issuer { .. }
            | Self::Dpop(_)
            | Self::Token(_)
            | Self::TooMany
            | Self::Flood(_)
            | Self::NoSecret(_)
            | Self::Conflict(_)
            | Self::Store(_)
            | Self::Audit(_)
            | Self::Policy(_)
            | Self::SoftwareKey
            | Self::Broken
            | Self::BrokenResource { .. }
            | Self::InteractionRequired { .. }
            | Self::Keys(_) => self.to_string(),
        }
    }

    /// The answer on the wire.
    #[must_use]
    pub fn to_response(&self) -> (u16, ErrorResponse) {
        let (status, error, code) = self.class();
        let response = ErrorResponse {
            error: error.to_owned(),
            error_description: self.to_string(),
            elevate_hint: self.hint(),
            elevate_code: code,
            elevation: self.elevation().map(ToString::to_string),
        };
        (status, response)
    }
}
