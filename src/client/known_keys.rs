//! The security keys that this device last saw enrolled for the person, so that one that somebody else enrolled or removed
//! is told, and told once. What is compared comes with answers that were asked for anyhow. Whoever can write the file runs
//! as the user, and could keep the user from being told on this device.

use super::Device;
use crate::files::{own_directory, read_trusted, replace};
use crate::protocol::messages::{EnrolledKey, KeyNotice, Recovery};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const FILE_MAX: u64 = 64 << 10;

/// The file: whose keys, of which authority, which, and which recoveries were told.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    authority: String,
    subject: String,
    keys: Vec<KeyNotice>,
    recoveries: Vec<String>,
}

/// Compares all the keys that a person has, and who was recovered, with what this device saw before; says what is new, and
/// remembers it. Where it can't be said it is not remembered either.
pub fn heard(device: &Device, keys: &[KeyNotice], recoveries: &[Recovery]) {
    if device.terminal.json && !device.terminal.progress {
        return;
    }
    let before = seen(device);
    // What there was before this device ever asked is no news to it.
    for told in before.iter().flat_map(|before| news(&before.keys, keys)) {
        device.terminal.warning(&told);
    }
    let told = before.as_ref().map_or(&[][..], |before| &before.recoveries);
    for recovery in recoveries.iter().filter(|recovery| !told.contains(&recovery.elevation)) {
        device.terminal.warning(&format!(
            "the security keys of {} were removed on the authority's machine itself, at {}, without anybody's proof: if \
             nobody told you why, ask; the log's entry is that of {}",
            recovery.user, recovery.at, recovery.elevation
        ));
    }
    let recoveries = if recoveries.is_empty() {
        told.to_vec()
    } else {
        recoveries.iter().map(|recovery| recovery.elevation.clone()).collect()
    };
    keep(device, before.as_ref(), keys.to_vec(), recoveries);
}

/// Asks for what [`heard`] compares, where nothing that was asked for brings it.
pub fn ask(device: &Device) {
    if let Ok(api) = device.api()
        && let Ok(keys) = api.keys()
    {
        heard_of(device, &keys);
    }
}

/// The same, where the keys were asked for already.
pub fn heard_of(device: &Device, keys: &[EnrolledKey]) {
    // One that does not know of recoveries has none to tell.
    let recoveries = device.api().and_then(super::authority_api::AuthorityApi::recoveries).unwrap_or_default();
    heard(device, &keys.iter().map(KeyNotice::from).collect::<Vec<_>>(), &recoveries);
}

/// A key that was enrolled on this device is no news to it.
pub fn enrolled_here(device: &Device, key: &EnrolledKey) {
    let before = seen(device);
    let mut keys = before.as_ref().map_or_else(Vec::new, |before| before.keys.clone());
    keys.push(KeyNotice::from(key));
    let recoveries = before.as_ref().map_or_else(Vec::new, |before| before.recoveries.clone());
    keep(device, before.as_ref(), keys, recoveries);
}

/// Nor is one that was removed here.
pub fn removed_here(device: &Device, credential_id: &str) {
    let Some(before) = seen(device) else { return };
    let mut keys = before.keys.clone();
    keys.retain(|key| key.credential_id != credential_id);
    let recoveries = before.recoveries.clone();
    keep(device, Some(&before), keys, recoveries);
}

/// A sentence for each key that came or went.
fn news(before: &[KeyNotice], now: &[KeyNotice]) -> Vec<String> {
    let known = |keys: &[KeyNotice], id: &str| keys.iter().any(|key| key.credential_id == id);
    let came = now.iter().filter(|key| !known(before, &key.credential_id)).map(|key| {
        format!(
            "a security key was enrolled for you since this device last asked: '{}', at {}; if that was not you: \
             `elevate key remove {}`, and tell an administrator",
            key.name, key.enrolled_at, key.name
        )
    });
    let went = before.iter().filter(|key| !known(now, &key.credential_id)).map(|key| {
        format!(
            "your security key '{}' was removed since this device last asked; if that was not you: tell an administrator",
            key.name
        )
    });
    came.chain(went).collect()
}

fn path(device: &Device) -> PathBuf {
    device.trust().directory().join("keys-seen")
}

/// `None` also where what is there is about somebody else, or can't be read.
fn seen(device: &Device) -> Option<Seen> {
    let text = read_trusted(&path(device), FILE_MAX).ok()??;
    let seen: Seen = serde_json::from_str(&text).ok()?;
    let (authority, subject) = (device.known().ok()?.id(), device.subject().ok()?);
    (seen.authority == authority && seen.subject == subject).then_some(seen)
}

/// Where it can't be kept, it will be said again.
fn keep(device: &Device, before: Option<&Seen>, keys: Vec<KeyNotice>, recoveries: Vec<String>) {
    let (Ok(known), Ok(subject)) = (device.known(), device.subject()) else { return };
    let now = Seen { authority: known.id().to_owned(), subject, keys, recoveries };
    if before == Some(&now) {
        return;
    }
    if let Ok(text) = serde_json::to_vec(&now) {
        let _ = own_directory(device.trust().directory()).and_then(|()| replace(&path(device), &text));
    }
}

#[cfg(test)]
mod tests {
    use super::news;
    use crate::protocol::messages::KeyNotice;

    fn key(id: &str) -> KeyNotice {
        KeyNotice {
            credential_id: id.into(),
            name: id.parse().unwrap(),
            enrolled_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_key_is_known_by_its_id_and_each_that_came_or_went_is_told() {
        let (blue, green) = (key("blue"), key("green"));
        assert!(news(&[blue.clone(), green.clone()], &[green.clone(), blue.clone()]).is_empty());
        let came = news(std::slice::from_ref(&blue), &[blue.clone(), green.clone()]);
        assert!(came.len() == 1 && came[0].contains("enrolled") && came[0].contains("'green'"), "{came:?}");
        let went = news(&[blue.clone(), green.clone()], std::slice::from_ref(&green));
        assert!(went.len() == 1 && went[0].contains("removed") && went[0].contains("'blue'"), "{went:?}");
        // Another key of the same name is another key.
        let swapped = news(std::slice::from_ref(&blue), &[KeyNotice { credential_id: "x".into(), ..blue.clone() }]);
        assert_eq!(swapped.len(), 2, "{swapped:?}");
    }
}
