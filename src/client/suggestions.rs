//! Typos: a verb that was meant, a resource that was meant.

use super::Device;
use super::error::Error;
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::{RESERVED, ResourceName};
use strsim::osa_distance;

/// Letters by which a typo differs at most.
const NEAR: usize = 2;

/// The verb that a word is nearly.
#[must_use]
pub fn near_verb(word: &str) -> Option<&'static str> {
    RESERVED.iter().find(|verb| osa_distance(verb, word) <= NEAR).copied()
}

/// Refuses a name that is nearly a verb and no resource: `elevate lst` asks nobody for anything.
///
/// # Errors
/// [`ErrorCode::Usage`], with the verb.
pub fn refuse_mistyped_verb(device: &Device, name: &ResourceName) -> Result<(), Error> {
    let Some(verb) = near_verb(name.as_str()) else { return Ok(()) };
    // The catalogue is fetched, the name is not sent.
    let resources = device.resources()?.resources.into_iter().map(|entry| entry.resource).collect();
    let near = nearest(name, resources);
    if near.first() == Some(name) {
        return Ok(());
    }
    let meant: Vec<String> = near.iter().map(ToString::to_string).chain([format!("`elevate {verb}`")]).collect();
    Err(Error::usage(format!("there is no resource '{name}'")).hint(format!("did you mean {}?", meant.join(" or "))))
}

/// The resources that were probably meant, nearest first.
fn nearest(name: &ResourceName, mut resources: Vec<ResourceName>) -> Vec<ResourceName> {
    let distance = |entry: &ResourceName| osa_distance(entry.as_str(), name.as_str());
    resources
        .retain(|entry| distance(entry) <= NEAR.max(name.as_str().len() / 3) || entry.as_str().contains(name.as_str()));
    resources.sort_by_key(distance);
    resources.truncate(3);
    resources
}

/// Adds the nearest names to the authority's "there is no such resource".
#[must_use]
pub fn with_nearest(device: &Device, name: &ResourceName, error: Error) -> Error {
    if error.code != ErrorCode::Usage || !error.message.contains("there is no resource") {
        return error;
    }
    let Ok(catalogue) = device.resources() else { return error };
    let resources = catalogue.resources.into_iter().map(|entry| entry.resource).collect();
    let near = nearest(name, resources);
    match near.as_slice() {
        [] => error,
        some => {
            let names: Vec<&str> = some.iter().map(ResourceName::as_str).collect();
            error.hint(format!("did you mean {}?", names.join(" or ")))
        }
    }
}
