//! `policy diff`: which questions two sets of rules answer otherwise, grouped, and first what the new one opens.

use super::answer::Answer;
use super::axes;
use super::boxes::cover;
use super::change::Change;
use super::page::{Page, asked, thousands};
use super::source::{Statement, statements};
use super::space::Point;
use super::vocabulary::Vocabulary;
use crate::authority::rules::Rules;
use std::collections::{BTreeMap, HashSet};

/// Groups that are shown of one change.
const SHOWN: usize = 8;

/// Everything that two sets of rules answer otherwise.
pub struct Difference {
    page: Page,
    /// How many questions are answered otherwise.
    pub count: usize,
}

/// Asks both whatever either tells apart.
#[must_use]
pub fn difference(old: &Rules, new: &Rules) -> Difference {
    let (before, after) = (statements(&old.texts[1]), statements(&new.texts[1]));
    let both: Vec<&Statement> = before.iter().chain(&after).collect();
    let space = axes::space(&both, &[&old.config, &new.config]);
    let answers = space.map(|point, asked| {
        let answer = |rules: &Rules| Answer::of(asked, rules, &rules.policy).without_cause();
        let change = Change { old: answer(old), new: answer(new) };
        (point.clone(), change.is_one().then_some(change))
    });
    let exist: HashSet<Point> = answers.iter().map(|(point, _)| point.clone()).collect();
    let mut changes: BTreeMap<Change, HashSet<Point>> = BTreeMap::new();
    for (point, change) in answers {
        if let Some(change) = change {
            changes.entry(change).or_default().insert(point);
        }
    }
    let mut changes: Vec<(Change, HashSet<Point>)> = changes.into_iter().collect();
    changes.sort_by_key(|(change, points)| (change.weight(), usize::MAX - points.len()));

    let of = |opens: bool| changes.iter().filter(move |(change, _)| change.opens() == opens);
    let questions = |opens: bool| of(opens).map(|(_, points)| points.len()).sum::<usize>();
    let mut page = Page::default();
    for (opens, title) in [(true, "opens"), (false, "tightens")] {
        if questions(opens) == 0 {
            continue;
        }
        page.paragraph(0, title);
        for (change, points) in of(opens) {
            page.paragraph(2, &change.sentence(points.len(), "question"));
            let groups = cover(points, &exist, &space);
            for group in groups.iter().take(SHOWN) {
                page.paragraph(4, &group.sentence(&space));
            }
            if groups.len() > SHOWN {
                page.paragraph(4, &format!("and {} smaller groups", thousands(groups.len() - SHOWN)));
            }
        }
        page.gap();
    }
    let (open, tighten, all) = (questions(true), questions(false), exist.len());
    page.paragraph(
        0,
        &match (open + tighten, thousands(all)) {
            (0, all) => format!("all {all} questions are answered the same"),
            (count, all) => {
                let (count, open, tighten) = (thousands(count), thousands(open), thousands(tighten));
                format!("{count} of {all} questions are answered otherwise: {open} open, {tighten} tighten")
            }
        },
    );
    let seen = Vocabulary::of(both.iter().map(|statement| &statement.vocabulary));
    page.paragraph(0, &asked(&space, &seen, all));
    Difference { page, count: open + tighten }
}

impl Difference {
    /// For people, at 80 columns.
    #[must_use]
    pub fn text(&self) -> &str {
        self.page.text()
    }
}
