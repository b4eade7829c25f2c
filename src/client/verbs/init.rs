//! `elevate init`: files a person can read and edit, directories of the right modes, the first key. What is there stays.

use super::key::enroll_software;
use crate::client::Device;
use crate::client::address::Address;
use crate::client::error::Error;
use crate::client::places::Places;
use crate::files::{own_directory, replace};
use crate::protocol::names::KeyName;
use serde_json::json;

const AUTHORITY_TOML: &str = include_str!("authority.toml");
// Texts that both sides have: the authority falls back on them where there is no file.
const POLICY: &str = include_str!("../../authority/default.cedar");
const SCHEMA: &str = include_str!("../../authority/schema.cedarschema");

/// The commented `authority.toml`.
pub fn authority_toml(allow_software_keys: bool) -> String {
    AUTHORITY_TOML.replace("@SOFTWARE_KEYS@", if allow_software_keys { "true" } else { "false" })
}

/// Makes the directories, and writes those of the three files that are not there; returns which it wrote.
///
/// # Errors
/// A directory or file that can't be made; those that were written stay.
pub fn write_rules(places: &Places, authority_toml: &str) -> Result<Vec<String>, Error> {
    for directory in [&places.config, &places.authority, &places.device, &places.run] {
        own_directory(directory)?;
    }
    let mut written = Vec::new();
    for (name, text) in [("authority.toml", authority_toml), ("policy.cedar", POLICY), ("schema.cedarschema", SCHEMA)] {
        let path = places.config.join(name);
        if !path.exists() {
            replace(&path, text.as_bytes())?;
            written.push(path.display().to_string());
        }
    }
    Ok(written)
}

pub fn run(device: &Device, software_key: Option<KeyName>) -> Result<u8, Error> {
    if device.authority != Address::Embedded {
        device
            .terminal
            .note(&format!("elevate asks {}; --authority embedded asks the one on this machine", device.authority));
    }
    let device = &device.with(&Address::Embedded)?;
    let places = &device.places;
    let mut written = write_rules(places, &authority_toml(software_key.is_some()))?;
    let keys = device.api()?.keys()?;
    let mut lines: Vec<String> = written.iter().map(|path| format!("wrote {path}\n")).collect();
    match software_key {
        Some(name) if keys.iter().all(|key| key.name != name) => {
            let key = enroll_software(device, name)?;
            lines.push(format!("enrolled {}: a software key, a file on this device\n", key.name));
            written.push(format!("key {}", key.name));
        }
        Some(_) | None => {}
    }
    if written.is_empty() {
        lines.push("everything is set up already; nothing was changed\n".to_owned());
    } else {
        if device.api()?.keys()?.is_empty() {
            lines.push("no key is enrolled yet: `elevate key enroll` adds one\n".to_owned());
        }
        lines.push(format!("next: declare your resources in {}\n", places.config.join("authority.toml").display()));
    }
    device.terminal.answer(&json!({ "version": 1, "changed": written }), || lines.concat())?;
    Ok(0)
}
