//! `elevate list`: what I may elevate to, and any grant I hold for it.

use crate::client::Device;
use crate::client::error::Error;
use crate::clock::{human, seconds_between};
use serde_json::{Value, json};

pub fn run(device: &Device) -> Result<u8, Error> {
    let catalogue = device.resources()?;
    // Without a keyring, or where it can't be told whom it reaches, nothing is held.
    let (held, keyring) = match device.grant_store() {
        Ok(store) if store.reach_id().is_ok() => (store.all(device.clock.now())?, store.name()),
        Ok(_) | Err(_) => (Vec::new(), ""),
    };
    let mut rows = Vec::new();
    let mut entries = Vec::new();
    for entry in &catalogue.resources {
        let grant = held.iter().find(|grant| grant.resource == entry.resource);
        let left = grant.map(|grant| human(seconds_between(device.clock.now(), grant.expires_at)));
        let grant = grant.map_or(Ok(Value::Null), |grant| super::status::row(device, grant, keyring))?;
        entries.push(json!({
            "resource": entry.resource, "description": entry.description, "kind": entry.kind,
            "assurance": entry.assurance, "grant": grant,
        }));
        rows.push(vec![
            entry.resource.to_string(),
            entry.assurance.takes().to_owned(),
            left.map_or_else(|| "-".to_owned(), |left| format!("{left} left")),
            entry.description.clone(),
        ]);
    }
    device.terminal.answer(&json!({ "version": 1, "resources": entries }), || {
        if rows.is_empty() {
            "there is nothing you may elevate to; resources are declared in authority.toml\n".to_owned()
        } else {
            super::table(&["RESOURCE", "TAKES", "HELD", "DESCRIPTION"], rows)
        }
    })?;
    Ok(0)
}
