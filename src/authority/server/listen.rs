//! `[listen]` of `authority.toml`: where the authority is reached over the network, and whom it believes there.

use crate::protocol::issuer::Issuer;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

/// The table. It is read once, at start; the files it names are looked at again and again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port for callers.
    pub address: SocketAddr,
    /// PEM: the certificate for the issuer's host and those that vouch for it, as far as clients need them.
    #[serde(default)]
    certificate: Option<PathBuf>,
    /// PEM: its private key, which nobody else may read.
    #[serde(default)]
    key: Option<PathBuf>,
    /// Address and port for whoever watches: `/metrics`, `/livez`, `/readyz`. No TLS, and nothing else.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    #[serde(default)]
    trusted_proxies: Vec<IpNet>,
    /// No TLS here: it ends at the trusted proxies, and nobody else gets a word in.
    #[serde(default)]
    plain_http: bool,
    /// Requests a second of one address; four times as many may come at once.
    #[serde(default = "default_requests")]
    pub requests_per_second: NonZeroU32,
    /// Connections of one address at a time, and as many requests.
    #[serde(default = "default_connections")]
    pub connections: NonZeroUsize,
}

/// Requests a second of one caller.
pub(super) const REQUESTS: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Connections of one caller at a time, and requests.
pub(super) const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

const fn default_requests() -> NonZeroU32 {
    REQUESTS
}

const fn default_connections() -> NonZeroUsize {
    CONNECTIONS
}

/// Where TLS ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Here, with these files.
    Here {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// At a trusted proxy.
    AtProxy,
}

impl Listen {
    /// What is wrong with the table, and which key says so.
    ///
    /// # Errors
    /// Key and reason.
    pub fn check(&self, issuer: Option<&Issuer>) -> Result<(), (&'static str, &'static str)> {
        if issuer.is_none() {
            return Err(("[listen]", "[listen] needs an issuer: write `issuer = \"https://HOST[:PORT]\"` at the top"));
        }
        if self.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
            return Err(("trusted_proxies", "trusted_proxies would trust every address there is"));
        }
        match (&self.certificate, &self.key, self.plain_http) {
            (Some(_), Some(_), false) => Ok(()),
            (_, _, false) => Err(("[listen]", "[listen] needs a certificate and its key")),
            (None, None, true) if self.trusted_proxies.is_empty() => {
                Err(("plain_http", "plain_http needs trusted_proxies: nobody else may speak without TLS"))
            }
            (None, None, true) => Ok(()),
            (_, _, true) => Err(("plain_http", "plain_http takes no certificate and no key: TLS ends at the proxy")),
        }
    }

    /// Where TLS ends; files are found below `directory`.
    #[must_use]
    pub fn tls(&self, directory: &Path) -> Tls {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                Tls::Here { certificate: directory.join(certificate), key: directory.join(key) }
            }
            _ => Tls::AtProxy,
        }
    }

    /// Whether an address is that of a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}
