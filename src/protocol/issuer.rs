//! An issuer (RFC 8414 section 2): an `https` URL without query or fragment, written in one way only, so that it can be
//! compared byte for byte.

use super::names::Malformed;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Who issues: `https://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(String);

impl Issuer {
    /// As it stands in tokens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port: where it is reached.
    #[must_use]
    pub fn authority(&self) -> &str {
        split(&self.0).map_or("", |(authority, _)| authority)
    }

    /// The host: the relying party id of every security key that is enrolled there.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority().split(':').next().unwrap_or_default()
    }

    /// The path below which its endpoints are; empty where it has none.
    #[must_use]
    pub fn path(&self) -> &str {
        split(&self.0).map_or("", |(_, path)| path)
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("https://")?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// A domain name in lower case, as it stands in certificates: no address, no trailing dot.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    host.len() <= 253 && host.split('.').all(is_label) && !is_address
}

fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && !matches!(segment, "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment))
}

impl FromStr for Issuer {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed("an issuer is written https://HOST[:PORT][/PATH], its host in lower case".into());
        let (authority, path) = split(text).ok_or_else(malformed)?;
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        // 443 is never written (RFC 3986 section 6.2.3).
        let is_port = |port: &str| !port.starts_with(['0', '+']) && port != "443" && port.parse::<u16>().is_ok();
        if is_host(host) && port.is_none_or(is_port) && is_path(path) {
            Ok(Self(text.to_owned()))
        } else {
            Err(malformed())
        }
    }
}

impl TryFrom<String> for Issuer {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Issuer;

    #[test]
    fn an_issuer_is_written_in_one_way() {
        let good = [
            ("https://localhost/0011223344556677", "localhost", "localhost", "/0011223344556677"),
            ("https://elevate.example.com", "elevate.example.com", "elevate.example.com", ""),
            ("https://a-1.example:8443/one/two", "a-1.example:8443", "a-1.example", "/one/two"),
        ];
        for (text, authority, host, path) in good {
            let issuer: Issuer = text.parse().unwrap();
            assert_eq!((issuer.authority(), issuer.host(), issuer.path()), (authority, host, path), "{text}");
        }
        let bad = [
            "http://elevate.example",
            "https://",
            "https://Elevate.example",
            "https://elevate.example/",
            "https://elevate.example./a",
            "https://elevate.example:443",
            "https://elevate.example:0",
            "https://elevate.example:080",
            "https://elevate.example:99999",
            "https://user@elevate.example",
            "https://elevate.example?a",
            "https://elevate.example#a",
            "https://elevate.example/a//b",
            "https://elevate.example/../b",
            "https://elevate.example/a%2fb",
            "https://192.0.2.1",
            "https://[2001:db8::1]",
            "https://-a.example",
            "https://a..example",
            "https://ä.example",
        ];
        for text in bad {
            assert!(text.parse::<Issuer>().is_err(), "{text}");
        }
    }
}
