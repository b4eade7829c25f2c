//! The ladder: what a person proved, lowest first, and how a token says so.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A rung of the ladder. `Ord` is the ladder's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// The session itself; nothing more was asked.
    Session,
    /// User presence: a touch (`WebAuthn` UP flag).
    Touch,
    /// User verification: a PIN or a biometric (`WebAuthn` UV flag).
    Verified,
    /// User verification on an attested key that can't be copied (NIST SP 800-63B-4 AAL3).
    VerifiedHardware,
}

impl Assurance {
    /// Every rung, lowest first: the order in which policy is asked.
    pub const LADDER: [Self; 4] = [Self::Session, Self::Touch, Self::Verified, Self::VerifiedHardware];

    /// The rung's name in JSON, policies and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Touch => "touch",
            Self::Verified => "verified",
            Self::VerifiedHardware => "verified_hardware",
        }
    }

    /// The `acr` value (`OpenID` Connect Core section 2; `phr` and `phrh` after the EAP ACR values).
    #[must_use]
    pub const fn acr(self) -> &'static str {
        match self {
            Self::Session => "urn:elevate:acr:session",
            Self::Touch => "urn:elevate:acr:touch",
            Self::Verified => "phr",
            Self::VerifiedHardware => "phrh",
        }
    }

    /// The rung behind an `acr` value.
    #[must_use]
    pub fn from_acr(acr: &str) -> Option<Self> {
        Self::LADDER.into_iter().find(|rung| rung.acr() == acr)
    }

    /// What it takes, for a person.
    #[must_use]
    pub const fn takes(self) -> &'static str {
        match self {
            Self::Session => "nothing more",
            Self::Touch => "a touch of your key",
            Self::Verified => "your key and its PIN or biometric",
            Self::VerifiedHardware => "your attested hardware key and its PIN or biometric",
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
