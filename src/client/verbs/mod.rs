//! The verbs, a file each, and how the program ends.

mod admin;
mod audit;
mod demo;
mod doctor;
mod drop;
mod elevate;
mod explain;
mod init;
mod key;
mod list;
mod login;
mod logout;
mod pick;
mod reap;
mod remove;
mod shell;
mod status;
mod status_format;
mod usage;

pub use init::write_rules;
pub use key::{enroll, enroll_software, pin_changed};
pub use status_format::GrantFormat;

use super::Device;
use super::cli::{Arguments, AskOptions, Common, RunOptions, Verb, command, command_without_dashes};
use super::completion::candidates;
use super::error::Error;
use super::places::Places;
use super::presence::Presence;
use super::security_key::{askpass, driver};
use super::sign_in::Way;
use super::terminal::{Terminal, set_color, shows_color, width};
use crate::files::has_rights_of_its_file;
use crate::protocol::display::escaped;
use clap::{ColorChoice, FromArgMatches as _, ValueEnum as _};
use drop::Which;
use std::ffi::OsString;
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let words = usage::help_last(std::env::args_os().collect());
    let ours = || words.iter().take_while(|word| *word != "--");
    // Known before anything can go wrong: errors of what was typed are written so as well.
    let value = |option| value_of(option, ours().filter_map(|word| word.to_str()));
    let progress = value("--progress") == Some("json");
    let terminal = Terminal { json: ours().any(|word| word == "--json"), progress, quiet: false };
    set_color(value("--color").and_then(|when| ColorChoice::from_str(when, false).ok()).unwrap_or_default());
    let with_command = words.iter().any(|word| word == "--");
    match act(&words, terminal) {
        Ok(status) => ExitCode::from(status),
        Err(None) => ExitCode::SUCCESS,
        Err(Some(error)) => {
            terminal.error(&error);
            ExitCode::from(if with_command { 125 } else { error.exit_status() })
        }
    }
}

fn act(words: &[OsString], terminal: Terminal) -> Result<u8, Option<Error>> {
    // Whoever started it chooses its environment, home and terminal: with the rights of another they would be another's.
    if has_rights_of_its_file() {
        let error = Error::failed("elevate is installed with setuid or setgid, and does nothing so");
        return Err(Some(error.hint("take them away with chmod u-s,g-s: it needs no rights but yours")));
    }
    match parse(words) {
        Ok(arguments) if arguments.resource.is_none() || arguments.verb.is_none() => run(arguments, terminal),
        // A word too many: looked at closely only here, not on every call's way.
        parsed => match (command_without_dashes(words), parsed) {
            (Some((resource, command)), _) => Err(Some(usage::misplaced(&resource, &command, words))),
            (None, Ok(arguments)) => run(arguments, terminal),
            (None, Err(error)) => Err(usage::error(terminal, words, &error)),
        },
    }
}

/// What an option was given last, looked for before the rest: what is said of the rest follows it.
fn value_of<'a>(option: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut found = None;
    let mut expected = false;
    for word in words {
        let value =
            if expected { Some(word) } else { word.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) };
        expected = !expected && word == option;
        found = value.or(found);
    }
    found
}

fn parse(words: &[OsString]) -> Result<Arguments, clap::Error> {
    let color = if shows_color(&std::io::stdout()) { ColorChoice::Always } else { ColorChoice::Never };
    // Never freed: the program ends first.
    let command = Box::leak(Box::new(command().color(color)));
    Arguments::from_arg_matches(&command.try_get_matches_from_mut(words)?)
}

fn run(arguments: Arguments, terminal: Terminal) -> Result<u8, Option<Error>> {
    start_log(arguments.common.debug).map_err(Some)?;
    plan(arguments, terminal).map_err(Some)
}

fn plan(arguments: Arguments, terminal: Terminal) -> Result<u8, Error> {
    let common = arguments.common;
    let terminal = Terminal { quiet: common.quiet, ..terminal };
    let device = || {
        let device = Device::new(
            Places::of_user()?,
            common.authority.as_ref(),
            terminal,
            common.non_interactive,
            Presence::Person,
        )?;
        let askpass = common.askpass.then(askpass::program).transpose()?;
        Ok(Device { askpass, identity_token_file: common.identity_token_file.clone(), ..device })
    };
    let whole_device = arguments.drop_all || arguments.list;
    if whole_device && (arguments.verb.is_some() || arguments.resource.is_some() || !arguments.command.is_empty()) {
        return Err(Error::usage("-K and -l stand alone").hint("`elevate drop RESOURCE` ends one grant"));
    }
    if let Some(verb) = arguments.verb {
        if arguments.resource.is_some()
            || arguments.ask != AskOptions::default()
            || arguments.renew
            || arguments.run != RunOptions::default()
        {
            return Err(Error::usage("a verb comes first, its options after it").hint("try `elevate VERB --help`"));
        }
        return run_verb(verb, terminal, &common, device);
    }
    let device = device()?;
    match arguments.resource {
        Some(resource) => {
            elevate::run(device, &arguments.ask, arguments.run, arguments.renew, resource, &arguments.command)
        }
        None if arguments.drop_all => drop::run(&device, &Which::Device),
        None if arguments.ask.ignore_cache && arguments.command.is_empty() => drop::run(&device, &Which::Here),
        None if arguments.list => list::run(&device),
        None => {
            // A command alone is more likely a slip than a question.
            let resource = if arguments.command.is_empty() { pick::resource(&device, None) } else { Err(pick::none()) };
            elevate::run(device, &arguments.ask, arguments.run, arguments.renew, resource?, &arguments.command)
        }
    }
}

fn run_verb(
    verb: Verb,
    terminal: Terminal,
    common: &Common,
    device: impl FnOnce() -> Result<Device, Error>,
) -> Result<u8, Error> {
    match verb {
        Verb::Run { ask, run, resource, command } => {
            let device = device()?;
            let resource = pick::resource(&device, resource)?;
            elevate::run(device, &ask, run, false, resource, &command)
        }
        Verb::Token { ask, resource } => {
            let device = device()?;
            elevate::token(&device, &ask, pick::resource(&device, resource)?)
        }
        Verb::Env { ask, shell, resource } => {
            let device = device()?;
            elevate::env(&device, &ask, shell, pick::resource(&device, resource)?)
        }
        Verb::Shell { ask, once, resource } => {
            let device = device()?;
            let resource = pick::resource(&device, resource)?;
            shell::run(&device, &ask, once, resource)
        }
        Verb::List => list::run(&device()?),
        Verb::Status { resource, format } => {
            let mut device = device()?;
            if format.is_some() || device.terminal.quiet {
                // In a prompt or a test nobody waits, and nobody reads notes.
                (device.terminal.quiet, device.non_interactive) = (true, true);
            }
            status::run(&device, resource.as_ref(), format.as_ref())
        }
        Verb::Drop { resources } if resources.is_empty() => drop::run(&device()?, &Which::Device),
        Verb::Drop { resources } => drop::run(&device()?, &Which::Of(&resources)),
        Verb::Login { device: elsewhere, no_browser, key, invitation } => {
            let way = match (elsewhere, no_browser, key, invitation) {
                (true, ..) => Way::Elsewhere,
                (_, true, ..) => Way::OwnBrowser,
                (_, _, true, _) => Way::Key,
                (.., true) => Way::Invitation,
                (false, false, false, false) => Way::Browser,
            };
            login::run(&device()?, way)
        }
        Verb::Logout => logout::run(&device()?),
        Verb::Key { verb } => key::run(&device()?, verb),
        Verb::Explain { resource } => explain::run(&device()?, &resource),
        Verb::Audit { verb } => audit::run(&device()?, verb),
        Verb::Init { remove: true, yes, .. } => remove::run(terminal, common.non_interactive, yes),
        Verb::Init { software_key, .. } => init::run(&device()?, software_key),
        Verb::Doctor { udev_rule } => {
            let named = common.identity_token_file.as_deref();
            doctor::run(terminal, common.authority.as_ref(), named, udev_rule)
        }
        Verb::Demo { yes } => demo::run(terminal, yes),
        Verb::Admin { verb } => admin::run(&device()?, verb),
        Verb::Completion { shell } => terminal.data(shell.script()).map(|()| 0),
        Verb::CompleteWords { index, words } => terminal.data(&candidates(words, index)).map(|()| 0),
        // In the background nobody is prompted to unlock a keyring.
        Verb::ReapExpiredGrants => reap::run(&Device { non_interactive: true, ..device()? }),
        Verb::DriveSecurityKey { node } => driver::process::run(&node)
            .map(|()| 0)
            .map_err(|error| Error::failed(format!("the key can't be driven: {error}"))),
        Verb::DemoCall { port } => demo::call(terminal, port),
    }
}

/// Says what is done, on stderr, where that was asked for. Secrets have types that don't print.
fn start_log(debug: bool) -> Result<(), Error> {
    let filter = std::env::var("ELEVATE_LOG").ok().or_else(|| debug.then(|| "elevate=debug".to_owned()));
    let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return Ok(()) };
    let filter: Targets = filter
        .parse()
        .map_err(|_| Error::usage("ELEVATE_LOG can't be understood").hint("write ELEVATE_LOG=elevate=debug"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(())
}

/// A table for people: no frame, columns as wide as they need.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    table_of(header, rows, width())
}

/// What the last column of a table needs at least to be readable.
const LAST_COLUMN: u16 = 16;

fn table_of(header: &[&str], rows: Vec<Vec<String>>, columns: u16) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_width(columns);
    table.set_header(header);
    let shown = |row: Vec<String>| row.into_iter().map(|cell| escaped(&cell)).collect::<Vec<_>>();
    table.add_rows(rows.into_iter().map(shown));
    // Only the last column is broken, unless the others leave it no room.
    let widths = table.column_max_content_widths();
    let before: u16 = widths.iter().rev().skip(1).map(|width| width + 2).sum();
    if before + LAST_COLUMN <= columns {
        for column in table.column_iter_mut().rev().skip(1) {
            column.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
        }
    }
    // Each cell has a space around it; that of the first one is no use.
    let begun = |line: &str| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned();
    let lines: Vec<String> = table.lines().map(|line| begun(&line)).collect();
    format!("{}\n", lines.join("\n"))
}
