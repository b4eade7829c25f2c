//! `elevate admin`: each verb is one operation of the authority.

use crate::client::Device;
use crate::client::cli::{AdminVerb, GrantVerb, KeysVerb, SecretVerb, UserVerb};
use crate::client::error::Error;
use crate::client::operation::{self, operate, store_sealed};
use crate::client::presence::Approval;
use crate::client::sealing::{Identity, Recipient, seal};
use crate::client::security_key::hardware::HardwareKeys;
use crate::client::security_key::{SecurityKey as _, check_assertion};
use crate::client::terminal::{Tty, read_stdin, stdin_is_terminal};
use crate::protocol::display::escaped;
use crate::protocol::encoding::{base64url, from_base64url, random};
use crate::protocol::messages::{EnrolledKey, ErrorCode, OperationName, SealedFor};
use crate::protocol::names::{KeyName, ResourceName, Ttl};
use crate::protocol::secret::Secret;
use serde_json::Value;
use std::time::Duration;
use webauthn_rs_proto::{
    AllowCredentials, HmacGetSecretInput, PublicKeyCredentialRequestOptions, RequestAuthenticationExtensions,
    UserVerificationPolicy,
};

/// Bytes a secret may have.
const SECRET_MAX: usize = 64 << 10;

pub fn run(device: &Device, verb: AdminVerb) -> Result<u8, Error> {
    use OperationName as Op;
    match verb {
        AdminVerb::Secret { verb: SecretVerb::Set { resource, seal_to, backup } } if !seal_to.is_empty() => {
            seal_secret(device, &resource, &seal_to, &backup)
        }
        AdminVerb::Secret { verb: SecretVerb::Set { resource, .. } } => {
            let secret = read_secret(device, &resource)?;
            let text = format!("the secret of {resource} is stored, sealed");
            change(device, Op::SecretSet, Some(resource.as_str()), Some(secret), &text)
        }
        AdminVerb::Secret { verb: SecretVerb::Remove { resource } } => {
            let text = format!("the secret of {resource} is removed");
            change(device, Op::SecretRemove, Some(resource.as_str()), None, &text)
        }
        AdminVerb::Secret { verb: SecretVerb::List } => {
            show(device, Op::SecretList, "secrets", &["resource", "set_at"])
        }
        AdminVerb::User { verb: UserVerb::List } => {
            show(device, Op::UserList, "users", &["user", "name", "created_at", "disabled_at", "invited_until"])
        }
        AdminVerb::User { verb: UserVerb::Disable { user } } => {
            let text = format!("{user} is shut out and holds nothing");
            change(device, Op::UserDisable, Some(&user), None, &text)
        }
        AdminVerb::User { verb: UserVerb::Invite { ttl, user } } => invite(device, &user, ttl),
        AdminVerb::User { verb: UserVerb::Enable { user } } => {
            let text = format!("{user} may ask again");
            change(device, Op::UserEnable, Some(&user), None, &text)
        }
        AdminVerb::Grant { verb: GrantVerb::List } => {
            show(device, Op::GrantList, "grants", &["grant_id", "user", "resource", "scope", "acr", "expires_at"])
        }
        AdminVerb::Grant { verb: GrantVerb::Revoke { grant_id } } => {
            let text = format!("{grant_id} is revoked");
            change(device, Op::GrantRevoke, Some(&grant_id), None, &text)
        }
        AdminVerb::Keys { verb: KeysVerb::List } => {
            show(device, Op::KeysList, "keys", &["kid", "created_at", "retired_at"])
        }
        AdminVerb::Keys { verb: KeysVerb::Rotate } => {
            let text = "tokens are signed with a new key; the old one still verifies";
            change(device, Op::KeysRotate, None, None, text)
        }
    }
}

/// The invitation alone goes to stdout: it is handed on.
fn invite(device: &Device, user: &str, ttl: Option<Ttl>) -> Result<u8, Error> {
    let mut answer = operation::invite(device, user, ttl)?;
    answer["version"] = 1.into();
    answer["operation"] = OperationName::UserInvite.name().into();
    answer["target"] = user.into();
    let text = |name: &str| escaped(answer[name].as_str().unwrap_or_default());
    device.terminal.text(&format!(
        "elevate: hand this to {}, who enrols a first key with it until {}\n  `elevate login --invitation`\n",
        text("user"),
        text("expires_at")
    ));
    device.terminal.answer(&answer, || format!("{}\n", text("invitation")))?;
    Ok(0)
}

/// Each key is touched once, to give what the secret is sealed with: nothing that was written down before is trusted.
fn seal_secret(device: &Device, resource: &ResourceName, to: &[KeyName], backups: &[String]) -> Result<u8, Error> {
    let mut recipients: Vec<Recipient> = backups.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let enrolled = device.api()?.keys()?;
    let find = |name: &KeyName| {
        let key = enrolled.iter().find(|key| key.name == *name).ok_or_else(|| {
            Error::new(ErrorCode::No, format!("you have no key '{name}'"))
                .hint("`elevate key list` shows which there are")
        })?;
        if key.can_seal {
            return Ok(key);
        }
        Err(Error::new(ErrorCode::No, format!("nothing can be sealed under '{name}'"))
            .hint("it takes a hardware key with hmac-secret that was enrolled with its PIN or fingerprint"))
    };
    let keys: Vec<&EnrolledKey> = to.iter().map(find).collect::<Result<_, _>>()?;
    let secret = read_secret(device, resource)?;
    let salt = random::<32>();
    for key in &keys {
        recipients.push(recipient(device, resource, key, &salt)?);
    }
    let credential_ids = keys.iter().map(|key| key.credential_id.clone()).collect();
    let sealed_for = SealedFor { salt: base64url(salt), credential_ids };
    let answer = store_sealed(device, resource, Secret::new(seal(&secret, &recipients)?), sealed_for)?;
    if keys.len() == 1 && backups.is_empty() {
        device.terminal.note(&format!("sealed to one key and no backup: without '{}' it is lost", keys[0].name));
    }
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    let text = format!("the secret of {resource} is sealed under {}", names.join(" and "));
    done(device, OperationName::SecretSet, Some(resource.as_str()), answer, &text)
}

/// What a key opens: asked of the key itself, over a challenge that goes nowhere.
fn recipient(device: &Device, resource: &ResourceName, key: &EnrolledKey, salt: &[u8; 32]) -> Result<Recipient, Error> {
    let id = from_base64url(&key.credential_id).ok_or_else(|| Error::failed("the key's id can't be read"))?;
    let allow = AllowCredentials { type_: "public-key".to_owned(), id, transports: None };
    let options = PublicKeyCredentialRequestOptions {
        challenge: random::<32>().to_vec(),
        timeout: None,
        rp_id: device.known()?.rp_id().to_owned(),
        allow_credentials: vec![allow],
        user_verification: UserVerificationPolicy::Required,
        hints: None,
        extensions: Some(RequestAuthenticationExtensions {
            appid: None,
            uvm: None,
            hmac_get_secret: Some(HmacGetSecretInput { output1: salt.to_vec(), output2: None }),
        }),
    };
    let enrolled = std::slice::from_ref(key);
    let shown = format!("\nelevate: seal the secret of {resource} under '{}'?\n", key.name);
    let hardware = HardwareKeys { bus: device.bus.clone(), enrolled };
    let mut assertion = hardware.get_assertion(&options, &Approval::new(device, shown, Duration::from_mins(2)))?;
    check_assertion(&options, &assertion, enrolled)?;
    let identity = Identity::of(&mut assertion, &options.rp_id)?.ok_or_else(|| {
        Error::new(ErrorCode::NoSecurityKey, format!("'{}' gives nothing to seal with", key.name))
            .hint("it has no hmac-secret, or was enrolled without: enrol it anew")
    })?;
    Ok(identity.recipient())
}

/// From a prompt at a terminal, else from stdin to its end without the last line break.
fn read_secret(device: &Device, resource: &ResourceName) -> Result<Secret, Error> {
    let secret = if stdin_is_terminal() {
        if device.non_interactive {
            return Err(Error::new(
                ErrorCode::InteractionRequired,
                "the secret is to be typed, and -n forbids to ask for it",
            )
            .hint("pipe it in"));
        }
        let tty = Tty::open();
        let mut tty =
            tty.ok_or_else(|| Error::new(ErrorCode::InteractionRequired, "there is no terminal to ask at"))?;
        tty.secret(&format!("Secret of {resource} (not shown)"))?
    } else {
        read_stdin(SECRET_MAX, device.patience().stdin())?
    };
    let text = secret.expose();
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() {
        return Err(Error::usage("the secret is empty").hint("nothing was changed"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn change(
    device: &Device,
    operation: OperationName,
    target: Option<&str>,
    secret: Option<Secret>,
    text: &str,
) -> Result<u8, Error> {
    let answer = operate(device, operation, target.map(str::to_owned), secret)?;
    done(device, operation, target, answer, text)
}

/// What was done, beside what the authority has to show.
fn done(
    device: &Device,
    operation: OperationName,
    target: Option<&str>,
    mut answer: Value,
    text: &str,
) -> Result<u8, Error> {
    answer["version"] = 1.into();
    answer["operation"] = operation.name().into();
    answer["target"] = target.into();
    device.terminal.answer(&answer, || format!("{text}\n"))?;
    Ok(0)
}

fn show(device: &Device, operation: OperationName, name: &str, columns: &[&str]) -> Result<u8, Error> {
    let mut answer = operate(device, operation, None, None)?;
    let cell = |row: &Value, column: &&str| row.get(*column).and_then(Value::as_str).unwrap_or("-").to_owned();
    let rows = answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
    answer["version"] = 1.into();
    device.terminal.answer(&answer, || {
        let header: Vec<String> = columns.iter().map(|column| column.to_uppercase().replace('_', " ")).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        if rows.is_empty() { "none\n".to_owned() } else { super::table(&header, rows) }
    })?;
    Ok(0)
}
