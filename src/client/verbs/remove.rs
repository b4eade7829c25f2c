//! `elevate init --remove`: lists all that elevate has set up and kept for this account, and deletes it: grants first,
//! then the authority, then files. What is not known to be elevate's own is kept and named.

use crate::client::address::Address;
use crate::client::authority_api::AuthorityApi;
use crate::client::config::Config;
use crate::client::embedded;
use crate::client::error::Error;
use crate::client::grant_store::{GrantStore, KeyringError};
use crate::client::patience::Patience;
use crate::client::places::Places;
use crate::client::sign_in;
use crate::client::terminal::{Terminal, Tty};
use crate::client::trust::Trust;
use crate::clock::Clock;
use crate::files::{FileFault, open_lock, own_uid, try_lock};
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use serde_json::json;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files of the configuration directory that elevate knows.
const CONFIG: [&str; 4] = ["elevate.toml", "authority.toml", "policy.cedar", "schema.cedarschema"];
/// How long somebody may think about it.
const LIMIT: Duration = Duration::from_mins(5);

/// What there is.
struct Found {
    places: Places,
    config: Config,
    /// Directories that go with all that is in them, each with what that is.
    whole: Vec<(PathBuf, &'static str)>,
    /// Files that go alone.
    files: Vec<PathBuf>,
    /// Directories that go if nothing else is in them.
    around: Vec<PathBuf>,
    /// What somebody else put there.
    kept: Vec<PathBuf>,
}

/// What became of it.
#[derive(Default)]
struct Done {
    removed: Vec<String>,
    left: Vec<String>,
}

pub fn run(terminal: Terminal, non_interactive: bool, yes: bool) -> Result<u8, Error> {
    let found = look(Places::of_user()?)?;
    if found.whole.is_empty() && found.files.is_empty() && found.around.is_empty() {
        let nothing = json!({ "version": 1, "removed": [], "kept": [], "left": [] });
        return terminal.answer(&nothing, || "there is nothing to remove\n".to_owned()).map(|()| 0);
    }
    if !yes {
        confirmed(&found, non_interactive)?;
    }
    let mut done = Done::default();
    // Nobody starts an authority while it is removed.
    let _starting = hold_start(&found.places)?;
    remove_grants(&found, &mut done);
    if !embedded::stop(&found.places) {
        return Err(Error::failed("the authority does not end, and no file was deleted")
            .hint("end the elevate-authority process, and run this again"));
    }
    remove_files(&found, &mut done);
    report(terminal, &found, &done)
}

/// Looks at everything before anything is touched.
///
/// # Errors
/// A directory that is a link or somebody else's: then nothing is.
fn look(places: Places) -> Result<Found, Error> {
    let config = Config::load(&places).unwrap_or_default();
    let mut found =
        Found { config, whole: Vec::new(), files: Vec::new(), around: Vec::new(), kept: Vec::new(), places };
    let data = found.places.authority.parent().map(Path::to_path_buf);
    for directory in [Some(found.places.config.clone()), data].into_iter().flatten() {
        if is_own_directory(&directory)? {
            found.around.push(directory);
        }
    }
    let whole = [
        (found.places.authority.clone(), "the authority: users, keys, secrets, the log"),
        (found.places.device.clone(), "what this device remembers, and its software keys"),
        (found.places.run.clone(), "locks and the socket"),
    ];
    for (directory, what) in whole {
        if is_own_directory(&directory)? {
            found.whole.push((directory, what));
        }
    }
    for around in &found.around {
        for path in entries(around)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if found.whole.iter().any(|(whole, _)| *whole == path) {
                continue;
            }
            let own = *around == found.places.config && CONFIG.contains(&&*name);
            if own { found.files.push(path) } else { found.kept.push(path) }
        }
    }
    found.files.sort();
    found.kept.sort();
    Ok(found)
}

/// Whether it is there; an error where it is not what elevate made.
fn is_own_directory(path: &Path) -> Result<bool, FileFault> {
    let fault = |reason: String| FileFault { path: path.to_owned(), reason };
    let status = match std::fs::symlink_metadata(path) {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(fault(error.to_string())),
    };
    if !status.is_dir() {
        return Err(fault("it is no directory; nothing was deleted".to_owned()));
    }
    if status.uid() != own_uid() {
        return Err(fault(format!("it belongs to uid {}, not to you; nothing was deleted", status.uid())));
    }
    Ok(true)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, FileFault> {
    let fault = |error: std::io::Error| FileFault { path: directory.to_owned(), reason: error.to_string() };
    let read = std::fs::read_dir(directory).map_err(fault)?;
    read.map(|entry| entry.map(|entry| entry.path()).map_err(fault)).collect()
}

fn confirmed(found: &Found, non_interactive: bool) -> Result<(), Error> {
    let nobody = |message: &str| {
        Error::new(ErrorCode::InteractionRequired, message).hint("`elevate init --remove --yes` does it without asking")
    };
    if non_interactive {
        return Err(nobody("this deletes all that elevate keeps, and -n forbids to ask"));
    }
    let mut tty =
        Tty::open().ok_or_else(|| nobody("this deletes all that elevate keeps, and there is no terminal to ask at"))?;
    let mut text = "\nelevate: delete all of this, and revoke the grants that are held?\n".to_owned();
    for file in &found.files {
        let _ = writeln!(text, "  {}", shown(file));
    }
    for (directory, what) in &found.whole {
        let _ = writeln!(text, "  {}\n    {what}", shown(directory));
    }
    for kept in &found.kept {
        let _ = writeln!(text, "  kept, since it is not elevate's: {}", shown(kept));
    }
    tty.show_approval(&text);
    if tty.yes("Nothing brings it back. Type yes to go on: ", LIMIT) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::No, "nothing was changed").hint("only `yes` in full deletes"))
}

fn hold_start(places: &Places) -> Result<Option<OwnedFd>, Error> {
    if !places.run.exists() {
        return Ok(None);
    }
    let path = places.run.join("start.lock");
    let lock = open_lock(&path)?;
    if try_lock(&lock, &path)? {
        return Ok(Some(lock));
    }
    Err(Error::failed("another elevate starts the authority just now").hint("run this again in a moment"))
}

/// The local copies, and at authorities that can be reached the grants themselves, and the sign-ins.
fn remove_grants(found: &Found, done: &mut Done) {
    let mut addresses = Trust::met(&found.places);
    if !addresses.contains(&Address::Embedded) {
        addresses.push(Address::Embedded);
    }
    for address in addresses {
        remove_grants_of(&address, found, done);
    }
}

/// What fails here at the embedded authority goes with it.
fn remove_grants_of(address: &Address, found: &Found, done: &mut Done) {
    let places = &found.places;
    let (known, clock) = match Trust::of(places, address).known() {
        Ok(Some(known)) => (known, Clock::system()),
        Ok(None) => return,
        Err(error) => return done.left.push(format!("grants in the keyring, since {error}")),
    };
    let open = |id: &str| {
        let ask = || Err(KeyringError::NoPassphrase("they are removed unread".to_owned()));
        Ok::<_, Error>(GrantStore::open(found.config.keyring()?, id, &places.device, Box::new(ask))?)
    };
    let stores = open(known.id()).and_then(|store| Ok((store, open(&sign_in::store_id(&known))?)));
    let (store, sign_ins) = match stores {
        Ok(stores) => stores,
        Err(error) => return done.left.push(format!("grants in the keyring, if there are any: {error}")),
    };
    // Ending a sign-in is a revocation as well.
    let mut held = store.readable(clock.now()).unwrap_or_default();
    held.extend(sign_ins.readable(clock.now()).unwrap_or_default());
    match sign_ins.clear() {
        Ok(0) => {}
        Ok(_) => done.removed.push(format!("the sign-in at {}", known.issuer)),
        Err(error) => done.left.push(format!("the sign-in at {}: {error}", known.issuer)),
    }
    match store.clear() {
        Ok(0) => {}
        Ok(1) => done.removed.push(format!("a grant in the {}", store.name())),
        Ok(count) => done.removed.push(format!("{count} grants in the {}", store.name())),
        Err(error) => done.left.push(format!("grants in the {}: {error}", store.name())),
    }
    let is_there = match address {
        Address::Embedded => matches!(embedded::running(places, Patience::Nobody), Ok(Some(_))),
        Address::Socket(_) | Address::Network(_) | Address::Loopback(_) => true,
    };
    if !held.is_empty() && is_there {
        let api = AuthorityApi::connect(address, places, &found.config, clock, Patience::Nobody);
        let revoked = api.and_then(|api| held.iter().try_for_each(|grant| api.revoke(&grant.access_token)));
        if let Err(error) = revoked {
            done.left.push(format!("copies of tokens, which were not revoked and end by themselves: {error}"));
        }
    }
}

fn remove_files(found: &Found, done: &mut Done) {
    let mut note = |path: &Path, result: std::io::Result<()>| match result {
        Ok(()) => done.removed.push(shown(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => done.left.push(format!("{}: {error}", shown(path))),
    };
    for file in &found.files {
        note(file, std::fs::remove_file(file));
    }
    for (directory, _) in &found.whole {
        // Links in it are deleted, not followed.
        note(directory, std::fs::remove_dir_all(directory));
    }
    for directory in &found.around {
        match std::fs::remove_dir(directory) {
            // What is kept or could not be removed is named already.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            result => note(directory, result),
        }
    }
}

fn report(terminal: Terminal, found: &Found, done: &Done) -> Result<u8, Error> {
    let kept: Vec<String> = found.kept.iter().map(|path| shown(path)).collect();
    let answer = json!({ "version": 1, "removed": done.removed, "kept": kept, "left": done.left });
    terminal.answer(&answer, || {
        let removed = done.removed.iter().map(|what| format!("removed {what}\n"));
        removed.chain(kept.iter().map(|what| format!("kept {what}, which is not elevate's\n"))).collect()
    })?;
    match done.left.as_slice() {
        [] => Ok(0),
        left => Err(Error::failed(format!("not all is gone; left is {}", left.join("; and ")))
            .hint("what was removed is gone; run this again when it can be removed")),
    }
}

fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}
