//! A socket on which somebody else's authority answers: the system's. It is used only where nobody but root and those
//! whom root appointed could have put it there, and where one of them answers.

use super::embedded::connect;
use super::error::Error;
use super::patience::Patience;
use crate::files::own_uid;
use crate::protocol::messages::ErrorCode;
use rustix::fs::{FileType, Stat};
use std::path::Path;

/// Sees to it that a trusted account answers on this socket.
///
/// # Errors
/// [`ErrorCode::AuthorityUnreachable`]: nobody answers, or somebody who must not.
pub fn answering(socket: &Path, patience: Patience) -> Result<(), Error> {
    let keeper = keeper(socket)?;
    let shown = socket.display();
    let stream = connect(socket, patience)?.ok_or_else(|| {
        unreachable(format!("nobody answers on {shown}"))
            .hint("`systemctl status elevate-authority` says why; --authority embedded asks your own")
    })?;
    let peer = rustix::net::sockopt::socket_peercred(&stream)
        .map_err(|error| unreachable(format!("the kernel does not say who answers on {shown}: {error}")))?;
    let peer = peer.uid.as_raw();
    // With socket activation it is root that listens, for the account that answers.
    if peer == 0 || peer == keeper {
        return Ok(());
    }
    Err(unreachable(format!("{shown} is answered by uid {peer}, not by root or uid {keeper}"))
        .hint("find out who put it there"))
}

/// The owner of the socket's directory: the account that keeps it, by the word of whoever made the directory. That can
/// only have been root or ourselves.
fn keeper(socket: &Path) -> Result<u32, Error> {
    let refused = |path: &Path, why: &str| {
        unreachable(format!("the authority's socket {} is not used: {} {why}", socket.display(), path.display()))
    };
    let status = look(socket)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Socket {
        return Err(refused(socket, "is no socket"));
    }
    let is_ours = |status: &Stat| status.st_uid == 0 || status.st_uid == own_uid();
    let directory = socket.parent().unwrap_or(socket);
    let keeper = look(directory)?;
    // The root directory is whose machine it is; in a container that can be nobody we know.
    for path in socket.ancestors().skip(1).filter(|path| path.parent().is_some()) {
        let status = look(path)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
            return Err(refused(path, "is no directory; write the path without links"));
        }
        if path != directory && !is_ours(&status) {
            return Err(refused(path, &format!("belongs to uid {}", status.st_uid)));
        }
        // In a directory like /tmp everybody can make a directory, and nobody can replace another's.
        let sticky = status.st_mode & 0o1000 != 0;
        let harmless = path != directory && sticky && is_ours(&keeper);
        if status.st_mode & 0o022 != 0 && !harmless {
            return Err(refused(path, "can be written by others"));
        }
    }
    Ok(keeper.st_uid)
}

fn look(path: &Path) -> Result<Stat, Error> {
    rustix::fs::lstat(path).map_err(|error| {
        unreachable(format!("there is no authority at {}: {error}", path.display()))
            .hint("--authority embedded asks your own")
    })
}

fn unreachable(message: String) -> Error {
    Error::new(ErrorCode::AuthorityUnreachable, message)
}
