//! PIN/UV auth protocols one and two, CTAP 2.1 sections 6.5.6 and 6.5.7: the shared secret of a key agreement, and what
//! is encrypted and authenticated with it.

use crate::cbor::{self, Map, bytes, integer};
use crate::status::{Failure, Status};
use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _};
use ciborium::value::Value;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use p256::elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _};
use p256::{EncodedPoint, PublicKey, SecretKey};
use rand_core::{OsRng, RngCore as _};
use sha2::{Digest as _, Sha256};

/// COSE algorithms (IANA): ES256, and the one that names a key for key agreement.
pub const ES256: i64 = -7;
pub const ECDH_ES_HKDF_256: i64 = -25;

const BLOCK_BYTES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    One = 1,
    Two = 2,
}

impl Protocol {
    /// `authenticate(key, message)`.
    pub fn authenticate(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut tag = hmac_sha256(key, message).to_vec();
        if self == Self::One {
            tag.truncate(16);
        }
        tag
    }
}

pub struct SharedSecret {
    pub protocol: Protocol,
    encryption_key: [u8; 32],
    authentication_key: [u8; 32],
}

impl SharedSecret {
    /// `decapsulate(peerCoseKey)`.
    pub fn agree(protocol: Protocol, own: &SecretKey, peer: &Map) -> Failure<Self> {
        let (x, y) = (cbor::required_bytes(peer, -2)?, cbor::required_bytes(peer, -3)?);
        if x.len() != 32 || y.len() != 32 {
            return Err(Status::InvalidParameter);
        }
        let point = EncodedPoint::from_affine_coordinates(x.as_slice().into(), y.as_slice().into(), false);
        let peer: Option<PublicKey> = PublicKey::from_encoded_point(&point).into();
        let peer = peer.ok_or(Status::InvalidParameter)?;
        let agreed = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), peer.as_affine());
        let agreed = agreed.raw_secret_bytes();
        let (encryption_key, authentication_key) = match protocol {
            Protocol::One => {
                let key = sha256(agreed);
                (key, key)
            }
            Protocol::Two => {
                let derivation = Hkdf::<Sha256>::new(Some(&[0; 32]), agreed);
                let derived = |purpose: &[u8]| {
                    let mut key = [0; 32];
                    derivation.expand(purpose, &mut key).expect("32 bytes are not too many");
                    key
                };
                (derived(b"CTAP2 AES key"), derived(b"CTAP2 HMAC key"))
            }
        };
        Ok(Self { protocol, encryption_key, authentication_key })
    }

    /// `verify(key, message, signature)` with the shared secret.
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> Failure<()> {
        if self.protocol.authenticate(&self.authentication_key, message) == tag {
            Ok(())
        } else {
            Err(Status::PinAuthInvalid)
        }
    }

    pub fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let initial = match self.protocol {
            Protocol::One => [0; BLOCK_BYTES],
            Protocol::Two => random(),
        };
        let ciphertext = cbc::Encryptor::<Aes256>::new(&self.encryption_key.into(), &initial.into())
            .encrypt_padded_vec_mut::<NoPadding>(plaintext);
        match self.protocol {
            Protocol::One => ciphertext,
            Protocol::Two => [initial.as_slice(), &ciphertext].concat(),
        }
    }

    pub fn decrypt(&self, received: &[u8]) -> Failure<Vec<u8>> {
        let (initial, ciphertext) = match self.protocol {
            Protocol::One => ([0; BLOCK_BYTES], received),
            Protocol::Two => {
                let (initial, ciphertext) =
                    received.split_first_chunk::<BLOCK_BYTES>().ok_or(Status::InvalidParameter)?;
                (*initial, ciphertext)
            }
        };
        cbc::Decryptor::<Aes256>::new(&self.encryption_key.into(), &initial.into())
            .decrypt_padded_vec_mut::<NoPadding>(ciphertext)
            .map_err(|_| Status::InvalidParameter)
    }
}

/// A public key as COSE writes it.
pub fn cose_key(key: &PublicKey, algorithm: i64) -> Value {
    let point = key.to_encoded_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| bytes.expect("not the point at infinity").to_vec();
    Value::Map(vec![
        (integer(1), integer(2)),
        (integer(3), integer(algorithm)),
        (integer(-1), integer(1)),
        (integer(-2), bytes(coordinate(point.x()))),
        (integer(-3), bytes(coordinate(point.y()))),
    ])
}

pub fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

pub fn sha256(message: &[u8]) -> [u8; 32] {
    Sha256::digest(message).into()
}

pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
