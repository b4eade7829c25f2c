//! The wire: every request and answer, as both sides write and read it. One long file on purpose: it is the protocol,
//! and a reader of one message looks at its neighbours.

use super::assurance::Assurance;
use super::challenge::{SignInTransaction, Transaction};
use super::names::{KeyName, ResourceName, Scope, Ttl};
use super::secret::Secret;
use crate::log::receipt::Receipt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use webauthn_rs_proto::PublicKeyCredentialRequestOptions;

/// RFC 8693 section 2.1.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 section 3.
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The subject is whom the kernel says is on the other end of the socket; `subject_token` repeats it as `uid:N`.
pub const PEER_TOKEN_TYPE: &str = "urn:elevate:token-type:peer-credentials";

/// The subject is whom a JWT names (RFC 8693 section 3), which somebody signed whom the authority trusts.
pub const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// `POST /token`: RFC 8693, RFC 8707, RFC 9396; the last two fields are the second round (OAuth First-Party Apps).
///
/// Parameters it does not know are ignored (RFC 6749 section 3.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRequest {
    /// [`TOKEN_EXCHANGE`].
    pub grant_type: String,
    /// The OAuth client.
    pub client_id: String,
    /// Who asks.
    pub subject_token: Secret,
    /// [`PEER_TOKEN_TYPE`], or [`JWT_TYPE`].
    pub subject_token_type: String,
    /// A [`ResourceName::indicator`].
    pub resource: String,
    /// Scope asked.
    #[serde(default)]
    pub scope: Scope,
    /// JSON: a list of one [`AuthorizationDetail`].
    pub authorization_details: String,
    /// Size of the last log the client saw, so that the receipt proves consistency with it.
    #[serde(default)]
    pub log_size: u64,
    /// `none` (OpenID Connect Core section 3.1.2.1): nobody is there to touch a key, so none is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The step-up session that is being answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_session: Option<String>,
    /// JSON: a `WebAuthn` assertion ([`webauthn_rs_proto::PublicKeyCredential`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authn_response: Option<String>,
}

/// What is asked beyond resource and scope (RFC 9396, type `elevate`). All of it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationDetail {
    /// `elevate`.
    pub r#type: ElevateType,
    /// Longest time wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The one change of the authority's own state that this elevation is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// What the client says of itself.
    pub claimed: Claimed,
}

/// The literal `elevate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElevateType {
    /// The one there is.
    Elevate,
}

/// A change of the authority's own state: which, of what, and the hash of the request body that will make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Which change.
    pub name: OperationName,
    /// What it changes, as shown to the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// base64url SHA-256 of the request body.
    pub body_sha256: String,
}

/// The changes that need an elevation of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OperationName {
    /// Enrol a security key of one's own.
    #[serde(rename = "key.enroll")]
    KeyEnroll,
    /// Remove a security key of one's own.
    #[serde(rename = "key.remove")]
    KeyRemove,
    /// Put or replace a stored secret.
    #[serde(rename = "secret.set")]
    SecretSet,
    /// Remove a stored secret.
    #[serde(rename = "secret.remove")]
    SecretRemove,
    /// List which secrets are stored.
    #[serde(rename = "secret.list")]
    SecretList,
    /// List users.
    #[serde(rename = "user.list")]
    UserList,
    /// Disable a user; grants end at once.
    #[serde(rename = "user.disable")]
    UserDisable,
    /// Let a disabled user in again.
    #[serde(rename = "user.enable")]
    UserEnable,
    /// Invite somebody to enrol a first key.
    #[serde(rename = "user.invite")]
    UserInvite,
    /// List everybody's grants.
    #[serde(rename = "grant.list")]
    GrantList,
    /// Revoke anybody's grant.
    #[serde(rename = "grant.revoke")]
    GrantRevoke,
    /// List everybody's sign-ins.
    #[serde(rename = "session.list")]
    SessionList,
    /// End anybody's sign-in, and the grants it gave.
    #[serde(rename = "session.end")]
    SessionEnd,
    /// List other people's security keys.
    #[serde(rename = "user_key.list")]
    UserKeyList,
    /// Remove a security key of somebody else's.
    #[serde(rename = "user_key.remove")]
    UserKeyRemove,
    /// List the catalogue.
    #[serde(rename = "resource.list")]
    ResourceList,
    /// Declare a resource in the store, or declare it anew.
    #[serde(rename = "resource.set")]
    ResourceSet,
    /// Take a resource out of the store.
    #[serde(rename = "resource.remove")]
    ResourceRemove,
    /// List signing keys.
    #[serde(rename = "signing_key.list")]
    SigningKeyList,
    /// Begin signing with a new key; the old one still verifies.
    #[serde(rename = "signing_key.rotate")]
    SigningKeyRotate,
}

impl OperationName {
    /// Every one there is.
    pub const ALL: [Self; 20] = [
        Self::KeyEnroll,
        Self::KeyRemove,
        Self::SecretSet,
        Self::SecretRemove,
        Self::SecretList,
        Self::UserList,
        Self::UserDisable,
        Self::UserEnable,
        Self::UserInvite,
        Self::GrantList,
        Self::GrantRevoke,
        Self::SessionList,
        Self::SessionEnd,
        Self::UserKeyList,
        Self::UserKeyRemove,
        Self::ResourceList,
        Self::ResourceSet,
        Self::ResourceRemove,
        Self::SigningKeyList,
        Self::SigningKeyRotate,
    ];

    /// The name on the wire, in policies and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyEnroll => "key.enroll",
            Self::KeyRemove => "key.remove",
            Self::SecretSet => "secret.set",
            Self::SecretRemove => "secret.remove",
            Self::SecretList => "secret.list",
            Self::UserList => "user.list",
            Self::UserDisable => "user.disable",
            Self::UserEnable => "user.enable",
            Self::UserInvite => "user.invite",
            Self::GrantList => "grant.list",
            Self::GrantRevoke => "grant.revoke",
            Self::SessionList => "session.list",
            Self::SessionEnd => "session.end",
            Self::UserKeyList => "user_key.list",
            Self::UserKeyRemove => "user_key.remove",
            Self::ResourceList => "resource.list",
            Self::ResourceSet => "resource.set",
            Self::ResourceRemove => "resource.remove",
            Self::SigningKeyList => "signing_key.list",
            Self::SigningKeyRotate => "signing_key.rotate",
        }
    }

    /// Whether nothing changes by it.
    #[must_use]
    pub const fn only_reads(self) -> bool {
        match self {
            Self::SecretList
            | Self::UserList
            | Self::GrantList
            | Self::SessionList
            | Self::UserKeyList
            | Self::ResourceList
            | Self::SigningKeyList => true,
            Self::KeyEnroll
            | Self::KeyRemove
            | Self::SecretSet
            | Self::SecretRemove
            | Self::UserDisable
            | Self::UserEnable
            | Self::UserInvite
            | Self::GrantRevoke
            | Self::SessionEnd
            | Self::UserKeyRemove
            | Self::ResourceSet
            | Self::ResourceRemove
            | Self::SigningKeyRotate => false,
        }
    }

    /// Whether it concerns the caller's own keys, not the authority.
    #[must_use]
    pub const fn is_own_keys(self) -> bool {
        matches!(self, Self::KeyEnroll | Self::KeyRemove)
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the client says of itself. It can add risk, never remove it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed {
    /// Host name.
    pub host: String,
    /// Operating system.
    pub os: String,
    /// Whether there is a terminal.
    pub tty: bool,
    /// Whether it came over SSH.
    pub ssh: bool,
    /// The command's file name, without its arguments (they may hold secrets).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// RFC 9126 section 2.2: how a `request_uri` begins.
pub const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";
/// RFC 6749 section 4.1.3.
pub const AUTHORIZATION_CODE: &str = "authorization_code";
/// RFC 8628 section 3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// 201 of `POST /par` (RFC 9126 section 2.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PushedResponse {
    /// Names the request; only who has it can go on with it.
    pub request_uri: String,
    /// Seconds.
    pub expires_in: u64,
}

/// 200 of `POST /device_authorization` (RFC 8628 section 3.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceResponse {
    /// For the device.
    pub device_code: String,
    /// For the person.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// The same, with the code in it.
    pub verification_uri_complete: String,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds between two questions.
    pub interval: u64,
}

/// 403 of `POST /authorize-challenge`: a key has to say who it is (draft-ietf-oauth-first-party-apps, section 5.2.2.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInChallenge {
    /// `insufficient_authorization`.
    pub error: String,
    /// One sentence.
    pub error_description: String,
    /// Names this sign-in; to be sent back.
    pub auth_session: String,
    /// What a key is asked to sign; it names no key, as nobody is known yet.
    pub authn_params_public_key: PublicKeyCredentialRequestOptions,
    /// What is being approved.
    pub elevate_txn: SignInTransaction,
    /// base64url, 32 bytes.
    pub elevate_nonce: String,
}

/// 200 of `POST /authorize-challenge` (section 5.2.1 there).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeResponse {
    /// To be redeemed at the token endpoint.
    pub authorization_code: Secret,
}

/// 200 of `POST /token` for a code: the device is signed in (RFC 6749 section 5.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInResponse {
    /// What the device shows from now on, with a proof of its key.
    pub access_token: Secret,
    /// `DPoP`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Who: `ISSUER#SUB` of the provider.
    pub subject: String,
    /// For people.
    pub name: String,
}

/// 200 of `POST /token` (RFC 8693 section 2.2.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GrantResponse {
    /// The token.
    pub access_token: Secret,
    /// [`ACCESS_TOKEN_TYPE`].
    pub issued_token_type: String,
    /// `DPoP`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// Granted scope.
    pub scope: Scope,
    /// The grant's id: the token's `jti`.
    pub grant_id: String,
    /// What sort of resource it is.
    pub kind: ResourceKind,
    /// When it began.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The rung really reached.
    pub acr: String,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// The log entry of this grant, with its proofs.
    pub receipt: Receipt,
    /// The secret itself, for kind `secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Whether `secret` is an age file, sealed under the caller's security keys, and not yet the secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret_sealed: bool,
}

/// 403 of `POST /token`: a stronger proof is needed (OAuth First-Party Apps, `insufficient_authorization`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepUpResponse {
    /// `insufficient_authorization`.
    pub error: String,
    /// Why this time, one sentence.
    pub error_description: String,
    /// What sort of credential it would give, so that nobody touches a key for one they can't use.
    pub elevate_kind: ResourceKind,
    /// Names this step-up; to be sent back.
    pub auth_session: String,
    /// What a key is asked to sign.
    pub authn_params_public_key: PublicKeyCredentialRequestOptions,
    /// What is being approved.
    pub elevate_txn: Transaction,
    /// base64url, 32 bytes.
    pub elevate_nonce: String,
    /// The keys that may answer: their names for the person, and what the client checks their answer with.
    pub elevate_keys: Vec<EnrolledKey>,
    /// Every key of the person's, also those that can't answer this time.
    #[serde(default)]
    pub elevate_enrolled: Vec<KeyNotice>,
    /// For administrators: who was recovered on the machine itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elevate_recoveries: Vec<Recovery>,
}

/// That there is a key, so that its person can be told of one they don't know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyNotice {
    /// base64url credential id.
    pub credential_id: String,
    /// What it is called.
    pub name: KeyName,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
}

impl From<&EnrolledKey> for KeyNotice {
    fn from(key: &EnrolledKey) -> Self {
        let (credential_id, name) = (key.credential_id.clone(), key.name.clone());
        Self { credential_id, name, enrolled_at: key.enrolled_at }
    }
}

/// An administrator's keys were removed on the machine itself, without anybody's proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The elevation that its log entry names.
    pub elevation: String,
    /// Whose keys.
    pub user: String,
    /// When.
    pub at: Timestamp,
}

/// Any other answer that is no success (RFC 6749 section 5.2), with what the CLI needs to say it well.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The OAuth error code.
    pub error: String,
    /// What happened, one sentence, lower case.
    pub error_description: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevate_hint: Option<String>,
    /// The error's class, for exit statuses.
    pub elevate_code: ErrorCode,
    /// The elevation in the log, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevation: Option<String>,
}

/// The classes of error: few, stable, each with an exit status in the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The answer is no: nothing is wrong, but there is none (exit 1).
    No,
    /// What was typed or sent makes no sense (2).
    Usage,
    /// Policy says no (3).
    Denied,
    /// A person is needed and there is none (4).
    InteractionRequired,
    /// Somebody else has to approve (5).
    ApprovalPending,
    /// The authority can't be reached (6).
    AuthorityUnreachable,
    /// There is no security key to use (7).
    NoSecurityKey,
    /// PIN, touch or signature failed (8).
    VerificationFailed,
    /// There is no keyring to use (9).
    NoKeyring,
    /// Not signed in (10).
    NotSignedIn,
    /// Anything else (11).
    Failed,
}

/// What sort of credential a resource gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// A signed token for an audience.
    Jwt,
    /// A stored password or API key.
    Secret,
}

impl ResourceKind {
    /// The name in config, JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Secret => "secret",
        }
    }
}

/// `GET /resources`: what the caller may ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Catalogue {
    /// Sorted by name.
    pub resources: Vec<CatalogueEntry>,
}

/// One resource of a [`Catalogue`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// Its name.
    pub resource: ResourceName,
    /// For people.
    pub description: String,
    /// What it gives.
    pub kind: ResourceKind,
    /// The rung it would take now.
    pub assurance: Assurance,
}

/// `GET /explain?resource=NAME`: what would happen, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The resource.
    pub resource: String,
    /// What would be answered.
    pub decision: DecisionName,
    /// The rung it would take; `None` where no rung is enough.
    pub assurance: Option<Assurance>,
    /// Longest grant, seconds; 0 where denied.
    pub max_ttl_s: u64,
    /// Signals seen, each with its sentence.
    pub signals: Vec<SignalSeen>,
    /// Ids of the policies that decided.
    pub policies: Vec<String>,
    /// Why, in the policies' words.
    pub reasons: Vec<String>,
    /// What could be done.
    pub ways_out: Vec<String>,
    /// Set where the files on disk are broken and an older set is still in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_rules: Option<String>,
}

/// The four answers to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionName {
    /// Granted as things are.
    Permit,
    /// Granted after a stronger proof.
    StepUp,
    /// Granted after somebody else's approval.
    Approval,
    /// Not granted.
    Deny,
}

/// A named risk signal and its sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalSeen {
    /// Its name in policies.
    pub name: String,
    /// For people.
    pub sentence: String,
}

/// `POST /keys`, first round: a name for the key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// What the person calls it.
    pub name: KeyName,
    /// Makes the body's hash unguessable.
    pub salt: String,
}

/// Answer to the first round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolmentChallenge {
    /// Names this enrolment; to be sent back.
    pub enrolment: String,
    /// What a key is asked to make.
    pub public_key: webauthn_rs_proto::PublicKeyCredentialCreationOptions,
}

/// `POST /keys/finish`: what the key made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentResponse {
    /// From the challenge.
    pub enrolment: String,
    /// The new credential.
    pub credential: webauthn_rs_proto::RegisterPublicKeyCredential,
}

/// One enrolled key, as `GET /keys` lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that a key says of itself")]
pub struct EnrolledKey {
    /// base64url credential id.
    pub credential_id: String,
    /// What the person calls it.
    pub name: KeyName,
    /// base64url: its public key, an uncompressed P-256 point (SEC 1 section 2.3.3).
    pub public_key: String,
    /// Model (AAGUID).
    pub aaguid: String,
    /// Whether it is a file on a disk and not a device.
    pub software: bool,
    /// Whether it checks a PIN or biometric.
    pub verifies_user: bool,
    /// Its model, where somebody whom the authority trusts vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<String>,
    /// Whether it may be synced (BE flag).
    #[serde(default)]
    pub backup_eligible: bool,
    /// Hints how it can be reached (Level 3, section 5.8.4).
    #[serde(default)]
    pub transports: Vec<String>,
    /// Whether a secret can be sealed under it: it has `hmac-secret`, and checks a PIN or biometric.
    #[serde(default)]
    pub can_seal: bool,
    /// Secrets that no other enrolled key of this user unseals.
    #[serde(default)]
    pub only_one_for: Vec<String>,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it last approved something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// Which security keys unseal a secret, and with what (CTAP 2.1, section 12.5: `hmac-secret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFor {
    /// base64url, 32 bytes: what the keys are asked.
    pub salt: String,
    /// base64url credential ids of keys of the caller's.
    pub credential_ids: Vec<String>,
}

/// The body of `POST /operations/NAME`, for every operation but `key.enroll`: what it concerns, and a salt that makes its hash unguessable.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRequest {
    /// What it concerns: a resource, a user, or the id of a grant or sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// For `secret.set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// For `secret.set`: `secret` is an age file in ASCII armor that these keys unseal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_for: Option<SealedFor>,
    /// For `user_key.remove`: which of the user's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyName>,
    /// For `resource.set`: the resource's table, as in `authority.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<serde_json::Value>,
    /// For `user.invite`: how long it may be taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// base64url, 16 random bytes.
    pub salt: String,
}

/// `POST /revoke` (RFC 7009 section 2.1) and `POST /introspect` (RFC 7662 section 2.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenParameter {
    /// The token.
    pub token: Secret,
}

/// RFC 7662 section 2.2, as far as we answer it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Introspection {
    /// Whether the token is good now.
    pub active: bool,
    /// Its claims, if so.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<super::access_token::Claims>,
}

/// RFC 8414 metadata, with the log's public key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metadata {
    /// Issuer.
    pub issuer: String,
    /// Absolute URLs below the issuer.
    pub token_endpoint: String,
    /// RFC 7517 set.
    pub jwks_uri: String,
    /// RFC 7009.
    pub revocation_endpoint: String,
    /// RFC 7662.
    pub introspection_endpoint: String,
    /// [`TOKEN_EXCHANGE`].
    pub grant_types_supported: Vec<String>,
    /// `code`, where people can sign in.
    pub response_types_supported: Vec<String>,
    /// Where people can sign in.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignInMetadata>,
    /// `none`: public clients.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// `none` as well: whoever holds a token may revoke it.
    #[serde(default)]
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// `DPoP`: over the network it takes the access token of a sign-in.
    #[serde(default)]
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9449 section 5.1.
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// RFC 9396 section 10.
    pub authorization_details_types_supported: Vec<String>,
    /// The ladder.
    pub acr_values_supported: Vec<String>,
    /// Versions of this protocol that are spoken.
    pub elevate_protocol_versions: Vec<u32>,
    /// The log's verifier key (C2SP signed-note).
    pub elevate_log_key: String,
}

/// What metadata says of signing in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInMetadata {
    /// draft-ietf-oauth-first-party-apps, section 4.1.
    pub authorization_challenge_endpoint: String,
    /// `S256` (RFC 7636).
    pub code_challenge_methods_supported: Vec<String>,
    /// With a browser, where there is an identity provider.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<BrowserMetadata>,
}

/// What metadata says of signing in with a browser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BrowserMetadata {
    /// RFC 6749 section 3.1.
    pub authorization_endpoint: String,
    /// RFC 9126 section 5.
    pub pushed_authorization_request_endpoint: String,
    /// `true`: there is no other way.
    pub require_pushed_authorization_requests: bool,
    /// RFC 8628 section 4.
    pub device_authorization_endpoint: String,
    /// `true` (RFC 9207 section 3).
    pub authorization_response_iss_parameter_supported: bool,
}

/// `GET /log/entries?from=N`: a page of the log as it is stored, for whoever wants to check it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogPage {
    /// Entries from `from` on, as many as fit a page.
    pub entries: Vec<LogEntry>,
    /// Entries there are.
    pub size: u64,
}

/// One place of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    /// The entry to the byte; `None` where it is gone.
    pub leaf: Option<String>,
    /// The hash that the tree holds for it (RFC 6962), base64; `None` where it is gone.
    pub hash: Option<String>,
    /// The private part, where it is the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<crate::log::leaf::Private>,
}

/// `GET /log/checkpoints?above=N`: checkpoints that were signed for more than N entries, smallest first, a page of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogCheckpoints {
    /// C2SP signed notes.
    pub checkpoints: Vec<String>,
}
