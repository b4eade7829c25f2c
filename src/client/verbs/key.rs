//! `elevate key`: enrolment in two rounds, vouched for by an elevation; the list; removal.

use crate::client::Device;
use crate::client::cli::KeyVerb;
use crate::client::error::Error;
use crate::client::operation::{operate, vouch};
use crate::client::security_key::{SecurityKey as _, software::SoftwareKey};
use crate::protocol::encoding::{base64url, random};
use crate::protocol::messages::{EnrolledKey, EnrolmentRequest, EnrolmentResponse, ErrorCode, OperationName};
use crate::protocol::names::KeyName;
use serde_json::json;
use std::time::Duration;

pub fn run(device: &Device, verb: KeyVerb) -> Result<u8, Error> {
    match verb {
        KeyVerb::Enroll { name, software: true } => {
            let key = enroll_software(device, name)?;
            device.terminal.answer(&json!({ "version": 1, "key": key }), || {
                format!("{} enrolled: a software key, a file on this device\n", key.name)
            })?;
            Ok(0)
        }
        KeyVerb::Enroll { name, software: false } => {
            Err(Error::new(ErrorCode::NoSecurityKey, "hardware keys can't be driven by this version yet")
                .hint(format!("for a key that is a file: elevate key enroll --software {name}")))
        }
        KeyVerb::List => list(device),
        KeyVerb::Remove { name } => remove(device, &name),
    }
}

/// Makes a software key and enrols it.
///
/// # Errors
/// [`Error`]; then no key is left behind.
pub fn enroll_software(device: &Device, name: KeyName) -> Result<EnrolledKey, Error> {
    let request = EnrolmentRequest { name: name.clone(), salt: base64url(random::<16>()) };
    let body = serde_json::to_vec(&request).map_err(|error| Error::failed(error.to_string()))?;
    let (grant, proof) = vouch(device, OperationName::KeyEnroll, Some(name.to_string()), &body)?;
    let api = device.api()?;
    let challenge = api.begin_enrolment(&body, &grant.access_token, &proof)?;
    if challenge.public_key.rp.id != crate::protocol::LOCAL_RP_ID {
        return Err(Error::new(ErrorCode::VerificationFailed, "the authority enrols for another relying party"));
    }
    let key = SoftwareKey::named(&device.places.device, name);
    let shown = "\nelevate: enrol a software key?\n  It is a file on this device: whoever can read it can use it.\n";
    let limit = Duration::from_mins(2);
    let credential =
        key.make_credential(&challenge.public_key, &mut |key| device.presence.touch(device, shown, key, limit))?;
    let credential_id = credential.id.clone();
    let finished = api.finish_enrolment(&EnrolmentResponse { enrolment: challenge.enrolment, credential }, &proof);
    if finished.is_err() {
        key.forget(&credential_id)?;
    }
    finished
}

fn list(device: &Device) -> Result<u8, Error> {
    let keys = device.api()?.keys()?;
    let rows = keys.iter().map(|key| {
        vec![
            key.name.to_string(),
            if key.software { "software".to_owned() } else { format!("security key {}", key.aaguid) },
            if key.verifies_user { "touch and PIN or biometric" } else { "touch" }.to_owned(),
            key.enrolled_at.to_string(),
            key.last_used_at.map_or_else(|| "never".to_owned(), |time| time.to_string()),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    device.terminal.answer(&json!({ "version": 1, "keys": keys }), || {
        if rows.is_empty() {
            "no keys; `elevate key enroll` adds one\n".to_owned()
        } else {
            super::table(&["KEY", "KIND", "PROVES", "ENROLLED", "LAST USED"], rows)
        }
    })?;
    Ok(0)
}

fn remove(device: &Device, name: &KeyName) -> Result<u8, Error> {
    let keys = device.api()?.keys()?;
    let key = keys.iter().find(|key| key.name == *name);
    let key = key.ok_or_else(|| {
        Error::new(ErrorCode::No, format!("you have no key '{name}'")).hint("`elevate key list` shows which there are")
    })?;
    operate(device, OperationName::KeyRemove, Some(name.to_string()), None)?;
    SoftwareKey::on(&device.places.device).forget(&key.credential_id)?;
    device.terminal.answer(&json!({ "version": 1, "removed": name }), || format!("{name} removed\n"))?;
    Ok(0)
}
