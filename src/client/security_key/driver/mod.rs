//! What we and the child process that drives one key say to each other: a line of JSON each, commands one way, events the
//! other. The child is `elevate drive-security-key NODE`; it owns the device, and whatever its library does (hang, panic,
//! print) stays in it. When its standard input ends, however we ended, it cancels what the key is doing and goes.

pub mod descriptor;
pub mod process;
pub mod relay;

use crate::protocol::encoding::{base64url, from_base64url};
use crate::protocol::secret::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, as base64url in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_base64url(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not base64url"))
    }
}

/// To the child.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Which of these credentials the key holds; without a touch.
    Find {
        /// Whose.
        rp_id: String,
        /// Their ids.
        credentials: Vec<Bytes>,
    },
    /// A touch that says "this key" (CTAP 2.1 section 6.9).
    Select {
        /// Milliseconds it may take.
        within_ms: u64,
    },
    /// authenticatorMakeCredential.
    Make(Box<Make>),
    /// authenticatorGetAssertion.
    Assert(Box<Assert>),
    /// How many attempts are left.
    Retries,
    /// Sets a PIN, or changes it.
    ChangePin {
        /// The one there is.
        old: Option<Secret>,
        /// The one to be.
        new: Secret,
    },
    /// What is under way ends; the light goes out.
    Cancel,
}

/// How the key verifies its user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// Not at all.
    None,
    /// By itself: a fingerprint.
    BuiltIn,
    /// By a PIN.
    Pin(Secret),
}

/// A credential to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Make {
    /// For whom.
    pub rp_id: String,
    /// clientDataJSON.
    pub client_data: Bytes,
    /// User handle.
    pub user_id: Bytes,
    /// User name.
    pub user_name: String,
    /// Credentials that must not be on the key already.
    pub exclude: Vec<Bytes>,
    /// How the user is verified.
    pub verification: Verification,
    /// Whether the key is to know by itself whose it is (`rk`), where it has room.
    #[serde(default)]
    pub discoverable: bool,
    /// Whether the credential is to have an `hmac-secret`.
    pub hmac_secret: bool,
    /// Milliseconds it may take.
    pub within_ms: u64,
}

/// An assertion to be got.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assert {
    /// For whom.
    pub rp_id: String,
    /// clientDataJSON.
    pub client_data: Bytes,
    /// Which credentials may answer; where none is named, those that the key knows.
    pub allow: Vec<Bytes>,
    /// How the user is verified.
    pub verification: Verification,
    /// What `hmac-secret` is evaluated over, 32 bytes.
    pub salt: Option<Bytes>,
    /// Milliseconds it may take.
    pub within_ms: u64,
}

/// From the child.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The key answers; what it says of itself.
    Opened(KeyInfo),
    /// Its light came on (it waits for a touch) or went out.
    Light(bool),
    /// Another program uses the key; it is tried again.
    Busy,
    /// The command is done.
    Done(Box<Answer>),
    /// The command failed.
    Failed(Fault),
}

/// What a command brought.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The credentials that are on the key.
    Found(Vec<Bytes>),
    /// It was touched.
    Selected,
    /// A new credential.
    Made {
        /// Its attestation object (`WebAuthn` Level 3, section 6.5).
        object: Bytes,
        /// Whether the key knows by itself whose it is.
        #[serde(default)]
        discoverable: bool,
    },
    /// An assertion.
    Asserted {
        /// Of which credential; empty where only one was allowed.
        credential_id: Bytes,
        /// Authenticator data.
        authenticator_data: Bytes,
        /// DER.
        signature: Bytes,
        /// Whose, where the key knows it.
        #[serde(default)]
        user_handle: Option<Bytes>,
        /// Output of `hmac-secret`, base64url of 32 bytes.
        hmac_output: Option<Secret>,
    },
    /// Attempts left; `None` where the key does not say.
    Retries {
        /// With the PIN.
        pin: Option<u32>,
        /// With the built-in verification.
        uv: Option<u32>,
    },
    /// The PIN is the new one.
    PinChanged,
}

/// What a key says of itself (authenticatorGetInfo, CTAP 2.1 section 6.4). Nothing is believed that matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "as the key lists them")]
pub struct KeyInfo {
    /// Whether there is a PIN; `None` where it can have none.
    pub pin: Option<bool>,
    /// Whether its own verification is set up; `None` where it has none.
    pub built_in: Option<bool>,
    /// Whether it hands out PIN tokens with permissions.
    pub permissions: bool,
    /// Whether it knows authenticatorSelection.
    pub selection: bool,
    /// Whether it has room for credentials that it knows by itself.
    #[serde(default)]
    pub discoverable: bool,
    /// Whether it knows `hmac-secret`.
    pub hmac_secret: bool,
    /// Whether the PIN must be changed before it is used.
    pub must_change_pin: bool,
    /// Characters a PIN must have.
    pub min_pin: u32,
    /// Ways to reach it.
    pub transports: Vec<String>,
}

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The key said so: a CTAP status code (CTAP 2.1 section 8.2).
    Status(u8),
    /// It was unplugged.
    Gone,
    /// It does not answer.
    Silent,
    /// What it answers can't be read.
    Garbled,
    /// The device may not be opened.
    Forbidden,
    /// We did not want it any more.
    Cancelled,
}

/// CTAP status codes that mean something to a person (CTAP 2.1 section 8.2).
#[allow(missing_docs, reason = "the specification's own names")]
pub mod status {
    pub const INVALID_COMMAND: u8 = 0x01;
    pub const CREDENTIAL_EXCLUDED: u8 = 0x19;
    pub const OPERATION_DENIED: u8 = 0x27;
    pub const KEY_STORE_FULL: u8 = 0x28;
    pub const KEEPALIVE_CANCEL: u8 = 0x2d;
    pub const NO_CREDENTIALS: u8 = 0x2e;
    pub const USER_ACTION_TIMEOUT: u8 = 0x2f;
    pub const PIN_INVALID: u8 = 0x31;
    pub const PIN_BLOCKED: u8 = 0x32;
    pub const PIN_AUTH_INVALID: u8 = 0x33;
    pub const PIN_AUTH_BLOCKED: u8 = 0x34;
    pub const PIN_NOT_SET: u8 = 0x35;
    pub const PUAT_REQUIRED: u8 = 0x36;
    pub const PIN_POLICY_VIOLATION: u8 = 0x37;
    pub const ACTION_TIMEOUT: u8 = 0x3a;
    pub const UV_BLOCKED: u8 = 0x3c;
    pub const UV_INVALID: u8 = 0x3f;
    pub const OTHER: u8 = 0x7f;
}
