//! Other people: where they are signed in, and their keys.

use super::{change, done, look, rows};
use crate::client::Device;
use crate::client::error::Error;
use crate::client::operation::{operate, request};
use crate::client::verbs::table;
use crate::protocol::display::escaped;
use crate::protocol::messages::{ErrorCode, OperationName, OperationRequest};
use crate::protocol::names::{KeyName, Ttl};
use serde_json::Value;

const NOTHING: &str = "-";

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or(NOTHING)
}

fn list(row: &Value, field: &str) -> Vec<String> {
    let items = row.get(field).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// How they signed in: by the provider's word, and then with what, else how well; or with what of ours.
fn how(row: &Value) -> String {
    if let by @ ("key" | "invitation") = text(row, "how") {
        return by.to_owned();
    }
    let methods = list(row, "amr");
    if methods.is_empty() { text(row, "acr").to_owned() } else { methods.join(" ") }
}

/// Whom a row is about: as people call them, else as the authority does.
fn who(row: &Value) -> String {
    match (text(row, "name"), text(row, "user")) {
        (NOTHING, user) => user.to_owned(),
        (name, user) => format!("{name} ({user})"),
    }
}

pub(super) fn sessions(device: &Device) -> Result<u8, Error> {
    let answer = look(device, OperationName::SessionList, None, "who is signed in where")?;
    let row = |row: &Value| {
        let columns = ["id", "name", "host", "created_at", "last_used_at"].map(|field| text(row, field).to_owned());
        columns.into_iter().chain([how(row), text(row, "user").to_owned()]).collect()
    };
    let shown: Vec<Vec<String>> = rows(&answer, "sessions").iter().map(row).collect();
    device.terminal.answer(&answer, || {
        let header = ["ID", "NAME", "HOST", "SINCE", "LAST USED", "HOW", "USER"];
        if shown.is_empty() { "nobody is signed in\n".to_owned() } else { table(&header, shown) }
    })?;
    Ok(0)
}

pub(super) fn end_session(device: &Device, id: &str) -> Result<u8, Error> {
    let answer = look(device, OperationName::SessionList, None, "who is signed in where")?;
    let row = rows(&answer, "sessions").iter().find(|row| text(row, "id") == id);
    let row = row.ok_or_else(|| {
        Error::new(ErrorCode::No, format!("there is no sign-in '{id}'"))
            .hint("`elevate admin session list` shows which there are")
    })?;
    let whose = format!("{} on host {}", who(row), text(row, "host"));
    let (does, text) = (format!("end the session of {whose}"), format!("{whose} is signed out"));
    change(device, OperationName::SessionEnd, Some(id), &does, &text)
}

pub(super) fn keys(device: &Device, of: Option<&str>) -> Result<u8, Error> {
    let answer = look(device, OperationName::UserKeyList, of, "security keys")?;
    let row = |row: &Value| {
        let proves = if row["verifies_user"] == true { "touch, PIN or biometric" } else { "touch" };
        let kind = if row["software"] == true { "software" } else { text(row, "attested") };
        let kind = if kind == NOTHING { text(row, "aaguid") } else { kind };
        let texts =
            [text(row, "user"), text(row, "name"), kind, proves, text(row, "enrolled_at"), text(row, "last_used_at")];
        texts.map(str::to_owned).to_vec()
    };
    let shown: Vec<Vec<String>> = rows(&answer, "keys").iter().map(row).collect();
    device.terminal.answer(&answer, || {
        let header = ["USER", "KEY", "KIND", "PROVES", "ENROLLED", "LAST USED"];
        if shown.is_empty() { "no keys\n".to_owned() } else { table(&header, shown) }
    })?;
    Ok(0)
}

pub(super) fn remove_key(device: &Device, user: &str, name: &KeyName) -> Result<u8, Error> {
    let answer = look(device, OperationName::UserKeyList, Some(user), "their security keys")?;
    let keys = rows(&answer, "keys");
    let key = keys.iter().find(|row| text(row, "name") == name.as_str()).ok_or_else(|| {
        Error::new(ErrorCode::No, format!("{user} has no key '{name}'"))
            .hint(format!("`elevate admin key list {user}` shows which there are"))
    })?;
    let sealed = list(key, "only_one_for");
    if !sealed.is_empty() {
        let secrets = sealed.join(", ");
        device.terminal.warning(&format!("only {name} opens what is sealed in {secrets}: without it that is lost"));
    }
    if keys.len() == 1 {
        device.terminal.note(&format!("it is the only key of {user}: their next one is enrolled as a first one"));
    }
    let (does, text) = (format!("remove the security key '{name}' of {user}"), format!("{name} of {user} is removed"));
    let request = OperationRequest { key: Some(name.clone()), ..request(Some(user)) };
    let answer = operate(device, OperationName::UserKeyRemove, request, &does)?;
    done(device, OperationName::UserKeyRemove, Some(user), answer, &text)
}

/// The invitation alone goes to stdout: it is handed on.
pub(super) fn invite(device: &Device, user: &str, ttl: Option<Ttl>) -> Result<u8, Error> {
    let does = format!("invite {} to enrol a first key", escaped(user));
    let wanted = OperationRequest { ttl, ..request(Some(user)) };
    let mut answer = operate(device, OperationName::UserInvite, wanted, &does)?;
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
