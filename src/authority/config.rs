//! `authority.toml`: which resources there are, and what this authority allows.

use super::attestation::AttestationConfig;
use super::caller::Subject;
use super::context::sources::RiskConfig;
use super::rules::RulesError;
use super::server::listen::Listen;
use super::sign_in::config::SignInConfig;
use super::store::PostgresUrl;
use super::workloads::config::TrustedIssuer;
use crate::protocol::AUTHORITY_RESOURCE;
use crate::protocol::display::escaped;
use crate::protocol::issuer::Issuer;
use crate::protocol::messages::ResourceKind;
use crate::protocol::names::{ResourceName, Scope, Ttl};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

/// Longest grant for a consumer that can't check `DPoP`, in seconds.
pub const UNBOUND_MAX: u64 = 300;

/// The file, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who the authority is, for devices, services and keys; absent, it is `https://localhost/<instance id>`.
    #[serde(default)]
    pub issuer: Option<Issuer>,
    /// The `PostgreSQL` that several nodes share; without it, the store is `SQLite` in the data directory. Read at start.
    #[serde(default)]
    pub store: Option<PostgresUrl>,
    /// Whether keys that are files may be enrolled and used.
    #[serde(default)]
    pub allow_software_keys: bool,
    /// Whether a key that nobody vouches for is refused at enrolment.
    #[serde(default)]
    pub require_attestation: bool,
    /// Whether a key that may be synced can be `verified_hardware`.
    #[serde(default)]
    pub backup_eligible: BackupEligible,
    /// Who vouches for keys.
    #[serde(default)]
    pub attestation: AttestationConfig,
    /// Seconds without a connection after which an embedded authority ends.
    #[serde(default = "default_idle_exit", deserialize_with = "length_of_time")]
    pub idle_exit: Ttl,
    /// Grant time where neither request nor policy names one.
    #[serde(default = "default_ttl", deserialize_with = "length_of_time")]
    pub default_ttl: Ttl,
    /// Loopback address for services that fetch the public keys: read-only, no grants.
    #[serde(default)]
    pub discovery_listen: Option<SocketAddr>,
    /// Where it is reached over the network; absent, it is not.
    #[serde(default)]
    pub listen: Option<Listen>,
    /// Who says who somebody is over the network; absent, nobody is let in there.
    #[serde(default)]
    pub sign_in: Option<SignInConfig>,
    /// Who says who a workload is; empty, no workload is anybody.
    #[serde(default, rename = "trusted_issuer")]
    pub trusted_issuers: Vec<TrustedIssuer>,
    /// Who administers: subjects, and the provider's groups as `group:NAME`; empty means the account whose own authority it
    /// is, and nobody for the system authority.
    #[serde(default)]
    pub admins: BTreeSet<String>,
    /// Roles for policies: who has each, written as for `admins`.
    #[serde(default)]
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// What is looked at beside the request itself.
    #[serde(default)]
    pub risk: RiskConfig,
    /// The catalogue.
    #[serde(default, rename = "resource")]
    pub resources: BTreeMap<ResourceName, Resource>,
}

/// One resource. What is not said is not written either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// What it gives.
    pub kind: ResourceKind,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `aud` of its tokens; required for kind `jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// How bad it would be.
    pub sensitivity: Sensitivity,
    /// Scopes that may be asked; the first use without any gives all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// As you name them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// For policies.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Longest grant, whatever policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "maybe_length_of_time", serialize_with = "as_length_of_time")]
    pub max_ttl: Option<Ttl>,
    /// Whether the service that takes the token checks `DPoP`; if not, a grant lasts 5 minutes at most.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checks_dpop: bool,
}

/// What a key is whose BE flag says that it may be synced. `verified_hardware` stands for NIST SP 800-63B-4 AAL3, whose
/// keys can't be exported: hence the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupEligible {
    /// As good as any other.
    Allow,
    /// Never `verified_hardware`.
    #[default]
    Deny,
}

/// How sensitive a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Reading what everybody may.
    Low,
    /// Changing things, reading what few may.
    Sensitive,
    /// What would make the news.
    Critical,
}

impl Sensitivity {
    /// The name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Sensitive => "sensitive",
            Self::Critical => "critical",
        }
    }
}

impl Resource {
    /// What is wrong with it under this name, beyond what its keys are.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self, name: &ResourceName) -> Result<(), String> {
        if name.as_str() == AUTHORITY_RESOURCE {
            return Err(format!("'{name}' is the authority itself and can't be declared"));
        }
        match (self.kind, &self.audience) {
            (ResourceKind::Jwt, None) => return Err("a resource of kind 'jwt' needs an audience".into()),
            (ResourceKind::Secret, Some(_)) => return Err("a resource of kind 'secret' has no audience".into()),
            (ResourceKind::Jwt, Some(_)) | (ResourceKind::Secret, None) => {}
        }
        if self.scopes.iter().any(|scope| scope.contains(' ') || scope.parse::<Scope>().is_err()) {
            return Err("a scope is one word of printable ASCII".into());
        }
        Ok(())
    }

    /// Every scope that may be asked.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scopes.join(" ").parse().unwrap_or_default()
    }

    /// Longest grant that the resource itself allows, in seconds.
    #[must_use]
    pub fn longest(&self) -> u64 {
        let own = self.max_ttl.map_or(u64::MAX, Ttl::seconds);
        match self.kind {
            ResourceKind::Jwt if !self.checks_dpop => own.min(UNBOUND_MAX),
            ResourceKind::Jwt | ResourceKind::Secret => own,
        }
    }

    /// The authority itself, as a resource: operations on keys, secrets, users.
    #[must_use]
    pub fn authority(issuer: &Issuer) -> Self {
        Self {
            kind: ResourceKind::Jwt,
            description: "this authority".to_owned(),
            audience: Some(issuer.to_string()),
            sensitivity: Sensitivity::Critical,
            scopes: Vec::new(),
            environment: String::new(),
            tags: BTreeSet::new(),
            max_ttl: None,
            checks_dpop: true,
        }
    }
}

impl Config {
    /// The roles that a subject has.
    #[must_use]
    pub fn roles_of(&self, subject: &Subject) -> Vec<String> {
        let has = |members: &BTreeSet<String>| members.iter().any(|entry| subject.is_meant_by(entry));
        self.roles.iter().filter(|(_, members)| has(members)).map(|(role, _)| role.clone()).collect()
    }

    /// Reads the text of `authority.toml`.
    ///
    /// # Errors
    /// [`RulesError`], with file, line and reason.
    pub fn parse(file: &Path, text: &str) -> Result<Self, RulesError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| super::rules::line_of(text, span.start));
            RulesError::at(file, line, escaped(error.message()))
        })?;
        config.check(file, text)?;
        Ok(config)
    }

    fn check(&self, file: &Path, text: &str) -> Result<(), RulesError> {
        let at = |name: &str, reason: String| {
            let header = format!("[resource.{name}]");
            let quoted = format!("[resource.\"{name}\"]");
            let place = text.find(&header).or_else(|| text.find(&quoted));
            RulesError::at(file, place.map(|offset| super::rules::line_of(text, offset)), reason)
        };
        for (name, resource) in &self.resources {
            resource.check(name).map_err(|reason| at(name.as_str(), reason))?;
        }
        let line = |key: &str| text.find(key).map(|offset| super::rules::line_of(text, offset));
        if self.require_attestation && self.attestation.is_empty() {
            let reason = "require_attestation needs roots or metadata under [attestation]: no key could be enrolled";
            return Err(RulesError::at(file, line("require_attestation"), reason.into()));
        }
        if let Some(listen) = &self.listen {
            listen
                .check(self.issuer.as_ref())
                .map_err(|(key, reason)| RulesError::at(file, line(key), reason.into()))?;
        }
        let own = self.issuer.as_ref().map(Issuer::as_str);
        if let Some(Err(reason)) = self.sign_in.as_ref().map(|sign_in| sign_in.check(own)) {
            return Err(RulesError::at(file, line("[sign_in]"), reason.into()));
        }
        let provider = self.sign_in.as_ref().and_then(|sign_in| sign_in.provider.as_ref());
        let others: Vec<&str> = provider.map(|provider| provider.issuer.as_str()).into_iter().chain(own).collect();
        TrustedIssuer::check(&self.trusted_issuers, &others).map_err(|(place, reason)| {
            let found = text.match_indices("[[trusted_issuer]]").nth(place);
            RulesError::at(file, found.map(|(offset, _)| super::rules::line_of(text, offset)), reason)
        })?;
        match self.discovery_listen {
            Some(address) if !address.ip().is_loopback() => Err(RulesError::at(
                file,
                line("discovery_listen"),
                "discovery_listen must be a loopback address".into(),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

fn default_idle_exit() -> Ttl {
    minutes(15)
}

fn default_ttl() -> Ttl {
    minutes(15)
}

fn minutes(count: u64) -> Ttl {
    Ttl::try_from(count * 60).unwrap_or_else(|_| unreachable!("a quarter of an hour is a length of time"))
}

pub(super) fn length_of_time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Ttl, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// As it is written in `authority.toml`.
#[allow(clippy::ref_option, reason = "serde's own shape")]
fn as_length_of_time<S: serde::Serializer>(time: &Option<Ttl>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| format!("{}s", time.seconds())).serialize(serializer)
}

pub(super) fn maybe_length_of_time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Ttl>, D::Error> {
    length_of_time(deserializer).map(Some)
}
