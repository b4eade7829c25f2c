//! Completion: a script for each shell, and what each asks of us at every Tab. It knows the command line, the names this
//! device last heard of, and the grants in the kernel's keyring; it asks nobody else, says nothing where something is
//! wrong, and never fails.

use super::address::Address;
use super::cli::command;
use super::config::Config;
use super::grant_store::{Choice, GrantStore, KeyringError};
use super::known_names::KnownNames;
use super::places::Places;
use super::trust::Trust;
use crate::clock::{Clock, human, seconds_between};
use crate::protocol::display::escaped;
use clap::ValueEnum;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use std::ffi::{OsStr, OsString};

/// Writes the names that begin so, with what they are.
type Write = fn(&str, &mut String);

/// Names of things, each kind an id of the one candidate that stands for all of them in clap's: there may be thousands,
/// which are written straight from where they are kept.
const KINDS: [(&str, Write); 3] = [("resources", resources), ("keys", keys), ("grants", grants)];

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
    let begun = words.get(index).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let current_dir = std::env::current_dir().ok();
    // Never freed: the program ends first.
    let command = Box::leak(Box::new(command()));
    let candidates = complete(command, words, index, current_dir.as_deref()).unwrap_or_default();
    let mut text = String::new();
    // Names come before verbs, since they are what is looked for.
    for id in candidates.iter().filter_map(CompletionCandidate::get_id) {
        if let Some((_, write)) = KINDS.iter().find(|(kind, _)| kind == id) {
            write(&begun, &mut text);
        }
    }
    for candidate in &candidates {
        // Where nothing is typed yet, options would hide the rest.
        let is_option = candidate.get_value().as_encoded_bytes().starts_with(b"-");
        let is_name = candidate.get_id().is_some_and(|id| KINDS.iter().any(|(kind, _)| kind == id));
        if is_name || candidate.is_hide_set() || (is_option && begun.is_empty()) {
            continue;
        }
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        if let Some(value) = candidate.get_value().to_str() {
            write_candidate(&mut text, value, help.lines().next().unwrap_or_default());
        }
    }
    text
}

/// What would break the line can't be handed over.
fn write_candidate(text: &mut String, value: &str, about: &str) {
    if !value.contains(char::is_control) {
        text.extend([value, "\t", &escaped(about), "\n"]);
    }
}

/// Stands for the names of that kind.
#[must_use]
pub fn names(kind: &'static str) -> ArgValueCompleter {
    ArgValueCompleter::new(move |_: &OsStr| vec![CompletionCandidate::new("").id(Some(kind.to_owned()))])
}

/// The resources that this device heard of.
fn resources(beginning: &str, text: &mut String) {
    if let Some(device) = Device::of_user() {
        device.resources(beginning, text);
    }
}

/// The keys that this device heard of.
fn keys(beginning: &str, text: &mut String) {
    if let Some(device) = Device::of_user() {
        device.known_names().keys(beginning, |name, about| write_candidate(text, name, about));
    }
}

/// What is held now, where that can be known without asking anybody; else every resource.
fn grants(beginning: &str, text: &mut String) {
    let Some(device) = Device::of_user() else { return };
    let Some(held) = device.held() else { return device.resources(beginning, text) };
    for (name, about) in held.iter().filter(|(name, _)| name.starts_with(beginning)) {
        write_candidate(text, name, about);
    }
}

/// What this device remembers of the authority that would be asked.
struct Device {
    config: Config,
    places: Places,
    authority: Address,
}

impl Device {
    fn of_user() -> Option<Self> {
        let places = Places::of_user().ok()?;
        let config = Config::load(&places).ok()?;
        let authority = Address::chosen(None, &config).ok()?;
        Some(Self { config, places, authority })
    }

    fn trust(&self) -> Trust {
        Trust::of(&self.places, &self.authority)
    }

    fn known_names(&self) -> KnownNames {
        KnownNames::of(self.trust())
    }

    fn resources(&self, beginning: &str, text: &mut String) {
        self.known_names().resources(beginning, |name, about| write_candidate(text, name, about));
    }

    fn held(&self) -> Option<Vec<(String, String)>> {
        if !matches!(self.config.keyring().ok()?, Choice::Auto | Choice::Kernel) {
            return None;
        }
        let known = self.trust().known().ok()??;
        let nobody = || Err(KeyringError::NoPassphrase("completion asks nobody".to_owned()));
        let store = GrantStore::open(Choice::Kernel, known.id(), &self.places.device, Box::new(nobody)).ok()?;
        let now = Clock::system().now();
        let grants = store.reaching(self.config.grants_reach().ok()?).all(now).ok()?;
        let left = |end| format!("{} left", human(seconds_between(now, end)));
        Some(grants.iter().map(|grant| (grant.resource.to_string(), left(grant.expires_at))).collect())
    }
}
