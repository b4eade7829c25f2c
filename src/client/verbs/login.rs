//! `elevate login`: signs this device in, and keeps that in the keyring. What an earlier sign-in gave ends with it.

use super::logout::end;
use crate::client::Device;
use crate::client::address::Address;
use crate::client::error::Error;
use crate::client::known_keys;
use crate::client::sign_in::{Session, Way, sign_in};
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use serde_json::json;

/// Nobody signs in to an authority that has the kernel's word.
///
/// # Errors
/// [`ErrorCode::Usage`], where it is one.
pub(super) fn refuse_account(device: &Device) -> Result<(), Error> {
    match device.authority {
        Address::Embedded | Address::Socket(_) => {
            Err(Error::usage("the authority on this machine knows you by your account")
                .hint("there is nothing to sign in to; --authority names one across a network"))
        }
        Address::Network(_) | Address::Loopback(_) => Ok(()),
    }
}

pub fn run(device: &Device, way: Way) -> Result<u8, Error> {
    refuse_account(device)?;
    if device.non_interactive {
        return Err(Error::new(ErrorCode::InteractionRequired, "signing in takes a person, and -n forbids to ask one"));
    }
    // Before anybody is asked for anything: what can't be kept is no use.
    let store = device.session_store()?;
    let (session, name) = sign_in(device, way)?;
    let before = store.get(&crate::client::sign_in::entry()?, device.clock.now()).ok().flatten();
    let kept = session.to_stored(device.clock.now()).map_err(Error::from);
    let kept = kept.and_then(|stored| store.put(&stored, device.clock.now()).map_err(Error::from));
    if let Err(error) = kept {
        let _ = device.api()?.revoke(&session.token);
        return Err(error);
    }
    if let Some(before) = before.and_then(Session::from_stored) {
        // It would end by itself: no reason to say that this one did not begin.
        let _ = end(device, &before);
    }
    // As who is signed in now.
    known_keys::ask(&device.with(&device.authority)?);
    let answer = json!({
        "version": 1,
        "authority": device.authority.to_string(),
        "subject": session.subject,
        "name": name,
        "expires_at": session.expires_at,
    });
    device.terminal.answer(&answer, || {
        let (authority, name, until) = (&device.authority, escaped(&name), session.expires_at);
        match way {
            Way::Browser | Way::OwnBrowser | Way::Elsewhere | Way::Key => {
                format!("signed in to {authority} as {name}, until {until} at the latest\n")
            }
            Way::Invitation => format!(
                "signed in to {authority} as {name}, until {until}, to enrol a key:\n  \
                 `elevate key enroll NAME`, then `elevate login --key`\n"
            ),
        }
    })?;
    Ok(0)
}
