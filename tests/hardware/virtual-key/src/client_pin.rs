//! authenticatorClientPIN, CTAP 2.1 section 6.5: the PIN and its retries, built-in user verification, and the
//! pinUvAuthToken with its permissions.

use crate::cbor::{self, Map, bytes, get, integer, number, required_bytes, required_map};
use crate::pin_protocol::{ECDH_ES_HKDF_256, Protocol, SharedSecret, cose_key, random, sha256};
use crate::status::{Failure, Status};
use ciborium::value::Value;
use p256::SecretKey;
use rand_core::OsRng;
use std::time::{Duration, Instant};

const PIN_RETRIES: u8 = 8;
const UV_RETRIES: u8 = 3;
/// After so many wrong PINs in a row the key wants to be plugged in again.
const CONSECUTIVE_MISMATCHES: u8 = 3;
const MINIMUM_PIN_LENGTH: usize = 4;
const MAXIMUM_PIN_BYTES: usize = 63;
/// `newPinEnc` is padded to so much.
const PADDED_PIN_BYTES: usize = 64;
/// A token that was not used within the first is of no use; nor is one older than the second. Section 6.5.2.1.
const INITIAL_USAGE_LIMIT: Duration = Duration::from_secs(30);
const MAXIMUM_USAGE: Duration = Duration::from_mins(10);

/// Permissions, section 6.5.5.7.
pub const MAKE_CREDENTIAL: u8 = 0x01;
pub const GET_ASSERTION: u8 = 0x02;
pub const CREDENTIAL_MANAGEMENT: u8 = 0x04;
const SUPPORTED_PERMISSIONS: u8 = MAKE_CREDENTIAL | GET_ASSERTION | CREDENTIAL_MANAGEMENT;

/// Keys of the request.
const PROTOCOL: i64 = 0x01;
const SUBCOMMAND: i64 = 0x02;
const KEY_AGREEMENT: i64 = 0x03;
const PIN_UV_AUTH_PARAM: i64 = 0x04;
const NEW_PIN_ENC: i64 = 0x05;
const PIN_HASH_ENC: i64 = 0x06;
const PERMISSIONS: i64 = 0x09;
const RP_ID: i64 = 0x0a;

/// A fingerprint reader, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltInUv {
    Absent,
    Recognises,
    Fails,
}

struct Token {
    value: [u8; 32],
    permissions: u8,
    rp_id: Option<String>,
    /// That the person is there was shown when the token was made (by built-in user verification).
    user_present: bool,
    issued: Instant,
    used: bool,
}

pub enum Answer {
    Reply(Option<Value>),
    /// Goes on with [`ClientPin::token_by_uv`] once the person touches.
    UvTouch(UvRequest),
}

pub struct UvRequest {
    shared_secret: SharedSecret,
    permissions: u8,
    rp_id: Option<String>,
}

pub struct ClientPin {
    /// The first half of its SHA-256.
    pub stored_pin: Option<[u8; 16]>,
    pub retries: u8,
    pub minimum_length: usize,
    pub force_change: bool,
    pub uv: BuiltInUv,
    pub uv_retries: u8,
    /// Those that are supported, the preferred one first.
    pub protocols: &'static [Protocol],
    mismatches: u8,
    key_agreement: SecretKey,
    token: Option<Token>,
}

impl ClientPin {
    pub fn new() -> Self {
        Self {
            stored_pin: None,
            retries: PIN_RETRIES,
            minimum_length: MINIMUM_PIN_LENGTH,
            force_change: false,
            uv: BuiltInUv::Absent,
            uv_retries: UV_RETRIES,
            protocols: &[Protocol::Two, Protocol::One],
            mismatches: 0,
            key_agreement: SecretKey::random(&mut OsRng),
            token: None,
        }
    }

    pub fn set(&mut self, pin: Option<&str>) {
        self.stored_pin = pin.map(|pin| pin_hash(pin.as_bytes()));
        self.retries = PIN_RETRIES;
        self.mismatches = 0;
        self.force_change = false;
    }

    pub fn power_cycle(&mut self) {
        self.mismatches = 0;
        self.key_agreement = SecretKey::random(&mut OsRng);
        self.token = None;
    }

    pub fn reset(&mut self) {
        *self = Self { uv: self.uv, protocols: self.protocols, ..Self::new() };
    }

    /// Something the key can verify its user with is set up.
    pub fn is_protected(&self) -> bool {
        self.stored_pin.is_some() || self.uv != BuiltInUv::Absent
    }

    /// What the log says of a request.
    pub fn describe(request: &Map) -> String {
        let mut description = format!("sub {}", number(request, SUBCOMMAND).unwrap_or_default());
        if let Some(permissions) = number(request, PERMISSIONS) {
            description += &format!(" permissions {permissions:02x}");
        }
        if let Some(rp_id) = get(request, RP_ID).and_then(Value::as_text) {
            description += &format!(" rp {rp_id}");
        }
        if let Some(protocol) = number(request, PROTOCOL) {
            description += &format!(" protocol {protocol}");
        }
        description
    }

    /// `has_permissions`: whether there are the subcommands that CTAP 2.1 added.
    pub fn handle(&mut self, request: &Map, has_permissions: bool) -> Failure<Answer> {
        let subcommand = number(request, SUBCOMMAND).ok_or(Status::MissingParameter)?;
        if !has_permissions && subcommand > 0x05 {
            return Err(Status::InvalidSubcommand);
        }
        let reply = match subcommand {
            0x01 => Some(Value::Map(vec![
                (integer(3), integer(self.retries)),
                (integer(4), Value::Bool(self.mismatches >= CONSECUTIVE_MISMATCHES)),
            ])),
            0x02 => {
                self.protocol(number(request, PROTOCOL).ok_or(Status::MissingParameter)?)?;
                Some(Value::Map(vec![(integer(1), cose_key(&self.key_agreement.public_key(), ECDH_ES_HKDF_256))]))
            }
            0x03 => {
                self.set_pin(request)?;
                None
            }
            0x04 => {
                self.change_pin(request)?;
                None
            }
            0x05 => Some(self.token_by_pin(request, None)?),
            0x06 => {
                let permissions = permissions(request)?;
                return self.prepare_uv(request, permissions).map(Answer::UvTouch);
            }
            0x07 if self.uv != BuiltInUv::Absent => Some(Value::Map(vec![(integer(5), integer(self.uv_retries))])),
            0x09 => Some(self.token_by_pin(request, Some(permissions(request)?))?),
            _ => return Err(Status::InvalidSubcommand),
        };
        Ok(Answer::Reply(reply))
    }

    pub fn protocol(&self, number: i64) -> Failure<Protocol> {
        let protocol = self.protocols.iter().find(|protocol| **protocol as i64 == number);
        protocol.copied().ok_or(Status::InvalidParameter)
    }

    /// The secret shared with who sent `request`, which names the protocol by `protocol` and its key by `key`.
    pub fn shared_secret(&self, request: &Map, protocol: i64, key: i64) -> Failure<SharedSecret> {
        // hmac-secret of CTAP 2.0 names no protocol: it is the first.
        let protocol = self.protocol(number(request, protocol).unwrap_or(1))?;
        SharedSecret::agree(protocol, &self.key_agreement, required_map(request, key)?)
    }

    fn agreed(&self, request: &Map) -> Failure<SharedSecret> {
        cbor::required(request, PROTOCOL)?;
        self.shared_secret(request, PROTOCOL, KEY_AGREEMENT)
    }

    fn set_pin(&mut self, request: &Map) -> Failure<()> {
        let shared_secret = self.agreed(request)?;
        let encrypted = required_bytes(request, NEW_PIN_ENC)?;
        if self.stored_pin.is_some() {
            return Err(Status::PinAuthInvalid);
        }
        shared_secret.verify(&encrypted, &required_bytes(request, PIN_UV_AUTH_PARAM)?)?;
        self.store_new_pin(&shared_secret, &encrypted)
    }

    fn change_pin(&mut self, request: &Map) -> Failure<()> {
        let shared_secret = self.agreed(request)?;
        let encrypted = required_bytes(request, NEW_PIN_ENC)?;
        let hash = required_bytes(request, PIN_HASH_ENC)?;
        if self.retries == 0 {
            return Err(Status::PinBlocked);
        }
        shared_secret.verify(&[encrypted.as_slice(), &hash].concat(), &required_bytes(request, PIN_UV_AUTH_PARAM)?)?;
        self.check_pin(&shared_secret, &hash)?;
        self.store_new_pin(&shared_secret, &encrypted)?;
        self.token = None;
        Ok(())
    }

    /// Decrements the retries first, so that pulling the key out wins nothing.
    fn check_pin(&mut self, shared_secret: &SharedSecret, hash: &[u8]) -> Failure<()> {
        let stored = self.stored_pin.ok_or(Status::PinNotSet)?;
        if self.retries == 0 {
            return Err(Status::PinBlocked);
        }
        if self.mismatches >= CONSECUTIVE_MISMATCHES {
            return Err(Status::PinAuthBlocked);
        }
        self.retries -= 1;
        if shared_secret.decrypt(hash)? == stored {
            self.retries = PIN_RETRIES;
            self.uv_retries = UV_RETRIES;
            self.mismatches = 0;
            return Ok(());
        }
        self.key_agreement = SecretKey::random(&mut OsRng);
        self.mismatches += 1;
        Err(if self.retries == 0 {
            Status::PinBlocked
        } else if self.mismatches >= CONSECUTIVE_MISMATCHES {
            Status::PinAuthBlocked
        } else {
            Status::PinInvalid
        })
    }

    fn store_new_pin(&mut self, shared_secret: &SharedSecret, encrypted: &[u8]) -> Failure<()> {
        let padded = shared_secret.decrypt(encrypted)?;
        if padded.len() != PADDED_PIN_BYTES {
            return Err(Status::InvalidParameter);
        }
        let length = padded.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let pin = std::str::from_utf8(&padded[..length]).map_err(|_| Status::PinPolicyViolation)?;
        if length > MAXIMUM_PIN_BYTES || pin.chars().count() < self.minimum_length {
            return Err(Status::PinPolicyViolation);
        }
        let hash = pin_hash(pin.as_bytes());
        if self.force_change && self.stored_pin == Some(hash) {
            return Err(Status::PinPolicyViolation);
        }
        self.set(Some(pin));
        Ok(())
    }

    /// getPinToken and getPinUvAuthTokenUsingPinWithPermissions. The former asks for no permissions: it gets those of
    /// making credentials and assertions, for whatever rpId it is first used with.
    fn token_by_pin(&mut self, request: &Map, asked: Option<u8>) -> Failure<Value> {
        let shared_secret = self.agreed(request)?;
        let rp_id = token_rp_id(request, asked)?;
        if asked.is_none() && (get(request, PERMISSIONS).is_some() || get(request, RP_ID).is_some()) {
            return Err(Status::InvalidParameter);
        }
        self.check_pin(&shared_secret, &required_bytes(request, PIN_HASH_ENC)?)?;
        if self.force_change {
            return Err(if asked.is_some() { Status::PinPolicyViolation } else { Status::PinInvalid });
        }
        Ok(self.issue(&shared_secret, asked.unwrap_or(MAKE_CREDENTIAL | GET_ASSERTION), rp_id, false))
    }

    fn prepare_uv(&self, request: &Map, permissions: u8) -> Failure<UvRequest> {
        let shared_secret = self.agreed(request)?;
        let rp_id = token_rp_id(request, Some(permissions))?;
        match self.uv {
            BuiltInUv::Absent => Err(Status::NotAllowed),
            _ if self.uv_retries == 0 => Err(Status::UvBlocked),
            _ => Ok(UvRequest { shared_secret, permissions, rp_id }),
        }
    }

    /// getPinUvAuthTokenUsingUvWithPermissions, after the touch of the reader.
    pub fn token_by_uv(&mut self, request: UvRequest) -> Failure<Value> {
        self.verify_by_touch()?;
        Ok(self.issue(&request.shared_secret, request.permissions, request.rp_id, true))
    }

    /// Whether built-in user verification may be tried.
    pub fn may_verify_by_touch(&self) -> Failure<()> {
        match self.uv {
            BuiltInUv::Absent => Err(Status::InvalidOption),
            _ if self.uv_retries == 0 => Err(Status::UvBlocked),
            _ => Ok(()),
        }
    }

    /// `performBuiltInUv()`: the finger is on the reader.
    pub fn verify_by_touch(&mut self) -> Failure<()> {
        if self.uv == BuiltInUv::Recognises {
            self.uv_retries = UV_RETRIES;
            return Ok(());
        }
        self.uv_retries = self.uv_retries.saturating_sub(1);
        Err(if self.uv_retries == 0 { Status::UvBlocked } else { Status::UvInvalid })
    }

    fn issue(
        &mut self,
        shared_secret: &SharedSecret,
        permissions: u8,
        rp_id: Option<String>,
        user_present: bool,
    ) -> Value {
        let value = random();
        self.token = Some(Token { value, permissions, rp_id, user_present, issued: Instant::now(), used: false });
        Value::Map(vec![(integer(2), bytes(shared_secret.encrypt(&value)))])
    }

    /// Verifies a pinUvAuthParam over `message`, and that the token may do this for this rpId.
    pub fn verify_token(
        &mut self,
        protocol: Protocol,
        message: &[u8],
        tag: &[u8],
        permission: u8,
        rp_id: Option<&str>,
    ) -> Failure<()> {
        let token = self.token.as_mut().ok_or(Status::PinAuthInvalid)?;
        let age = token.issued.elapsed();
        let expired = age > MAXIMUM_USAGE || (!token.used && age > INITIAL_USAGE_LIMIT);
        if expired || protocol.authenticate(&token.value, message) != tag || token.permissions & permission == 0 {
            return Err(Status::PinAuthInvalid);
        }
        if let Some(rp_id) = rp_id {
            if token.rp_id.as_deref().is_some_and(|bound| bound != rp_id) {
                return Err(Status::PinAuthInvalid);
            }
            token.rp_id.get_or_insert_with(|| rp_id.to_owned());
        }
        token.used = true;
        Ok(())
    }

    /// Whether the verified token also says that the person is there, so that no touch is needed.
    pub fn user_is_present(&self) -> bool {
        self.token.as_ref().is_some_and(|token| token.user_present && token.issued.elapsed() < INITIAL_USAGE_LIMIT)
    }

    /// After a touch the token has done its work: sections 6.1.2 and 6.2.2, `clearPinUvAuthTokenPermissionsExceptLbw()`.
    pub fn touched(&mut self) {
        if let Some(token) = self.token.as_mut() {
            token.permissions = 0;
            token.user_present = false;
        }
    }
}

fn pin_hash(pin: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&sha256(pin)[..16]);
    half
}

fn permissions(request: &Map) -> Failure<u8> {
    let permissions = number(request, PERMISSIONS).ok_or(Status::MissingParameter)?;
    let permissions = u8::try_from(permissions).map_err(|_| Status::InvalidParameter)?;
    if permissions == 0 {
        return Err(Status::InvalidParameter);
    }
    if permissions & !SUPPORTED_PERMISSIONS != 0 {
        return Err(Status::UnauthorizedPermission);
    }
    Ok(permissions)
}

/// Permissions to make credentials and assertions are for one rpId.
fn token_rp_id(request: &Map, permissions: Option<u8>) -> Failure<Option<String>> {
    let rp_id = get(request, RP_ID).and_then(Value::as_text).map(str::to_owned);
    let needed = permissions.is_some_and(|permissions| permissions & (MAKE_CREDENTIAL | GET_ASSERTION) != 0);
    if needed && rp_id.is_none() { Err(Status::MissingParameter) } else { Ok(rp_id) }
}
