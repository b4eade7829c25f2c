//! Which resource, asked at the terminal where none was named: a menu, or on a dumb terminal (`TERM=dumb`) a numbered
//! list, answered with a number or with part of a name. That only ever adds lines, so that any screen reader reads it.

use crate::client::Device;
use crate::client::error::Error;
use crate::client::terminal::Tty;
use crate::client::terminal::menu::Line;
use crate::protocol::display::escaped;
use crate::protocol::messages::CatalogueEntry;
use crate::protocol::names::ResourceName;
use std::time::Duration;

/// How long somebody may think about it.
const LIMIT: Duration = Duration::from_mins(5);

/// What to say where no resource was named and nobody can be asked.
pub fn none() -> Error {
    Error::usage("there is no RESOURCE").hint("`elevate list` shows what there is, `elevate --help` how")
}

/// The resource that was named, or the one that is picked at the terminal.
///
/// # Errors
/// Usage, where none is named or picked; as for `elevate list`.
pub fn resource(device: &Device, named: Option<ResourceName>) -> Result<ResourceName, Error> {
    if let Some(named) = named {
        return Ok(named);
    }
    // Without an authority there is nothing to pick from, and none is started for a slip.
    if device.non_interactive || device.terminal.json || device.met()?.is_none() {
        return Err(none());
    }
    let Some(mut tty) = Tty::open() else { return Err(none()) };
    let entries = device.resources()?.resources;
    if entries.is_empty() {
        return Err(
            Error::usage("there is nothing you may elevate to").hint("resources are declared in authority.toml")
        );
    }
    if tty.draws_menus() { from_menu(&mut tty, entries) } else { from_list(&mut tty, entries) }
}

fn from_menu(tty: &mut Tty, mut entries: Vec<CatalogueEntry>) -> Result<ResourceName, Error> {
    let line =
        |entry: &CatalogueEntry| Line { name: entry.resource.to_string(), description: escaped(&entry.description) };
    let lines: Vec<Line> = entries.iter().map(line).collect();
    let wide = "Which? Type part of a name, or move with the arrows; Esc for none:";
    // What is typed stands behind it, on the same line.
    let prompt = if usize::from(tty.columns()) > wide.len() + 12 { wide } else { "Which?" };
    let chosen = tty.choose(prompt, &lines, LIMIT)?.ok_or_else(none)?;
    Ok(entries.swap_remove(chosen).resource)
}

fn from_list(tty: &mut Tty, mut entries: Vec<CatalogueEntry>) -> Result<ResourceName, Error> {
    loop {
        tty.show(&list(&entries, tty.columns()));
        let count = entries.len();
        let question = format!("Which? A number up to {count}, or part of a name; Enter alone for none: ");
        let Some(answer) = tty.line(&question, LIMIT)? else { return Err(none()) };
        match chosen(&entries, &answer) {
            Chosen::One(name) => return Ok(name),
            Chosen::Several(some) => entries = some,
            Chosen::Nothing => tty.show(&format!("There is no '{}' in the list.\n", escaped(&answer))),
        }
    }
}

enum Chosen {
    One(ResourceName),
    Several(Vec<CatalogueEntry>),
    Nothing,
}

fn chosen(entries: &[CatalogueEntry], answer: &str) -> Chosen {
    let numbered = answer.parse().ok().and_then(|number: usize| entries.get(number.checked_sub(1)?));
    let named = entries.iter().find(|entry| entry.resource.as_str() == answer);
    // A resource may be called by a number: the name goes first.
    if let Some(entry) = named.or(numbered) {
        return Chosen::One(entry.resource.clone());
    }
    let part = answer.to_lowercase();
    let holds = |entry: &&CatalogueEntry| {
        entry.resource.as_str().contains(&part) || entry.description.to_lowercase().contains(&part)
    };
    let mut some: Vec<CatalogueEntry> = entries.iter().filter(holds).cloned().collect();
    match some.len() {
        0 => Chosen::Nothing,
        1 => Chosen::One(some.remove(0).resource),
        _ => Chosen::Several(some),
    }
}

fn list(entries: &[CatalogueEntry], columns: u16) -> String {
    let row = |(index, entry): (usize, &CatalogueEntry)| {
        vec![
            format!("{}", index + 1),
            entry.resource.to_string(),
            entry.assurance.takes().to_owned(),
            entry.description.clone(),
        ]
    };
    let rows = entries.iter().enumerate().map(row).collect();
    super::table_of(&["#", "RESOURCE", "TAKES", "DESCRIPTION"], rows, columns)
}

#[cfg(test)]
mod tests {
    use super::{Chosen, chosen};
    use crate::protocol::assurance::Assurance;
    use crate::protocol::messages::{CatalogueEntry, ResourceKind};

    #[test]
    fn a_number_a_name_or_a_part_of_one() {
        let entry = |name: &str, description: &str| CatalogueEntry {
            resource: name.parse().unwrap(),
            description: description.to_owned(),
            kind: ResourceKind::Jwt,
            assurance: Assurance::Session,
        };
        let entries = [entry("prod-api", "the API"), entry("prod-db", "the Database"), entry("1", "odd")];
        let name = |answer: &str| match chosen(&entries, answer) {
            Chosen::One(name) => name.to_string(),
            Chosen::Several(some) => format!("{} of them", some.len()),
            Chosen::Nothing => "nothing".to_owned(),
        };
        let table = [
            ("2", "prod-db"),
            ("1", "1"),
            ("prod-api", "prod-api"),
            ("prod", "2 of them"),
            ("DATABASE", "prod-db"),
            ("0", "nothing"),
            ("4", "nothing"),
            ("-1", "nothing"),
            ("nope", "nothing"),
        ];
        for (answer, expected) in table {
            assert_eq!(name(answer), expected, "{answer}");
        }
    }
}
