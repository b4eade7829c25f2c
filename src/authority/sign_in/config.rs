//! `[sign_in]` of `authority.toml`: who says who somebody is, and how long that holds.

use crate::authority::caller::Subject;
use crate::authority::issuer_keys::OtherIssuer;
use crate::protocol::names::Ttl;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest time a device stays signed in that anybody may configure, in seconds.
const LENGTH_MAX: u64 = 30 * 86_400;

/// Who may sign in, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct SignInConfig {
    /// The one `OpenID` provider that is asked; without it people sign in with their security keys alone.
    pub provider: Option<ProviderConfig>,
    /// Who may sign in: subjects, the provider's groups as `group:NAME`, or `*` for everybody whom it or this authority knows.
    pub allow: BTreeSet<String>,
    /// How long a device stays signed in.
    pub length: Ttl,
    /// How long without use.
    pub idle: Ttl,
    /// What enrolling a first key takes over the network.
    pub first_key: FirstKey,
}

/// The `OpenID` provider.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its issuer, as its metadata writes it.
    pub issuer: OtherIssuer,
    /// What it calls this authority.
    pub client_id: String,
    /// The file that holds this authority's secret there; relative to `authority.toml`.
    pub client_secret_file: Option<PathBuf>,
    /// PEM of further certificates that it may be known by; relative to `authority.toml`.
    pub ca_file: Option<PathBuf>,
    /// What it is asked for.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    /// How long ago the person may have shown the provider who they are; absent, that is the provider's matter.
    pub max_age: Option<Ttl>,
}

/// What enrolling a first key takes over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstKey {
    /// A sign-in of late, as policy says; or an invitation.
    #[default]
    FreshSignIn,
    /// An invitation, whatever policy says.
    Invitation,
}

/// The table as it is written: what concerns the provider stands beside the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    issuer: Option<OtherIssuer>,
    client_id: Option<String>,
    allow: BTreeSet<String>,
    client_secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    scopes: Option<Vec<String>>,
    groups_claim: Option<String>,
    #[serde(default = "half_a_day", deserialize_with = "super::super::config::length_of_time")]
    length: Ttl,
    #[serde(default = "two_hours", deserialize_with = "super::super::config::length_of_time")]
    idle: Ttl,
    #[serde(default, deserialize_with = "super::super::config::maybe_length_of_time")]
    max_age: Option<Ttl>,
    #[serde(default)]
    first_key: FirstKey,
}

impl TryFrom<Written> for SignInConfig {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let Written { issuer, client_id, allow, length, idle, first_key, .. } = written;
        let provider = match (issuer, client_id) {
            (Some(issuer), Some(client_id)) => Some(ProviderConfig {
                issuer,
                client_id,
                client_secret_file: written.client_secret_file,
                ca_file: written.ca_file,
                scopes: written.scopes.unwrap_or_else(scopes),
                groups_claim: written.groups_claim.unwrap_or_else(|| "groups".to_owned()),
                max_age: written.max_age,
            }),
            (Some(_), None) => {
                return Err("issuer names an identity provider: client_id, what it calls this authority, is missing");
            }
            (None, Some(_)) => return Err("client_id is for an identity provider: issuer, which names it, is missing"),
            (None, None) => {
                let files = written.client_secret_file.is_some() || written.ca_file.is_some();
                let asked = written.scopes.is_some() || written.groups_claim.is_some() || written.max_age.is_some();
                if files || asked {
                    return Err(
                        "client_secret_file, ca_file, scopes, groups_claim and max_age are for an identity provider: \
                                issuer, which names it, is missing",
                    );
                }
                None
            }
        };
        Ok(Self { provider, allow, length, idle, first_key })
    }
}

impl SignInConfig {
    /// The files it names, below the directory of `authority.toml`.
    pub fn resolve(&mut self, directory: &Path) {
        let Some(provider) = &mut self.provider else { return };
        for file in [&mut provider.client_secret_file, &mut provider.ca_file].into_iter().flatten() {
            *file = directory.join(&*file);
        }
    }

    /// Whether this person may sign in, and go on being signed in.
    #[must_use]
    pub fn lets_in(&self, subject: &Subject) -> bool {
        self.allow.iter().any(|entry| entry == "*" || subject.is_meant_by(entry))
    }

    /// What is wrong with it; `own` is the authority's issuer, where `authority.toml` names it.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self, own: Option<&str>) -> Result<(), &'static str> {
        if self.allow.is_empty() {
            return Err("allow names nobody: write who may sign in, or \"*\" for everybody who is known");
        }
        if self.idle > self.length {
            return Err("idle is longer than length: a device would never be idle for so long");
        }
        if self.length.seconds() > LENGTH_MAX {
            return Err("length is 30 days at most");
        }
        let Some(provider) = &self.provider else { return Ok(()) };
        if provider.client_id.is_empty() {
            return Err("client_id is what the provider calls this authority");
        }
        if !provider.scopes.iter().any(|scope| scope == "openid") {
            return Err("scopes must contain 'openid'");
        }
        if own == Some(provider.issuer.as_str()) {
            return Err("issuer is the identity provider's, and not this authority's own");
        }
        Ok(())
    }
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn half_a_day() -> Ttl {
    hours(12)
}

fn two_hours() -> Ttl {
    hours(2)
}

fn hours(count: u64) -> Ttl {
    Ttl::try_from(count * 3600).unwrap_or_else(|_| unreachable!("some hours are a length of time"))
}
