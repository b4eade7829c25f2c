//! `elevate`: just-in-time access with step-up authentication, from the terminal.
//!
//! Imports go one way: binary -> [`client`] | [`authority`] -> [`protocol`], [`log`].

/// What both sides agree on: names, wire messages, the challenge, tokens, `DPoP`. No I/O.
pub mod protocol;

/// The Merkle log: leaves, checkpoints, receipts, verification. No I/O.
pub mod log;

/// The only reader of time.
pub mod clock;

/// Files that decide something: ours alone, or refused.
pub mod files;

/// The command line: asks, shows, touches, stores, delivers.
#[cfg(feature = "client")]
pub mod client;

/// The service: decides, records, issues.
#[cfg(feature = "authority")]
pub mod authority;
