//! `elevate drop`, `-k`, `-K`: the local copies first, then at the authority, so that whatever fails, nothing is left here.

use crate::client::Device;
use crate::client::elevation::read_claims;
use crate::client::error::Error;
use crate::client::grant_store::StoredGrant;
use crate::clock::{human, seconds_between};
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::ResourceName;
use serde_json::json;

/// Which grants end.
pub enum Which<'a> {
    /// All that this device holds, whomever they reach.
    Device,
    /// All that reach here: this terminal or login, where grants belong to one.
    Here,
    /// Those for these resources that reach here.
    Of(&'a [ResourceName]),
}

pub fn run(device: &Device, which: &Which) -> Result<u8, Error> {
    // What names a resource is about the authority that is asked; the rest about all that the device holds.
    let others = match which {
        Which::Of(_) => Vec::new(),
        Which::Device | Which::Here => device.elsewhere()?,
    };
    let mut held = Vec::new();
    let mut failed = None;
    for device in std::iter::once(device).chain(&others) {
        let taken = take(device, which, &mut held);
        failed = failed.or(taken.err());
    }
    if held.is_empty() && failed.is_none() {
        device.terminal.note("nothing was held");
    }
    let mut lines = String::new();
    let mut dropped = Vec::new();
    let mut not_revoked = None;
    for (device, grant) in &held {
        let revoked = revoke(device, grant);
        let grant_id = read_claims(grant).map(|claims| claims.jti).ok();
        dropped.push(json!({ "resource": grant.resource, "grant_id": grant_id, "revoked": revoked.is_ok() }));
        match revoked {
            Ok(()) => lines = format!("{lines}{} dropped and revoked\n", grant.resource),
            Err(error) => not_revoked = not_revoked.or(Some(error)),
        }
    }
    device.terminal.answer(&json!({ "version": 1, "dropped": dropped }), || lines)?;
    not_revoked.or(failed).map_or(Ok(0), Err)
}

/// Takes local copies away, and adds them to `held`.
///
/// # Errors
/// One that was named is not held; the keyring is no use, or what was in it could not be read before it went.
fn take<'a>(device: &'a Device, which: &Which, held: &mut Vec<(&'a Device, StoredGrant)>) -> Result<(), Error> {
    let now = device.clock.now();
    if device.met()?.is_none() {
        return match which {
            Which::Of([first, ..]) => Err(not_held(first)),
            Which::Of([]) | Which::Device | Which::Here => Ok(()),
        };
    }
    let store = device.grant_store()?;
    let here = if matches!(which, Which::Here) { store.reach_id()? } else { None };
    match which {
        Which::Here if here.is_some() => {
            let mut grants = store.readable(now)?;
            grants.retain(|grant| grant.reach == here);
            grants.iter().try_for_each(|grant| store.remove(&grant.resource).map(|_| ()))?;
            held.extend(grants.into_iter().map(|grant| (device, grant)));
        }
        // What can't be read goes as well; it is only not revoked.
        Which::Here | Which::Device => {
            let readable = store.readable(now);
            store.clear()?;
            let grants = readable.map_err(|error| unread(error.into()))?;
            held.extend(grants.into_iter().map(|grant| (device, grant)));
        }
        Which::Of(resources) => {
            let mut missing = None;
            for resource in *resources {
                let grant = store.get(resource, now).unwrap_or_default();
                if !store.remove(resource)? {
                    missing.get_or_insert(resource);
                }
                held.extend(grant.map(|grant| (device, grant)));
            }
            return missing.map_or(Ok(()), |first| Err(not_held(first)));
        }
    }
    Ok(())
}

fn not_held(resource: &ResourceName) -> Error {
    Error::new(ErrorCode::No, format!("{resource} is not held"))
}

/// Ends a grant at the authority; its local copy is gone already.
fn revoke(device: &Device, grant: &StoredGrant) -> Result<(), Error> {
    let left = human(seconds_between(device.clock.now(), grant.expires_at));
    device.api().and_then(|api| api.revoke(&grant.access_token)).map_err(|error| Error {
        message: format!("{} is gone from this device, but was not revoked: {error}", grant.resource),
        hint: Some(format!("a copy of its token would be good for another {left}")),
        ..error
    })
}

/// What was kept could not be read, so that nobody knows what to revoke.
fn unread(error: Error) -> Error {
    let message = format!("what was kept is gone from this device, but was not revoked: {error}");
    Error { message, hint: Some("each grant ends by itself in a while".to_owned()), ..error }
}
