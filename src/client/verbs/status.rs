//! `elevate status`: what I hold now. Asks nobody but the keyring; with `-q` or `--format` not even for a passphrase.

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
    let (mut grants, keyring) = if device.met()?.is_none() {
        (Vec::new(), "")
    } else {
        let store = device.grant_store()?;
        (store.all(now)?, store.name())
    };
    grants.retain(|grant| only.is_none_or(|only| grant.resource == *only));
    if let Some(format) = format {
        let lines = grants.iter().map(|grant| format.line(grant, now)).collect::<Result<String, _>>()?;
        return device.terminal.data(&lines).map(|()| u8::from(grants.is_empty()));
    }
    if device.terminal.quiet && !device.terminal.json {
        return Ok(u8::from(grants.is_empty()));
    }
    if let (Some(only), true) = (only, grants.is_empty()) {
        let error = Error::new(ErrorCode::No, format!("{only} is not held"));
        return Err(error.hint(format!("`elevate {only}` asks for it")));
    }
    let rows = grants.iter().map(|grant| row(device, grant, keyring)).collect::<Result<Vec<_>, _>>()?;
    let shown = |grant: &StoredGrant| {
        let claims = read_claims(grant)?;
        let reached = Assurance::from_acr(&claims.acr).map_or("?", Assurance::name);
        let left = human(seconds_between(now, grant.expires_at));
        Ok(vec![
            grant.resource.to_string(),
            format!("{left} left"),
            reached.to_owned(),
            claims.scope,
            keyring.to_owned(),
        ])
    };
    let lines = grants.iter().map(shown).collect::<Result<Vec<_>, Error>>()?;
    device.terminal.answer(&json!({ "version": 1, "grants": rows }), || {
        if lines.is_empty() {
            "no grants\n".to_owned()
        } else {
            super::table(&["RESOURCE", "TIME", "PROOF", "SCOPE", "KEPT IN"], lines)
        }
    })?;
    Ok(0)
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
