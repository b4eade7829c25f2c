//! `elevate status`: what I hold now, whichever authority gave it. Asks nobody but the keyring; with `-q` or `--format` not even for a passphrase.

use super::GrantFormat;
use crate::client::Device;
use crate::client::elevation::read_claims;
use crate::client::error::Error;
use crate::client::grant_store::StoredGrant;
use crate::clock::{human, seconds_between};
use crate::protocol::assurance::Assurance;
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::ResourceName;
use serde_json::{Value, json};

pub fn run(device: &Device, only: Option<&ResourceName>, format: Option<&GrantFormat>) -> Result<u8, Error> {
    let now = device.clock.now();
    // What names a resource is about the authority that is asked; what names none about all that the device holds.
    let others = if only.is_some() { Vec::new() } else { device.elsewhere()? };
    let mut held = Vec::new();
    for device in std::iter::once(device).chain(&others) {
        held.extend(grants(device, only)?.into_iter().map(|grant| (device, grant)));
    }
    if let Some(format) = format {
        let lines = held.iter().map(|(_, grant)| format.line(grant, now)).collect::<Result<String, _>>()?;
        return device.terminal.data(&lines).map(|()| u8::from(held.is_empty()));
    }
    if device.terminal.quiet && !device.terminal.json {
        return Ok(u8::from(held.is_empty()));
    }
    if let (Some(only), true) = (only, held.is_empty()) {
        let error = Error::new(ErrorCode::No, format!("{only} is not held"));
        return Err(error.hint(format!("`elevate {only}` asks for it")));
    }
    let rows = held.iter().map(|(device, grant)| row(device, grant, device.grant_store()?.name()));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let lines = held.iter().map(|(device, grant)| line(device, grant, !others.is_empty()));
    let lines = lines.collect::<Result<Vec<_>, Error>>()?;
    let mut header = vec!["RESOURCE", "TIME", "PROOF", "SCOPE", "KEPT IN"];
    if !others.is_empty() {
        header.push("AUTHORITY");
    }
    device.terminal.answer(&json!({ "version": 1, "grants": rows }), || {
        if lines.is_empty() { "no grants\n".to_owned() } else { super::table(&header, lines) }
    })?;
    Ok(0)
}

fn grants(device: &Device, only: Option<&ResourceName>) -> Result<Vec<StoredGrant>, Error> {
    if device.met()?.is_none() {
        return Ok(Vec::new());
    }
    let mut grants = device.grant_store()?.all(device.clock.now())?;
    grants.retain(|grant| only.is_none_or(|only| grant.resource == *only));
    Ok(grants)
}

fn line(device: &Device, grant: &StoredGrant, several: bool) -> Result<Vec<String>, Error> {
    let claims = read_claims(grant)?;
    let reached = Assurance::from_acr(&claims.acr).map_or("?", Assurance::name);
    let left = human(seconds_between(device.clock.now(), grant.expires_at));
    let keyring = device.grant_store()?.name().to_owned();
    let mut line = vec![grant.resource.to_string(), format!("{left} left"), reached.to_owned(), claims.scope, keyring];
    if several {
        line.push(device.authority.to_string());
    }
    Ok(line)
}

/// One grant, as `status --json` and `list --json` show it.
pub fn row(device: &Device, grant: &StoredGrant, keyring: &str) -> Result<Value, Error> {
    let claims = read_claims(grant)?;
    Ok(json!({
        "resource": grant.resource,
        "authority": device.known()?.issuer,
        "grant_id": claims.jti,
        "scope": claims.scope,
        "issued_at": grant.issued_at,
        "expires_at": grant.expires_at,
        "acr": claims.acr,
        "amr": claims.amr,
        "keyring": keyring,
    }))
}
