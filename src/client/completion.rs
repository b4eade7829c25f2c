//! Completion: a script for each shell, and what each asks of us at every Tab. It knows the command line, the names this
//! device last heard of, and the grants in the kernel's keyring; it asks nobody else, says nothing where something is
//! wrong, and never fails.

use super::address::Address;
use super::cli::command;
use super::config::Config;
use super::grant_store::{Choice, GrantStore, KeyringError};
use super::known_names::{KnownNames, Named};
use super::places::Places;
use super::trust::Trust;
use crate::clock::{Clock, human, seconds_between};
use crate::protocol::display::escaped;
use clap::ValueEnum;
use clap_complete::engine::{CompletionCandidate, complete};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

/// Marks candidates that are names, and not of the command line itself. A tag: of those with one id only one is left.
const NAME: &str = "name";

/// The shells that have a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
    /// elvish
    Elvish,
    /// `PowerShell`
    #[value(name = "powershell")]
    PowerShell,
}

impl Shell {
    /// Its script.
    #[must_use]
    pub const fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../completions/elevate.bash"),
            Self::Zsh => include_str!("../../completions/_elevate"),
            Self::Fish => include_str!("../../completions/elevate.fish"),
            Self::Elvish => include_str!("../../completions/elevate.elv"),
            Self::PowerShell => include_str!("../../completions/_elevate.ps1"),
        }
    }
}

/// What the word of that number could become, a candidate a line with a tab before what it is. `words` begins with the
/// program; a number past its end is a word that nobody has begun.
#[must_use]
pub fn candidates(mut words: Vec<OsString>, index: usize) -> String {
    words.truncate(index + 1);
    if words.len() == index {
        words.push(OsString::new());
    }
    let begun = words.get(index).is_some_and(|word| !word.is_empty());
    let current_dir = std::env::current_dir().ok();
    let mut candidates = complete(&mut command(), words, index, current_dir.as_deref()).unwrap_or_default();
    // Where nothing is typed yet, options would hide the rest; names come before verbs, since they are what is looked for.
    let is_option = |candidate: &CompletionCandidate| candidate.get_value().as_encoded_bytes().starts_with(b"-");
    candidates.retain(|candidate| !candidate.is_hide_set() && (begun || !is_option(candidate)));
    candidates.sort_by_key(|candidate| candidate.get_tag().is_none_or(|tag| tag.to_string() != NAME));
    let mut text = String::new();
    for candidate in &candidates {
        // What is no text, or would break the line, can't be handed over.
        let Some(value) = candidate.get_value().to_str().filter(|value| !value.contains(char::is_control)) else {
            continue;
        };
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "{value}\t{}", escaped(help.lines().next().unwrap_or_default()));
    }
    text
}

/// The resources that this device heard of.
#[must_use]
pub fn resources(current: &OsStr) -> Vec<CompletionCandidate> {
    known_names().map(|names| offered(names.resources(&current.to_string_lossy()))).unwrap_or_default()
}

/// The keys that this device heard of.
#[must_use]
pub fn keys(current: &OsStr) -> Vec<CompletionCandidate> {
    known_names().map(|names| offered(names.keys(&current.to_string_lossy()))).unwrap_or_default()
}

/// What is held now, where that can be known without asking anybody; else every resource.
#[must_use]
pub fn grants(current: &OsStr) -> Vec<CompletionCandidate> {
    held(&current.to_string_lossy()).map_or_else(|| resources(current), offered)
}

fn known_names() -> Option<KnownNames> {
    let places = Places::of_user().ok()?;
    let authority = Address::chosen(None, &Config::load(&places).ok()?).ok()?;
    Some(KnownNames::of(Trust::of(&places, &authority)))
}

fn held(beginning: &str) -> Option<Vec<Named>> {
    let places = Places::of_user().ok()?;
    let config = Config::load(&places).ok()?;
    if !matches!(config.keyring().ok()?, Choice::Auto | Choice::Kernel) {
        return None;
    }
    let known = Trust::of(&places, &Address::chosen(None, &config).ok()?).known().ok()??;
    let nobody = || Err(KeyringError::NoPassphrase("completion asks nobody".to_owned()));
    let store = GrantStore::open(Choice::Kernel, &known.id(), &places.device, Box::new(nobody)).ok()?;
    let now = Clock::system().now();
    let grants = store.reaching(config.grants_reach().ok()?).all(now).ok()?;
    let named = |grant: &super::grant_store::StoredGrant| Named {
        name: grant.resource.to_string(),
        about: format!("{} left", human(seconds_between(now, grant.expires_at))),
    };
    Some(grants.iter().map(named).filter(|named| named.name.starts_with(beginning)).collect())
}

fn offered(names: Vec<Named>) -> Vec<CompletionCandidate> {
    let candidate = |named: Named| {
        let about = (!named.about.is_empty()).then(|| named.about.into());
        CompletionCandidate::new(&named.name).help(about).tag(Some(NAME.into()))
    };
    names.into_iter().map(candidate).collect()
}
