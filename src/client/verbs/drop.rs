//! `elevate drop`, `-k`, `-K`: the local copy first, then at the authority, so that whatever fails, nothing is left here.

use crate::client::Device;
use crate::client::elevation::read_claims;
use crate::client::error::Error;
use crate::client::grant_store::StoredGrant;
use crate::clock::{human, seconds_between};
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::ResourceName;
use serde_json::json;

pub fn run(device: &Device, only: &[ResourceName]) -> Result<u8, Error> {
    let now = device.clock.now();
    let mut held = Vec::new();
    let mut missing = Vec::new();
    if device.met()?.is_some() {
        let store = device.grant_store()?;
        if only.is_empty() {
            // What can't be read goes as well; it is only not revoked.
            held = store.all(now).unwrap_or_default();
            store.clear()?;
        }
        for resource in only {
            let grant = store.get(resource, now).unwrap_or_default();
            match (store.remove(resource)?, grant) {
                (true, grant) => held.extend(grant),
                (false, _) => missing.push(resource.clone()),
            }
        }
    } else {
        missing.extend(only.iter().cloned());
    }
    let revoked = revoke(device, &held)?;
    let dropped: Vec<_> = held
        .iter()
        .map(|grant| Ok(json!({ "resource": grant.resource, "grant_id": read_claims(grant)?.jti, "revoked": true })))
        .collect::<Result<_, Error>>()?;
    device.terminal.answer(&json!({ "version": 1, "dropped": dropped }), || revoked.concat())?;
    match missing.as_slice() {
        [] => Ok(0),
        [first, ..] => Err(Error::new(ErrorCode::No, format!("{first} is not held"))),
    }
}

fn revoke(device: &Device, held: &[StoredGrant]) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for grant in held {
        let left = human(seconds_between(device.clock.now(), grant.expires_at));
        device.api().and_then(|api| api.revoke(&grant.access_token)).map_err(|error| Error {
            message: format!("{} is gone from this device, but was not revoked: {error}", grant.resource),
            hint: Some(format!("a copy of its token would be good for another {left}")),
            ..error
        })?;
        lines.push(format!("{} dropped and revoked\n", grant.resource));
    }
    Ok(lines)
}
