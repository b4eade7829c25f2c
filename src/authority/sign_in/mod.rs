//! Signing in: who somebody is, the authority learns from one `OpenID` provider, from their security key or from an
//! invitation, and then knows the device for a while.
//!
//! Two legs, one behind the other. Towards the device this is an authorization server (RFC 6749, PKCE RFC 7636, PAR
//! RFC 9126, `iss` RFC 9207, `DPoP` RFC 9449, or the device flow RFC 8628); towards the provider it is a client of its
//! own. `authorization.rs` and `browser.rs` are the flow; read them first. `direct.rs` does without a provider.

pub mod authorization;
mod browser;
pub mod config;
pub mod device;
pub mod direct;
pub mod id_token;
pub mod invitations;
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
    uninvited: Tally,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            provider: upstream::Known::default(),
            begun: Tally::new(steps::BEGUN_MAX_OF_ALL),
            mistyped: Tally::new(device::WRONG_MAX_OF_ALL),
            uninvited: Tally::new(direct::WRONG_MAX_OF_ALL),
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
    /// Whose word it is.
    #[serde(default, skip_serializing_if = "How::is_provider")]
    pub how: How,
}

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By the identity provider's word.
    #[default]
    Provider,
    /// With a security key of theirs. No step-up: those are made for one thing each.
    Key,
    /// By an invitation, to enrol a first key and for nothing else.
    Invitation,
}

impl How {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_provider(&self) -> bool {
        *self == Self::Provider
    }
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
