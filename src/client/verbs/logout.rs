//! `elevate logout`: the local copies first, then at the authority, so that whatever fails, nothing is left here.

use super::login::refuse_account;
use crate::client::Device;
use crate::client::error::Error;
use crate::client::sign_in::{Session, entry};
use crate::protocol::messages::ErrorCode;
use serde_json::json;

pub fn run(device: &Device) -> Result<u8, Error> {
    refuse_account(device)?;
    let not_signed_in = || Error::new(ErrorCode::No, format!("you are not signed in to {}", device.authority));
    if device.met()?.is_none() {
        return Err(not_signed_in());
    }
    let store = device.session_store()?;
    let session = store.get(&entry()?, device.clock.now()).unwrap_or_default().and_then(Session::from_stored);
    let was_there = store.remove(&entry()?)?;
    let Some(session) = session else {
        return if was_there { Ok(0) } else { Err(not_signed_in()) };
    };
    let ended = end(device, &session);
    let answer = json!({
        "version": 1,
        "authority": device.authority.to_string(),
        "subject": session.subject,
        "ended": ended.is_ok(),
    });
    device.terminal.answer(&answer, || match ended {
        Ok(()) => format!("signed out of {}\n", device.authority),
        Err(_) => String::new(),
    })?;
    ended.map(|()| 0).map_err(|error| Error {
        message: format!("this device is signed out, but the authority was not told: {error}"),
        hint: Some(format!("the sign-in ends there by itself, {} at the latest", session.expires_at)),
        ..error
    })
}

/// Ends a sign-in whose local copy is gone: its grants go here, and with it at the authority.
///
/// # Errors
/// The authority was not told.
pub(super) fn end(device: &Device, session: &Session) -> Result<(), Error> {
    if let Ok(grants) = device.grant_store() {
        let _ = grants.clear();
    }
    device.api()?.revoke(&session.token)
}
