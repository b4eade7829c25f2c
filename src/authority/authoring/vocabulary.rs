//! What policies look at and compare with, read off their syntax (the JSON form of Cedar's documentation).

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What policies compare something with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Literal {
    /// A string.
    Text(String),
    /// The first number of those that a comparison tells from the ones before.
    Number(i64),
}

/// Every path that policies look at, as `context.observed.hour`, with what it is compared with; and who and what they name.
/// A workload's claim is `principal.claims.NAME`.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    paths: BTreeMap<String, BTreeSet<Literal>>,
    named: BTreeSet<(String, String)>,
}

/// Where a workload's claims stand among the paths.
pub const CLAIMS: &str = "principal.claims.";

impl Vocabulary {
    /// Of all of these.
    #[must_use]
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut merged = Self::default();
        for one in all {
            merged.merge(one);
        }
        merged
    }

    /// Adds what a policy has, in its JSON form.
    pub fn add(&mut self, policy: &Value) {
        match policy {
            Value::Object(node) => {
                self.look(policy, node);
                node.values().for_each(|value| self.add(value));
            }
            Value::Array(values) => values.iter().for_each(|value| self.add(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        for (path, literals) in &other.paths {
            self.paths.entry(path.clone()).or_default().extend(literals.iter().cloned());
        }
        self.named.extend(other.named.iter().cloned());
    }

    fn look(&mut self, node: &Value, fields: &Map<String, Value>) {
        if let (Some(Value::String(kind)), Some(Value::String(id))) = (fields.get("type"), fields.get("id")) {
            self.named.insert((kind.clone(), id.clone()));
        }
        if let Some(path) = path_of(node) {
            self.paths.entry(path).or_default();
        }
        for (operator, compared) in fields {
            let Some(left) = compared.get("left") else { continue };
            if let Some(pattern) = compared.get("pattern") {
                self.compare(left, "like", &Value::String(sample(pattern)));
            }
            if let Some(right) = compared.get("right") {
                self.compare(left, operator, right);
                self.compare(right, turned(operator), left);
            }
        }
    }

    fn compare(&mut self, looked_at: &Value, operator: &str, with: &Value) {
        if let Some(path) = path_of(looked_at) {
            let found = self.paths.entry(path).or_default();
            for literal in literals(with) {
                match literal {
                    Literal::Number(number) => found.extend(starts(operator, number).map(Literal::Number)),
                    Literal::Text(_) => {
                        found.insert(literal);
                    }
                }
            }
        }
    }

    /// Whether they look at it.
    #[must_use]
    pub fn looks_at(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// The strings that they compare it with.
    pub fn texts(&self, path: &str) -> impl Iterator<Item = &str> {
        self.paths.get(path).into_iter().flatten().filter_map(|literal| match literal {
            Literal::Text(text) => Some(text.as_str()),
            Literal::Number(_) => None,
        })
    }

    /// Where the ranges begin that they tell apart.
    pub fn starts(&self, path: &str) -> impl Iterator<Item = i64> {
        self.paths.get(path).into_iter().flatten().filter_map(|literal| match literal {
            Literal::Number(number) => Some(*number),
            Literal::Text(_) => None,
        })
    }

    /// Everything that they look at.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }

    /// The entities of a type that they name.
    pub fn named<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.named.iter().filter(move |(named, _)| named == kind).map(|(_, id)| id.as_str())
    }
}

/// `context.observed.hour` of what reads an attribute, a tag, or asks whether there is one.
fn path_of(node: &Value) -> Option<String> {
    if let Some(variable) = node.get("Var") {
        return variable.as_str().map(str::to_owned);
    }
    if let Some(read) = node.get(".").or_else(|| node.get("has")) {
        return Some(format!("{}.{}", path_of(read.get("left")?)?, read.get("attr")?.as_str()?));
    }
    let tag = node.get("getTag").or_else(|| node.get("hasTag"))?;
    path_of(tag.get("left")?)?;
    Some(format!("{CLAIMS}{}", tag.get("right")?.get("Value")?.as_str()?))
}

/// The operator that says the same with its sides exchanged.
fn turned(operator: &str) -> &str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        same => same,
    }
}

/// Where a range of numbers begins by a comparison with this one.
fn starts(operator: &str, number: i64) -> impl Iterator<Item = i64> + use<> {
    let next = number.saturating_add(1);
    let starts = match operator {
        "<" | ">=" => [Some(number), None],
        "<=" | ">" => [None, Some(next)],
        _ => [Some(number), Some(next)],
    };
    starts.into_iter().flatten()
}

fn literals(node: &Value) -> Vec<Literal> {
    if let Some(members) = node.get("Set").and_then(Value::as_array) {
        return members.iter().flat_map(literals).collect();
    }
    let literal = match node.get("Value").unwrap_or(node) {
        Value::String(text) => Some(Literal::Text(text.clone())),
        Value::Number(number) => number.as_i64().map(Literal::Number),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    literal.into_iter().collect()
}

/// Something that a pattern of `like` matches.
fn sample(pattern: &Value) -> String {
    let parts = pattern.as_array().into_iter().flatten();
    parts.filter_map(|part| part.get("Literal").and_then(Value::as_str)).collect()
}
