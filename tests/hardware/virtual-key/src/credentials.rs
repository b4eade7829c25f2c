//! What the key remembers: its credentials, and with `--state` also across being unplugged.

use crate::cbor::{self, Map, bytes, get, get_named, integer, number, text};
use crate::client_pin::ClientPin;
use crate::pin_protocol::random;
use ciborium::value::Value;
use p256::ecdsa::SigningKey;
use rand_core::OsRng;
use std::path::Path;
use std::{fs, io};

const CREDENTIAL_ID_BYTES: usize = 48;
/// Not zero, which would say that there is no counter, and far enough from it to go back.
const FIRST_COUNT: u32 = 10;

/// credProtect, CTAP 2.1 section 12.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the names of the specification")]
pub enum Protection {
    UvOptional = 1,
    UvOptionalWithCredentialIdList = 2,
    UvRequired = 3,
}

impl Protection {
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::UvOptional),
            2 => Some(Self::UvOptionalWithCredentialIdList),
            3 => Some(Self::UvRequired),
            _ => None,
        }
    }
}

pub struct Credential {
    pub id: Vec<u8>,
    pub rp: Value,
    pub rp_id: String,
    pub user: Value,
    pub discoverable: bool,
    pub protection: Protection,
    pub hmac_secret: bool,
    pub random_with_uv: [u8; 32],
    pub random_without_uv: [u8; 32],
    pub key: SigningKey,
    pub count: u32,
}

impl Credential {
    pub fn new(rp: Value, rp_id: String, user: Value) -> Self {
        Self {
            id: random::<CREDENTIAL_ID_BYTES>().to_vec(),
            rp,
            rp_id,
            user,
            discoverable: false,
            protection: Protection::UvOptional,
            hmac_secret: false,
            random_with_uv: random(),
            random_without_uv: random(),
            key: SigningKey::random(&mut OsRng),
            count: FIRST_COUNT,
        }
    }

    pub fn user_id(&self) -> Value {
        let id = self.user.as_map().and_then(|user| get_named(user, "id")).cloned();
        id.unwrap_or_else(|| bytes([0]))
    }

    pub fn descriptor(id: &[u8]) -> Value {
        Value::Map(vec![(text("id"), bytes(id)), (text("type"), text("public-key"))])
    }

    /// Whether it may be used where user verification was (not) done and the relying party did (not) name it.
    pub fn is_usable(&self, user_verified: bool, named: bool) -> bool {
        match self.protection {
            Protection::UvOptional => true,
            Protection::UvOptionalWithCredentialIdList => user_verified || named,
            Protection::UvRequired => user_verified,
        }
    }

    fn save(&self) -> Value {
        Value::Map(vec![
            (integer(1), bytes(self.id.as_slice())),
            (integer(2), self.rp.clone()),
            (integer(3), text(&self.rp_id)),
            (integer(4), self.user.clone()),
            (integer(5), Value::Bool(self.discoverable)),
            (integer(6), integer(self.protection as u8)),
            (integer(7), Value::Bool(self.hmac_secret)),
            (integer(8), bytes(self.random_with_uv)),
            (integer(9), bytes(self.random_without_uv)),
            (integer(10), bytes(self.key.to_bytes().to_vec())),
            (integer(11), integer(self.count)),
        ])
    }

    fn load(saved: &Map) -> Option<Self> {
        let byte_string = |key| get(saved, key)?.as_bytes().cloned();
        Some(Self {
            id: byte_string(1)?,
            rp: get(saved, 2)?.clone(),
            rp_id: get(saved, 3)?.as_text()?.to_owned(),
            user: get(saved, 4)?.clone(),
            discoverable: get(saved, 5)?.as_bool()?,
            protection: Protection::from_number(number(saved, 6)?)?,
            hmac_secret: get(saved, 7)?.as_bool()?,
            random_with_uv: byte_string(8)?.try_into().ok()?,
            random_without_uv: byte_string(9)?.try_into().ok()?,
            key: SigningKey::from_slice(&byte_string(10)?).ok()?,
            count: u32::try_from(number(saved, 11)?).ok()?,
        })
    }
}

/// Writes what is to outlive the process.
pub fn save(file: &Path, credentials: &[Credential], pin: &ClientPin) -> io::Result<()> {
    let mut state = vec![
        (integer(1), Value::Array(credentials.iter().map(Credential::save).collect())),
        (integer(3), integer(pin.retries)),
    ];
    if let Some(stored) = pin.stored_pin {
        state.push((integer(2), bytes(stored)));
    }
    fs::write(file, cbor::encode(&Value::Map(state)))
}

/// Reads it; a file that is not there yet is an empty key.
pub fn load(file: &Path, pin: &mut ClientPin) -> io::Result<Vec<Credential>> {
    let saved = match fs::read(file) {
        Ok(saved) => saved,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "this is no saved state");
    let state = cbor::decode_map(&saved).map_err(|_| damaged())?;
    let stored = get(&state, 2).and_then(Value::as_bytes).and_then(|hash| hash.as_slice().try_into().ok());
    pin.stored_pin = stored;
    let retries = number(&state, 3).and_then(|retries| u8::try_from(retries).ok());
    pin.retries = retries.ok_or_else(damaged)?;
    let credentials = get(&state, 1).and_then(Value::as_array).ok_or_else(damaged)?;
    credentials.iter().map(|saved| saved.as_map().and_then(Credential::load).ok_or_else(damaged)).collect()
}
