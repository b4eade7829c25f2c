//! What can be wrong with a PIN, each in its own words and with its way out (CTAP 2.1 section 6.5).

use super::driver::process::PIN_MAX;
use super::driver::{KeyInfo, status};
use crate::client::error::Error;
use crate::client::presence::Person;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;

/// Asks for the PIN of a key that has `tries` left, until it is one that the key could have. The attempt that would lock
/// the key for good is made only after a typed yes.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`] where none is given, or the last attempt is not wanted.
pub fn ask(person: &mut Person, key: &str, info: &KeyInfo, tries: Option<u32>) -> Result<Secret, Error> {
    if info.must_change_pin {
        return Err(failed(format!("the PIN of {key} must be changed before it can be used"))
            .hint("`elevate key pin` changes it"));
    }
    match tries {
        Some(0) => return Err(blocked_for_good(key)),
        Some(1) => {
            person.tell("This is the last try: a wrong PIN locks the key for good, and what is on it is lost.");
            if !person.says_yes("Type yes to try:") {
                return Err(failed(format!("the last try of {key} was not made"))
                    .hint("another key of yours can approve as well; `elevate key list` shows which there are"));
            }
        }
        Some(_) | None => {}
    }
    let left = match tries {
        Some(1) => ", 1 try left".to_owned(),
        Some(tries) => format!(", {tries} tries left"),
        None => String::new(),
    };
    loop {
        let pin = person.pin(&format!("PIN of {key}{left}"))?;
        match fits(&pin, info) {
            Ok(()) => return Ok(pin),
            Err(why) => person.tell(&format!("{why}; nothing was tried")),
        }
    }
}

/// Whether a key could have this PIN (section 6.5.1): what it can't have costs no try.
fn fits(pin: &Secret, info: &KeyInfo) -> Result<(), String> {
    if (pin.expose().chars().count() as u64) < u64::from(info.min_pin) {
        return Err(format!("a PIN of this key has at least {} characters", info.min_pin));
    }
    if pin.expose().len() > PIN_MAX {
        return Err(format!("a PIN has at most {PIN_MAX} bytes"));
    }
    Ok(())
}

/// A new PIN, typed twice.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`] where none is given.
pub fn ask_new(person: &mut Person, key: &str, info: &KeyInfo) -> Result<Secret, Error> {
    loop {
        let pin = person.pin(&format!("New PIN of {key}, at least {} characters", info.min_pin))?;
        if let Err(why) = fits(&pin, info) {
            person.tell(&format!("{why}; nothing was changed"));
            continue;
        }
        if person.pin("The same again")? == pin {
            return Ok(pin);
        }
        person.tell("those were two different ones; nothing was changed");
    }
}

/// The words for a PIN that the key refused.
#[must_use]
pub fn refused(key: &str, code: u8) -> Error {
    match code {
        status::PIN_BLOCKED => blocked_for_good(key),
        status::PIN_NOT_SET => not_set(key),
        status::PIN_POLICY_VIOLATION => {
            failed(format!("{key} does not take this PIN: it is too short or too simple")).hint("choose another one")
        }
        status::UV_BLOCKED => failed(format!("{key} no longer takes fingerprints, and it has no PIN"))
            .hint("unplug it and plug it in again; if it stays so, its maker's tool sets a PIN"),
        _ => failed(format!("{key} refused with CTAP status 0x{code:02x}")),
    }
}

/// It has neither a PIN nor a fingerprint.
#[must_use]
pub fn not_set(key: &str) -> Error {
    failed(format!("{key} has no PIN, and this takes one")).hint("`elevate key pin` sets one; then enrol the key anew")
}

fn blocked_for_good(key: &str) -> Error {
    failed(format!("{key} is locked for good: its PIN was wrong too often")).hint(
        "use another key of yours; this one works again only after a reset, which erases what is on it \
         (fido2-token -R DEVICE)",
    )
}

fn failed(what: String) -> Error {
    Error::new(ErrorCode::VerificationFailed, what)
}
