//! What a token says, by path: `repository`, or `kubernetes.io/namespace` for what stands within `kubernetes.io`.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Claims of one token.
const CLAIMS_MAX: usize = 500;

/// Claims, each a list of texts; a value that is no list is a list of one.
pub(super) struct Claims(BTreeMap<String, Values>);

enum Values {
    One(Value),
    Many(Vec<String>),
}

impl Claims {
    /// Each value under its path. Lists of anything but texts are left out: no rule can hold for them.
    ///
    /// # Errors
    /// Where two claims have one path, or there are too many.
    pub(super) fn flattened(claims: Map<String, Value>) -> Result<Self, &'static str> {
        let mut flat = BTreeMap::new();
        flatten("", claims, &mut flat)?;
        Ok(Self(flat))
    }

    /// A claim that is one text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        match self.0.get(path)? {
            Values::One(value) => value.as_str(),
            Values::Many(_) => None,
        }
    }

    /// A claim that is a text or a list of them.
    pub(super) fn list(&self, path: &str) -> Vec<&str> {
        match self.0.get(path) {
            Some(Values::One(value)) => value.as_str().into_iter().collect(),
            Some(Values::Many(values)) => values.iter().map(String::as_str).collect(),
            None => Vec::new(),
        }
    }

    /// A claim that is a time, Unix seconds.
    pub(super) fn time(&self, path: &str) -> Result<Option<i64>, &'static str> {
        match self.0.get(path) {
            None => Ok(None),
            Some(Values::One(value)) => value.as_i64().map(Some).ok_or("one of its times is no number of seconds"),
            Some(Values::Many(_)) => Err("one of its times is a list"),
        }
    }

    /// Those that are one value each, as texts.
    pub(super) fn single(&self) -> BTreeMap<String, String> {
        let single = |(path, values): (&String, &Values)| match values {
            Values::One(value) => Some((path.clone(), text(value))),
            Values::Many(_) => None,
        };
        self.0.iter().filter_map(single).collect()
    }

    /// How a rule is broken, if it is. A list keeps it where one of its texts does.
    pub(super) fn breaks(&self, path: &str, allowed: &Allowed) -> Option<String> {
        let holds = match self.0.get(path) {
            None => return Some(format!("it has no '{path}'")),
            Some(Values::One(value)) => allowed.covers(&text(value)),
            Some(Values::Many(values)) => values.iter().any(|value| allowed.covers(value)),
        };
        (!holds).then(|| format!("its '{path}' is another"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn flatten(within: &str, claims: Map<String, Value>, flat: &mut BTreeMap<String, Values>) -> Result<(), &'static str> {
    for (name, value) in claims {
        let path = if within.is_empty() { name } else { format!("{within}/{name}") };
        let values = match value {
            Value::Null => continue,
            Value::Object(inner) => {
                flatten(&path, inner, flat)?;
                continue;
            }
            Value::Array(values) => {
                let texts: Option<Vec<String>> = values.iter().map(|it| it.as_str().map(str::to_owned)).collect();
                let Some(texts) = texts else { continue };
                Values::Many(texts)
            }
            value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => Values::One(value),
        };
        if flat.len() >= CLAIMS_MAX {
            return Err("it has too many claims");
        }
        match flat.entry(path) {
            Entry::Vacant(place) => drop(place.insert(values)),
            Entry::Occupied(_) => return Err("two of its claims have one name"),
        }
    }
    Ok(())
}

/// What a claim may be: one of these.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Allowed {
    /// One pattern.
    One(Pattern),
    /// Any of them.
    AnyOf(Vec<Pattern>),
}

impl Allowed {
    fn covers(&self, text: &str) -> bool {
        self.patterns().iter().any(|pattern| pattern.covers(text))
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::AnyOf(patterns) => patterns,
        }
    }
}

/// A text in which `*` stands for any characters, also for none.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Pattern(String);

impl Pattern {
    fn covers(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(last) = parts.next_back() else { return text == first };
        let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
        parts.all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Pattern};
    use serde_json::{Value, json};

    fn claims(value: Value) -> Result<Claims, &'static str> {
        let Value::Object(claims) = value else { panic!("no object") };
        Claims::flattened(claims)
    }

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        let cases = [
            ("acme/deploy", "acme/deploy", true),
            ("acme/deploy", "acme/deploy2", false),
            ("acme/deploy", "Acme/deploy", false),
            ("acme/*", "acme/deploy", true),
            ("acme/*", "acme/", true),
            ("acme/*", "acme-evil/deploy", false),
            ("acme/*", "evil/acme/deploy", false),
            ("*/deploy", "acme/deploy", true),
            ("*/deploy", "acme/deploy/x", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("a*a*a", "aa", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("a.c", "abc", false),
            ("**", "x", true),
        ];
        for (pattern, text, covers) in cases {
            assert_eq!(Pattern(pattern.to_owned()).covers(text), covers, "{pattern} {text}");
        }
    }

    #[test]
    fn claims_have_paths_and_no_two_have_the_same() {
        let found = claims(json!({
            "sub": "a", "run": 7, "fork": false, "none": null, "groups": ["x", "y"], "mixed": ["x", 1],
            "kubernetes.io": { "namespace": "prod", "serviceaccount": { "name": "deployer" } },
        }))
        .unwrap();
        let single: Vec<(String, String)> = found.single().into_iter().collect();
        let expected = [
            ("fork", "false"),
            ("kubernetes.io/namespace", "prod"),
            ("kubernetes.io/serviceaccount/name", "deployer"),
            ("run", "7"),
            ("sub", "a"),
        ];
        assert_eq!(single, expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
        assert_eq!((found.list("groups"), found.list("sub")), (vec!["x", "y"], vec!["a"]));
        assert_eq!(found.text("groups"), None);
        assert_eq!((found.time("run"), found.time("exp")), (Ok(Some(7)), Ok(None)));
        found.time("sub").unwrap_err();
        let twice = json!({ "a": { "b": "one" }, "a/b": "two" });
        assert_eq!(claims(twice).err(), Some("two of its claims have one name"));
    }
}
