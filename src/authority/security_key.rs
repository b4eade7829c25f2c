//! What an enrolled key can do, under the rules in force. None of it is stored beside the credential: it is read from
//! what the key signed when it was enrolled.

use super::config::BackupEligible;
use super::rules::Rules;
use super::store::SecurityKeyRow;
use crate::protocol::assurance::Assurance;
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
