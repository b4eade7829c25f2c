//! The command line as a person and a script meet it: the real binaries, a real terminal, a home of one's own.

/// What is typed, written or planted wrong.
mod bad_input;
/// What keeps it from working, and what to do.
mod doctor;
/// A home, a terminal, programs.
pub mod harness;
/// Where grants are kept.
mod keyrings;
/// Many at once, and processes that die in the middle.
mod parallel;
/// The moment somebody is asked.
mod prompts;
/// A new authority in the old one's place.
mod reset;
/// Running a command with a credential.
mod running;
/// `--json` of every verb, held against its schema.
mod schemas;
/// What each verb shows.
mod verbs;
