//! Configuration, policy, schema and the files of attestation, loaded as one: either all are good and take over together,
//! or the ones before stay in force and it is said which file and line is wrong.

use super::attestation::TrustAnchors;
use super::cases::Asked;
use super::config::Config;
use super::policy::Policy;
use crate::files::{FileFault, FileStamp, check_trusted, file_stamp, read_trusted};
use crate::protocol::assurance::Assurance;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::names::ResourceName;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

/// The policy that `elevate init` writes, to be edited.
pub const DEFAULT_POLICY: &str = include_str!("default.cedar");
/// The schema that `elevate init` writes, to be edited.
pub const DEFAULT_SCHEMA: &str = include_str!("schema.cedarschema");

const CONFIG: &str = "authority.toml";
/// Policies of a schema that can't tell workloads from people would let them in alike.
const UNAWARE: &str = "[[trusted_issuer]] needs a schema that tells workloads from people: `workload` and `issuer` of entity \
                       User, and its `tags String` (elevate-policy(7)); policies that permit it to them come next";
/// Files bigger than this are not read.
const FILE_MAX: u64 = 4 << 20;
/// The metadata of every authenticator there is takes several megabytes.
const ATTESTATION_MAX: u64 = 64 << 20;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesError {
    file: PathBuf,
    line: Option<usize>,
    reason: String,
}

impl RulesError {
    /// A fault in `file`, at a line counted from 1 where it is known.
    #[must_use]
    pub fn at(file: &Path, line: Option<usize>, reason: String) -> Self {
        Self { file: file.to_owned(), line, reason }
    }
}

impl std::error::Error for RulesError {}

impl From<FileFault> for RulesError {
    fn from(fault: FileFault) -> Self {
        Self { file: fault.path, line: None, reason: fault.reason }
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The line of an offset, counted from 1.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// One consistent set.
pub struct Rules {
    /// `authority.toml`.
    pub config: Config,
    /// `policy.cedar` under `schema.cedarschema`.
    pub policy: Policy,
    /// The texts of `authority.toml`, `policy.cedar` and `schema.cedarschema`, for whoever asks what stands where.
    pub texts: [String; 3],
    /// Who vouches for keys.
    pub anchors: TrustAnchors,
    /// base64url SHA-256 over all files.
    pub digest: String,
}

impl Rules {
    /// Reads and checks the three files of a directory, and those that they name.
    ///
    /// # Errors
    /// [`RulesError`]: what is wrong, where.
    pub fn load(directory: &Path) -> Result<Self, RulesError> {
        let [config_file, policy_file, schema_file] = files(directory);
        check_trusted(directory)?;
        let config_text = read_trusted(&config_file, FILE_MAX)?.ok_or_else(|| absent(&config_file))?;
        let policy_text = read_trusted(&policy_file, FILE_MAX)?.ok_or_else(|| absent(&policy_file))?;
        let schema_text = read_trusted(&schema_file, FILE_MAX)?.ok_or_else(|| absent(&schema_file))?;
        let mut config = Config::parse(&config_file, &config_text)?;
        if let Some(sign_in) = &mut config.sign_in {
            sign_in.resolve(directory);
        }
        let policy = Policy::parse(&policy_file, &policy_text, &schema_file, &schema_text)?;
        let mut named = Vec::new();
        for trusted in &mut config.trusted_issuers {
            named.extend(trusted.resolve(directory, |file| Ok(read_named(file)?.1))?);
        }
        if !config.trusted_issuers.is_empty() && !policy.knows_workloads() {
            return Err(RulesError::at(&schema_file, None, UNAWARE.into()));
        }
        let attestation = config.attestation.files().map(|file| read_named(&directory.join(file)));
        let attestation = attestation.collect::<Result<Vec<_>, _>>()?;
        let anchors = TrustAnchors::parse(&config.attestation, &attestation)?;
        let mut digested = vec![config_text.as_bytes(), b"\0", policy_text.as_bytes(), b"\0", schema_text.as_bytes()];
        for text in attestation.iter().map(|(_, text)| text).chain(&named) {
            digested.extend([b"\0".as_slice(), text.as_bytes()]);
        }
        let digest = base64url(sha256(&digested));
        let texts = [config_text, policy_text, schema_text];
        Ok(Self { config, policy, texts, anchors, digest })
    }

    /// Resources that a workload gets without a touch, whoever its issuer is: each issuer that is trusted later gets them
    /// as well. Asked of policy, by a workload of an issuer that nobody has heard of.
    pub fn open_to_any_workload(&self) -> impl Iterator<Item = &ResourceName> {
        let resources = self.config.resources.keys().filter(|_| self.policy.knows_workloads());
        resources.filter(|name| {
            let asked = Asked::of_unknown_workload((*name).clone()).decide(&self.policy, &self.config);
            asked.is_ok_and(|permitted| permitted.assurance() == Assurance::Session)
        })
    }
}

/// A file that `[attestation]` or `[[trusted_issuer]]` names.
fn read_named(file: &Path) -> Result<(PathBuf, String), RulesError> {
    if let Some(directory) = file.parent() {
        check_trusted(directory)?;
    }
    match read_trusted(file, ATTESTATION_MAX)? {
        Some(text) => Ok((file.to_owned(), text)),
        None => Err(RulesError::at(file, None, "it does not exist, and authority.toml names it".into())),
    }
}

/// A file that is gone is no reason to let more through than it did.
fn absent(file: &Path) -> RulesError {
    RulesError::at(file, None, "it does not exist; `elevate init` writes one".into())
}

/// What a look at changed files found.
pub struct Found {
    seen: Stamp,
    /// A new set, or why the set before stays in force.
    pub outcome: Result<Arc<Rules>, RulesError>,
}

/// The set in force, and how it was last seen on disk.
pub struct LiveRules {
    directory: PathBuf,
    state: RwLock<State>,
}

struct State {
    rules: Arc<Rules>,
    /// The files as they were taken up; `None` where that is to be done again.
    seen: Option<Stamp>,
    refused: Option<RulesError>,
}

/// Files, each as it stood on disk: `None` where it was not there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Vec<(PathBuf, Option<FileStamp>)>);

impl Stamp {
    /// Of every file of the set. The configuration is stamped before it is read for the names of others.
    fn of(directory: &Path) -> Self {
        let mut stamps = Self(Vec::new());
        stamps.add(files(directory));
        let named = read_trusted(&directory.join(CONFIG), FILE_MAX).ok().flatten();
        let named = named.and_then(|text| toml::from_str::<Config>(&text).ok());
        if let Some(config) = named {
            stamps.add(config.attestation.files().map(|file| directory.join(file)));
            stamps
                .add(config.trusted_issuers.iter().filter_map(|it| it.jwks_file.as_ref()).map(|it| directory.join(it)));
        }
        stamps
    }

    fn add(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.0.extend(files.into_iter().map(|file| {
            let stamp = file_stamp(&file);
            (file, stamp)
        }));
    }

    fn is_current(&self) -> bool {
        self.0.iter().all(|(file, stamp)| *stamp == file_stamp(file))
    }
}

impl LiveRules {
    /// Loads the first set.
    ///
    /// # Errors
    /// [`RulesError`]: an authority that never had good rules does not start.
    pub fn load(directory: &Path) -> Result<Self, RulesError> {
        let seen = Some(Stamp::of(directory));
        let rules = Arc::new(Rules::load(directory)?);
        Ok(Self { directory: directory.to_owned(), state: RwLock::new(State { rules, seen, refused: None }) })
    }

    /// The set in force.
    #[must_use]
    pub fn current(&self) -> Arc<Rules> {
        self.read_state().rules.clone()
    }

    /// Why the files on disk are not the set in force, if they are not.
    #[must_use]
    pub fn refused(&self) -> Option<RulesError> {
        self.read_state().refused.clone()
    }

    /// Whether the files changed since they were last taken up.
    #[must_use]
    pub fn have_changed(&self) -> bool {
        !self.read_state().seen.as_ref().is_some_and(Stamp::is_current)
    }

    /// Reads files that changed; nothing is in force by it.
    #[must_use]
    pub fn look(&self) -> Option<Found> {
        if !self.have_changed() {
            return None;
        }
        let seen = Stamp::of(&self.directory);
        Some(Found { seen, outcome: Rules::load(&self.directory).map(Arc::new) })
    }

    /// Takes up what was found, once that is recorded.
    pub fn take_up(&self, found: Found) {
        let mut state = self.write_state();
        state.seen = Some(found.seen);
        match found.outcome {
            Ok(rules) => {
                state.rules = rules;
                state.refused = None;
            }
            Err(error) => state.refused = Some(error),
        }
    }

    /// Has the next look find the files changed, whether they are or not.
    pub fn look_again(&self) {
        self.write_state().seen = None;
    }

    fn write_state(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn read_state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn files(directory: &Path) -> [PathBuf; 3] {
    [CONFIG, "policy.cedar", "schema.cedarschema"].map(|file| directory.join(file))
}
