//! The Merkle log (C2SP tlog-tiles, tlog-checkpoint, signed-note; RFC 6962 hashing). Pure: whoever holds the
//! bytes can check them, and nothing here knows where they are kept.

pub mod check;
pub mod checkpoint;
pub mod leaf;
pub mod receipt;
