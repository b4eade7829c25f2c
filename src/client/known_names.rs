//! The names that this device last heard of: resources with what they are, and the user's keys. For completion alone,
//! which must not ask anybody, and the keys' credential ids, for signing in with one that has no list of its own: nothing is decided by it. Whoever can write here runs as the user, and could make them
//! see a name; what it stands for is shown before it is approved.

use super::trust::Trust;
use crate::files::{own_directory, read_trusted, replace};
use crate::protocol::display::escaped;
use crate::protocol::messages::{CatalogueEntry, EnrolledKey};
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;

/// Bytes a list may have.
const MAX: u64 = 16 << 20;
/// After how long the resources are asked for anew when the authority is talked to anyhow.
const STALE: SignedDuration = SignedDuration::from_hours(1);

/// What names are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Resources,
    Keys,
    Credentials,
}

/// The lists about one authority, beside what else is remembered of it. A list is a file: the authority's id, and then a
/// name a line, a tab before what it is.
#[derive(Debug, Clone)]
pub struct KnownNames {
    trust: Trust,
}

impl KnownNames {
    /// Those of an authority.
    #[must_use]
    pub const fn of(trust: Trust) -> Self {
        Self { trust }
    }

    fn path(&self, of: Of) -> PathBuf {
        self.trust.directory().join(match of {
            Of::Resources => "names-of-resources",
            Of::Keys => "names-of-keys",
            Of::Credentials => "credentials",
        })
    }

    /// Keeps what the authority said. Where it can't be kept, completion knows less.
    pub fn keep_resources(&self, entries: &[CatalogueEntry]) {
        self.keep(Of::Resources, entries.iter().map(|entry| (entry.resource.as_str(), entry.description.as_str())));
    }

    /// As [`KnownNames::keep_resources`].
    pub fn keep_keys(&self, keys: &[EnrolledKey]) {
        let about = |key: &EnrolledKey| if key.software { "software key" } else { "security key" };
        self.keep(Of::Keys, keys.iter().map(|key| (key.name.as_str(), about(key))));
        self.keep(Of::Credentials, keys.iter().map(|key| (key.credential_id.as_str(), key.name.as_str())));
    }

    /// Keeps the one of a key that was just enrolled.
    pub fn add_credential(&self, key: &EnrolledKey) {
        let mut known = self.credentials();
        known.push((key.credential_id.clone(), key.name.to_string()));
        self.keep(Of::Credentials, known.iter().map(|(id, name)| (id.as_str(), name.as_str())));
    }

    /// The credential ids of the user's keys, and what they are called, as far as this device heard of them.
    #[must_use]
    pub fn credentials(&self) -> Vec<(String, String)> {
        let mut credentials = Vec::new();
        self.read(Of::Credentials, "", |id, name| credentials.push((id.to_owned(), name.to_owned())));
        credentials
    }

    fn keep<'a>(&self, of: Of, names: impl Iterator<Item = (&'a str, &'a str)>) {
        let Ok(Some(known)) = self.trust.known() else { return };
        let mut text = format!("{}\n", known.id());
        for (name, about) in names {
            text = text + name + "\t" + &escaped(about) + "\n";
        }
        let _ = own_directory(self.trust.directory()).and_then(|()| replace(&self.path(of), text.as_bytes()));
    }

    /// Whether the resources were not heard of for a while.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let kept = std::fs::metadata(self.path(Of::Resources)).and_then(|it| it.modified());
        let kept = kept.ok().and_then(|at| Timestamp::try_from(at).ok());
        kept.is_none_or(|at| now.duration_since(at).abs() > STALE)
    }

    /// Calls `take` with each resource whose name begins so, and what to say of it; never where nothing good is kept.
    pub fn resources(&self, beginning: &str, take: impl FnMut(&str, &str)) {
        self.read(Of::Resources, beginning, take);
    }

    /// As [`KnownNames::resources`], for keys.
    pub fn keys(&self, beginning: &str, take: impl FnMut(&str, &str)) {
        self.read(Of::Keys, beginning, take);
    }

    fn read(&self, of: Of, beginning: &str, mut take: impl FnMut(&str, &str)) -> Option<()> {
        let known = self.trust.known().ok()??;
        let text = read_trusted(&self.path(of), MAX).ok()??;
        let lines = text.strip_prefix(known.id())?.strip_prefix('\n')?;
        for (name, about) in lines.lines().filter_map(|line| line.split_once('\t')) {
            if name.starts_with(beginning) {
                take(name, about);
            }
        }
        Some(())
    }
}
