//! What the manual says is so: everything that can be typed, set or written is in it, and its examples are accepted.

use super::page::{Written, example_lines, options};
use super::{authority, client, pages, root, verbs};
use crate::cli::harness::{AUTHORITY_BIN, finish, piped, spawn};
use clap::{Command, Parser as _};
use elevate::authority::config::Config as AuthorityConfig;
use elevate::authority::context::Signal;
use elevate::authority::rules::DEFAULT_SCHEMA;
use elevate::client::cli::Arguments;
use elevate::client::config::Config;
use elevate::client::error::Error;
use elevate::client::places::Places;
use elevate::protocol::assurance::Assurance;
use elevate::protocol::messages::ErrorCode;
use std::collections::BTreeSet;
use std::path::Path;

/// A page as a reader sees its words.
fn page(name: &str) -> String {
    let text = pages().into_iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("there is no {name}")).1;
    plain(&text)
}

fn plain(roff: &str) -> String {
    let text = roff.replace("\\-", "-").replace("\\(aq", "'").replace("\\(ga", "`").replace("\\(dq", "\"");
    let text = text.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\&", "");
    text.replace("\\e", "\\")
}

/// The literal blocks of a page (`.nf`).
fn blocks(page: &str) -> Vec<&str> {
    page.split("\n.nf\n").skip(1).map(|rest| rest.split(".fi").next().unwrap_or_default()).collect()
}

fn every_command(command: &Command, with: &mut dyn FnMut(&Command)) {
    with(command);
    for verb in verbs(command) {
        every_command(verb, with);
    }
}

// ---------------------------------------------------------------------------------------------------------------- pages

#[test]
fn mandoc_has_nothing_to_say_against_the_pages() {
    let directory = tempfile::tempdir().unwrap();
    for (file, text) in pages() {
        std::fs::write(directory.path().join(&file), &text).unwrap();
        let mut mandoc = std::process::Command::new("mandoc");
        mandoc.args(["-Tlint", "-Wall"]).arg(&file).current_dir(directory.path());
        let said = finish(spawn(piped(&mut mandoc)), b"");
        assert_eq!((said.stdout.as_str(), said.stderr.as_str(), said.status), ("", "", Some(0)), "{file}");
    }
}

#[test]
fn every_option_and_verb_is_in_its_page() {
    for (command, file) in verbs(&client())
        .map(|verb| (verb.clone(), format!("elevate-{}.1", verb.get_name())))
        .chain([(client(), "elevate.1".to_owned()), (authority(), "elevate-authority.8".to_owned())])
    {
        let page = page(&file);
        let names = if file == "elevate.1" { own_options(&command) } else { options(&command) };
        for option in names {
            assert!(
                page.lines().any(|line| line.split([' ', ',', '=']).any(|word| word == option)),
                "{option} is not in {file}"
            );
        }
        for verb in verbs(&command) {
            assert!(page.contains(verb.get_name()), "{} is not in {file}", verb.get_name());
        }
    }
}

fn own_options(command: &Command) -> Vec<String> {
    let mut alone = command.clone();
    for verb in alone.get_subcommands_mut() {
        *verb = std::mem::take(verb).hide(true);
    }
    options(&alone)
}

#[test]
fn every_section_that_a_command_needs_is_there() {
    for (file, text) in pages() {
        let wanted: &[&str] = match file.rsplit('.').next() {
            Some("1" | "8") => &[
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "EXIT STATUS",
                "ENVIRONMENT",
                "FILES",
                "EXAMPLES",
                "SECURITY",
                "SEE ALSO",
            ],
            _ => &["NAME", "DESCRIPTION", "EXAMPLES", "SECURITY", "SEE ALSO"],
        };
        let found: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.trim_matches('"')).collect();
        for section in wanted {
            assert_eq!(found.iter().filter(|name| name == &section).count(), 1, "{section} in {file}: {found:?}");
        }
    }
}

#[test]
fn what_a_page_refers_to_is_there() {
    let pages = pages();
    let elsewhere = ["sudo(8)", "env(1)", "timeout(1)", "keyrings(7)", "age(1)", "udev(7)", "signal(7)", "environ(7)"];
    for (file, text) in &pages {
        let text = plain(text);
        for (at, _) in text.match_indices('(') {
            let word_start = text[..at].rfind(|c: char| c.is_whitespace()).map_or(0, |start| start + 1);
            let Some(section) = text[at + 1..].split(')').next().filter(|it| it.len() == 1 && *it >= "1" && *it <= "9")
            else {
                continue;
            };
            let name = text[word_start..at].trim_start_matches('(');
            let reference = format!("{name}({section})");
            let known = pages.iter().any(|(page, _)| *page == format!("{name}.{section}"));
            assert!(known || elsewhere.contains(&reference.as_str()), "{file} refers to {reference}");
        }
    }
}

// ------------------------------------------------------------------------------------------------- statuses, variables

#[test]
fn exit_statuses_are_those_that_errors_have() {
    let written = plain(&Written::of("shared", &[]).get("EXIT STATUS").unwrap());
    let help = client().get_after_help().unwrap().to_string().replace('\n', " ");
    for code in [
        ErrorCode::No,
        ErrorCode::Usage,
        ErrorCode::Denied,
        ErrorCode::InteractionRequired,
        ErrorCode::ApprovalPending,
        ErrorCode::AuthorityUnreachable,
        ErrorCode::NoSecurityKey,
        ErrorCode::VerificationFailed,
        ErrorCode::NoKeyring,
        ErrorCode::NotSignedIn,
        ErrorCode::Failed,
    ] {
        let status = Error::new(code, "").exit_status();
        let name = serde_json::to_value(code).unwrap();
        let row = format!(".TP\n{status}\n{}:", name.as_str().unwrap());
        assert!(written.contains(&row), "{row:?} is not in {written}");
        let in_use = !matches!(code, ErrorCode::ApprovalPending);
        let first_word = format!("{status} ");
        assert_eq!(help.contains(&format!(" {first_word}")), in_use, "{status} in --help: {help}");
    }
}

#[test]
fn every_variable_of_the_sources_is_in_a_page() {
    let mut named = BTreeSet::new();
    sources(&root("src"), &mut |text| {
        for (at, _) in text.match_indices("ELEVATE_") {
            let end = text[at..].find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(text.len() - at);
            named.insert(text[at..at + end].trim_end_matches('_').to_owned());
        }
    });
    assert!(named.contains("ELEVATE_TOKEN"), "{named:?}");
    let manual: String = pages().iter().map(|(_, text)| plain(text)).collect();
    for name in named.iter().filter(|name| !name.starts_with("ELEVATE_TEST") && name.len() > "ELEVATE_".len()) {
        assert!(manual.contains(name.as_str()), "{name} is in no page");
    }
}

fn sources(directory: &Path, with: &mut dyn FnMut(&str)) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            sources(&entry.path(), with);
        } else if entry.path().extension().is_some_and(|it| it == "rs") {
            with(&std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

// ------------------------------------------------------------------------------------------------------- files' pages

/// The keys that a parser names when it meets one that it does not know.
fn keys_in(complaint: &str) -> Vec<String> {
    let (_, list) = complaint.split_once("expected").unwrap_or_else(|| panic!("no list of keys: {complaint}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn elevate_toml(text: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::below(directory.path());
    std::fs::create_dir(&places.config).unwrap();
    let file = places.config.join("elevate.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Config::load(&places).map(|_| ()).map_err(|error| error.to_string())
}

/// Of its top level.
pub fn keys_of_elevate_toml() -> Vec<String> {
    keys_in(&elevate_toml("zzz = 1\n").unwrap_err())
}

fn authority_toml(text: &str) -> Result<(), String> {
    AuthorityConfig::parse(Path::new("authority.toml"), text).map(|_| ()).map_err(|error| error.to_string())
}

/// Whether each key has a paragraph of its own.
fn describes(file: &str, keys: &[String]) {
    let page = page(file);
    assert!(!keys.is_empty());
    for key in keys {
        let own = page.contains(&format!("\n.TP\n{key} = "))
            || page.contains(&format!("\n.SH [{key}"))
            || page.contains(&format!("\n.SH [[{key}]]"));
        assert!(own, "{key} is not in {file}");
    }
}

#[test]
fn every_key_of_elevate_toml_is_described_and_the_example_is_accepted() {
    describes("elevate.toml.5", &keys_of_elevate_toml());
    let complaint = elevate_toml("[resource.x]\nzzz = 1\n").unwrap_err();
    describes("elevate.toml.5", &keys_in(&complaint));
    let page = page("elevate.toml.5");
    let examples = blocks(&page);
    assert!(!examples.is_empty());
    for example in examples {
        assert_eq!(elevate_toml(example), Ok(()), "{example}");
    }
}

#[test]
fn every_key_of_authority_toml_is_described_and_the_example_is_accepted() {
    describes("authority.toml.5", &keys_in(&authority_toml("zzz = 1\n").unwrap_err()));
    for table in ["[attestation]", "[resource.x]", "[[trusted_issuer]]", "[sign_in]", "[risk]"] {
        describes("authority.toml.5", &keys_in(&authority_toml(&format!("{table}\nzzz = 1\n")).unwrap_err()));
    }
    let page = page("authority.toml.5");
    let examples = blocks(&page);
    assert!(!examples.is_empty());
    for example in examples {
        assert_eq!(authority_toml(example), Ok(()), "{example}");
    }
}

#[test]
fn the_policy_page_names_all_that_policies_see_and_its_example_is_accepted() {
    let page = page("elevate-policy.7");
    let attributes = DEFAULT_SCHEMA.lines().filter_map(|line| line.split("//").next()?.split_once(':'));
    let attributes: Vec<&str> =
        attributes.map(|(name, _)| name.trim().trim_end_matches('?')).filter(|name| !name.contains(' ')).collect();
    assert!(attributes.contains(&"enrolled_keys") && attributes.len() > 20, "{attributes:?}");
    let rungs = Assurance::LADDER.iter().map(|rung| rung.name());
    let signals = Signal::ALL.into_iter().map(Signal::name);
    let actions = ["elevate", "administer", "manage_own_keys"];
    for word in attributes.iter().copied().chain(rungs).chain(signals).chain(actions) {
        let is = |it: &str| it.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_') == word;
        assert!(page.split([' ', '\n', '.', '"']).any(is), "{word} is not in elevate-policy(7)");
    }

    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        std::fs::set_permissions(directory.path().join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    };
    put("authority.toml", "");
    put("schema.cedarschema", DEFAULT_SCHEMA);
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(AUTHORITY_BIN);
        command.args(words).arg("--config").arg(directory.path());
        finish(spawn(piped(&mut command)), b"")
    };
    let [policy, cases] = <[&str; 2]>::try_from(blocks(&page)).unwrap();
    put("policy.cedar", policy);
    put("policy.cases", cases);
    assert_eq!(run(&["check-config"]).status, Some(0), "{policy}");
    let said = run(&["policy", "test"]);
    assert_eq!(said.stdout, "all 6 cases are answered as the table says\n", "{said:#?}");
    put("policy.cases", &cases.replacen("session", "touch  ", 1));
    let said = run(&["policy", "test"]);
    assert_eq!(said.status, Some(1));
    let place = directory.path().join("policy.cases").display().to_string();
    let expected = format!(
        "{place}:2: sensitivity low, environment dev, hour 3\n  expected  touch    1h  low\n  answered  session  1h  low\n  \
         because   low-sensitivity resources need no further proof\n1 of 6 cases are answered otherwise\n"
    );
    assert_eq!(said.stdout, expected);
}

// --------------------------------------------------------------------------------------------------- examples and help

/// The words of a shell command, as far as examples have quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => (quote, any) = (Some(c), true),
            (Some(open), c) if open == c => quote = None,
            (None, ' ') if any || !word.is_empty() => {
                words.push(std::mem::take(&mut word));
                any = false;
            }
            (None, ' ') => {}
            (_, c) => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

/// What of a line is elevate's.
fn own_part(line: &str) -> &str {
    let line = line.rsplit(" | ").find(|part| part.contains("elevate")).unwrap_or(line);
    let line = line.rsplit('(').next().unwrap_or(line);
    line.split([')', '>', ';']).next().unwrap_or(line).split(" && ").next().unwrap_or(line).trim()
}

fn accepted(line: &str) -> Result<(), String> {
    let words = words(own_part(line));
    let parsed = match words.first().map(String::as_str) {
        Some("elevate") => Arguments::try_parse_from(&words).map(|_| ()),
        Some("elevate-authority") => elevate::authority::cli::Arguments::try_parse_from(&words).map(|_| ()),
        _ => return Err(format!("it starts no program of ours: {words:?}")),
    };
    parsed.map_err(|error| error.to_string())
}

#[test]
fn every_example_can_be_typed() {
    let mut seen = 0;
    for command in [client(), authority()] {
        every_command(&command, &mut |command| {
            for (line, description) in example_lines(command) {
                assert_eq!(accepted(&line), Ok(()), "{line}");
                assert!(!description.is_empty(), "{line} has no description");
                seen += 1;
            }
        });
    }
    for (file, text) in pages().iter().filter(|(file, _)| file.ends_with(".1") || file.ends_with(".8")) {
        let text = plain(text);
        for line in blocks(&text).iter().flat_map(|block| block.lines()).filter(|line| line.contains("elevate ")) {
            assert_eq!(accepted(line), Ok(()), "{line} in {file}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
    assert!(accepted("elevate token --no-such prod-api").is_err());
    assert!(accepted("e=$(elevate env --no-such prod-db) && eval \"$e\"").is_err());
}

#[test]
fn help_of_every_verb_fits_80_columns_and_shows_examples() {
    every_command(&client(), &mut |command| {
        for help in [command.clone().render_long_help(), command.clone().render_help()] {
            let help = help.to_string();
            let name = command.get_bin_name().unwrap_or_default().to_owned();
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name} --help: {line:?} has {}", line.chars().count());
            }
        }
        let examples = example_lines(command);
        assert!((1..=6).contains(&examples.len()), "{:?}: {examples:?}", command.get_bin_name());
    });
}
