//! What is said of words that can't be understood: clap's own errors in the form of ours, a fact and what to do about it.

use crate::client::cli::command;
use crate::client::error::Error;
use crate::client::suggestions::near_verb;
use crate::client::terminal::Terminal;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// `elevate help VERB` is what many type first: it is `elevate VERB --help`.
pub fn help_last(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

/// Help is no error; a word that clap did not understand is one of ours.
pub fn error(terminal: Terminal, words: &[OsString], error: &clap::Error) -> Option<Error> {
    let typed = Typed::of(words);
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Some(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return terminal.help(error).err(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Error::usage(format!("`{}` needs a verb", typed.verbs)).hint(typed.one_of())
        }
        ErrorKind::InvalidSubcommand => {
            let nearest = context(ContextKind::SuggestedSubcommand);
            let hint = format!("did you mean `{} {nearest}`?", typed.verbs);
            Error::usage(format!("`{}` has no verb '{}'", typed.verbs, context(ContextKind::InvalidSubcommand)))
                .hint(if nearest.is_empty() { typed.one_of() } else { hint })
        }
        ErrorKind::MissingRequiredArgument => {
            let usage = lines.find_map(|line| line.strip_prefix("Usage: ")).unwrap_or(&typed.verbs);
            Error::usage(format!("{} is missing", context(ContextKind::InvalidArg))).hint(format!("write: {usage}"))
        }
        _ => {
            let message = lines.next().unwrap_or("what was typed can't be understood");
            Error::usage(message.trim_start_matches("error: ")).hint(hint(lines, &typed))
        }
    })
}

/// The values there are, or the likeliest of the tips. That a word could be passed as a value is no help to anybody.
fn hint<'a>(lines: impl Iterator<Item = &'a str> + Clone, typed: &Typed) -> String {
    let values = lines.clone().find(|line| line.starts_with('['));
    let tip = || lines.filter_map(|line| line.strip_prefix("tip: ")).find(|tip| !tip.starts_with("to pass "));
    match values.map(|line| line.trim_matches(['[', ']'])).or_else(tip) {
        Some(best) => best.to_owned(),
        None => format!("try `{} --help`", typed.verbs),
    }
}

/// The verb that was typed, as far as there is one.
struct Typed {
    command: clap::Command,
    /// With `elevate` before it.
    verbs: String,
}

impl Typed {
    fn of(words: &[OsString]) -> Self {
        let mut typed = Self { command: command(), verbs: "elevate".to_owned() };
        for word in words.iter().skip(1).take_while(|word| *word != "--").filter_map(|word| word.to_str()) {
            if let Some(found) = typed.command.find_subcommand(word).cloned() {
                typed = Self { verbs: format!("{} {word}", typed.verbs), command: found };
            }
        }
        typed
    }

    fn one_of(&self) -> String {
        let verbs = self.command.get_subcommands().filter(|it| !it.is_hide_set()).map(clap::Command::get_name);
        format!("one of: {}", verbs.collect::<Vec<_>>().join(", "))
    }
}

/// A command that was typed without `--` before it.
pub fn misplaced(resource: &str, command: &[String], words: &[OsString]) -> Error {
    let rest = words.iter().skip_while(|word| *word != "--").skip(1).map(|word| word.to_string_lossy().into_owned());
    let command: Vec<String> = command.iter().cloned().chain(rest).collect();
    let command = command.join(" ");
    let verb = near_verb(resource).map(|verb| format!("; or did you mean `elevate {verb} {command}`?"));
    let hint = format!("write: elevate {resource} -- {command}{}", verb.unwrap_or_default());
    Error::usage("a command stands after `--`").hint(hint)
}
