//! `elevate key`: enrolment in two rounds, vouched for by an elevation; the list; removal.

use crate::client::Device;
use crate::client::address::Address;
use crate::client::cli::KeyVerb;
use crate::client::error::Error;
use crate::client::known_keys;
use crate::client::operation::{operate, request, vouch};
use crate::client::presence::Approval;
use crate::client::security_key::hardware::HardwareKeys;
use crate::client::security_key::{SecurityKey, software::SoftwareKey};
use crate::protocol::encoding::{base64url, random};
use crate::protocol::messages::{EnrolledKey, EnrolmentRequest, EnrolmentResponse, ErrorCode, OperationName};
use crate::protocol::names::KeyName;
use serde_json::{Value, json};
use std::time::Duration;

pub fn run(device: &Device, verb: KeyVerb) -> Result<u8, Error> {
    match verb {
        KeyVerb::Enroll { name, software } => {
            let key = if software { enroll_software(device, name)? } else { enroll(device, name)? };
            device.terminal.answer(&json!({ "version": 1, "key": key }), || enrolled(&key))?;
            Ok(0)
        }
        KeyVerb::List => list(device),
        KeyVerb::Pin => change_pin(device),
        KeyVerb::Remove { name } => remove(device, &name),
    }
}

/// Enrols a key that is plugged in.
///
/// # Errors
/// [`Error`]; then the authority knows of no new key.
pub fn enroll(device: &Device, name: KeyName) -> Result<EnrolledKey, Error> {
    let shown = format!("\nelevate: enrol a security key as '{name}'?\n");
    let hardware = HardwareKeys { bus: device.bus.clone(), enrolled: &[] };
    enroll_with(device, name, shown, &hardware, |_| Ok(()))
}

/// Makes a software key and enrols it.
///
/// # Errors
/// [`Error`]; then no key is left behind.
pub fn enroll_software(device: &Device, name: KeyName) -> Result<EnrolledKey, Error> {
    let shown = "\nelevate: enrol a software key?\n  It is a file on this device: whoever can read it can use it.\n";
    let key = SoftwareKey::named(&device.places.device, name.clone());
    enroll_with(device, name, shown.to_owned(), &key, |credential_id| key.forget(credential_id))
}

/// The two rounds. Where the authority does not take the new credential, `forget` undoes it as far as that can be done.
fn enroll_with(
    device: &Device,
    name: KeyName,
    shown: String,
    key: &dyn SecurityKey,
    forget: impl FnOnce(&str) -> Result<(), Error>,
) -> Result<EnrolledKey, Error> {
    let resource = Some(name.to_string());
    let request = EnrolmentRequest { name, salt: base64url(random::<16>()) };
    let body = serde_json::to_vec(&request).map_err(|error| Error::failed(error.to_string()))?;
    let does = format!("enrol a security key of yours as '{}'", request.name);
    let (grant, proof) = vouch(device, OperationName::KeyEnroll, resource, &body, &does)?;
    let api = device.api()?;
    let challenge = api.begin_enrolment(&body, &grant.access_token, &proof)?;
    if challenge.public_key.rp.id != device.known()?.rp_id() {
        return Err(Error::new(ErrorCode::VerificationFailed, "the authority enrols for another relying party"));
    }
    let approval = Approval::new(device, shown, Duration::from_mins(2));
    let credential = key.make_credential(&challenge.public_key, &approval)?;
    let credential_id = credential.id.clone();
    let discoverable = credential.extensions.cred_props.as_ref().and_then(|props| props.rk);
    let finished = api.finish_enrolment(&EnrolmentResponse { enrolment: challenge.enrolment, credential }, &proof);
    match &finished {
        Ok(key) => {
            known_keys::enrolled_here(device, key);
            say_whether_discoverable(device, discoverable);
        }
        Err(_) => forget(&credential_id)?,
    }
    finished
}

/// Over the network a key may sign in, too.
fn say_whether_discoverable(device: &Device, discoverable: Option<bool>) {
    if matches!(device.authority, Address::Network(_) | Address::Loopback(_)) {
        device.terminal.note(if discoverable == Some(true) {
            "`elevate login --key` signs in with this key, on any device"
        } else {
            "the key has no room to know whose it is: `elevate login --key` signs in with it on this device only"
        });
    }
}

fn enrolled(key: &EnrolledKey) -> String {
    if key.software {
        return format!("{} enrolled: a software key, a file on this device\n", key.name);
    }
    let mut text = match &key.attested {
        Some(model) => format!("{} enrolled: {model}, attested\n", key.name),
        None => format!("{} enrolled: a security key of model\n  {}\n", key.name, key.aaguid),
    };
    if !key.verifies_user {
        text += "  It has no PIN: a touch is all it proves. `elevate key pin` sets one; then\n  remove it and enrol it anew.\n";
    }
    text += "  Enrol a second one as well: with one alone, losing it shuts you out.\n";
    text
}

fn change_pin(device: &Device) -> Result<u8, Error> {
    let shown = "\nelevate: set or change the PIN of a security key?\n".to_owned();
    let hardware = HardwareKeys { bus: device.bus.clone(), enrolled: &[] };
    hardware.change_pin(&Approval::new(device, shown, Duration::from_mins(2)))?;
    device.terminal.answer(&pin_changed(), || "the PIN is the new one\n".to_owned())?;
    Ok(0)
}

/// What `key pin --json` answers.
#[must_use]
pub fn pin_changed() -> Value {
    json!({ "version": 1, "pin": "changed" })
}

fn list(device: &Device) -> Result<u8, Error> {
    let keys = device.api()?.keys()?;
    known_keys::heard_of(device, &keys);
    let rows = keys.iter().map(|key| {
        vec![
            key.name.to_string(),
            match (&key.attested, key.software) {
                (_, true) => "software".to_owned(),
                (Some(model), false) => format!("{model}, attested"),
                (None, false) => format!("model {}", key.aaguid),
            },
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
    if !key.only_one_for.is_empty() {
        let secrets = key.only_one_for.join(", ");
        device.terminal.note(&format!("only {name} opens what is sealed in {secrets}: without it that is lost"));
    }
    let does = format!("remove your security key '{name}'");
    operate(device, OperationName::KeyRemove, request(Some(name.as_str())), &does)?;
    known_keys::removed_here(device, &key.credential_id);
    SoftwareKey::on(&device.places.device).forget(&key.credential_id)?;
    device.terminal.answer(&json!({ "version": 1, "removed": name }), || format!("{name} removed\n"))?;
    Ok(0)
}
