//! Typos: a verb that was meant, a resource that was meant.

use super::Device;
use super::error::Error;
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::{RESERVED, ResourceName};
use strsim::osa_distance;

/// Letters by which a typo differs at most.
const NEAR: usize = 2;

/// Refuses a name that is nearly a verb and no resource: `elevate lst` asks nobody for anything.
///
/// # Errors
/// [`ErrorCode::Usage`], with the verb.
pub fn refuse_mistyped_verb(device: &Device, name: &ResourceName) -> Result<(), Error> {
    let Some(verb) = RESERVED.iter().find(|verb| osa_distance(verb, name.as_str()) <= NEAR) else { return Ok(()) };
    // The catalogue is fetched, the name is not sent.
    if device.api()?.resources()?.resources.iter().any(|entry| entry.resource == *name) {
        return Ok(());
    }
    Err(Error::usage(format!("there is no resource '{name}'")).hint(format!("did you mean `elevate {verb}`?")))
}

/// Adds the nearest names to the authority's "there is no such resource".
#[must_use]
pub fn with_nearest(device: &Device, name: &ResourceName, error: Error) -> Error {
    if error.code != ErrorCode::Usage || !error.message.contains("there is no resource") {
        return error;
    }
    let Ok(catalogue) = device.api().and_then(super::authority_api::AuthorityApi::resources) else { return error };
    let distance = |entry: &ResourceName| osa_distance(entry.as_str(), name.as_str());
    let mut near: Vec<ResourceName> = catalogue.resources.into_iter().map(|entry| entry.resource).collect();
    near.retain(|entry| distance(entry) <= NEAR.max(name.as_str().len() / 3) || entry.as_str().contains(name.as_str()));
    near.sort_by_key(distance);
    near.truncate(3);
    match near.as_slice() {
        [] => error,
        some => {
            let names: Vec<&str> = some.iter().map(ResourceName::as_str).collect();
            error.hint(format!("did you mean {}?", names.join(" or ")))
        }
    }
}
