//! Roff: what clap knows as man(7) macros.

use clap::{Arg, Command};
use std::fmt::Write as _;

/// One page as it grows.
pub struct Page {
    pub text: String,
}

impl Page {
    pub fn new(name: &str, section: &str, date: &str) -> Self {
        let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
        let text = format!(
            ".\\\" Generated from clap's definitions and man/written: change those.\n.TH {} {section} {date} \"elevate {version}\" \"elevate\"\n",
            escaped(&title)
        );
        Self { text }
    }

    pub fn section(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            let name = if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() };
            let _ = write!(self.text, ".SH {name}\n{}\n", filled(text.trim_end()));
        }
    }
}

/// Lines that mandoc does not find too long; literal blocks stay as they are.
fn filled(text: &str) -> String {
    let (mut out, mut literal) = (Vec::new(), false);
    for line in text.lines() {
        literal = (literal || line == ".nf") && line != ".fi";
        let mut rest = line;
        while !literal && !rest.starts_with('.') && rest.len() > 78 {
            // A line that began with a dot would be a macro.
            let breaks = |(at, _): &(usize, &str)| *at > 0 && *at <= 78 && !rest[at + 1..].starts_with('.');
            let Some((at, _)) = rest.match_indices(' ').rfind(breaks) else { break };
            out.push(&rest[..at]);
            rest = &rest[at + 1..];
        }
        out.push(rest);
    }
    out.join("\n")
}

/// The sections of a file in `man/written`; none where there is no file.
pub struct Written {
    pub sections: Vec<(String, String)>,
}

impl Written {
    pub fn of(page: &str, options: &[String]) -> Self {
        let text = std::fs::read_to_string(super::root("man/written").join(format!("{page}.roff"))).unwrap_or_default();
        let mut sections: Vec<(String, String)> = Vec::new();
        let mut shown = true;
        for line in text.lines() {
            if let Some(what) = line.strip_prefix(".\\\" if ") {
                shown = exists(what, options);
            } else if line == ".\\\" end" {
                shown = true;
            } else if let Some(name) = line.strip_prefix(".SH ").filter(|_| shown) {
                sections.push((name.trim_matches('"').to_owned(), String::new()));
            } else if let Some((_, text)) = sections.last_mut().filter(|_| shown) {
                let _ = writeln!(text, "{}", as_typed(line));
            }
        }
        Self { sections }
    }

    pub fn get(&self, name: &str) -> Option<String> {
        self.sections.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone())
    }
}

/// What has to be typed as it stands: hyphens and quotes are not to be made pretty.
fn as_typed(line: &str) -> String {
    if line.starts_with(".\\\"") { line.to_owned() } else { line.replace('-', "\\-").replace('\'', "\\(aq") }
}

/// Whether there is what a part of a written page is about.
fn exists(what: &str, options: &[String]) -> bool {
    if let Some(verb) = what.strip_prefix("verb ") {
        super::client().find_subcommand(verb).is_some_and(|verb| !verb.is_hide_set())
    } else if let Some(key) = what.strip_prefix("key ") {
        super::claims::keys_of_elevate_toml().iter().any(|known| known == key)
    } else {
        options.iter().any(|option| option == what)
    }
}

/// `-n`, `--non-interactive` and so on, of a command and those below it.
pub fn options(command: &Command) -> Vec<String> {
    let names = |arg: &Arg| {
        let (short, long) = (arg.get_short(), arg.get_long());
        [short.map(|it| format!("-{it}")), long.map(|it| format!("--{it}"))].into_iter().flatten().collect::<Vec<_>>()
    };
    let own = command.get_arguments().filter(|arg| !arg.is_hide_set()).flat_map(names);
    own.chain(super::verbs(command).flat_map(options)).collect()
}

/// Text as roff shows it.
pub fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

/// The same for a help text, where `this` is something to type.
pub fn marked_up(text: &str) -> String {
    let parts = text.split('`').map(escaped).enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 1 { format!("\\fB{part}\\fR") } else { part });
    let out: String = parts.collect();
    let paragraphs: Vec<&str> = out.split("\n\n").map(|text| text.trim_end_matches('.')).collect();
    paragraphs.join(".\n.PP\n")
}

fn value(arg: &Arg) -> String {
    let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let name = name.unwrap_or_else(|| arg.get_id().as_str().to_uppercase().replace('_', "-"));
    format!("\\fI{}\\fR", escaped(&name))
}

fn positional(arg: &Arg) -> String {
    let more = if arg.get_num_args().is_some_and(|count| count.max_values() > 1) || many(arg) { "..." } else { "" };
    let text = format!("{}{more}", value(arg));
    match (arg.is_last_set(), arg.is_required_set()) {
        (true, true) => "\\fB\\-\\-\\fR \\fICOMMAND\\fR [\\fIARG\\fR]...".to_owned(),
        (true, false) => "[\\fB\\-\\-\\fR \\fICOMMAND\\fR [\\fIARG\\fR]...]".to_owned(),
        (false, true) => text,
        (false, false) => format!("[{text}]"),
    }
}

fn many(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

/// How each command at the end of a path is written, a line each.
pub fn synopsis(command: &Command) -> String {
    let path = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut lines = Vec::new();
    if command.get_name() == "elevate" {
        lines.push(
            "\\fBelevate\\fR [\\fIOPTION\\fR]... \\fIRESOURCE\\fR [\\fB\\-\\-\\fR \\fICOMMAND\\fR [\\fIARG\\fR]...]"
                .to_owned(),
        );
        lines.push("\\fBelevate\\fR \\fIVERB\\fR ...".to_owned());
    } else if super::verbs(command).next().is_none() {
        let required = command.get_opts().filter(|option| option.is_required_set());
        let required =
            required.map(|it| format!("\\fB\\-\\-{}\\fR {} ", escaped(it.get_long().unwrap_or_default()), value(it)));
        let words: Vec<String> = command.get_positionals().map(positional).collect();
        let (required, words) = (required.collect::<String>(), words.join(" "));
        lines.push(format!("\\fB{}\\fR {required}[\\fIOPTION\\fR]... {words}", escaped(path)).trim_end().to_owned());
    }
    let mut text = lines.join("\n.br\n");
    if command.get_name() != "elevate" {
        for verb in super::verbs(command) {
            let _ = write!(text, "{}{}", if text.is_empty() { "" } else { "\n.br\n" }, synopsis(verb).trim_end());
        }
    }
    text + "\n"
}

/// The options of a command: those that are its own, or those of every verb.
pub fn option_list(command: &Command, of_every_verb: bool) -> String {
    let mut text = String::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.is_global_set() == of_every_verb) {
        let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let takes = arg.get_action().takes_values();
        let term = if arg.is_positional() {
            value(arg)
        } else {
            let short = arg.get_short().map(|it| format!("\\fB\\-{it}\\fR"));
            let long = arg.get_long().map(|it| format!("\\fB\\-\\-{}\\fR", escaped(it)));
            let names: Vec<String> = [short, long].into_iter().flatten().collect();
            let between = if arg.get_num_args().is_some_and(|count| count.min_values() == 0) { "=" } else { " " };
            names.join(", ") + &if takes { format!("{between}{}", value(arg)) } else { String::new() }
        };
        let values: Vec<String> = arg.get_possible_values().iter().map(|it| it.get_name().to_owned()).collect();
        let values =
            if takes && !values.is_empty() { format!(": {}", escaped(&values.join(", "))) } else { String::new() };
        let default: Vec<_> = arg.get_default_values().iter().map(|it| it.to_string_lossy()).collect();
        let default = if takes && !default.is_empty() && !arg.is_hide_default_value_set() {
            format!(" (default: {})", default.join(" "))
        } else {
            String::new()
        };
        let _ = write!(text, ".TP\n{term}\n{}{values}{default}.\n", marked_up(&help));
    }
    if of_every_verb && !text.is_empty() {
        text = format!(".SS Options of every verb\n{text}");
    }
    text
}

/// The verbs below a command: named only, at the top; else each with its options.
pub fn below(command: &Command, named_only: bool) -> String {
    let mut text = String::new();
    for verb in super::verbs(command) {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        if named_only {
            let name = verb.get_name();
            let _ = write!(
                text,
                ".TP\n\\fB{}\\fR\n{}: \\fBelevate\\-{}\\fR(1).\n",
                escaped(name),
                marked_up(&about),
                escaped(name)
            );
        } else if super::verbs(verb).next().is_some() {
            text += &below(verb, false);
        } else {
            let about = verb.get_long_about().map_or(about, ToString::to_string);
            let about = about.trim_end_matches('.');
            let path = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
            // That there is help is said once a page.
            let options = option_list(&verb.clone().mut_arg("help", |help| help.hide(true)), false);
            let _ = write!(text, ".SS \"{}\"\n{}.\n{options}", escaped(path), marked_up(about));
        }
    }
    text
}

/// What stands below `--help`: what to type, and what it does.
pub fn example_lines(command: &Command) -> Vec<(String, String)> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
    let mut examples: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (command, description) =
            line.strip_prefix("  ").unwrap_or(line).split_once("  ").unwrap_or((&line[2..], ""));
        match (command, examples.last_mut()) {
            ("", Some((_, words))) => words.push_str(description.trim()),
            (command, _) => examples.push((command.to_owned(), description.trim().to_owned())),
        }
    }
    examples
}

/// The examples of a command, and, but at the top, of those below it.
pub fn examples(command: &Command, own_only: bool) -> String {
    let mut all = example_lines(command);
    let mut pending: Vec<&Command> = if own_only { Vec::new() } else { super::verbs(command).collect() };
    while let Some(verb) = pending.pop() {
        for example in example_lines(verb) {
            if all.iter().all(|(command, _)| *command != example.0) {
                all.push(example);
            }
        }
        pending.extend(super::verbs(verb));
    }
    all.iter().fold(String::new(), |text, (command, description)| {
        format!("{text}.TP\n\\fB{}\\fR\n{}.\n", escaped(command), marked_up(description))
    })
}
