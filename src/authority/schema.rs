//! What policies can see, by the schema beside them. A schema may declare less than there is (one that was written before a
//! value came up does); what it declares has to be there, in the same shape. That is checked once, here, and therefore not
//! for each question.

use super::question::Action;
use super::rules::DEFAULT_SCHEMA;
use cedar_policy::SchemaFragment;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The values that a schema declares, by their paths, as in `context.observed.hour`.
#[derive(Debug, Default)]
pub struct Declared(BTreeMap<String, Shape>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    kind: String,
    required: bool,
}

/// All that there is: what the schema declares that `elevate init` writes.
static PROVIDED: LazyLock<Declared> = LazyLock::new(|| Declared::read(DEFAULT_SCHEMA).unwrap_or_default());

impl Declared {
    /// Reads what a schema, which is valid, declares of users, resources and the context.
    ///
    /// # Errors
    /// A sentence, where it can't be read after all.
    pub fn read(schema: &str) -> Result<Self, String> {
        let (fragment, _) = SchemaFragment::from_cedarschema_str(schema).map_err(|error| error.to_string())?;
        let schema = fragment.to_json_value().map_err(|error| error.to_string())?;
        if let Some(name) = schema.as_object().into_iter().flatten().map(|(name, _)| name).find(|name| !name.is_empty())
        {
            return Err(format!("it has the namespace '{name}': nothing that asks, or is asked for, is in one"));
        }
        let schema = &schema[""];
        let mut declared = Self::default();
        for entity in ["User", "Resource"] {
            let described = &schema["entityTypes"][entity];
            if described["memberOfTypes"].as_array().is_some_and(|parents| !parents.is_empty()) {
                return Err(format!("a {entity} is in nothing: it has no parents"));
            }
            declared.add(schema, &described["shape"], entity.to_owned(), true);
            if let Some(tags) = described.get("tags") {
                declared.add(schema, tags, format!("{entity}.tags of any name"), true);
            }
        }
        for action in Action::ALL {
            let applies = &schema["actions"][action.name()]["appliesTo"];
            if applies["principalTypes"] != json!(["User"]) || applies["resourceTypes"] != json!(["Resource"]) {
                return Err(format!(
                    "the action {} applies to the principal User and the resource Resource",
                    action.name()
                ));
            }
        }
        for action in schema["actions"].as_object().into_iter().flat_map(|actions| actions.values()) {
            declared.add(schema, &action["appliesTo"]["context"], "context".to_owned(), true);
        }
        Ok(declared)
    }

    fn add(&mut self, schema: &Value, described: &Value, path: String, required: bool) {
        let kind = kind(described);
        if let Some(named) = schema["commonTypes"].get(&kind) {
            return self.add(schema, named, path, required);
        }
        for (name, attribute) in described["attributes"].as_object().into_iter().flatten() {
            let required = attribute["required"].as_bool().unwrap_or(true);
            self.add(schema, attribute, format!("{path}.{name}"), required);
        }
        self.0.insert(path, Shape { kind, required });
    }

    /// Whether it declares a value.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Refuses what there is not, or not always, or not of this type: a policy that relies on it would never be right.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        for (path, shape) in &self.0 {
            let Some(provided) = PROVIDED.0.get(path) else {
                return Err(format!(
                    "there is no {path}: no policy could go by it (elevate-policy(7) has what there is)"
                ));
            };
            if shape.kind != provided.kind {
                return Err(format!("{path} is a {}, not a {}", provided.kind, shape.kind));
            }
            if shape.required && !provided.required {
                let name = path.rsplit('.').next().unwrap_or_default();
                return Err(format!("{path} is not always there: it is written `{name}?`"));
            }
        }
        Ok(())
    }
}

/// `Long`, `Set<String>`, `Record`, or the name of what a schema calls so.
fn kind(described: &Value) -> String {
    let plain = |name: &str| name.trim_start_matches("__cedar::").to_owned();
    match described["type"].as_str() {
        Some("Set") => format!("Set<{}>", kind(&described["element"])),
        Some("EntityOrCommon" | "Entity" | "Extension") => plain(described["name"].as_str().unwrap_or_default()),
        Some(other) => plain(other),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_SCHEMA, Declared};

    fn checked(from: &str, to: &str) -> Result<(), String> {
        assert!(DEFAULT_SCHEMA.contains(from), "{from}");
        Declared::read(&DEFAULT_SCHEMA.replacen(from, to, 1))?.check()
    }

    /// A policy about what never asks, or is never asked for, would be valid and never match: a `forbid`, too.
    #[test]
    fn what_never_asks_is_no_schema() {
        let inside = format!("namespace Corp {{ {DEFAULT_SCHEMA} }}");
        assert!(Declared::read(&inside).unwrap_err().starts_with("it has the namespace 'Corp'"));
        for (from, to, says) in [
            ("entity User = {", "entity Team; entity User in [Team] = {", "a User is in nothing"),
            ("action elevate, administer,", "action elevate,", "the action administer applies to"),
            ("    principal: User,", "    principal: [User, Resource],", "the action elevate applies to"),
        ] {
            let refused = checked(from, to).unwrap_err();
            assert!(refused.starts_with(says), "{to}: {refused}");
        }
    }

    #[test]
    fn a_schema_declares_what_there_is_or_less() {
        checked("", "").unwrap();
        checked("    hour: Long,", "").unwrap();
        checked("    groups: Set<String>,", "").unwrap();
        checked("    hour: Long,", "    hour?: Long,").unwrap();
        for (from, to, says) in [
            ("    hour: Long,", "    hour: String,", "context.observed.hour is a Long, not a String"),
            ("    hour: Long,", "    hour: Long, moon: Long,", "there is no context.observed.moon: "),
            ("    uid?: Long,", "    uid: Long,", "context.observed.uid is not always there: it is written `uid?`"),
            ("    groups: Set<String>,", "    groups: Set<Long>,", "User.groups is a Set<String>, not a Set<Long>"),
            ("tags String;", "tags Long;", "User.tags of any name is a String, not a Long"),
        ] {
            let refused = checked(from, to).unwrap_err();
            assert!(refused.starts_with(says), "{to}: {refused}");
        }
    }
}
