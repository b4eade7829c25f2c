//! The man pages: what clap knows, merged with `man/written`, where people write what no definition says.
//!
//! `man/written/PAGE.roff` holds sections (`.SH NAME`) in roff's man macros; `shared.roff` those that belong to every page
//! of a command. Between `.\" if WHAT` and `.\" end` stands what is left out where there is no such thing: an option of
//! the page (`--renew`, `-q`), a verb (`verb shell`), a key of `elevate.toml` (`key grants`).

mod claims;
mod page;

use clap::Command;
use page::{Page, Written, escaped, marked_up};
use std::path::{Path, PathBuf};

/// The day of the last change that a reader should know of: a page has to have one.
const DATE: &str = "2026-11-25";

const LAST: [&str; 6] = ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SECURITY", "SEE ALSO"];

pub fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The client's commands, with what they inherit.
pub fn client() -> Command {
    let mut command = elevate::client::cli::command();
    command.build();
    command
}

fn authority() -> Command {
    let mut command = elevate::authority::cli::command();
    command.build();
    command
}

pub fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// Every page: its file's name, and its text.
pub fn pages() -> Vec<(String, String)> {
    let (client, authority) = (client(), authority());
    let mut pages = vec![of_command(&client, "elevate", "1"), of_command(&authority, "elevate-authority", "8")];
    pages.extend(verbs(&client).map(|verb| of_command(verb, &format!("elevate-{}", verb.get_name()), "1")));
    for (name, section, about) in [
        ("elevate.toml", "5", "what a user wants of elevate"),
        ("authority.toml", "5", "resources of an authority, and what it allows"),
        ("elevate-policy", "7", "who may elevate to what, and what it takes"),
    ] {
        let mut page = Page::new(name, section, DATE);
        page.section("NAME", &format!("{} \\- {}\n", escaped(name), escaped(about)));
        let written = Written::of(name, &[]);
        for (section, text) in &written.sections {
            page.section(section, text);
        }
        pages.push((format!("{name}.{section}"), page.text));
    }
    pages
}

/// The page of a program or a verb, with the verbs below it.
fn of_command(command: &Command, name: &str, section: &str) -> (String, String) {
    let options = page::options(command);
    let (written, shared) = (Written::of(name, &options), Written::of("shared", &options));
    let is_client = section == "1";
    let mut page = Page::new(name, section, DATE);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    page.section("NAME", &format!("{} \\- {}\n", escaped(name), escaped(&first_lower(&about))));
    page.section("SYNOPSIS", &page::synopsis(command));
    let own_words = command.get_long_about().filter(|_| written.get("DESCRIPTION").is_none());
    let description = own_words.map(|text| format!("{}.\n", marked_up(&text.to_string())));
    page.section("DESCRIPTION", &description.or_else(|| written.get("DESCRIPTION")).unwrap_or_default());
    let list = page::option_list(command, false) + &page::option_list(command, true);
    page.section("OPTIONS", &list);
    let top = name == "elevate";
    page.section(if is_client { "VERBS" } else { "COMMANDS" }, &page::below(command, top));
    for (section, text) in &written.sections {
        if section != "DESCRIPTION" && !LAST.contains(&section.as_str()) {
            page.section(section, text);
        }
    }
    for section in LAST {
        let mut text = written.get(section).unwrap_or_default();
        if section == "EXAMPLES" {
            text = page::examples(command, top) + &text;
        } else if is_client && (text.is_empty() || section == "EXIT STATUS" || section == "ENVIRONMENT") {
            // Each page of a verb tells what is its own; what all have in common has one source.
            text += &shared.get(section).unwrap_or_default();
        }
        page.section(section, &text);
    }
    (format!("{name}.{section}"), page.text)
}

fn first_lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
