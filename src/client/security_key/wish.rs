//! What a key is asked, once it is known which key: an assertion, a credential, another PIN.

use super::asking::Key;
use super::driver::{Assert, Bytes, Command, KeyInfo, Make, Verification};
use super::is_discoverable;
use crate::protocol::encoding::base64url;
use crate::protocol::messages::EnrolledKey;
use std::time::Duration;
use webauthn_rs_proto::PublicKeyCredentialCreationOptions;

/// What a key is asked.
pub enum Wish {
    Assert {
        rp_id: String,
        client_data: Vec<u8>,
        allow: Vec<Bytes>,
        discoverable: bool,
        verify: bool,
        salt: Option<Vec<u8>>,
    },
    Make {
        options: Box<PublicKeyCredentialCreationOptions>,
        client_data: Vec<u8>,
    },
    ChangePin,
}

impl Wish {
    /// Whether the person has to be verified, or can be and then is.
    pub(super) fn verifies(&self) -> bool {
        match self {
            Self::Assert { verify, .. } => *verify,
            Self::Make { .. } | Self::ChangePin => false,
        }
    }

    /// Whether this key verifies its user for this wish: a new credential is made with the best that the key can do.
    pub(super) fn verifies_with(&self, info: &KeyInfo) -> bool {
        match self {
            Self::Assert { verify, .. } => *verify,
            Self::Make { .. } => info.can_verify(),
            Self::ChangePin => false,
        }
    }

    /// Whether a key may answer with what it knows itself.
    pub(super) fn is_discoverable(&self) -> bool {
        matches!(self, Self::Assert { discoverable: true, .. })
    }

    /// The wish, as this key's driver is told it.
    pub(super) fn command(&self, key: &Key, verification: Verification, left: Duration) -> Command {
        let within_ms = milliseconds(left);
        match self {
            Self::Assert { rp_id, client_data, salt, .. } => Command::Assert(Box::new(Assert {
                rp_id: rp_id.clone(),
                client_data: Bytes(client_data.clone()),
                allow: key.credentials.clone(),
                verification,
                salt: salt.clone().map(Bytes),
                within_ms,
            })),
            Self::Make { options, client_data } => Command::Make(Box::new(Make {
                rp_id: options.rp.id.clone(),
                client_data: Bytes(client_data.clone()),
                user_id: Bytes(options.user.id.clone()),
                user_name: options.user.name.clone(),
                exclude: options.exclude_credentials.iter().flatten().map(|it| Bytes(it.id.clone())).collect(),
                verification,
                discoverable: key.info.discoverable && is_discoverable(options),
                hmac_secret: key.info.hmac_secret,
                within_ms,
            })),
            Self::ChangePin => Command::Cancel,
        }
    }

    /// What the person calls the keys that could answer.
    pub(super) fn names(&self, enrolled: &[EnrolledKey]) -> Vec<String> {
        let Self::Assert { allow, .. } = self else { return Vec::new() };
        let asked = |key: &&EnrolledKey| !key.software && allow.iter().any(|id| base64url(&id.0) == key.credential_id);
        enrolled.iter().filter(asked).map(|key| format!("'{}'", key.name)).collect()
    }
}

impl KeyInfo {
    /// Whether a PIN or a fingerprint is set up.
    pub(super) fn can_verify(&self) -> bool {
        self.pin == Some(true) || self.built_in == Some(true)
    }
}

/// As drivers are told times.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
