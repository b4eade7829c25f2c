//! `elevate.toml`: what this user wants of the command line. There need not be one.

use super::address::Address;
use super::error::Error;
use super::grant_store::{Choice, Reach};
use super::places::Places;
use crate::files::read_trusted;
use crate::protocol::display::escaped;
use crate::protocol::issuer::Issuer;
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::{Malformed, ResourceName};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bytes the file may have.
const FILE_MAX: u64 = 1 << 20;

/// The file, checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which keyring keeps grants: `auto`, `kernel`, `secret-service` or `file`. `ELEVATE_KEYRING` wins over it.
    #[serde(default)]
    keyring: Option<String>,
    /// Whom a grant reaches on this device: `user`, `session` or `terminal`.
    #[serde(default)]
    grants_reach: Option<String>,
    /// Which authority is asked; [`Address::chosen`] has what wins over it, and what is asked without it.
    #[serde(skip)]
    pub authority: Option<Address>,
    /// As it is written.
    #[serde(default, rename = "authority")]
    written_authority: Option<toml::Spanned<String>>,
    /// What is to be known of single authorities.
    #[serde(default)]
    authorities: BTreeMap<Issuer, Authority>,
    /// Absolute path of `elevate-authority`; otherwise it is looked for beside `elevate`, never on `PATH`.
    #[serde(default)]
    pub authority_program: Option<PathBuf>,
    /// How credentials are handed to commands.
    #[serde(default, rename = "resource")]
    resources: BTreeMap<ResourceName, Delivery>,
}

/// What is to be known of one authority before it can be reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authority {
    /// Certificates (PEM) that vouch for it beside the platform's.
    #[serde(default)]
    ca_file: Option<PathBuf>,
}

/// How a resource's credential is handed to a command.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Variable that holds the credential, beside the one that its kind fixes.
    #[serde(default)]
    pub variable: Option<String>,
    /// Variable that holds the path of a private file with the credential; then no variable holds the credential itself.
    #[serde(default)]
    pub file: Option<String>,
}

impl Config {
    /// Reads the user's file, if there is one.
    ///
    /// # Errors
    /// With file, line and reason.
    pub fn load(places: &Places) -> Result<Self, Error> {
        let path = places.config.join("elevate.toml");
        let Some(text) = read_trusted(&path, FILE_MAX)? else { return Ok(Self::default()) };
        let at = |line: Option<usize>, reason: &str| {
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            Error::failed(format!("{}{line}: {}", path.display(), escaped(reason)))
        };
        let line = |start: usize| text[..start.min(text.len())].matches('\n').count() + 1;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| at(error.span().map(|span| line(span.start)), error.message()))?;
        if let Some(written) = config.written_authority.take() {
            let parsed = written.get_ref().parse();
            config.authority = Some(parsed.map_err(|error: Malformed| Error {
                code: ErrorCode::Usage,
                ..at(Some(line(written.span().start)), &error.0)
            })?);
        }
        for (name, delivery) in &config.resources {
            for variable in [&delivery.variable, &delivery.file].into_iter().flatten() {
                if !is_variable(variable) {
                    return Err(at(None, &format!("'{variable}' of resource {name} can't name a variable")));
                }
            }
        }
        if config.authority_program.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err(at(None, "authority_program must be an absolute path"));
        }
        config.keyring()?;
        config.grants_reach().map_err(|error| at(None, &error.message))?;
        Ok(config)
    }

    /// The keyring that is wanted.
    ///
    /// # Errors
    /// Where the name is none.
    pub fn keyring(&self) -> Result<Choice, Error> {
        let named = std::env::var_os("ELEVATE_KEYRING").filter(|name| !name.is_empty());
        let wanted = named.map(|name| name.to_string_lossy().into_owned());
        Ok(wanted.or_else(|| self.keyring.clone()).map_or(Ok(Choice::Auto), |name| name.parse())?)
    }

    /// Whom grants reach.
    ///
    /// # Errors
    /// Where the word is none.
    pub fn grants_reach(&self) -> Result<Reach, Error> {
        Ok(self.grants_reach.as_deref().map_or(Ok(Reach::default()), str::parse)?)
    }

    /// The file of the certificates that vouch for this authority beside the platform's; a relative path begins where
    /// `elevate.toml` stands.
    #[must_use]
    pub fn ca_file(&self, issuer: &Issuer, places: &Places) -> Option<PathBuf> {
        self.authorities.get(issuer)?.ca_file.as_ref().map(|path| places.config.join(path))
    }

    /// How this resource's credential is handed over.
    #[must_use]
    pub fn delivery(&self, resource: &ResourceName) -> Delivery {
        self.resources.get(resource).cloned().unwrap_or_default()
    }
}

/// POSIX 2024, section 8.1, without those by which the loader or the shell would be steered.
fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let steers = name.starts_with("LD_") || matches!(name, "PATH" | "IFS" | "BASH_ENV" | "ENV");
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') && !steers
}
