//! `elevate.toml`, the environment, and the directories.

use super::Finding;
use crate::client::address::{Address, VARIABLE};
use crate::client::config::Config;
use crate::client::error::Error;
use crate::client::places::Places;
use crate::files::{own_directory, read_trusted};
use crate::protocol::display::escaped;
use toml::de::{DeTable, DeValue};

/// The file, each value with where it comes from, and which authority that makes.
pub fn settings(places: &Places, typed: Option<&Address>) -> (Finding, Config, Address) {
    const NAME: &str = "settings";
    let path = places.config.join("elevate.toml");
    let read = || {
        let config = Config::load(places)?;
        let authority = Address::chosen(typed, &config)?;
        Ok((config, authority))
    };
    match read() {
        Ok((config, authority)) => {
            let says = if path.exists() {
                "elevate.toml is good"
            } else {
                "there is no elevate.toml, and there need not be one"
            };
            let text = read_trusted(&path, 1 << 20).ok().flatten().unwrap_or_default();
            let values = values(&text, |name| std::env::var(name).ok(), typed, &authority);
            (Finding::good(NAME, says).with(values), config, authority)
        }
        Err(error) => (Finding::bad(NAME, error), Config::default(), typed.cloned().unwrap_or(Address::Embedded)),
    }
}

/// `name = value (origin)`, a line each. Of the environment only what elevate reads and no secret can be in.
fn values(
    text: &str,
    environment: impl Fn(&str) -> Option<String>,
    typed: Option<&Address>,
    authority: &Address,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_file = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        collect(text, "", table.get_ref(), &mut in_file);
    }
    let from_environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let found = match authority {
        Address::Embedded => "embedded (default)".to_owned(),
        // Nobody named it.
        Address::Socket(_) | Address::Network(_) | Address::Loopback(_) => format!("{authority} (it is there)"),
    };
    for (name, variable, default) in [
        ("authority", VARIABLE, found.as_str()),
        ("keyring", "ELEVATE_KEYRING", "auto (default)"),
        ("authority_program", "", "beside elevate (default)"),
        ("non-interactive", "ELEVATE_NON_INTERACTIVE", ""),
        ("askpass", "ELEVATE_ASKPASS", ""),
        ("log", "ELEVATE_LOG", ""),
        ("color", "NO_COLOR", ""),
    ] {
        let written = in_file.iter().position(|(known, _, _)| known == name).map(|at| in_file.remove(at));
        let typed = typed.filter(|_| name == "authority");
        let origin = match (typed, from_environment(variable), written) {
            (Some(typed), _, _) => format!("{typed} (--authority)"),
            (None, Some(value), _) => format!("{value} ({variable})"),
            (None, None, Some((_, value, line))) => format!("{value} (elevate.toml line {line})"),
            // What nobody changed is worth a line only where it decides much.
            (None, None, None) if default.is_empty() => continue,
            (None, None, None) => default.to_owned(),
        };
        lines.push(format!("{name} = {}", escaped(&origin)));
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
    use crate::client::address::Address;

    #[test]
    fn each_value_is_shown_with_where_it_comes_from() {
        let nothing = |_: &str| None;
        let shown = |text: &str, environment: &dyn Fn(&str) -> Option<String>| {
            values(text, environment, None, &Address::Embedded)
        };
        let default = "authority = embedded (default)";
        let program = "authority_program = beside elevate (default)";
        assert_eq!(shown("", &nothing), [default, "keyring = auto (default)", program]);
        let file = "# mine\nkeyring = \"file\"\n\n[resource.db]\nvariable = \"PG\\u0007PASS\"\n";
        let written = "keyring = file (elevate.toml line 2)";
        let resource = r"resource.db.variable = PG\u{7}PASS (elevate.toml line 5)";
        assert_eq!(shown(file, &nothing), [default, written, program, resource]);
        let kernel = |name: &str| (name == "ELEVATE_KEYRING").then(|| "kernel".to_owned());
        assert_eq!(shown(file, &kernel)[1], "keyring = kernel (ELEVATE_KEYRING)");
        let empty = |name: &str| (name == "ELEVATE_KEYRING").then(String::new);
        assert_eq!(shown(file, &empty)[1], written, "an empty variable says nothing");
        let askpass = |name: &str| (name == "ELEVATE_ASKPASS").then(|| "/usr/bin/ask".to_owned());
        assert_eq!(shown("", &askpass)[3], "askpass = /usr/bin/ask (ELEVATE_ASKPASS)");
    }

    #[test]
    fn which_authority_is_asked_comes_with_who_said_so() {
        let text = "authority = \"https://a.example\"\n[authorities.\"https://a.example\"]\nca_file = \"ca.pem\"\n";
        let (one, other): (Address, Address) =
            ("https://a.example".parse().unwrap(), "https://b.example".parse().unwrap());
        let nothing = |_: &str| None;
        let shown = values(text, nothing, None, &one);
        assert_eq!(shown[0], "authority = https://a.example (elevate.toml line 1)");
        assert_eq!(shown[3], "authorities.https://a.example.ca_file = ca.pem (elevate.toml line 3)");
        let variable = |name: &str| (name == "ELEVATE_AUTHORITY").then(|| "https://b.example".to_owned());
        assert_eq!(values(text, variable, None, &other)[0], "authority = https://b.example (ELEVATE_AUTHORITY)");
        assert_eq!(values(text, variable, Some(&one), &one)[0], "authority = https://a.example (--authority)");
        let system: Address = "unix:/run/elevate/authority.sock".parse().unwrap();
        assert_eq!(values("", nothing, None, &system)[0], "authority = unix:/run/elevate/authority.sock (it is there)");
    }
}
