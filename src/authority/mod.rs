//! The authority: decides, records, issues. `elevation.rs` is the flow; read it first.
//!
//! Nothing here prompts, touches a key or knows a terminal.

pub mod admin;
pub mod audit;
pub mod caller;
pub mod cli;
pub mod config;
pub mod context;
pub mod elevation;
pub mod enrolment;
pub mod error;
pub mod issue;
pub mod policy;
pub mod routes;
pub mod rules;
pub mod server;
pub mod signer;
pub mod step_up;
pub mod store;
