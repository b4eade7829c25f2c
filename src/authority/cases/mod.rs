//! Policies as tables: the questions that matter, and what is answered to each. `elevate-authority policy test` holds a
//! policy to its table, and so do the tests of those that we ship.
//!
//! The first line names columns: those of the question, `|`, those of the answer. Each further line is a case. `-` says
//! nothing, `#` begins a comment, and lists have commas.

mod question;

use super::config::Config;
use super::policy::Policy;
use super::rules::RulesError;
use crate::protocol::display::escaped;
pub use question::Asked;
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

/// Where the table of a set of rules stands, beside its files.
pub const CASES: &str = "policy.cases";
/// What an answer may say.
const ANSWER: [&str; 3] = ["answer", "time", "policies"];

/// The table of a policy.
#[derive(Debug)]
pub struct Table {
    cases: Vec<Case>,
}

/// One line of it.
#[derive(Debug)]
pub struct Case {
    /// Counted from 1.
    pub line: usize,
    /// What its line asks, for people.
    shown: String,
    question: Asked,
    expected: Columns,
}

/// By name, in the table's order.
type Columns = Vec<(&'static str, String)>;

/// What a policy answers: a word for each column that a table may hold it to.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    words: [String; 3],
    /// Why, for people.
    because: String,
}

/// A case that is answered otherwise.
#[derive(Debug)]
pub struct Difference<'a> {
    case: &'a Case,
    answer: Answer,
}

impl Table {
    /// Reads the text of `file`.
    ///
    /// # Errors
    /// [`RulesError`], with the line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, RulesError> {
        let mut lines = text.lines().enumerate().filter_map(|(index, line)| {
            let line = line.split('#').next().unwrap_or_default().trim();
            (!line.is_empty()).then_some((index + 1, line))
        });
        let at = |line, reason| RulesError::at(file, Some(line), reason);
        let (number, header) = lines.next().ok_or_else(|| RulesError::at(file, None, "it holds no table".into()))?;
        let header = Header::parse(header).map_err(|reason| at(number, reason))?;
        let case = |(line, text)| {
            let (question, expected) = header.split(text).map_err(|reason| at(line, reason))?;
            let shown =
                question.iter().filter(|(_, value)| value != "-").map(|(name, value)| format!("{name} {value}"));
            let shown = shown.collect::<Vec<_>>().join(", ");
            let question = Asked::parse(&question).map_err(|reason| at(line, reason))?;
            Ok::<_, RulesError>(Case { line, shown, question, expected })
        };
        Ok(Self { cases: lines.map(case).collect::<Result<_, _>>()? })
    }

    /// Its cases, in order.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Those that `policy`, with this configuration, answers otherwise.
    #[must_use]
    pub fn differences(&self, policy: &Policy, config: &Config) -> Vec<Difference<'_>> {
        let cases = self.cases.iter().map(|case| Difference { case, answer: case.question.answer(policy, config) });
        cases.filter(Difference::is_one).collect()
    }
}

impl Case {
    /// What it asks.
    #[must_use]
    pub const fn question(&self) -> &Asked {
        &self.question
    }
}

struct Header {
    question: Vec<&'static str>,
    expected: Vec<&'static str>,
}

impl Header {
    fn parse(line: &str) -> Result<Self, String> {
        let (question, expected) = line.split_once('|').ok_or("it names no answer: a '|' stands before it")?;
        Ok(Self { question: known(question, &question::COLUMNS)?, expected: known(expected, &ANSWER)? })
    }

    fn split(&self, line: &str) -> Result<(Columns, Columns), String> {
        let (question, expected) = line.split_once('|').ok_or("it has no answer: a '|' stands before it")?;
        Ok((columns(&self.question, question)?, columns(&self.expected, expected)?))
    }
}

fn known(text: &str, names: &[&'static str]) -> Result<Vec<&'static str>, String> {
    let mut found = Vec::new();
    for word in text.split_whitespace() {
        let name = names.iter().find(|name| **name == word);
        let name =
            name.ok_or_else(|| format!("no column is called '{}'; there are {}", escaped(word), names.join(", ")))?;
        if found.contains(name) {
            return Err(format!("the column {name} is there twice"));
        }
        found.push(*name);
    }
    if found.is_empty() { Err("it names no column".into()) } else { Ok(found) }
}

fn columns(names: &[&'static str], text: &str) -> Result<Columns, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() != names.len() {
        return Err(format!("there are {} words for the {} columns {}", words.len(), names.len(), names.join(", ")));
    }
    Ok(names.iter().copied().zip(words.into_iter().map(str::to_owned)).collect())
}

impl Difference<'_> {
    fn is_one(&self) -> bool {
        self.case.expected.iter().any(|(name, expected)| self.answer.column(name) != expected)
    }

    /// The line of its case, counted from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.case.line
    }
}

/// For people: what is asked, what the table says, what is answered.
impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.case.shown)?;
        let mut expected = String::new();
        let mut answered = String::new();
        for (name, word) in &self.case.expected {
            let answer = self.answer.column(name);
            let width = word.chars().count().max(answer.chars().count());
            write!(expected, "  {word:width$}")?;
            write!(answered, "  {answer:width$}")?;
        }
        writeln!(f, "  expected{}", expected.trim_end())?;
        writeln!(f, "  answered{}", answered.trim_end())?;
        write!(f, "  because   {}", self.answer.because)
    }
}

impl Answer {
    fn column(&self, name: &str) -> &str {
        ANSWER.iter().zip(&self.words).find(|(known, _)| **known == name).map_or("", |(_, word)| word)
    }
}
