//! Tools for whoever writes policies. They work on files alone, and need no authority that runs.
//!
//! What a policy answers is found by asking it: [`space`] is a finite set of questions, made of what the policies
//! themselves compare with, so that whatever they tell apart is asked apart. It is an enumeration and no proof, and says
//! what it did not vary.

mod answer;
mod axes;
mod boxes;
mod change;
pub mod check;
mod cli;
pub mod diff;
mod page;
pub mod simulate;
mod source;
mod space;
mod vocabulary;

pub use cli::{PolicyVerb, run};
