//! The text of a policy set, policy by policy, with the lines that they stand on.

use super::vocabulary::Vocabulary;
use cedar_policy::{Effect, Policy, PolicyId};
use serde_json::Value;

/// One policy, as it is written.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Where its text begins, counted from 1.
    pub line: usize,
    /// All of it, with its annotations.
    pub text: String,
    /// What the log and `elevate explain` call it: its `@id`, or where it stands among the others.
    pub id: String,
    /// Whether it permits or forbids.
    pub effect: Effect,
    /// Its annotations.
    pub annotations: Vec<(String, String)>,
    /// What it looks at.
    pub vocabulary: Vocabulary,
}

impl Statement {
    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The line of something in it that is written so; else the one it begins on.
    #[must_use]
    pub fn line_of(&self, written: &str) -> usize {
        self.text.find(written).map_or(self.line, |offset| self.line + self.text[..offset].matches('\n').count())
    }
}

/// The policies of a text that has been parsed before, in order.
#[must_use]
pub fn statements(text: &str) -> Vec<Statement> {
    let read = |(place, (line, text)): (usize, (usize, String))| {
        let id = format!("policy{place}");
        let policy = Policy::parse(Some(PolicyId::new(&id)), &text).ok()?;
        let mut vocabulary = Vocabulary::default();
        let json: Value = policy.to_json().ok()?;
        vocabulary.add(&json);
        Some(Statement {
            line,
            id: policy.annotation("id").map_or(id, str::to_owned),
            effect: policy.effect(),
            annotations: policy.annotations().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            text,
            vocabulary,
        })
    };
    split(text).into_iter().enumerate().filter_map(read).collect()
}

/// What ends with a `;` that stands in no string and no comment, from its first word on.
fn split(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut begun, mut line, mut inside) = (Vec::new(), None, 1, Inside::Code);
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\n' {
            line += 1;
        }
        match (inside, c) {
            (Inside::Comment, '\n') | (Inside::Text, '"') => inside = Inside::Code,
            (Inside::Text, '\\') => {
                let _ = characters.next();
            }
            (Inside::Comment | Inside::Text, _) => {}
            (Inside::Code, '/') if characters.peek().is_some_and(|(_, next)| *next == '/') => inside = Inside::Comment,
            (Inside::Code, c) => {
                if !c.is_whitespace() && begun.is_none() {
                    begun = Some((line, at));
                }
                if c == '"' {
                    inside = Inside::Text;
                }
                if let (';', Some((line, start))) = (c, begun) {
                    found.push((line, text[start..=at].to_owned()));
                    begun = None;
                }
            }
        }
    }
    found
}

#[derive(Clone, Copy)]
enum Inside {
    Code,
    Comment,
    Text,
}

#[cfg(test)]
mod tests {
    use super::{split, statements};
    use crate::authority::rules::DEFAULT_POLICY;

    #[test]
    fn a_text_is_split_where_its_policies_end() {
        let text = "// no; policy\n\n@reason(\"a; b // \\\" c\")\npermit (principal, action, resource);\n/\n;";
        let parts = split(text);
        assert_eq!(parts[0], (3, "@reason(\"a; b // \\\" c\")\npermit (principal, action, resource);".to_owned()));
        assert_eq!(parts[1], (5, "/\n;".to_owned()));
    }

    #[test]
    fn every_policy_of_the_default_is_read() {
        let read = statements(DEFAULT_POLICY);
        assert_eq!(
            read.len(),
            DEFAULT_POLICY.matches("\npermit (").count() + DEFAULT_POLICY.matches("\nforbid (").count()
        );
        let low = &read[0];
        assert_eq!((low.id.as_str(), low.annotation("max_ttl")), ("low", Some("1h")));
        assert_eq!(low.vocabulary.texts("resource.sensitivity").collect::<Vec<_>>(), ["low"]);
        assert!(low.vocabulary.texts("context.observed.signals").any(|signal| signal == "recent_failures"));
        let fresh = read.iter().find(|it| it.id == "first-key-needs-a-fresh-sign-in").unwrap();
        assert_eq!(fresh.vocabulary.starts("context.observed.sign_in.age").collect::<Vec<_>>(), [300]);
        assert!(DEFAULT_POLICY.lines().nth(fresh.line_of("forbid") - 1).unwrap().starts_with("forbid"));
    }
}
