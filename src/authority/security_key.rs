//! What an enrolled key can do, under the rules in force. None of it is stored beside the credential: it is read from
//! what the key signed when it was enrolled.

use super::config::BackupEligible;
use super::elevation::ElevationId;
use super::error::Refusal;
use super::rules::Rules;
use super::store::SecurityKeyRow;
use crate::protocol::assurance::Assurance;
use crate::protocol::messages::{KeyNotice, SealedFor};
use crate::protocol::names::ResourceName;
use webauthn_rs_core::proto::{Credential, ExtnState};

impl SecurityKeyRow {
    /// The library's credential; `None` where the row is damaged, which vouches for nothing then.
    pub(super) fn parsed(&self) -> Option<Credential> {
        serde_json::from_str(&self.credential).ok()
    }

    /// Whether the key may be synced (BE flag).
    #[must_use]
    pub fn backup_eligible(&self) -> bool {
        self.parsed().is_none_or(|credential| credential.backup_eligible)
    }

    /// Whether a secret can be sealed under it: it made an `hmac-secret`, and gives it out to a verified user only.
    #[must_use]
    pub fn can_seal(&self) -> bool {
        let made = |credential: Credential| matches!(credential.extensions.hmac_create_secret, ExtnState::Set(true));
        self.verifies_user && self.parsed().is_some_and(made)
    }

    /// The model, where somebody trusted vouches for it.
    #[must_use]
    pub fn attested(&self, rules: &Rules) -> Option<String> {
        rules.anchors.model(&self.parsed()?, self.enrolled_at)
    }

    /// Whether it is known to be hardware out of which the private key can't be copied.
    #[must_use]
    pub fn is_hardware(&self, rules: &Rules) -> bool {
        let may_be_elsewhere = match rules.config.backup_eligible {
            BackupEligible::Allow => false,
            BackupEligible::Deny => self.backup_eligible(),
        };
        !self.software && !may_be_elsewhere && self.attested(rules).is_some()
    }

    /// Whether it can give this proof.
    #[must_use]
    pub fn can_reach(&self, assurance: Assurance, rules: &Rules) -> bool {
        match assurance {
            Assurance::Session | Assurance::Touch => true,
            Assurance::Verified => self.verifies_user,
            Assurance::VerifiedHardware => self.verifies_user && self.is_hardware(rules),
        }
    }

    /// The rung that an assertion reaches. A user who is verified counts only where the key did so when it was enrolled:
    /// whoever finds a key without a PIN can give it one.
    #[must_use]
    pub const fn reached(&self, user_verified: bool, hardware: bool) -> Assurance {
        match (user_verified && self.verifies_user, hardware) {
            (false, _) => Assurance::Touch,
            (true, false) => Assurance::Verified,
            (true, true) => Assurance::VerifiedHardware,
        }
    }
}

/// The keys that may vouch, under the rules in force.
pub struct Keys<'a> {
    usable: Vec<SecurityKeyRow>,
    enrolled: Vec<KeyNotice>,
    rules: &'a Rules,
    sealed_for: Option<&'a SealedFor>,
}

impl<'a> Keys<'a> {
    /// Those of a user's `keys` that may be used, for what is sealed for some of them, if it is sealed.
    #[must_use]
    pub fn usable(keys: Vec<SecurityKeyRow>, rules: &'a Rules, sealed_for: Option<&'a SealedFor>) -> Self {
        let notice = |key: &SecurityKeyRow| {
            let (credential_id, enrolled_at) = (key.credential_id.clone(), key.enrolled_at);
            Some(KeyNotice { credential_id, name: key.name.parse().ok()?, enrolled_at })
        };
        let enrolled = keys.iter().filter_map(notice).collect();
        let usable = keys.into_iter().filter(|key| rules.config.allow_software_keys || !key.software).collect();
        Self { usable, enrolled, rules, sealed_for }
    }

    /// Every key there is, also those that may not be used: so that their person can be told of one they don't know.
    pub(super) fn enrolled(&self) -> &[KeyNotice] {
        &self.enrolled
    }

    /// The one of this credential id.
    pub(super) fn find(&self, credential_id: &str) -> Option<&SecurityKeyRow> {
        self.usable.iter().find(|key| key.credential_id == credential_id)
    }

    /// The rules in force.
    pub(super) const fn rules(&self) -> &Rules {
        self.rules
    }

    /// What is sealed for some of them, if it is.
    pub(super) const fn sealed_for(&self) -> Option<&SealedFor> {
        self.sealed_for
    }

    /// Whether a key unseals it; true, where nothing is sealed.
    pub(super) fn unseals(&self, key: &SecurityKeyRow) -> bool {
        self.sealed_for.is_none_or(|sealed_for| sealed_for.credential_ids.contains(&key.credential_id))
    }

    /// Those that can give this proof.
    pub(super) fn able(&self, assurance: Assurance) -> Vec<&SecurityKeyRow> {
        let able = |key: &&SecurityKeyRow| self.unseals(key) && key.can_reach(assurance, self.rules);
        self.usable.iter().filter(able).collect()
    }

    /// What would help where none of them can give this proof.
    #[must_use]
    pub fn way_out(&self, assurance: Assurance, name: &ResourceName) -> Option<String> {
        if assurance == Assurance::Session || !self.able(assurance).is_empty() {
            None
        } else if self.usable.iter().any(|key| self.unseals(key)) || self.sealed_for.is_none() {
            Some(format!("it takes {}: enrol one with `elevate key enroll`", assurance.takes()))
        } else {
            Some(format!("it is sealed for security keys that you don't have: {}", restored(name.as_str())))
        }
    }

    /// Why none of them can give this proof.
    pub(super) fn refusal(&self, elevation: ElevationId, assurance: Assurance, name: &ResourceName) -> Refusal {
        if self.usable.iter().any(|key| self.unseals(key)) || self.sealed_for.is_none() {
            Refusal::NoSecurityKey { elevation, assurance }
        } else {
            Refusal::NoKeyUnseals { elevation, resource: name.to_string() }
        }
    }
}

/// How a sealed secret comes back whose keys are gone.
pub(super) fn restored(name: &str) -> String {
    format!("open your offline backup of it, and put it in again with `elevate admin secret set {name}`")
}
