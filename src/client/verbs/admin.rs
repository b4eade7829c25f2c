//! `elevate admin`: each verb is one operation of the authority. What concerns somebody else is looked at first, so that
//! the person who approves it reads whom it concerns.

mod people;
mod resource;
mod secret;

use crate::client::Device;
use crate::client::cli::{
    AdminVerb, GrantVerb, ResourceVerb, SecretVerb, SessionVerb, SigningKeyVerb, UserKeyVerb, UserVerb,
};
use crate::client::error::Error;
use crate::client::operation::{operate, request};
use crate::protocol::messages::OperationName;
use serde_json::Value;

pub fn run(device: &Device, verb: AdminVerb) -> Result<u8, Error> {
    use OperationName as Op;
    match verb {
        AdminVerb::Secret { verb: SecretVerb::Set { resource, seal_to, backup } } if !seal_to.is_empty() => {
            secret::seal_to(device, &resource, &seal_to, &backup)
        }
        AdminVerb::Secret { verb: SecretVerb::Set { resource, .. } } => secret::set(device, &resource),
        AdminVerb::Secret { verb: SecretVerb::Remove { resource } } => {
            let (does, text) =
                (format!("remove the secret of {resource}"), format!("the secret of {resource} is removed"));
            change(device, Op::SecretRemove, Some(resource.as_str()), &does, &text)
        }
        AdminVerb::Secret { verb: SecretVerb::List } => {
            show(device, Op::SecretList, "secrets", &["resource", "set_at"])
        }
        AdminVerb::User { verb: UserVerb::List } => {
            show(device, Op::UserList, "users", &["user", "name", "created_at", "disabled_at", "invited_until"])
        }
        AdminVerb::User { verb: UserVerb::Disable { user } } => {
            let does = format!("shut out {user}, and end all that they hold");
            change(device, Op::UserDisable, Some(&user), &does, &format!("{user} is shut out and holds nothing"))
        }
        AdminVerb::User { verb: UserVerb::Enable { user } } => {
            let does = format!("let {user} in again");
            change(device, Op::UserEnable, Some(&user), &does, &format!("{user} may ask again"))
        }
        AdminVerb::User { verb: UserVerb::Invite { ttl, user } } => people::invite(device, &user, ttl),
        AdminVerb::Session { verb: SessionVerb::List } => people::sessions(device),
        AdminVerb::Session { verb: SessionVerb::End { id } } => people::end_session(device, &id),
        AdminVerb::Key { verb: UserKeyVerb::List { user } } => people::keys(device, user.as_deref()),
        AdminVerb::Key { verb: UserKeyVerb::Remove { user, name } } => people::remove_key(device, &user, &name),
        AdminVerb::Resource { verb: ResourceVerb::List } => resource::list(device),
        AdminVerb::Resource { verb: ResourceVerb::Show { name } } => resource::show(device, &name),
        AdminVerb::Resource { verb: ResourceVerb::Set { name, file } } => resource::set(device, &name, file.as_deref()),
        AdminVerb::Resource { verb: ResourceVerb::Remove { name } } => {
            let (does, text) = (format!("take the resource {name} out of the store"), format!("{name} is removed"));
            change(device, Op::ResourceRemove, Some(name.as_str()), &does, &text)
        }
        AdminVerb::Grant { verb: GrantVerb::List } => {
            show(device, Op::GrantList, "grants", &["grant_id", "user", "resource", "scope", "acr", "expires_at"])
        }
        AdminVerb::Grant { verb: GrantVerb::Revoke { grant_id } } => {
            let does = format!("end the grant {grant_id}");
            change(device, Op::GrantRevoke, Some(&grant_id), &does, &format!("{grant_id} is revoked"))
        }
        AdminVerb::SigningKey { verb: SigningKeyVerb::List } => {
            show(device, Op::SigningKeyList, "keys", &["kid", "created_at", "retired_at"])
        }
        AdminVerb::SigningKey { verb: SigningKeyVerb::Rotate } => {
            let text = "tokens are signed with a new key; the old one still verifies";
            change(device, Op::SigningKeyRotate, None, "sign tokens with a new key", text)
        }
    }
}

fn change(
    device: &Device,
    operation: OperationName,
    target: Option<&str>,
    does: &str,
    text: &str,
) -> Result<u8, Error> {
    let answer = operate(device, operation, request(target), does)?;
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

/// What there is, as the authority has it.
fn look(device: &Device, operation: OperationName, of: Option<&str>, what: &str) -> Result<Value, Error> {
    let mut answer = operate(device, operation, request(of), &format!("list {what}"))?;
    answer["version"] = 1.into();
    Ok(answer)
}

/// The rows of a list.
fn rows<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn show(device: &Device, operation: OperationName, name: &str, columns: &[&str]) -> Result<u8, Error> {
    let answer = look(device, operation, None, name)?;
    let cell = |row: &Value, column: &&str| row.get(*column).and_then(Value::as_str).unwrap_or("-").to_owned();
    let rows: Vec<Vec<String>> =
        rows(&answer, name).iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
    device.terminal.answer(&answer, || {
        let header: Vec<String> = columns.iter().map(|column| column.to_uppercase().replace('_', " ")).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        if rows.is_empty() { "none\n".to_owned() } else { super::table(&header, rows) }
    })?;
    Ok(0)
}
