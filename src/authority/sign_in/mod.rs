//! Signing in: who somebody is, the authority learns from one `OpenID` provider, and then knows the device for a while.
//!
//! Two legs, one behind the other. Towards the device this is an authorization server (RFC 6749, PKCE RFC 7636, PAR
//! RFC 9126, `iss` RFC 9207, `DPoP` RFC 9449, or the device flow RFC 8628); towards the provider it is a client of its
//! own. `authorization.rs` is the flow; read it first.

pub mod authorization;
pub mod config;
pub mod device;
pub mod id_token;
mod pages;
pub mod routes;
pub mod sessions;
mod steps;
mod tally;
pub mod upstream;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tally::Tally;

/// What one process remembers: the provider's metadata and keys, who begins how often, and who mistypes codes.
pub struct SignIn {
    provider: upstream::Known,
    begun: Tally,
    mistyped: Tally,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            provider: upstream::Known::default(),
            begun: Tally::new(steps::BEGUN_MAX_OF_ALL),
            mistyped: Tally::new(device::WRONG_MAX_OF_ALL),
        }
    }
}

/// What the provider says of a person. Kept for people and for policies; none of it is a step-up of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// For people; it may change, and is nobody's identity.
    pub name: String,
    /// The groups it lists.
    pub groups: BTreeSet<String>,
    /// How well it knew them, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// With what (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// When they showed it, Unix seconds; where it does not say, when it said who they are.
    pub auth_time: i64,
}

/// A person who is signed in on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Names the sign-in.
    pub id: String,
    /// What the provider says of them.
    pub person: Person,
}

/// A person and the `sub` they have here: `ISSUER#SUB`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) sub: String,
    pub(super) person: Person,
}
