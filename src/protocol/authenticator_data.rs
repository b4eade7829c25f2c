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
