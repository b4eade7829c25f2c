//! `[sign_in]` of `authority.toml`: who says who somebody is, and how long that holds.

use crate::authority::caller::Subject;
use crate::protocol::names::Ttl;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// Longest time a device stays signed in that anybody may configure, in seconds.
const LENGTH_MAX: u64 = 30 * 86_400;

/// The one `OpenID` provider that is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInConfig {
    /// Its issuer, as its metadata writes it.
    pub issuer: Provider,
    /// What it calls this authority.
    pub client_id: String,
    /// Who may sign in: subjects, the provider's groups as `group:NAME`, or `*` for everybody it knows.
    pub allow: BTreeSet<String>,
    /// The file that holds this authority's secret there; relative to `authority.toml`.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// PEM of further certificates that it may be known by; relative to `authority.toml`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What it is asked for.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// How long a device stays signed in.
    #[serde(default = "half_a_day", deserialize_with = "super::super::config::length_of_time")]
    pub length: Ttl,
    /// How long without use.
    #[serde(default = "two_hours", deserialize_with = "super::super::config::length_of_time")]
    pub idle: Ttl,
    /// How long ago the person may have shown the provider who they are; absent, that is the provider's matter.
    #[serde(default, deserialize_with = "super::super::config::maybe_length_of_time")]
    pub max_age: Option<Ttl>,
}

/// An `OpenID` provider's issuer: `https`, or `http` on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Provider(String);

impl Provider {
    /// As it is configured, and as it has to call itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Provider {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url: Url = text.parse().map_err(|error| format!("the provider's issuer is no URL: {error}"))?;
        if !is_safe(&url) || url.query().is_some() || url.fragment().is_some() || text.contains('#') {
            return Err("the provider's issuer is an https URL without query or fragment".into());
        }
        Ok(Self(text))
    }
}

/// Whether a secret may be sent there: `https`, or this machine itself, and no name or password in the URL.
#[must_use]
pub fn is_safe(url: &Url) -> bool {
    let stays_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let encrypted = url.scheme() == "https" || (url.scheme() == "http" && stays_here);
    encrypted && url.has_host() && url.username().is_empty() && url.password().is_none()
}

impl SignInConfig {
    /// The files it names, below the directory of `authority.toml`.
    pub fn resolve(&mut self, directory: &Path) {
        for file in [&mut self.client_secret_file, &mut self.ca_file].into_iter().flatten() {
            *file = directory.join(&*file);
        }
    }

    /// Whether this person may sign in, and go on being signed in.
    #[must_use]
    pub fn lets_in(&self, subject: &Subject) -> bool {
        self.allow.iter().any(|entry| entry == "*" || subject.is_meant_by(entry))
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.client_id.is_empty() {
            return Err("client_id is what the provider calls this authority");
        }
        if self.allow.is_empty() {
            return Err("allow names nobody: write who may sign in, or \"*\" for everybody whom the provider knows");
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err("scopes must contain 'openid'");
        }
        if self.idle > self.length {
            return Err("idle is longer than length: a device would never be idle for so long");
        }
        if self.length.seconds() > LENGTH_MAX {
            return Err("length is 30 days at most");
        }
        Ok(())
    }
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn groups() -> String {
    "groups".to_owned()
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

#[cfg(test)]
mod tests {
    use super::Provider;

    #[test]
    fn a_provider_is_reached_over_https_or_on_this_machine() {
        let good =
            ["https://idp.example", "https://idp.example/realms/one", "http://localhost:3000", "http://127.0.0.1:1/"];
        for text in good {
            assert!(Provider::try_from(text.to_owned()).is_ok(), "{text}");
        }
        let bad = [
            "http://idp.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "https://user:secret@idp.example",
            "https://idp.example?x",
            "https://idp.example#x",
            "file:///etc/passwd",
            "idp.example",
        ];
        for text in bad {
            assert!(Provider::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
