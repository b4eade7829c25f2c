//! From one answer to another.

use super::answer::Answer;
use super::page::thousands;

/// From which answer to which.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// Before.
    pub old: Answer,
    /// After.
    pub new: Answer,
}

impl Change {
    /// Whether it is one. Who decides may change; what is answered is what counts.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.old.effort() != self.new.effort()
    }

    /// Whether less is asked for, or more given.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.new.effort() < self.old.effort()
    }

    /// The most permissive first: by how many rungs it is less, then by how low it ends.
    #[must_use]
    pub fn weight(&self) -> (isize, (usize, u64)) {
        let rung = |answer: &Answer| isize::try_from(answer.effort().0).unwrap_or_default();
        (rung(&self.new) - rung(&self.old), self.new.effort())
    }

    /// For people, with how many it is of.
    #[must_use]
    pub fn sentence(&self, count: usize, noun: &str) -> String {
        let by = |answer: &Answer| match answer.policies() {
            [] => "none".to_owned(),
            ids => ids.join(" + "),
        };
        let (old, new) = (by(&self.old), by(&self.new));
        let by = if old == new { format!("policy {old}") } else { format!("policies {old} -> {new}") };
        let s = if count == 1 { "" } else { "s" };
        format!("{} -> {} ({by}): {} {noun}{s}", self.old, self.new, thousands(count))
    }
}
