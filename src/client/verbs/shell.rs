//! `elevate shell`: a shell that has the credential, shows so in its prompt, and ends with the grant.

use super::elevate::{supervise, wanted};
use crate::client::Device;
use crate::client::cli::{AskOptions, OnExpiry};
use crate::client::deliver::{Environment, environment, run};
use crate::client::elevation::{self, Cache};
use crate::client::error::Error;
use crate::clock::{human, seconds_between};
use crate::files::{own_directory, own_uid, read_trusted, replace};
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The resources whose shells this one is in, outermost first, with a colon between them.
const SHELLS: &str = "ELEVATE_SHELL";
/// Read in place of `~/.bashrc`, which it reads itself.
const BASHRC: &str = include_str!("shell.bash");
/// Read in place of `~/.zshenv`, which it reads itself.
const ZSHENV: &str = include_str!("shell.zsh");
/// Run after fish's configuration.
const FISH: &str = include_str!("shell.fish");

pub fn run(device: &Device, ask: &AskOptions, once: bool, resource: ResourceName) -> Result<u8, Error> {
    let within = std::env::var(SHELLS).unwrap_or_default();
    if within.split(':').any(|name| name == resource.as_str()) {
        return Err(Error::usage(format!("this is a shell of {resource} already")).hint("`exit` leaves it"));
    }
    let mut wanted = wanted(ask, false, resource);
    let shell = login_shell();
    wanted.command = shell.file_name().map(|name| name.to_string_lossy().into_owned());
    if once {
        wanted.cache = Cache::Ignore;
    }
    let held = elevation::elevate(device, &wanted)?;
    let left = human(seconds_between(device.clock.now(), held.grant.expires_at));
    let mut words = Vec::new();
    let prepared = environment(&held, &device.config.delivery(&wanted.resource)).and_then(|mut environment| {
        let separator = if within.is_empty() { "" } else { ":" };
        set(&mut environment, SHELLS, &format!("{within}{separator}{}", wanted.resource));
        words = shell_words(device, &shell, &mut environment)?;
        let resource = &wanted.resource;
        device.terminal.note(&format!("a shell with {resource}, which ends in {left}; `exit` leaves it before"));
        Ok((environment, None))
    });
    match supervise(device, once, held, prepared, Some(OnExpiry::HangUp), &words)? {
        Ok(status) => Ok(run::end_like(status)),
        Err(not_started) => Err(not_started.error.hint("SHELL names the shell that is started")),
    }
}

fn set(environment: &mut Environment, name: &str, value: &str) {
    environment.variables.push((name.to_owned(), Secret::new(value.to_owned())));
}

/// `SHELL`, else what `/etc/passwd` says, else `/bin/sh`.
fn login_shell() -> PathBuf {
    let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
    let passwd = || {
        let uid = own_uid().to_string();
        let entries = std::fs::read_to_string("/etc/passwd").ok()?;
        let own = entries.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let own = own.into_iter().find(|fields| fields.get(2) == Some(&uid.as_str()))?;
        own.get(6).map(PathBuf::from)
    };
    let shell = std::env::var_os("SHELL").map(PathBuf::from).and_then(absolute).or_else(|| passwd().and_then(absolute));
    shell.unwrap_or_else(|| "/bin/sh".into())
}

/// How each shell is made to show where it is, after the user's own files were read.
fn shell_words(device: &Device, shell: &Path, environment: &mut Environment) -> Result<Vec<OsString>, Error> {
    let name = shell.file_name().unwrap_or_default().to_string_lossy();
    let mut words = vec![shell.as_os_str().to_owned()];
    match &*name {
        "bash" => words.extend(["--rcfile".into(), startup_file(device, "bash", "bashrc", BASHRC)?.into()]),
        "zsh" => {
            let file = startup_file(device, "zsh", ".zshenv", ZSHENV)?;
            if let Some(before) = std::env::var_os("ZDOTDIR") {
                set(environment, "ELEVATE_USER_ZDOTDIR", &before.to_string_lossy());
            }
            let directory = file.parent().unwrap_or(&file);
            set(environment, "ZDOTDIR", &directory.to_string_lossy());
        }
        "fish" => words.extend(["--init-command".into(), FISH.into()]),
        _ => device.terminal.note(&format!("the prompt of {name} does not show it; ELEVATE_RESOURCE says it")),
    }
    Ok(words)
}

/// Always the same text, so that shells that start at the same time don't take it from each other.
fn startup_file(device: &Device, shell: &str, name: &str, text: &str) -> Result<PathBuf, Error> {
    let directory = device.places.run.join("shell").join(shell);
    own_directory(&device.places.run)?;
    own_directory(&directory)?;
    let path = directory.join(name);
    if read_trusted(&path, 1 << 16)?.as_deref() != Some(text) {
        replace(&path, text.as_bytes())?;
    }
    Ok(path)
}
