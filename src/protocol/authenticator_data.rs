//! The fixed part of authenticator data (`WebAuthn` Level 3, section 6.1): what the client checks before it
//! believes a key, and what the software key writes.

use super::encoding::{Digest, sha256};

/// User present.
pub const UP: u8 = 0x01;
/// User verified.
pub const UV: u8 = 0x04;
/// Backup eligible: it may be copied to other devices.
pub const BE: u8 = 0x08;
/// Backed up.
pub const BS: u8 = 0x10;
/// Attested credential data included.
pub const AT: u8 = 0x40;
/// Extensions included.
pub const ED: u8 = 0x80;

/// rpIdHash, flags and signature counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthenticatorData {
    /// SHA-256 of the relying party id.
    pub rp_id_hash: Digest,
    /// Flag bits.
    pub flags: u8,
    /// Signature counter.
    pub counter: u32,
}

impl AuthenticatorData {
    /// Reads the first 37 bytes; `None` where there are fewer.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>()?;
        let (flags, rest) = rest.split_first()?;
        let counter = rest.first_chunk::<4>()?;
        Some(Self { rp_id_hash: *rp_id_hash, flags: *flags, counter: u32::from_be_bytes(*counter) })
    }

    /// The 37 bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.rp_id_hash.to_vec();
        bytes.push(self.flags);
        bytes.extend(self.counter.to_be_bytes());
        bytes
    }

    /// Whether this was made for the relying party, with a present user.
    #[must_use]
    pub fn is_for(&self, rp_id: &str) -> bool {
        self.rp_id_hash == sha256(&[rp_id.as_bytes()]) && self.flags & UP != 0
    }
}

/// The credential that authenticator data of a registration tells of (`WebAuthn` Level 3, section 6.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedCredential {
    /// The authenticator's model.
    pub aaguid: [u8; 16],
    /// The credential's id: never empty.
    pub id: Vec<u8>,
}

impl AttestedCredential {
    /// Reads what follows the first 37 bytes; `None` where it is cut off.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (aaguid, rest) = data.get(37..)?.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let id = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        (!id.is_empty()).then(|| Self { aaguid: *aaguid, id: id.to_vec() })
    }
}

/// The authenticator data inside an attestation object (`WebAuthn` Level 3, section 6.5.4).
#[must_use]
pub fn of_attestation_object(object: &[u8]) -> Option<Vec<u8>> {
    let members = ciborium::from_reader::<ciborium::Value, _>(object).ok()?.into_map().ok()?;
    let (_, data) = members.into_iter().find(|(key, _)| key.as_text() == Some("authData"))?;
    data.into_bytes().ok()
}
