//! What both sides agree on. Types and pure functions, no I/O; nothing here asks a clock or a store.

pub mod access_token;
pub mod assurance;
pub mod authenticator_data;
pub mod challenge;
pub mod display;
pub mod dpop;
pub mod encoding;
pub mod issuer;
pub mod messages;
pub mod names;
pub mod secret;

/// Version of what both sides say to each other.
pub const VERSION: u32 = 1;

/// The OAuth client that this CLI is (RFC 6749 section 2.2): public, known to every authority.
pub const CLIENT_ID: &str = "elevate-cli";

/// Host of the issuer of every embedded and system authority, and so their relying party id.
pub const LOCAL_HOST: &str = "localhost";

/// The resource that stands for the authority itself: keys and administration are elevations to it.
pub const AUTHORITY_RESOURCE: &str = "authority";

/// AAGUID of the software key: a key that is a file says so.
pub const SOFTWARE_AAGUID: [u8; 16] = *b"elevate-software";
