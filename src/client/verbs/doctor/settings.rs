//! `elevate.toml`, the environment, and the directories.

use super::Finding;
use crate::client::config::Config;
use crate::client::error::Error;
use crate::client::places::Places;
use crate::files::{own_directory, read_trusted};
use crate::protocol::display::escaped;
use toml::de::{DeTable, DeValue};

/// The file, and each value with where it comes from.
pub fn settings(places: &Places) -> (Finding, Config) {
    const NAME: &str = "settings";
    let path = places.config.join("elevate.toml");
    match Config::load(places) {
        Ok(config) => {
            let says = if path.exists() {
                "elevate.toml is good"
            } else {
                "there is no elevate.toml, and there need not be one"
            };
            let text = read_trusted(&path, 1 << 20).ok().flatten().unwrap_or_default();
            (Finding::good(NAME, says).with(values(&text, |name| std::env::var(name).ok())), config)
        }
        Err(error) => (Finding::bad(NAME, error), Config::default()),
    }
}

/// `name = value (origin)`, a line each. Of the environment only what elevate reads and no secret can be in.
fn values(text: &str, environment: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_file = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        collect(text, "", table.get_ref(), &mut in_file);
    }
    let from_environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    for (name, variable, default) in [
        ("keyring", "ELEVATE_KEYRING", "auto"),
        ("authority_program", "", "beside elevate"),
        ("non-interactive", "ELEVATE_NON_INTERACTIVE", "no"),
        ("askpass", "ELEVATE_ASKPASS", "none"),
        ("log", "ELEVATE_LOG", "off"),
        ("color", "NO_COLOR", "auto"),
    ] {
        let written = in_file.iter().position(|(known, _, _)| known == name).map(|at| in_file.remove(at));
        match (from_environment(variable), written) {
            (Some(value), _) => lines.push(format!("{name} = {} ({variable})", escaped(&value))),
            (None, Some((_, value, line))) => {
                lines.push(format!("{name} = {} (elevate.toml line {line})", escaped(&value)));
            }
            // What nobody changed is worth a line only where it decides much.
            (None, None) if name == "keyring" || name == "authority_program" => {
                lines.push(format!("{name} = {default} (default)"));
            }
            (None, None) => {}
        }
    }
    lines.extend(
        in_file
            .into_iter()
            .map(|(name, value, line)| format!("{name} = {} (elevate.toml line {line})", escaped(&value))),
    );
    lines
}

fn collect(text: &str, within: &str, table: &DeTable<'_>, found: &mut Vec<(String, String, usize)>) {
    for (key, value) in table {
        let name = format!("{within}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => collect(text, &format!("{name}."), inner, found),
            DeValue::String(value) => {
                let line = text.get(..key.span().start).unwrap_or_default().matches('\n').count() + 1;
                found.push((escaped(&name), value.to_string(), line));
            }
            // The file takes no others.
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {}
        }
    }
}

pub fn directories(places: &Places) -> Finding {
    const NAME: &str = "directories";
    let there = [&places.authority, &places.device, &places.run].into_iter().filter(|path| path.exists());
    match there.map(|path| own_directory(path)).find_map(Result::err) {
        Some(fault) => Finding::bad(NAME, Error::from(fault)),
        None => Finding::good(NAME, "none but you can enter them"),
    }
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn each_value_is_shown_with_where_it_comes_from() {
        let nothing = |_: &str| None;
        assert_eq!(values("", nothing), ["keyring = auto (default)", "authority_program = beside elevate (default)"]);
        let file = "# mine\nkeyring = \"file\"\n\n[resource.db]\nvariable = \"PG\\u0007PASS\"\n";
        let expected = [
            "keyring = file (elevate.toml line 2)",
            "authority_program = beside elevate (default)",
            r"resource.db.variable = PG\u{7}PASS (elevate.toml line 5)",
        ];
        assert_eq!(values(file, nothing), expected);
        let kernel = |name: &str| (name == "ELEVATE_KEYRING").then(|| "kernel".to_owned());
        assert_eq!(values(file, kernel)[0], "keyring = kernel (ELEVATE_KEYRING)");
        let empty = |name: &str| (name == "ELEVATE_KEYRING").then(String::new);
        assert_eq!(values(file, empty)[0], expected[0], "an empty variable says nothing");
        let askpass = |name: &str| (name == "ELEVATE_ASKPASS").then(|| "/usr/bin/ask".to_owned());
        assert_eq!(values("", askpass)[2], "askpass = /usr/bin/ask (ELEVATE_ASKPASS)");
    }
}
