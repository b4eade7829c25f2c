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
    /// Where there is no home directory.
    pub fn of_user() -> Result<Self, Error> {
        let dirs = ProjectDirs::from("", "", "elevate")
            .ok_or_else(|| Error::failed("there is no home directory").hint("set HOME to a directory of yours"))?;
        let data = dirs.data_dir();
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
