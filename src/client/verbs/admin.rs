//! `elevate admin`: each verb is one operation of the authority.

use crate::client::Device;
use crate::client::cli::{AdminVerb, GrantVerb, KeysVerb, SecretVerb, UserVerb};
use crate::client::error::Error;
use crate::client::operation::operate;
use crate::client::terminal::{Tty, read_stdin, stdin_is_terminal};
use crate::protocol::messages::{ErrorCode, OperationName};
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use serde_json::Value;

/// Bytes a secret may have.
const SECRET_MAX: u64 = 64 << 10;

pub fn run(device: &Device, verb: AdminVerb) -> Result<u8, Error> {
    use OperationName as Op;
    match verb {
        AdminVerb::Secret { verb: SecretVerb::Set { resource } } => {
            let secret = read_secret(device, &resource)?;
            let answer = operate(device, Op::SecretSet, Some(resource.to_string()), Some(secret))?;
            done(device, answer, &format!("the secret of {resource} is stored, sealed"))
        }
        AdminVerb::Secret { verb: SecretVerb::Remove { resource } } => {
            let answer = operate(device, Op::SecretRemove, Some(resource.to_string()), None)?;
            done(device, answer, &format!("the secret of {resource} is removed"))
        }
        AdminVerb::Secret { verb: SecretVerb::List } => {
            show(device, Op::SecretList, "secrets", &["resource", "set_at"])
        }
        AdminVerb::User { verb: UserVerb::List } => {
            show(device, Op::UserList, "users", &["user", "created_at", "disabled_at"])
        }
        AdminVerb::User { verb: UserVerb::Disable { user } } => {
            let answer = operate(device, Op::UserDisable, Some(user.clone()), None)?;
            done(device, answer, &format!("{user} is shut out and holds nothing"))
        }
        AdminVerb::User { verb: UserVerb::Enable { user } } => {
            let answer = operate(device, Op::UserEnable, Some(user.clone()), None)?;
            done(device, answer, &format!("{user} may ask again"))
        }
        AdminVerb::Grant { verb: GrantVerb::List } => {
            show(device, Op::GrantList, "grants", &["grant_id", "user", "resource", "scope", "acr", "expires_at"])
        }
        AdminVerb::Grant { verb: GrantVerb::Revoke { grant_id } } => {
            let answer = operate(device, Op::GrantRevoke, Some(grant_id.clone()), None)?;
            done(device, answer, &format!("{grant_id} is revoked"))
        }
        AdminVerb::Keys { verb: KeysVerb::List } => {
            show(device, Op::KeysList, "keys", &["kid", "created_at", "retired_at"])
        }
        AdminVerb::Keys { verb: KeysVerb::Rotate } => {
            let answer = operate(device, Op::KeysRotate, None, None)?;
            done(device, answer, "tokens are signed with a new key; the old one still verifies")
        }
    }
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
        read_stdin(SECRET_MAX)?
    };
    let text = secret.expose();
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() {
        return Err(Error::usage("the secret is empty").hint("nothing was changed"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn done(device: &Device, mut answer: Value, text: &str) -> Result<u8, Error> {
    answer["version"] = 1.into();
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
