//! Handing a credential over: to a command's environment, to a private file in memory, or to a shell.

mod inherited;
pub mod renewed;
pub mod run;
pub mod shells;
pub mod watch;

use super::config::Delivery;
use super::elevation::Held;
use super::error::Error;
use crate::protocol::messages::ResourceKind;
use crate::protocol::secret::Secret;
use renewed::RenewedFile;
use rustix::fs::{MemfdFlags, Mode};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// What files in memory are called.
const MEMORY_FILE: &str = "elevate";

/// Variables for a command, and the open files they point at.
pub struct Environment {
    /// Names and values.
    pub variables: Vec<(String, Secret)>,
    /// Kept open across `execve`; gone with the last process that has them.
    _files: Vec<OwnedFd>,
}

/// What a credential of this grant is: the token, or the secret.
#[must_use]
pub fn credential(held: &Held) -> &Secret {
    held.grant.secret.as_ref().unwrap_or(&held.grant.access_token)
}

/// The variable that the kind fixes.
#[must_use]
pub const fn variable(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Jwt => "ELEVATE_TOKEN",
        ResourceKind::Secret => "ELEVATE_SECRET",
    }
}

/// Everything a command gets.
///
/// # Errors
/// Where no private file can be made.
pub fn environment(held: &Held, delivery: &Delivery) -> Result<Environment, Error> {
    let mut variables = about(held);
    let mut files = Vec::new();
    if let Some(name) = &delivery.file {
        let file = private_file(credential(held))?;
        variables.push((name.clone(), plain(&format!("/proc/self/fd/{}", file.as_raw_fd()))));
        files.push(file);
    } else {
        variables.push((variable(held.grant.kind).to_owned(), credential(held).clone()));
        variables.extend(delivery.variable.iter().map(|name| (name.clone(), credential(held).clone())));
    }
    Ok(Environment { variables, _files: files })
}

/// What a command gets whose credential is renewed: the variable `name` says where, and what else is said is of the first
/// grant.
#[must_use]
pub fn renewed_environment(held: &Held, name: &str, file: &RenewedFile) -> Environment {
    let mut variables = about(held);
    variables.push((name.to_owned(), plain(&file.path().to_string_lossy())));
    Environment { variables, _files: Vec::new() }
}

fn about(held: &Held) -> Vec<(String, Secret)> {
    vec![
        ("ELEVATE_RESOURCE".to_owned(), plain(held.grant.resource.as_str())),
        ("ELEVATE_GRANT_ID".to_owned(), plain(&held.claims.jti)),
        ("ELEVATE_EXPIRES_AT".to_owned(), plain(&held.grant.expires_at.to_string())),
    ]
}

fn plain(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A file that is in no directory, mode 0600: whoever has it open can read it, and it is gone with them.
fn private_file(credential: &Secret) -> Result<OwnedFd, Error> {
    let make = || {
        let file = rustix::fs::memfd_create(MEMORY_FILE, MemfdFlags::empty())?;
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        let mut left = credential.expose().as_bytes();
        while !left.is_empty() {
            let written = rustix::io::write(&file, left)?;
            left = left.get(written..).unwrap_or_default();
        }
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
        Ok(file)
    };
    make().map_err(|error: rustix::io::Errno| Error::failed(format!("no private file could be made: {error}")))
}
