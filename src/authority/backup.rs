//! A copy of the store in one file, made while the authority goes on, and looked at before it counts as one. The key is
//! not in it: it changes never, and whoever has both has everything.

use super::OpenError;
use super::founding::issuer_of;
use super::signer::MasterKey;
use super::store::{Faults, Place, Store};
use crate::files::FileFault;
use crate::log::checkpoint;
use std::path::{Path, PathBuf};

/// Writes the store of the authority in `data` to `to`, whole or not at all; how many entries its log has.
///
/// # Errors
/// [`OpenError`]; also where the store is `PostgreSQL`, which has its own way, and where `to` is there already.
pub async fn back_up(data: &Path, place: &Place, to: &Path) -> Result<u64, OpenError> {
    if let Place::Postgres(_) = place {
        return Err(OpenError::Other("the store is PostgreSQL: pg_dump makes its backup".into()));
    }
    if to.exists() {
        return Err(FileFault { path: to.to_owned(), reason: "it is there already".into() }.into());
    }
    let master = MasterKey::load(&data.join("authority.key"))?;
    let store = Store::open(place, Faults::default()).await?;
    let issuer = issuer_of(&store).await?;
    let issuer = issuer.ok_or_else(|| OpenError::Other("this authority has never been started".into()))?;
    let log_key = master.log_signer(issuer.as_str())?.verifier_key().to_owned();
    let unfinished = Unfinished::beside(to);
    let (head, newest) = store.copy_to_file(&unfinished.0).await?;
    store.close().await;
    if newest.and_then(|note| checkpoint::open(&note, &log_key).ok()) != Some(head) {
        return Err(OpenError::Other("the log does not match its last signed checkpoint: this is no backup".into()));
    }
    unfinished.becomes(to)?;
    Ok(head.size)
}

/// A file that is gone again unless it becomes the backup.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(to: &Path) -> Self {
        let mut name = to.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        Self(name.into())
    }

    fn becomes(&self, to: &Path) -> Result<(), FileFault> {
        let directory = to.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let durable = || {
            std::fs::File::open(&self.0)?.sync_all()?;
            // Never over one that came to be meanwhile.
            std::fs::hard_link(&self.0, to)?;
            std::fs::File::open(directory)?.sync_all()
        };
        durable().map_err(|error| FileFault { path: to.to_owned(), reason: error.to_string() })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
