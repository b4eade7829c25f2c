//! From `SQLite` to `PostgreSQL`, whole or not at all: one transaction, and before it ends the log is computed anew from
//! what was written and held to its last signed checkpoint. The file is moved aside only after that.

use super::OpenError;
use super::config::Config;
use super::founding::issuer_of;
use super::reset::{DATABASE, move_aside};
use super::signer::MasterKey;
use super::store::{Batch, Change, Faults, Place, PostgresUrl, Store};
use crate::log::checkpoint;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// Moves the store of the authority in `data`, which is stopped, to the `PostgreSQL` that its configuration names; what
/// the file is called now.
///
/// # Errors
/// [`OpenError`]; then the file is where it was, and an authority that is set to it goes on.
pub async fn move_store(
    data: &Path,
    config: &Config,
    at: Timestamp,
    faults: Faults,
) -> Result<Vec<PathBuf>, OpenError> {
    let url = config.store.as_ref();
    let url = url.ok_or_else(|| OpenError::Other("authority.toml names no store to move to".into()))?;
    let file = data.join("authority.db");
    if !file.exists() {
        return Err(OpenError::Other(format!("there is no authority.db in {}", data.display())));
    }
    let source = Store::open(&Place::File(file), Faults::default()).await?;
    copy(data, &source, url, faults).await?;
    source.close().await;
    move_aside(data, &DATABASE, "moved", at)
}

async fn copy(data: &Path, source: &Store, url: &PostgresUrl, faults: Faults) -> Result<(), OpenError> {
    let issuer = issuer_of(source).await?;
    let issuer = issuer.ok_or_else(|| OpenError::Other("this authority has never been started".into()))?;
    let master = MasterKey::load(&data.join("authority.key"))?;
    let newest = source.newest_checkpoint().await?.unwrap_or_default();
    let target = Store::open(&Place::Postgres(url.clone()), faults).await?;
    let mut batch = target.begin().await?;
    if !batch.is_empty().await? {
        // It was moved before, and only the file was left where it is.
        let is_it = batch.holds_checkpoint(&newest).await?;
        let full = "the PostgreSQL that authority.toml names is not empty, and not this authority's: nothing was moved";
        return if is_it { Ok(()) } else { Err(OpenError::Other(full.into())) };
    }
    batch.copy_from(source).await?;
    batch.apply(&Change::SetMeta { key: "key_id", value: master.id()? }).await?;
    check(&mut batch, &newest, master.log_signer(issuer.as_str())?.verifier_key()).await?;
    batch.commit().await?;
    target.close().await;
    Ok(())
}

/// Holds what was written to what was signed.
async fn check(batch: &mut Batch, newest: &str, log_key: &str) -> Result<(), OpenError> {
    let not_whole = || OpenError::Other("the log does not match its last signed checkpoint: nothing was moved".into());
    let signed = checkpoint::open(newest, log_key).map_err(|_| not_whole())?;
    let copied = batch.newest_checkpoint().await?;
    if batch.recomputed_head().await? == signed && copied.as_deref() == Some(newest) {
        Ok(())
    } else {
        Err(not_whole())
    }
}
