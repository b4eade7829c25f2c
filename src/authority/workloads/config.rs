//! `[[trusted_issuer]]` of `authority.toml`: whose word on workloads counts, and for which of them.

use super::claims::Allowed;
use crate::authority::issuer_keys::{ALGORITHMS, OtherIssuer, is_safe};
use crate::authority::rules::RulesError;
use crate::protocol::names::Ttl;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// One issuer, and those of its tokens that are let in. Several may name the same issuer: a token needs one of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// For people, policies and the log.
    pub name: String,
    /// `iss` of its tokens.
    pub issuer: OtherIssuer,
    /// `aud` of its tokens.
    pub audience: String,
    /// Where its keys are; absent, where its metadata says.
    #[serde(default)]
    pub jwks_uri: Option<Url>,
    /// A file with its keys, for one that can't be reached; relative to `authority.toml`.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// PEM of further certificates that it may be known by; relative to `authority.toml`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How its tokens may be signed.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// What its tokens have to say: all of it.
    pub(super) claims: BTreeMap<String, Allowed>,
    /// How long ago a token may have been issued.
    #[serde(default, deserialize_with = "crate::authority::config::maybe_length_of_time")]
    pub max_age: Option<Ttl>,
    /// The keys of `jwks_file`.
    #[serde(skip)]
    pub(super) keys: Option<Arc<JwkSet>>,
}

fn algorithms() -> Vec<Algorithm> {
    ALGORITHMS.to_vec()
}

impl TrustedIssuer {
    /// What is wrong with all of them together, and with which.
    ///
    /// # Errors
    /// Its place in the list, and one sentence.
    pub fn check(all: &[Self], others: &[&str]) -> Result<(), (usize, String)> {
        let mut names = BTreeSet::new();
        for (place, trusted) in all.iter().enumerate() {
            if !names.insert(&trusted.name) {
                return Err((place, format!("two trusted issuers are called '{}'", trusted.name)));
            }
            trusted.check_alone().map_err(|reason| (place, reason.to_owned()))?;
            if others.contains(&trusted.issuer.as_str()) {
                let reason = "a trusted issuer is neither the identity provider of [sign_in] nor this authority: \
                              a workload could have a person's name";
                return Err((place, reason.to_owned()));
            }
        }
        Ok(())
    }

    fn check_alone(&self) -> Result<(), &'static str> {
        let is_word = |name: &str| !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
        if !is_word(&self.name) {
            return Err("the name of a trusted issuer is letters, digits and hyphens");
        }
        if self.audience.is_empty() {
            return Err("audience is what tokens for this authority are for; its issuer is a good one");
        }
        if self.jwks_uri.is_some() && self.jwks_file.is_some() {
            return Err("its keys are in jwks_file or at jwks_uri, not both");
        }
        if self.jwks_file.is_some() && self.ca_file.is_some() {
            return Err("nobody is asked whose keys are in a file: leave ca_file out");
        }
        if self.jwks_uri.as_ref().is_some_and(|uri| !is_safe(uri)) {
            return Err("jwks_uri is an https URL");
        }
        if self.algorithms.is_empty() || !self.algorithms.iter().all(|algorithm| ALGORITHMS.contains(algorithm)) {
            return Err("algorithms are those of public keys: RS256, ES256 and so on");
        }
        // An issuer that everybody may use says nothing by its name alone.
        if self.claims.is_empty() || self.claims.values().any(|allowed| allowed.patterns().is_empty()) {
            return Err("claims says which of the issuer's tokens are let in, by one rule at least");
        }
        Ok(())
    }

    /// Finds its files below the directory of `authority.toml`, and takes the keys out of `jwks_file`, whose text `read`
    /// has.
    ///
    /// # Errors
    /// [`RulesError`]; those of `read`.
    pub fn resolve(
        &mut self,
        directory: &Path,
        read: impl FnOnce(&Path) -> Result<String, RulesError>,
    ) -> Result<Option<String>, RulesError> {
        for file in [&mut self.jwks_file, &mut self.ca_file].into_iter().flatten() {
            *file = directory.join(&*file);
        }
        let Some(file) = &self.jwks_file else { return Ok(None) };
        let text = read(file)?;
        let keys: JwkSet = serde_json::from_str(&text)
            .map_err(|_| RulesError::at(file, None, "it holds no JWK set (RFC 7517 section 5)".into()))?;
        if keys.keys.is_empty() {
            return Err(RulesError::at(file, None, "it holds no key".into()));
        }
        self.keys = Some(Arc::new(keys));
        Ok(Some(text))
    }
}
