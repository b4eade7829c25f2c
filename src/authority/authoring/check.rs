//! `policy check`: what is wrong with a policy that loads. Policies that decide nothing, names that nothing has,
//! annotations that nothing reads, resources that nobody reaches.

use super::axes;
use super::page::{Page, asked, thousands, unvaried};
use super::source::{Statement, statements};
use super::space::Space;
use super::vocabulary::Vocabulary;
use crate::authority::rules::Rules;
use std::path::Path;

mod names;
mod reach;
mod verdict;

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Warning {
    file: &'static str,
    line: usize,
    says: String,
}

const POLICY: &str = "policy.cedar";
const CONFIG: &str = "authority.toml";
/// What a policy may say of itself.
const ANNOTATIONS: [&str; 3] = ["id", "reason", "max_ttl"];

/// What was found.
pub struct Findings {
    page: Page,
    /// How many warnings.
    pub count: usize,
}

impl Findings {
    /// For people, at 80 columns.
    #[must_use]
    pub fn text(&self) -> &str {
        self.page.text()
    }
}

/// Everything that can be said of rules that load.
#[must_use]
pub fn check(directory: &Path, rules: &Rules) -> Findings {
    let policies = statements(&rules.texts[1]);
    let all: Vec<&Statement> = policies.iter().collect();
    let space = axes::space(&all, &[&rules.config]);
    let seen = Vocabulary::of(policies.iter().map(|policy| &policy.vocabulary));

    let answered = verdict::Answered::ask(&space, rules);
    let mut warnings: Vec<Warning> = policies.iter().flat_map(annotations).collect();
    warnings.extend(policies.iter().flat_map(|policy| names::unknown(policy, &rules.config)));
    let (judged, left): (Vec<&Statement>, Vec<&Statement>) =
        policies.iter().partition(|policy| unvaried(&space, &policy.vocabulary).is_empty());
    // Beside one that was not tried in full, what the others come to can't be told.
    if left.is_empty() {
        warnings.extend(verdict::useless(&judged, &policies, &answered, &space, rules));
        warnings.extend(reach::unreachable(&answered, &space, rules));
    }
    warnings.extend(reach::open_to_any_workload(rules));
    warnings.sort();
    page(directory, rules, &warnings, &left, &space, &seen, answered.count())
}

fn page(
    directory: &Path,
    rules: &Rules,
    warnings: &[Warning],
    left: &[&Statement],
    space: &Space,
    seen: &Vocabulary,
    questions: usize,
) -> Findings {
    let mut page = Page::default();
    for warning in warnings {
        page.paragraph(0, &format!("{}:{}: {}", directory.join(warning.file).display(), warning.line, warning.says));
    }
    let warned = match warnings.len() {
        0 => "nothing to say".to_owned(),
        1 => "1 warning".to_owned(),
        count => format!("{} warnings", thousands(count)),
    };
    let (policies, resources) = (rules.policy.count(), rules.config.resources.len());
    page.paragraph(0, &format!("{warned} of {policies} policies and {resources} resources"));
    page.paragraph(0, &asked(space, seen, questions));
    if !left.is_empty() {
        let ids: Vec<&str> = left.iter().map(|policy| policy.id.as_str()).collect();
        let says = format!(
            "So what any policy comes to, and whom a resource is open to, was not judged: that is for {} to say.",
            ids.join(", ")
        );
        page.paragraph(0, &says);
    }
    Findings { page, count: warnings.len() }
}

/// Those that are missing, or that nothing reads.
fn annotations(policy: &Statement) -> Vec<Warning> {
    let id = &policy.id;
    let mut said = Vec::new();
    let mut warn = |line, says: String| said.push(Warning { file: POLICY, line, says });
    if policy.annotation("id").is_none() {
        let says = format!("this policy has no @id: the log calls it {id}, until one is put before it");
        warn(policy.line, says);
    }
    if policy.annotation("reason").is_none_or(str::is_empty) {
        warn(policy.line, format!("'{id}' has no @reason: nobody is told why it decides"));
    }
    for (name, _) in &policy.annotations {
        let line = policy.line_of(&format!("@{name}"));
        if !ANNOTATIONS.contains(&name.as_str()) {
            warn(line, format!("nothing reads @{name} of '{id}'; there are @{}", ANNOTATIONS.join(", @")));
        } else if name == "max_ttl" && policy.effect == cedar_policy::Effect::Forbid {
            warn(line, format!("@max_ttl of '{id}' does nothing: what is forbidden takes no time"));
        }
    }
    said
}
