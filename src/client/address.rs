//! Which authority is asked: as typed, as configured, or the one that is there. Contacts nobody.

use super::config::Config;
use super::error::Error;
use crate::protocol::display::escaped;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::issuer::Issuer;
use crate::protocol::names::Malformed;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Wins over `elevate.toml`; `--authority` wins over it.
pub const VARIABLE: &str = "ELEVATE_AUTHORITY";
/// Where the system authority listens. Only root can make its directory.
pub const SYSTEM_SOCKET: &str = "/run/elevate/authority.sock";

/// Where an authority is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// This account's own, started when it is needed.
    Embedded,
    /// One that others see to, on a socket of this machine.
    Socket(PathBuf),
    /// One across a network, whose issuer is its URL.
    Network(Issuer),
    /// One on this machine's loopback without TLS, for trying things out. Its issuer is the same URL with `https`.
    Loopback(Issuer),
}

impl Address {
    /// The one to ask: as typed, as in the environment, as configured, the system's where there is one, else our own.
    ///
    /// # Errors
    /// Where the variable is no address.
    pub fn chosen(typed: Option<&Self>, config: &Config) -> Result<Self, Error> {
        if let Some(typed) = typed {
            return Ok(typed.clone());
        }
        if let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
            let parsed = text.to_string_lossy().parse();
            return parsed.map_err(|error: Malformed| Error::usage(format!("{VARIABLE}: {}", error.0)));
        }
        if let Some(configured) = &config.authority {
            return Ok(configured.clone());
        }
        // That it is there decides: one that can't be looked at or must not be used is an error, and no reason to ask a
        // weaker one.
        let looked = std::fs::symlink_metadata(SYSTEM_SOCKET);
        let is_absent = looked.is_err_and(|error| error.kind() == ErrorKind::NotFound);
        Ok(if is_absent { Self::Embedded } else { Self::Socket(SYSTEM_SOCKET.into()) })
    }

    /// The directory's name for what is remembered of whoever answers there.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Socket(_) | Self::Network(_) | Self::Loopback(_) => {
                base64url(&sha256(&[self.to_string().as_bytes()])[..12])
            }
        }
    }

    /// Whose answer is expected; `None` where only the answer says.
    #[must_use]
    pub const fn issuer(&self) -> Option<&Issuer> {
        match self {
            Self::Embedded | Self::Socket(_) => None,
            Self::Network(issuer) | Self::Loopback(issuer) => Some(issuer),
        }
    }
}

impl FromStr for Address {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            let is_plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
            return if path.is_absolute() && path.file_name().is_some() && is_plain {
                Ok(Self::Socket(path.to_owned()))
            } else {
                Err(Malformed("a socket is written unix:/ABSOLUTE/PATH".into()))
            };
        }
        if let Some(rest) = text.strip_prefix("http://") {
            let issuer: Option<Issuer> = format!("https://{rest}").parse().ok();
            return issuer.filter(|issuer| issuer.host() == "localhost").map(Self::Loopback).ok_or_else(|| {
                Malformed("http:// is for http://localhost[:PORT] alone: over a network it has to be https://".into())
            });
        }
        if text.starts_with("https://") {
            return text.parse().map(Self::Network).map_err(|_: Malformed| {
                Malformed(format!(
                    "'{}' is no authority: write https://HOST[:PORT][/PATH], a name in lower case, no slash at its end",
                    escaped(text)
                ))
            });
        }
        let text = escaped(text);
        Err(Malformed(format!("'{text}' is no authority: write https://HOST, unix:/PATH or embedded")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Network(issuer) => issuer.fmt(f),
            Self::Loopback(issuer) => write!(f, "http://{}{}", issuer.authority(), issuer.path()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_read_and_written_alike() {
        let good = [
            "embedded",
            "unix:/run/elevate/authority.sock",
            "https://elevate.example.com",
            "https://elevate.example.com:8443/team",
            "http://localhost",
            "http://localhost:8080/0011",
        ];
        for text in good {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let bad = [
            "",
            "system",
            "elevate.example.com",
            "unix:relative",
            "unix:/",
            "unix:/run/../tmp/x",
            "http://elevate.example.com",
            "http://127.0.0.1:8080",
            "http://localhost.example.com",
            "http://localhost@example.com",
            "https://elevate.example.com/",
            "https://ELEVATE.example.com",
            "https://192.0.2.1",
            "ftp://elevate.example.com",
        ];
        for text in bad {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_remembered_of_one_is_not_of_another() {
        let id = |text: &str| text.parse::<Address>().unwrap().id();
        assert_eq!(id("embedded"), "embedded");
        assert_ne!(id("https://localhost:8080"), id("http://localhost:8080"));
        assert_eq!(id("https://a.example").len(), 16);
    }
}
