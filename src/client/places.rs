//! Where things are: XDG directories, each ours alone.

use super::error::Error;
use crate::files::own_uid;
use directories::ProjectDirs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The directories and files of one user.
#[derive(Debug, Clone)]
pub struct Places {
    /// `elevate.toml`; the embedded authority's `authority.toml`, `policy.cedar`, `schema.cedarschema`.
    pub config: PathBuf,
    /// The embedded authority's database, key, lock and log file.
    pub authority: PathBuf,
    /// What this device remembers: the authority it trusts, checkpoint, receipts, software keys.
    pub device: PathBuf,
    /// Locks and the socket; gone at logout where there is an `XDG_RUNTIME_DIR`.
    pub run: PathBuf,
}

impl Places {
    /// The calling user's.
    ///
    /// # Errors
    /// Where there is no home directory, or it is another's and this is root.
    pub fn of_user() -> Result<Self, Error> {
        let dirs = ProjectDirs::from("", "", "elevate")
            .ok_or_else(|| Error::failed("there is no home directory").hint("set HOME to a directory of yours"))?;
        let data = dirs.data_dir();
        for directory in [dirs.config_dir(), data] {
            not_anothers(directory, own_uid(), owner)?;
        }
        // A runtime directory that `su` left from somebody else is not ours to use.
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| {
            path.is_absolute() && std::fs::metadata(path).is_ok_and(|it| it.is_dir() && it.uid() == own_uid())
        });
        Ok(Self {
            config: dirs.config_dir().to_owned(),
            authority: data.join("authority"),
            device: data.join("device"),
            run: runtime.map_or_else(|| data.join("run"), |path| path.join("elevate")),
        })
    }

    /// All of them below one directory: for `elevate demo`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let at = |name: &str| root.join(name);
        Self { config: at("config"), authority: at("authority"), device: at("device"), run: at("run") }
    }

    /// The embedded authority's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run.join("authority.sock")
    }
}

fn owner(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|it| it.uid())
}

/// Root may write everywhere: with the home that `sudo -E` left it would put files of its own into another's, who could
/// not use them any more. Anybody else is kept from it by the kernel.
fn not_anothers(directory: &Path, uid: u32, owner: impl Fn(&Path) -> Option<u32>) -> Result<(), Error> {
    let there = directory.ancestors().find_map(|path| owner(path).map(|owner| (path, owner)));
    match there {
        Some((path, owner)) if uid == 0 && owner != 0 => {
            Err(Error::failed(format!("this is root, and {} belongs to uid {owner}", path.display()))
                .hint("set HOME to root's own, as `sudo -H` does, or run it as that user"))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::not_anothers;
    use std::path::Path;

    #[test]
    fn root_keeps_out_of_homes_of_others() {
        let owner = |path: &Path| match path.to_str() {
            Some("/home/anna" | "/home/anna/.config") => Some(1000),
            Some("/" | "/home" | "/root") => Some(0),
            _ => None,
        };
        let allowed = |path: &str, uid| not_anothers(Path::new(path), uid, owner).is_ok();
        assert!(!allowed("/home/anna/.config/elevate", 0));
        assert!(!allowed("/home/anna/.local/share/elevate", 0), "also where nothing is yet");
        assert!(allowed("/root/.config/elevate", 0));
        assert!(allowed("/home/anna/.config/elevate", 1000));
        assert!(allowed("/home/anna/.config/elevate", 1001), "the kernel says no to them");
        let error = not_anothers(Path::new("/home/anna/.config/elevate"), 0, owner).unwrap_err();
        assert_eq!(error.message, "this is root, and /home/anna/.config belongs to uid 1000");
    }
}
