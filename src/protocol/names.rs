//! Names and amounts as newtypes: what is one of these has been checked.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Why a name or an amount was not taken: one sentence, lower case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// Every verb, built or planned: none of them can name a resource, so none can change its meaning later.
pub const RESERVED: &[&str] = &[
    "run",
    "token",
    "env",
    "shell",
    "list",
    "status",
    "drop",
    "login",
    "logout",
    "key",
    "doctor",
    "audit",
    "explain",
    "request",
    "approve",
    "fetch",
    "helper",
    "completion",
    "admin",
    "config",
    "resources",
    "demo",
    "init",
    "version",
    "help",
    "reap-expired-grants",
    "demo-call",
];

const NAME_MAX: usize = 64;

/// The name of a resource: 1 to 64 of `a-z 0-9 . _ - /`, beginning and ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

impl ResourceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The RFC 8707 resource indicator: an absolute URI that needs no knowledge of the issuer.
    #[must_use]
    pub fn indicator(&self) -> String {
        format!("urn:elevate:resource:{}", self.0)
    }

    /// The name behind an [`indicator`](Self::indicator).
    ///
    /// # Errors
    /// Where the URI is none of ours, or the name in it is malformed.
    pub fn from_indicator(uri: &str) -> Result<Self, Malformed> {
        let name = uri
            .strip_prefix("urn:elevate:resource:")
            .ok_or_else(|| Malformed("a resource is named as urn:elevate:resource:NAME".into()))?;
        name.parse()
    }
}

impl FromStr for ResourceName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if RESERVED.contains(&text) {
            return Err(Malformed(format!("'{text}' is a verb of elevate and can't name a resource")));
        }
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let inner = |c: char| edge(c) || matches!(c, '.' | '_' | '-' | '/');
        let well_formed = text.len() <= NAME_MAX
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text.chars().all(inner)
            && !text.contains("..")
            && !text.contains("//");
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed(format!(
                "'{}' can't name a resource: 1 to {NAME_MAX} of a-z 0-9 . _ - /, beginning and ending with a letter or digit",
                super::display::escaped(text)
            )))
        }
    }
}

/// A name a person gives to a security key: 1 to 64 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let fits = !text.trim().is_empty() && text.chars().count() <= NAME_MAX;
        if fits && super::display::escaped(text) == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed(format!("a key's name is 1 to {NAME_MAX} printable characters")))
        }
    }
}

/// A set of scope tokens (RFC 6749 section 3.3), sorted, each once. Empty means "what the resource gives by default".
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(BTreeSet<String>);

impl Scope {
    /// Whether all of `other` is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.is_superset(&other.0)
    }

    /// Nothing asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens, sorted.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromStr for Scope {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        // RFC 6749 section 3.3: %x21 / %x23-5B / %x5D-7E
        let scope_char = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        let tokens: BTreeSet<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
        if text.len() > 1024 || tokens.iter().any(|token| !token.chars().all(scope_char)) {
            return Err(Malformed("a scope is words of printable ASCII without quotes or backslashes".into()));
        }
        Ok(Self(tokens))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for token in &self.0 {
            write!(f, "{gap}{token}")?;
            gap = " ";
        }
        Ok(())
    }
}

/// How long something lasts: 1 second to 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Ttl(u64);

impl Ttl {
    /// The longest, in seconds.
    pub const MAX: u64 = 30 * 86_400;

    /// Whole seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Ttl {
    type Error = Malformed;

    fn try_from(seconds: u64) -> Result<Self, Malformed> {
        if (1..=Self::MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(Malformed(format!("{seconds} seconds is not between 1 second and 30 days")))
        }
    }
}

/// `90`, `90s`, `15m`, `1h30m`, `2d`: seconds where no unit is given.
impl FromStr for Ttl {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || {
            Malformed(format!("'{}' is no length of time: write 45s, 15m, 1h30m or 2d", super::display::escaped(text)))
        };
        let mut total: u64 = 0;
        let mut number = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let unit = match c {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                _ => return Err(malformed()),
            };
            let count: u64 = std::mem::take(&mut number).parse().map_err(|_| malformed())?;
            total = count.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(malformed)?;
        }
        if !number.is_empty() {
            let seconds: u64 = number.parse().map_err(|_| malformed())?;
            total = total.checked_add(seconds).ok_or_else(malformed)?;
        }
        Self::try_from(total)
    }
}

impl From<Ttl> for u64 {
    fn from(ttl: Ttl) -> Self {
        ttl.0
    }
}

macro_rules! text_newtype {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<Self, Malformed> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )*};
}
text_newtype!(ResourceName, KeyName, Scope);

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_names() {
        for good in ["prod-db", "a", "team/prod.db_1", "0"] {
            assert_eq!(good.parse::<ResourceName>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
        let long = "a".repeat(65);
        for bad in ["", "-a", "a-", "A", "a b", "a..b", "a//b", "../x", "run", "help", "a\u{1b}b", "ä", &long] {
            assert!(bad.parse::<ResourceName>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(text.parse::<Ttl>().map(Ttl::seconds), Ok(seconds));
        }
        for bad in ["", "0", "-1", "1y", "m", "31d", "99999999999999999999", "1h-1m", "18446744073709551615d"] {
            assert!(bad.parse::<Ttl>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn scopes_are_sets() {
        let scope: Scope = "write read  write".parse().unwrap();
        assert_eq!(scope.to_string(), "read write");
        assert!(scope.covers(&"read".parse().unwrap()));
        assert!(!scope.covers(&"admin".parse().unwrap()));
        assert!("re\"ad".parse::<Scope>().is_err());
    }
}
