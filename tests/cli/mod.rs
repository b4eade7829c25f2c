//! The command line as a person and a script meet it: the real binaries, a real terminal, a home of one's own.

/// What is typed, written or planted wrong.
mod bad_input;
/// What keeps it from working, and what to do.
mod doctor;
/// A home, a terminal, programs.
pub mod harness;
/// Where grants are kept.
mod keyrings;
/// What it looks like: colour, quiet, tables, the picker.
mod look;
/// Many at once, and processes that die in the middle.
mod parallel;
/// The moment somebody is asked.
mod prompts;
/// Everything gone again.
mod remove;
/// A new authority in the old one's place.
mod reset;
/// Running a command with a credential.
mod running;
/// Prompts, environments and subshells of real shells.
mod shells;
/// What each verb shows.
mod verbs;
