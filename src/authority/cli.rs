//! `elevate-authority`: serve, check-config, policy, accept-clock, move, backup, recover, reset. Whatever else changes an
//! authority goes through its own flow.

use super::OpenError;
use super::audit::Entry;
use super::authoring::{self, PolicyVerb};
use super::backup::back_up;
use super::context::sources::Fault;
use super::elevation::ElevationId;
use super::founding::Foundation;
use super::moving::move_store;
use super::recovery::Recoverable;
use super::reset::reset;
use super::rules::Rules;
use super::server::{Manner, Places, handed_over, lock, serve};
use super::store::{Faults, Place};
use crate::clock::Clock;
use crate::files::own_directory;
use crate::log::leaf::Event;
use crate::protocol::messages::Recovery;
use crate::protocol::secret::Secret;
use clap::{Parser, Subcommand};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::runtime::Builder;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

const EXAMPLES: &str = "\
Examples:
  elevate-authority check-config --config ~/.config/elevate
                                   whether its files are good
  elevate-authority policy check --config ~/.config/elevate
                                   what of its policy decides nothing, or is mistyped
  elevate-authority policy diff /etc/elevate ./elevate
                                   what a new policy opens, and what it tightens
  elevate-authority policy simulate --config . --backup elevate.db ./new
                                   what a new policy would have answered
  elevate-authority policy test --config ~/.config/elevate
                                   whether its policy answers as policy.cases says
  elevate-authority reset --data ~/.local/share/elevate/authority
                                   begin anew after every key was lost
  elevate-authority recover --data /var/lib/elevate --config /etc/elevate uid:1000
                                   after an administrator lost the key
  elevate-authority backup --data ~/.local/share/elevate/authority --to elevate.db
                                   a copy of its database
  elevate-authority accept-clock --data ~/.local/share/elevate/authority
                                   go on after the clock was wrong";

/// Decides, records and issues for elevate
#[derive(Debug, Parser)]
#[command(name = "elevate-authority", version, max_term_width = 80, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests until told to end: on a Unix socket, over the network as [listen] says, or both
    Serve {
        /// Directory of authority.toml, policy.cedar and schema.cedarschema
        #[arg(long, value_name = "DIR")]
        config: PathBuf,
        /// Directory of the database, the key and the lock
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Where the socket is made, in a directory that only this account can enter
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        /// Serve every account of this host on the socket, each as who it is; admins are those whom authority.toml names
        #[arg(long)]
        everybody: bool,
        /// End after `idle_exit` without a request
        #[arg(long)]
        exit_when_idle: bool,
        /// Go on in the background, away from this terminal and this process
        #[arg(long)]
        detach: bool,
    },
    /// Check authority.toml, policy.cedar and schema.cedarschema without serving
    CheckConfig {
        /// Directory of the three files
        #[arg(long, value_name = "DIR")]
        config: PathBuf,
    },
    /// For whoever writes policies: files only, and no authority is asked
    Policy {
        #[command(subcommand)]
        verb: PolicyVerb,
    },
    /// Record that the clock was ahead before and is right now, so that the log goes on
    AcceptClock {
        /// Directory of the database, the key and the lock
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Directory of authority.toml, where it names PostgreSQL
        #[arg(long, value_name = "DIR")]
        config: Option<PathBuf>,
    },
    /// Move the store from authority.db to the PostgreSQL that authority.toml names, whole or not at all
    ///
    /// The authority is stopped. The log is computed anew from what was written before it counts; authority.db is moved
    /// aside, not deleted.
    Move {
        /// Directory of the database, the key and the lock
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Directory of authority.toml
        #[arg(long, value_name = "DIR")]
        config: PathBuf,
    },
    /// Write a copy of authority.db, also while the authority runs
    ///
    /// The copy is checked before it counts. authority.key is not in it, and without the key it opens for nobody.
    Backup {
        /// Directory of the database, the key and the lock
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The file to write, which is not there yet
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Directory of authority.toml, where it names PostgreSQL
        #[arg(long, value_name = "DIR")]
        config: Option<PathBuf>,
    },
    /// Remove the keys of an administrator who lost them, so that a first key can be enrolled again
    ///
    /// Also while the authority runs. It is recorded in the log, and every administrator is told; their sign-ins and
    /// grants end, and what only their keys unseal is lost.
    Recover {
        /// Directory of the database, the key and the lock
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Directory of authority.toml, which says who administers
        #[arg(long, value_name = "DIR")]
        config: PathBuf,
        /// Do so without asking
        #[arg(long)]
        yes: bool,
        /// Who: uid:N, or ISSUER#SUB as `elevate admin user list` has it
        user: String,
    },
    /// Begin anew after every security key was lost: no key, no grant and no secret comes over
    ///
    /// Database and key are moved aside, not deleted. The next start founds a new authority; each device that knew the
    /// one before has to be told so.
    Reset {
        /// Directory of the database, the key and the lock
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Do so without asking
        #[arg(long)]
        lose_everything_sealed: bool,
    },
}

/// What has to be typed.
const CONFIRMATION: &str = "lose everything sealed";

/// Runs the program. Exit statuses: 0 done, 1 the files are not good, 2 usage, 11 it could not serve.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whatever it makes is this account's alone, also what SQLite makes.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let is_service = matches!(arguments.command, Command::Serve { exit_when_idle: false, .. });
    begin_log(is_service);
    let handed_over = match handed_over() {
        Ok(handed_over) => handed_over,
        Err(error) => return failed(&error.to_string(), 11),
    };
    // One that ends when it is idle has one caller at a time, and starts sooner so.
    let threads = if is_service { Builder::new_multi_thread } else { Builder::new_current_thread };
    let runtime = match threads().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string(), 11),
    };
    match arguments.command {
        Command::Serve { detach: true, .. } => detached(),
        Command::Serve { config, data, socket, everybody, exit_when_idle, detach: false } => {
            // No terminal's Ctrl-C or hang-up ends it; a leader of its session already is one.
            if exit_when_idle {
                let _ = rustix::process::setsid();
            }
            let places = Places { config, data, socket };
            let manner = Manner { handed_over, everybody, exit_when_idle };
            match runtime.block_on(serve(&places, manner, |issuer| say(&json!({ "ready": issuer })))) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    say(&json!({ "error": error.to_string() }));
                    failed(&error.to_string(), 11)
                }
            }
        }
        Command::CheckConfig { config } => match Rules::load(&config) {
            Ok(rules) => {
                for resource in rules.open_to_any_workload() {
                    tracing::warn!(
                        %resource,
                        "policy.cedar permits it to workloads of every trusted issuer, also of those that are added later: \
                         name the issuer in the policy (elevate-policy(7))"
                    );
                }
                // The others were named as they were read.
                let now = Clock::system().now();
                for lost in rules.sources.lost(now).into_iter().filter(|lost| lost.fault == Fault::Old) {
                    tracing::warn!("{lost}: what it would have said is taken for the worse");
                }
                let (resources, policies) = (rules.config.resources.len(), rules.policy.count());
                say(&json!({ "resources": resources, "policies": policies, "digest": rules.digest }));
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error.to_string(), 1),
        },
        Command::Policy { verb } => match runtime.block_on(authoring::run(verb)) {
            Ok(said) => {
                write(&said.text);
                ExitCode::from(u8::from(!said.is_well))
            }
            Err(unread) => failed(&unread.error.to_string(), unread.status),
        },
        Command::AcceptClock { data, config } => match runtime.block_on(accept_clock(data, config.as_deref())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string(), 11),
        },
        Command::Move { data, config } => match runtime.block_on(moved(data, &config)) {
            Ok(aside) => {
                say(&json!({ "moved": aside }));
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error.to_string(), 11),
        },
        Command::Backup { data, to, config } => match runtime.block_on(backed_up(&data, &to, config.as_deref())) {
            Ok(entries) => {
                say(&json!({ "backup": to, "log_entries": entries }));
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error.to_string(), 11),
        },
        Command::Recover { data, config, yes, user } => match runtime.block_on(recovered(&data, &config, &user, yes)) {
            Ok(Some((recovery, invitation))) => {
                let mut line = json!({ "recovered": recovery.user, "elevation": recovery.elevation });
                if let Some(code) = invitation {
                    line["invitation"] = code.expose().into();
                }
                say(&line);
                ExitCode::SUCCESS
            }
            Ok(None) => failed("nothing was changed; --yes does it without asking", 1),
            Err(error) => failed(&error.to_string(), 11),
        },
        Command::Reset { data, lose_everything_sealed } => {
            if !lose_everything_sealed && let Err(refused) = confirmed(&data) {
                return failed(refused, 1);
            }
            match reset(&data, Clock::system().now()) {
                Ok(moved) => {
                    say(&json!({ "moved": moved }));
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&error.to_string(), 11),
            }
        }
    }
}

/// Lines on stderr, filtered by `ELEVATE_LOG`; a JSON object each where `ELEVATE_LOG_FORMAT` is `json`, or it is not set
/// and a service writes for no terminal.
fn begin_log(is_service: bool) {
    let wanted = std::env::var("ELEVATE_LOG").ok().and_then(|filter| filter.parse().ok());
    let level = if is_service { LevelFilter::INFO } else { LevelFilter::WARN };
    let usual = Targets::new().with_default(LevelFilter::WARN).with_target("elevate", level);
    let filter = wanted.unwrap_or(usual);
    let as_json = match std::env::var("ELEVATE_LOG_FORMAT").as_deref() {
        Ok("json") => true,
        Ok(_) => false,
        Err(_) => is_service && !std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if as_json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

/// Whether this word is typed at the terminal, where there is one.
fn typed(word: &str, explained: &str) -> bool {
    let stdin = std::io::stdin();
    let _ = std::io::stderr().write_all(explained.as_bytes());
    let mut answer = String::new();
    stdin.is_terminal() && stdin.read_line(&mut answer).is_ok() && answer.trim() == word
}

/// Asks at the terminal.
fn confirmed(data: &Path) -> Result<(), &'static str> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err("nobody is there to ask; --lose-everything-sealed does it without asking");
    }
    let _ = write!(
        std::io::stderr(),
        "The authority in {} ends here: its keys, grants and secrets are moved aside, and nothing opens them again\n\
         but a backup of your own. Type '{CONFIRMATION}' to go on: ",
        crate::protocol::display::escaped(&data.to_string_lossy()),
    );
    let mut typed = String::new();
    match stdin.read_line(&mut typed) {
        Ok(_) if typed.trim() == CONFIRMATION => Ok(()),
        Ok(_) | Err(_) => Err("nothing was changed"),
    }
}

/// Starts itself once more without `--detach`, and is gone: what remains is nobody's child.
fn detached() -> ExitCode {
    let own = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    let started = std::env::current_exe().and_then(|program| std::process::Command::new(program).args(own).spawn());
    match started {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("it could not be started in the background: {error}"), 11),
    }
}

/// The store of the authority in `data`: the one that `config` names, where there is one.
fn place(data: &Path, config: Option<&Path>) -> Result<Place, OpenError> {
    let rules = config.map(Rules::load).transpose()?;
    let place = Place::of(data, rules.as_ref().and_then(|rules| rules.config.store.as_ref()));
    match &place {
        Place::File(path) if !path.exists() => Err(OpenError::Other(format!(
            "there is no authority in {}; if its store is PostgreSQL, say --config DIR",
            data.display()
        ))),
        Place::File(_) | Place::Postgres(_) => Ok(place),
    }
}

async fn moved(data: PathBuf, config: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let rules = Rules::load(config)?;
    own_directory(&data)?;
    let places = Places { config: config.to_owned(), socket: None, data };
    let _lock = lock(&places).await?;
    move_store(&places.data, &rules.config, Clock::system().now(), Faults::default()).await
}

async fn backed_up(data: &Path, to: &Path, config: Option<&Path>) -> Result<u64, OpenError> {
    let place = place(data, config)?;
    own_directory(data)?;
    back_up(data, &place, to).await
}

/// `None`, where whoever was asked did not want it.
async fn recovered(
    data: &Path,
    config: &Path,
    user: &str,
    yes: bool,
) -> Result<Option<(Recovery, Option<Secret>)>, OpenError> {
    own_directory(data)?;
    let recoverable = Recoverable::look(config, data, user).await?;
    let shown = |names: &[&str]| crate::protocol::display::escaped(&names.join(", "));
    let sealed: Vec<&str> = recoverable.sealed.iter().map(String::as_str).collect();
    let lost = match sealed.as_slice() {
        [] => String::new(),
        secrets => format!("What is sealed under them in {} can't be opened with them any more.\n", shown(secrets)),
    };
    let explained = format!(
        "The security keys of {} are removed: {}.\n{lost}Their sign-ins and grants end, and their next key is enrolled as \
         a first one. It is recorded,\nand every administrator is told. Type 'recover' to go on: ",
        shown(&[user]),
        shown(&recoverable.keys()),
    );
    if !yes && !typed("recover", &explained) {
        return Ok(None);
    }
    recoverable.recover(data, &Clock::system()).await.map(Some)
}

async fn accept_clock(data: PathBuf, config: Option<&Path>) -> Result<(), OpenError> {
    let place = place(&data, config)?;
    own_directory(&data)?;
    let places = Places { config: PathBuf::new(), socket: None, data };
    let _lock = lock(&places).await?;
    let foundation = Foundation::open(&places.data, &place, Faults::default()).await?;
    if foundation.issuer.is_none() {
        return Err(OpenError::Other("this authority has never been started".into()));
    }
    let (audit, _) = foundation.log(None, &places.data, &Clock::system()).await?;
    audit.record(Entry::new(Event::ClockAccepted, ElevationId::fresh(), json!({})), Vec::new()).await?;
    Ok(())
}

/// One JSON object on stdout: for whoever started this program.
fn say(object: &serde_json::Value) {
    write(&object.to_string());
}

fn write(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // A reader that went away has what it wanted.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn failed(reason: &str, status: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "elevate-authority: {reason}");
    ExitCode::from(status)
}

/// The command line, for completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}
