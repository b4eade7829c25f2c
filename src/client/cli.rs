//! What can be typed: one definition for parsing, help, man pages and completions.
#![allow(clippy::doc_markdown, reason = "these are the texts of --help")]

use super::address::Address;
use super::completion::{Shell, names};
use super::deliver::shells::Syntax;
use super::examples;
use super::verbs::GrantFormat;
use crate::protocol::names::{KeyName, ResourceName, Scope, Ttl};
use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// sudo for databases, clusters, clouds, APIs and hosts
#[derive(Debug, Parser)]
#[command(name = "elevate", version, after_help = examples::ELEVATE, max_term_width = 80, disable_help_subcommand = true)]
#[command(mut_arg("ignore_cache", |it| it.help("Ignore the grants held and leave them as they are; alone: drop them")))]
#[command(override_usage = "elevate [OPTIONS] RESOURCE [-- COMMAND [ARG]...]\n       elevate VERB ...")]
pub struct Arguments {
    /// What is asked.
    #[command(flatten)]
    pub ask: AskOptions,
    /// How a command runs.
    #[command(flatten)]
    pub run: RunOptions,
    /// End all that this device holds; the local copies first
    #[arg(short = 'K')]
    pub drop_all: bool,
    /// Renew to the full time
    #[arg(short = 'v')]
    pub renew: bool,
    /// The same as `elevate list`
    #[arg(short = 'l')]
    pub list: bool,
    /// What to elevate to
    #[arg(add = names("resources"))]
    pub resource: Option<ResourceName>,
    /// Command to run with the credential
    #[arg(last = true)]
    pub command: Vec<OsString>,
    /// One of the verbs.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// For every verb; last, for its heading holds for all that follows.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every verb")]
#[allow(clippy::struct_excessive_bools, reason = "each is an option")]
pub struct Common {
    /// Which authority to ask: https://HOST, unix:/PATH or embedded
    #[arg(long, global = true, value_name = "URL")]
    pub authority: Option<Address>,
    /// One JSON object on stdout, errors as one on stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Never prompt, never wait for a touch
    #[arg(short, long, global = true, env = "ELEVATE_NON_INTERACTIVE", hide_env = true)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub non_interactive: bool,
    /// Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it
    #[arg(short = 'A', global = true)]
    pub askpass: bool,
    /// A workload's identity, in place of your account: a file with a JWT
    #[arg(long, global = true, value_name = "FILE")]
    pub identity_token_file: Option<PathBuf>,
    /// Say on stderr what is waited for, as JSON lines
    #[arg(long, global = true, value_name = "json", hide_possible_values = true)]
    pub progress: Option<ProgressFormat>,
    /// Only what was asked for, and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour; NO_COLOR also turns it off
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub color: ColorChoice,
    /// Say on stderr what is done
    #[arg(long, global = true)]
    pub debug: bool,
}

/// How `--progress` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressFormat {
    /// Newline-delimited JSON
    Json,
}

/// What is asked of the authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct AskOptions {
    /// Longest time wanted: 45s, 15m, 1h30m
    #[arg(long, value_name = "TIME")]
    pub ttl: Option<Ttl>,
    /// Least time a grant that is already held must still last
    #[arg(long, value_name = "TIME")]
    pub min_ttl: Option<Ttl>,
    /// Scope wanted: words that the resource declares
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<Scope>,
    /// Why; shown before the touch and kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Ignore the grants held and leave them as they are
    #[arg(short = 'k')]
    pub ignore_cache: bool,
}

/// How a command runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct RunOptions {
    /// End the grant with the command
    #[arg(long)]
    pub once: bool,
    /// Keep the token fresh while the command runs, in the file it is given
    #[arg(long = "renew")]
    pub keep_fresh: bool,
    /// When the grant ends before the command: warn or term
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_expiry: Option<OnExpiry>,
}

/// What is done when a grant ends before the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnExpiry {
    /// Say it, before and when
    Warn,
    /// Say it, and send SIGTERM; SIGKILL after 10 seconds
    Term,
    /// Say it, and send SIGHUP, which ends shells as well; SIGKILL after 10 seconds.
    #[value(skip)]
    HangUp,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command with a credential
    #[command(after_help = examples::RUN)]
    Run {
        /// What is asked.
        #[command(flatten)]
        ask: AskOptions,
        /// How it runs.
        #[command(flatten)]
        run: RunOptions,
        /// What to elevate to
        #[arg(add = names("resources"))]
        resource: Option<ResourceName>,
        /// Command to run with the credential
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Print a token
    #[command(after_help = examples::TOKEN)]
    Token {
        /// What is asked.
        #[command(flatten)]
        ask: AskOptions,
        /// What to elevate to
        #[arg(add = names("resources"))]
        resource: Option<ResourceName>,
    },
    /// Print the credential as assignments for a shell
    #[command(after_help = examples::ENV)]
    Env {
        /// What is asked.
        #[command(flatten)]
        ask: AskOptions,
        /// Which shell reads it
        #[arg(long, value_name = "SHELL", default_value = "posix")]
        shell: Syntax,
        /// What to elevate to
        #[arg(add = names("resources"))]
        resource: Option<ResourceName>,
    },
    /// Open a shell that has the credential, and ends with the grant
    #[command(after_help = examples::SHELL)]
    Shell {
        /// What is asked.
        #[command(flatten)]
        ask: AskOptions,
        /// End the grant with the shell
        #[arg(long)]
        once: bool,
        /// What to elevate to
        #[arg(add = names("resources"))]
        resource: Option<ResourceName>,
    },
    /// What you may elevate to, and what it takes
    #[command(after_help = examples::LIST)]
    List,
    /// What you hold now
    #[command(after_help = examples::STATUS)]
    Status {
        /// Only this one; exit status 1 if it is not held
        #[arg(add = names("grants"))]
        resource: Option<ResourceName>,
        /// A line a grant, for prompts: {resource} {left} {expires_at} {acr} {scope}; exit status 1 if nothing is held
        #[arg(long, conflicts_with = "json")]
        format: Option<GrantFormat>,
    },
    /// End grants: the local copies first, then at the authority
    #[command(after_help = examples::DROP)]
    Drop {
        /// Which; all that this device holds where none is named
        #[arg(add = names("grants"))]
        resources: Vec<ResourceName>,
    },
    /// Sign in to an authority across a network
    #[command(after_help = examples::LOGIN)]
    Login {
        /// Sign in with a browser on another machine
        #[arg(long)]
        device: bool,
        /// Open no browser, only say where
        #[arg(long, conflicts_with = "device")]
        no_browser: bool,
        /// Sign in with your security key, without a browser
        #[arg(long, conflicts_with_all = ["device", "no_browser"])]
        key: bool,
        /// Enrol a first key by an invitation, typed or from stdin
        #[arg(long, conflicts_with_all = ["device", "no_browser", "key"])]
        invitation: bool,
    },
    /// Sign out: the local copies first, then at the authority
    #[command(after_help = examples::LOGOUT)]
    Logout,
    /// Your security keys
    #[command(after_help = examples::KEY)]
    Key {
        /// What to do.
        #[command(subcommand)]
        verb: KeyVerb,
    },
    /// What would happen, and why
    #[command(after_help = examples::EXPLAIN)]
    Explain {
        /// Which resource
        #[arg(add = names("resources"))]
        resource: ResourceName,
    },
    /// Show the log, or check that nobody changed it
    #[command(after_help = examples::AUDIT)]
    Audit {
        /// What to do.
        #[command(subcommand)]
        verb: AuditVerb,
    },
    /// Set up an authority for this account on this machine
    #[command(after_help = examples::INIT)]
    Init {
        /// Also enrol a key that is a file, of this name
        #[arg(long, value_name = "NAME")]
        software_key: Option<KeyName>,
        /// Delete all that elevate has set up and kept for this account
        #[arg(long, conflicts_with = "software_key")]
        remove: bool,
        /// With --remove: do so without asking
        #[arg(long, requires = "remove")]
        yes: bool,
    },
    /// What keeps elevation from working here, and what to do about it
    #[command(after_help = examples::DOCTOR)]
    Doctor {
        /// Print the udev rule that lets you open security keys, and nothing else
        #[arg(long)]
        udev_rule: bool,
    },
    /// See all of it work, in a temporary directory
    #[command(after_help = examples::DEMO)]
    Demo {
        /// Approve unattended
        #[arg(long)]
        yes: bool,
    },
    /// Change the authority: each change is an elevation of its own
    #[command(after_help = examples::ADMIN)]
    Admin {
        /// What to do.
        #[command(subcommand)]
        verb: AdminVerb,
    },
    /// Print a completion script; its first line says where it goes
    #[command(after_help = examples::COMPLETION)]
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Says what a word could become, to completion scripts.
    #[command(hide = true)]
    CompleteWords {
        /// Which word
        index: usize,
        /// The command line, the program first
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Removes expired grants until none is left.
    #[command(hide = true)]
    ReapExpiredGrants,
    /// Drives one security key, for the process that started it.
    #[command(hide = true)]
    DriveSecurityKey {
        /// Its device
        node: PathBuf,
    },
    /// Calls the demo's service.
    #[command(hide = true)]
    DemoCall {
        /// Where it listens on this machine
        port: u16,
    },
}

/// `elevate key`.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Enrol a key
    #[command(after_help = examples::KEY_ENROLL)]
    Enroll {
        /// What you call it
        name: KeyName,
        /// Make a key that is a file
        #[arg(long)]
        software: bool,
    },
    /// Your keys
    #[command(after_help = examples::KEY_LIST)]
    List,
    /// Set the PIN of the key that is plugged in, or change it
    #[command(after_help = examples::KEY_PIN)]
    Pin,
    /// Remove a key
    #[command(after_help = examples::KEY_REMOVE)]
    Remove {
        /// Which
        #[arg(add = names("keys"))]
        name: KeyName,
    },
}

/// `elevate audit`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum AuditVerb {
    /// Check every entry against what was signed; name what is wrong
    #[command(after_help = examples::AUDIT_VERIFY)]
    Verify,
    /// Show the entries
    #[command(after_help = examples::AUDIT_SHOW)]
    Show {
        /// Only the last N
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: u64,
    },
}

/// `elevate admin`.
#[derive(Debug, Subcommand)]
pub enum AdminVerb {
    /// Stored passwords and API keys
    #[command(after_help = examples::ADMIN_SECRET)]
    Secret {
        /// What to do.
        #[command(subcommand)]
        verb: SecretVerb,
    },
    /// Users
    #[command(after_help = examples::ADMIN_USER)]
    User {
        /// What to do.
        #[command(subcommand)]
        verb: UserVerb,
    },
    /// Who is signed in, on which devices
    #[command(after_help = examples::ADMIN_SESSION)]
    Session {
        /// What to do.
        #[command(subcommand)]
        verb: SessionVerb,
    },
    /// Other people's security keys
    #[command(after_help = examples::ADMIN_KEY)]
    Key {
        /// What to do.
        #[command(subcommand)]
        verb: UserKeyVerb,
    },
    /// The catalogue: what can be elevated to
    #[command(after_help = examples::ADMIN_RESOURCE)]
    Resource {
        /// What to do.
        #[command(subcommand)]
        verb: ResourceVerb,
    },
    /// Everybody's grants
    #[command(after_help = examples::ADMIN_GRANT)]
    Grant {
        /// What to do.
        #[command(subcommand)]
        verb: GrantVerb,
    },
    /// The keys that sign tokens
    #[command(after_help = examples::ADMIN_SIGNING_KEY)]
    SigningKey {
        /// What to do.
        #[command(subcommand)]
        verb: SigningKeyVerb,
    },
}

/// `elevate admin secret`.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Put in or replace a secret, from stdin or a prompt
    #[command(after_help = examples::ADMIN_SECRET_SET)]
    Set {
        /// Of which resource
        #[arg(add = names("resources"))]
        resource: ResourceName,
        /// Seal it under this security key; may be given several times
        #[arg(long, value_name = "KEY")]
        #[arg(add = names("keys"))]
        seal_to: Vec<KeyName>,
        /// Also seal it to this age recipient, whose other half is kept offline
        #[arg(long, value_name = "AGE1...", requires = "seal_to")]
        backup: Vec<String>,
    },
    /// Remove a secret
    #[command(after_help = examples::ADMIN_SECRET_REMOVE)]
    Remove {
        /// Of which resource
        #[arg(add = names("resources"))]
        resource: ResourceName,
    },
    /// Which secrets are stored
    #[command(after_help = examples::ADMIN_SECRET_LIST)]
    List,
}

/// `elevate admin user`.
#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Who has asked
    #[command(after_help = examples::ADMIN_USER_LIST)]
    List,
    /// Invite to enrol a first key; prints the invitation
    #[command(after_help = examples::ADMIN_USER_INVITE)]
    Invite {
        /// How long it can be taken up: 24h, unless it is said
        #[arg(long, value_name = "TIME")]
        ttl: Option<Ttl>,
        /// Who, as `elevate admin user list` has it; or a name, for whom no identity provider knows
        user: String,
    },
    /// Shut out; grants end at once
    #[command(after_help = examples::ADMIN_USER_DISABLE)]
    Disable {
        /// Who, as uid:N
        user: String,
    },
    /// Let in again
    #[command(after_help = examples::ADMIN_USER_ENABLE)]
    Enable {
        /// Who, as uid:N
        user: String,
    },
}

/// `elevate admin grant`.
#[derive(Debug, Subcommand)]
pub enum GrantVerb {
    /// Grants that stand
    #[command(after_help = examples::ADMIN_GRANT_LIST)]
    List,
    /// End one
    #[command(after_help = examples::ADMIN_GRANT_REVOKE)]
    Revoke {
        /// Which, as in the list
        grant_id: String,
    },
}

/// `elevate admin session`.
#[derive(Debug, Subcommand)]
pub enum SessionVerb {
    /// Sign-ins that stand
    #[command(after_help = examples::ADMIN_SESSION_LIST)]
    List,
    /// Sign a device out; the grants it got end with it
    #[command(after_help = examples::ADMIN_SESSION_END)]
    End {
        /// Which, as in the list
        id: String,
    },
}

/// `elevate admin key`.
#[derive(Debug, Subcommand)]
pub enum UserKeyVerb {
    /// Everybody's keys, or one user's
    #[command(after_help = examples::ADMIN_KEY_LIST)]
    List {
        /// Whose, as `elevate admin user list` has it
        user: Option<String>,
    },
    /// Remove one: it approves nothing any more
    #[command(after_help = examples::ADMIN_KEY_REMOVE)]
    Remove {
        /// Whose
        user: String,
        /// Which
        name: KeyName,
    },
}

/// `elevate admin resource`.
#[derive(Debug, Subcommand)]
pub enum ResourceVerb {
    /// Every resource, and where it is declared
    #[command(after_help = examples::ADMIN_RESOURCE_LIST)]
    List,
    /// One resource, as it is declared
    #[command(after_help = examples::ADMIN_RESOURCE_SHOW)]
    Show {
        /// Which
        #[arg(add = names("resources"))]
        name: ResourceName,
    },
    /// Declare a resource in the store, or declare it anew
    #[command(after_help = examples::ADMIN_RESOURCE_SET)]
    Set {
        /// Which
        #[arg(add = names("resources"))]
        name: ResourceName,
        /// Its table: the keys of authority.toml, in TOML or JSON; stdin where none is named
        file: Option<PathBuf>,
    },
    /// Take a resource out of the store
    #[command(after_help = examples::ADMIN_RESOURCE_REMOVE)]
    Remove {
        /// Which
        #[arg(add = names("resources"))]
        name: ResourceName,
    },
}

/// `elevate admin signing-key`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum SigningKeyVerb {
    /// The keys there are
    #[command(after_help = examples::ADMIN_SIGNING_KEY_LIST)]
    List,
    /// Sign with a new one; old tokens stay good to their end
    #[command(after_help = examples::ADMIN_SIGNING_KEY_ROTATE)]
    Rotate,
}

/// The command line, for completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// The resource and the words of a command that was typed without `--` before it; `None` where there is no such.
/// clap alone would take `elevate prod-db env` for the verb `env`.
#[must_use]
pub fn command_without_dashes(words: &[OsString]) -> Option<(String, Vec<String>)> {
    let command = command();
    let mut words = words.iter().skip(1).take_while(|word| *word != "--").map(|word| word.to_string_lossy());
    let mut resource = None;
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            let long = word.strip_prefix("--");
            let takes_value =
                |it: &&clap::Arg| it.get_action().takes_values() && long.is_some() && it.get_long() == long;
            if command.get_arguments().any(|it| takes_value(&it)) {
                words.next();
            }
            continue;
        }
        match resource.take() {
            None if command.find_subcommand(&*word).is_some() => return None,
            None => resource = Some(word.into_owned()),
            Some(resource) => {
                let command = std::iter::once(word).chain(words).map(std::borrow::Cow::into_owned).collect();
                return Some((resource, command));
            }
        }
    }
    None
}
