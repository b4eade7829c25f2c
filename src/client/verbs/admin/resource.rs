//! The catalogue: what the store declares beside `authority.toml`, read and written as the file has it.

use super::{done, look, rows};
use crate::client::Device;
use crate::client::error::Error;
use crate::client::operation::{operate, request};
use crate::client::terminal::read_stdin;
use crate::client::verbs::table;
use crate::protocol::display::escaped;
use crate::protocol::messages::{ErrorCode, OperationName, OperationRequest};
use crate::protocol::names::ResourceName;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Bytes a definition may have.
const DEFINITION_MAX: usize = 32 << 10;

fn text<'a>(row: &'a Value, pointer: &str) -> &'a str {
    row.pointer(pointer).and_then(Value::as_str).unwrap_or("-")
}

pub(super) fn list(device: &Device) -> Result<u8, Error> {
    let answer = look(device, OperationName::ResourceList, None, "the catalogue")?;
    let row = |row: &Value| {
        let columns = ["/resource", "/definition/kind", "/definition/sensitivity", "/declared_in", "/set_at"];
        let about = row.pointer("/fault").and_then(Value::as_str);
        let about =
            about.map_or_else(|| text(row, "/definition/description").to_owned(), |fault| format!("FAULT: {fault}"));
        columns.iter().map(|column| text(row, column).to_owned()).chain([about]).collect()
    };
    let shown: Vec<Vec<String>> = rows(&answer, "resources").iter().map(row).collect();
    device.terminal.answer(&answer, || {
        let header = ["RESOURCE", "KIND", "SENSITIVITY", "DECLARED IN", "SET AT", "DESCRIPTION"];
        if shown.is_empty() { "none\n".to_owned() } else { table(&header, shown) }
    })?;
    Ok(0)
}

pub(super) fn show(device: &Device, name: &ResourceName) -> Result<u8, Error> {
    let answer = look(device, OperationName::ResourceList, None, "the catalogue")?;
    let row = rows(&answer, "resources").iter().find(|row| text(row, "/resource") == name.as_str());
    let row = row.ok_or_else(|| {
        Error::new(ErrorCode::No, format!("there is no resource '{name}'"))
            .hint("`elevate admin resource list` shows which there are")
    })?;
    let toml = toml::to_string(&row["definition"]).map_err(|error| Error::failed(error.to_string()))?;
    let shown = json!({ "version": 1, "resource": row });
    device.terminal.answer(&shown, || format!("# {name}, declared in {}\n{toml}", text(row, "/declared_in")))?;
    Ok(0)
}

pub(super) fn set(device: &Device, name: &ResourceName, file: Option<&Path>) -> Result<u8, Error> {
    let definition = parsed(&read(device, file)?)?;
    let does = format!("declare the resource {name} as {definition}");
    let request = OperationRequest { definition: Some(definition), ..request(Some(name.as_str())) };
    let answer = operate(device, OperationName::ResourceSet, request, &does)?;
    done(device, OperationName::ResourceSet, Some(name.as_str()), answer, &format!("{name} is declared"))
}

fn read(device: &Device, file: Option<&Path>) -> Result<String, Error> {
    let Some(file) = file else {
        return Ok(read_stdin(DEFINITION_MAX, device.patience().stdin())?.expose().to_owned());
    };
    let shown = escaped(&file.to_string_lossy());
    let mut text = String::new();
    let opened = File::open(file).and_then(|file| file.take(DEFINITION_MAX as u64 + 1).read_to_string(&mut text));
    opened.map_err(|error| Error::usage(format!("{shown} can't be read: {error}")).hint("nothing was changed"))?;
    if text.len() > DEFINITION_MAX {
        return Err(Error::usage(format!("{shown} is bigger than {DEFINITION_MAX} bytes")).hint("nothing was changed"));
    }
    Ok(text)
}

/// TOML, or a JSON object: which begins as no TOML does.
fn parsed(text: &str) -> Result<Value, Error> {
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        toml::from_str(text).map_err(|error| error.to_string())
    };
    let no_definition = |reason: String| {
        Error::usage(format!("this declares no resource: {}", escaped(reason.trim_end())))
            .hint("write the keys of a [resource.NAME] table, without its header")
    };
    match parsed.map_err(no_definition)? {
        Value::Object(table) if table.is_empty() => Err(no_definition("it is empty".to_owned())),
        definition => Ok(definition),
    }
}
