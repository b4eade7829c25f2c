//! Extensions, CTAP 2.1 section 12: credProtect (12.1) and hmac-secret (12.5).

use crate::cbor::{Map, as_number, bytes, get_named, integer, required_bytes, text};
use crate::client_pin::ClientPin;
use crate::credentials::{Credential, Protection};
use crate::pin_protocol::{SharedSecret, hmac_sha256};
use crate::status::{Failure, Status};
use ciborium::value::Value;

pub const CRED_PROTECT: &str = "credProtect";
pub const HMAC_SECRET: &str = "hmac-secret";

const SALT_BYTES: usize = 32;

/// What authenticatorMakeCredential is asked for.
#[derive(Default)]
pub struct ForCredential {
    protection: Option<Protection>,
    hmac_secret: bool,
}

impl ForCredential {
    pub fn read(asked: Option<&Map>) -> Failure<Self> {
        let Some(asked) = asked else {
            return Ok(Self::default());
        };
        let protection = match get_named(asked, CRED_PROTECT) {
            None => None,
            Some(level) => {
                let level = as_number(level).ok_or(Status::CborUnexpectedType)?;
                Some(Protection::from_number(level).ok_or(Status::InvalidOption)?)
            }
        };
        let hmac_secret = get_named(asked, HMAC_SECRET) == Some(&Value::Bool(true));
        Ok(Self { protection, hmac_secret })
    }

    /// Marks the credential, and says so in the authenticator data.
    pub fn apply(&self, credential: &mut Credential) -> Map {
        let mut outputs = Map::new();
        if let Some(protection) = self.protection {
            credential.protection = protection;
            outputs.push((text(CRED_PROTECT), integer(protection as u8)));
        }
        if self.hmac_secret {
            credential.hmac_secret = true;
            outputs.push((text(HMAC_SECRET), Value::Bool(true)));
        }
        outputs
    }
}

/// The salts of an authenticatorGetAssertion, and the secret that its outputs are encrypted with.
pub struct HmacSecret {
    shared_secret: SharedSecret,
    salts: Vec<u8>,
}

impl HmacSecret {
    pub fn read(asked: Option<&Map>, pin: &ClientPin) -> Failure<Option<Self>> {
        let Some(input) = asked.and_then(|asked| get_named(asked, HMAC_SECRET)) else {
            return Ok(None);
        };
        let input = input.as_map().ok_or(Status::CborUnexpectedType)?;
        let shared_secret = pin.shared_secret(input, 4, 1)?;
        let encrypted = required_bytes(input, 2)?;
        shared_secret.verify(&encrypted, &required_bytes(input, 3)?)?;
        let salts = shared_secret.decrypt(&encrypted)?;
        if salts.len() != SALT_BYTES && salts.len() != 2 * SALT_BYTES {
            return Err(Status::InvalidLength);
        }
        Ok(Some(Self { shared_secret, salts }))
    }

    pub fn salts(&self) -> usize {
        self.salts.len() / SALT_BYTES
    }

    /// One output a salt, where the credential was made for it.
    pub fn output(&self, credential: &Credential, user_verified: bool) -> Map {
        if !credential.hmac_secret {
            return Map::new();
        }
        let random = if user_verified { &credential.random_with_uv } else { &credential.random_without_uv };
        let outputs: Vec<u8> = self.salts.chunks(SALT_BYTES).flat_map(|salt| hmac_sha256(random, salt)).collect();
        vec![(text(HMAC_SECRET), bytes(self.shared_secret.encrypt(&outputs)))]
    }
}
