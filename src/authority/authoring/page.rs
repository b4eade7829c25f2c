//! What the tools print: paragraphs of 80 columns.

use super::space::Space;
use super::vocabulary::Vocabulary;
use crate::protocol::display::{escaped, wrapped};

const COLUMNS: usize = 80;

/// Lines for people.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// A paragraph that begins `indent` columns from the left, and goes on two further.
    pub fn paragraph(&mut self, indent: usize, text: &str) {
        let lines = wrapped(&escaped(text), COLUMNS - indent - 2);
        for (place, line) in lines.iter().enumerate() {
            let before = if place == 0 { indent } else { indent + 2 };
            self.0.push_str(&" ".repeat(before));
            self.0.push_str(line);
            self.0.push('\n');
        }
    }

    /// A line of nothing.
    pub fn gap(&mut self) {
        self.0.push('\n');
    }

    /// All of it, without the last end of line.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.trim_end_matches('\n')
    }
}

/// What was varied, and what was not: whoever reads on has to know that it was an enumeration.
#[must_use]
pub fn asked(space: &Space, seen: &Vocabulary, questions: usize) -> String {
    let axes: Vec<String> = space
        .axes()
        .iter()
        .filter(|axis| axis.choices.len() > 1)
        .map(|axis| format!("{} ({})", axis.name, axis.choices.len()))
        .collect();
    let how = if space.is_one_at_a_time() { " (the lesser ones one at a time)" } else { "" };
    let mut said = format!(
        "This asked {} questions and proves nothing about others. Varied: {}{how}.",
        thousands(questions),
        axes.join(", ")
    );
    let not = unvaried(space, seen);
    if !not.is_empty() {
        said.push_str(" Not varied, though policies look at it: ");
        said.push_str(&not.join(", "));
        said.push('.');
    }
    said
}

/// What policies look at and no axis varies.
#[must_use]
pub fn unvaried(space: &Space, seen: &Vocabulary) -> Vec<String> {
    let records =
        ["principal", "action", "resource", "context", "context.observed", "context.claimed", "context.asked"];
    let is_varied = |path: &str| {
        records.contains(&path)
            || path.starts_with("context.assurance")
            || space.axes().iter().any(|axis| axis.paths.iter().any(|varied| varied == path))
    };
    seen.paths().filter(|path| !is_varied(path)).map(str::to_owned).collect()
}

/// With commas.
#[must_use]
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut shown = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        if !shown.is_empty() {
            shown.push(',');
        }
        shown.push_str(&String::from_utf8_lossy(group));
    }
    shown
}
