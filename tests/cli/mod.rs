//! The command line as a person and a script meet it: the real binaries, a real terminal, a home of one's own.

/// Administration, and what a person is told of their keys.
mod administration;
/// What is typed, written or planted wrong.
mod bad_input;
/// Completion, in real shells.
mod completion;
/// What keeps it from working, and what to do.
mod doctor;
/// A home, a terminal, programs.
pub mod harness;
/// Where grants are kept.
pub mod keyrings;
/// What it looks like: colour, quiet, tables, the picker.
mod look;
/// Many at once, and processes that die in the middle.
mod parallel;
/// What programs are told while they wait.
pub mod progress;
/// The moment somebody is asked.
mod prompts;
/// Whom a grant reaches.
mod reach;
/// Everything gone again.
mod remove;
/// A new authority in the old one's place.
mod reset;
/// Running a command with a credential.
mod running;
/// `--json` of every verb, held against its schema.
mod schemas;
/// Prompts, environments and subshells of real shells.
mod shells;
/// What does not answer, and how long it is waited for.
mod silence;
/// A new policy, held against the log of a running authority.
mod simulate;
/// The store: moved, backed up, brought back.
mod storing;
/// What it is started in: streams, terminals, texts that are no text, rights and homes of others.
mod surroundings;
/// What each verb shows.
mod verbs;
/// Identity tokens, where no person asks.
mod workload;
