//! Attestation (`WebAuthn` Level 3, section 6.5): whose keys are known to be what they say. The statement itself was
//! verified when the key was enrolled; whether its certificate leads to a root is asked again each time it matters,
//! under the rules in force, so that a root or model that is taken out vouches for nobody from then on.
//!
//! Only `packed` statements with a certificate count: they sign model, flags and extensions. `fido-u2f` signs none of
//! those, and `none` and self-attestation say nothing that a program could not say.

use super::rules::RulesError;
use crate::protocol::display::escaped;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;
use webauthn_attestation_ca::{AttestationCaList, AttestationCaListBuilder};
use webauthn_rs_core::attestation::verify_attestation_ca_chain;
use webauthn_rs_core::proto::{AttestationMetadata, Credential};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The table `[attestation]` of `authority.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationConfig {
    /// PEM files of roots that vouch for every model; relative to the directory of `authority.toml`.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// Models (AAGUID) that may be vouched for; empty means all.
    #[serde(default)]
    pub aaguids: BTreeSet<Uuid>,
    /// A FIDO Metadata Service payload or blob: roots that vouch for one model each, and the models' names.
    #[serde(default)]
    pub metadata: Option<PathBuf>,
}

impl AttestationConfig {
    /// Whether nobody is named who could vouch for a key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.metadata.is_none()
    }

    /// Every file that is named, the metadata last.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.roots.iter().chain(&self.metadata)
    }
}

/// One certificate to a list: the library looks at one root of a name only, and makers renew roots under their name.
type Root = AttestationCaList;

/// Who vouches for which model.
#[derive(Default)]
pub struct TrustAnchors {
    roots: Vec<Root>,
    models: BTreeMap<Uuid, Model>,
    allowed: BTreeSet<Uuid>,
}

#[derive(Default)]
struct Model {
    description: String,
    roots: Vec<Root>,
    withdrawn: bool,
}

impl TrustAnchors {
    /// From the files that `config` names, in the order of [`AttestationConfig::files`].
    ///
    /// # Errors
    /// [`RulesError`], with the file and what is wrong in it.
    pub fn parse(config: &AttestationConfig, files: &[(PathBuf, String)]) -> Result<Self, RulesError> {
        let (pem, metadata) = files.split_at(config.roots.len().min(files.len()));
        let mut roots = Vec::new();
        for (file, text) in pem {
            roots.extend(certificates(file, text)?);
        }
        let models = match metadata.first() {
            Some((file, text)) => models(text).map_err(|reason| RulesError::at(file, None, reason))?,
            None => BTreeMap::new(),
        };
        Ok(Self { roots, models, allowed: config.aaguids.clone() })
    }

    /// The model of a key that somebody trusted vouches for; `None` where nobody does. Certificates have to be valid at
    /// the time of enrolment, by the authority's clock: they vouch for what was made then.
    #[must_use]
    pub fn model(&self, credential: &Credential, enrolled_at: Timestamp) -> Option<String> {
        let AttestationMetadata::Packed { aaguid } = credential.attestation.metadata else { return None };
        if !self.allowed.is_empty() && !self.allowed.contains(&aaguid) {
            return None;
        }
        let model = self.models.get(&aaguid);
        if model.is_some_and(|model| model.withdrawn) {
            return None;
        }
        let since_epoch = Duration::from_secs(u64::try_from(enrolled_at.as_second()).ok()?);
        let time = UNIX_EPOCH.checked_add(since_epoch)?;
        let vouches =
            |root: &Root| matches!(verify_attestation_ca_chain(&credential.attestation.data, root, time), Ok(Some(_)));
        let mut anchors = self.roots.iter().chain(model.into_iter().flat_map(|model| &model.roots));
        let name = || model.map_or_else(|| aaguid.to_string(), |model| model.description.clone());
        anchors.any(vouches).then(name)
    }
}

fn certificates(file: &Path, text: &str) -> Result<Vec<Root>, RulesError> {
    let mut roots = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let line = super::rules::line_of(text, text.len() - rest.len() + begin);
        let fault = |reason: &str| RulesError::at(file, Some(line), reason.to_owned());
        let end = rest[begin..].find(END).ok_or_else(|| fault("the certificate has no end"))? + begin + END.len();
        let pem = format!("{}\n", &rest[begin..end]);
        roots.push(Root::try_from(pem.as_bytes()).map_err(|_| fault("the certificate can't be read"))?);
        rest = &rest[end..];
    }
    if roots.is_empty() {
        return Err(RulesError::at(file, None, "there is no certificate (PEM) in it".into()));
    }
    Ok(roots)
}

/// FIDO Metadata Service 3, section 3.1.6, as far as it concerns roots.
#[derive(Deserialize)]
struct Payload {
    entries: Vec<PayloadEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadEntry {
    /// Authenticators before FIDO2 have none.
    #[serde(default)]
    aaguid: Option<Uuid>,
    #[serde(default)]
    metadata_statement: Option<Statement>,
    #[serde(default)]
    status_reports: Vec<StatusReport>,
}

#[derive(Deserialize)]
struct StatusReport {
    status: String,
}

/// Statuses (section 3.1.4) of a model whose keys are not what its attestation says.
const WITHDRAWN: [&str; 5] = [
    "ATTESTATION_KEY_COMPROMISE",
    "REVOKED",
    "USER_KEY_PHYSICAL_COMPROMISE",
    "USER_KEY_REMOTE_COMPROMISE",
    "USER_VERIFICATION_BYPASS",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(default)]
    description: String,
    #[serde(default)]
    attestation_root_certificates: Vec<String>,
}

fn models(text: &str) -> Result<BTreeMap<Uuid, Model>, String> {
    let not_readable = |error: serde_json::Error| escaped(&format!("the metadata can't be read: {error}"));
    let payload: Payload = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(not_readable)?
    } else {
        serde_json::from_slice(&blob_payload(text).ok_or("it is neither JSON nor a metadata blob (JWT)")?)
            .map_err(not_readable)?
    };
    let mut models = BTreeMap::<Uuid, Model>::new();
    for entry in payload.entries {
        let (Some(aaguid), Some(statement)) = (entry.aaguid, entry.metadata_statement) else { continue };
        let model = models.entry(aaguid).or_default();
        model.withdrawn |= entry.status_reports.iter().any(|report| WITHDRAWN.contains(&report.status.as_str()));
        model.description =
            if statement.description.is_empty() { aaguid.to_string() } else { escaped(&statement.description) };
        for encoded in &statement.attestation_root_certificates {
            let root = root_of_model(encoded, aaguid);
            if root.is_none() {
                // Of thousands of makers' certificates some are odd; such a one vouches for nobody.
                tracing::warn!(%aaguid, "a root certificate in the metadata can't be read");
            }
            model.roots.extend(root);
        }
    }
    Ok(models)
}

fn root_of_model(encoded: &str, aaguid: Uuid) -> Option<Root> {
    let der = STANDARD.decode(encoded.split_whitespace().collect::<String>()).ok()?;
    let mut builder = AttestationCaListBuilder::new();
    builder.insert_device_der(&der, aaguid, String::new(), BTreeMap::new()).ok()?;
    Some(builder.build())
}

/// The payload of a JWT. Its signature is not checked: whoever can write this file can write the one that names it.
fn blob_payload(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.trim().split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    crate::protocol::encoding::from_base64url(payload)
}
