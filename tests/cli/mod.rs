//! The command line as a person and a script meet it: the real binaries, a real terminal, a home of one's own.

/// A home, a terminal, programs.
pub mod harness;
/// The moment somebody is asked.
mod prompts;
/// Running a command with a credential.
mod running;
/// What each verb shows.
mod verbs;
