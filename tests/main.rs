//! One test binary, a module each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_macros, missing_docs, reason = "tests")]
#![allow(clippy::missing_panics_doc, clippy::too_many_lines, reason = "tests")]

/// What administrators change, and who may not.
mod administration;
/// Every row of the threat table that is built.
mod attacks;
/// The store failing under the log, both ways.
mod audit_faults;
/// The real binaries, as a person and a script use them.
mod cli;
/// Clients that nobody here wrote, and the table of what they see.
mod conformance;
/// Every command that README shows.
mod docs;
/// The flow, on an authority in this process.
mod elevation;
/// What is derived and committed.
mod generated;
/// What tests share: an authority in this process, keys that do as they are told, a home of one's own.
mod harness;
/// Keys that are devices, played by scripts.
mod keys;
/// The manual: how it is made, and whether what it says is so.
mod manual;
/// Several nodes on one PostgreSQL.
mod nodes;
/// Policies as tables.
mod policy;
/// A PostgreSQL for tests, and the tests that run on it as well as on SQLite.
mod postgres;
/// Authorities that are not the embedded one: over TLS, through proxies, on others' sockets.
mod reaching;
/// What is remembered of people, and where they come from.
mod risk;
/// Secrets under security keys, and the `age` program.
mod sealing;
/// The authority as a service: over TLS, under load, under attack, and as the system's own.
mod serving;
/// People who sign in over the network.
mod sign_in;
/// TLS, certificates and proxies between a client and an authority.
mod tls_front;
/// Vectors that another language reproduces.
mod vectors;
/// Pipelines and pods, by the word of whoever is trusted.
mod workloads;
