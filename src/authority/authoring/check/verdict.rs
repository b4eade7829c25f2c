//! Policies without which everything would be answered the same.

use super::{ANNOTATIONS, POLICY, Statement, Warning};
use crate::authority::authoring::answer::Answer;
use crate::authority::authoring::boxes::list;
use crate::authority::authoring::space::{Point, Space};
use crate::authority::policy::Policy;
use crate::authority::rules::Rules;
use crate::protocol::names::Ttl;
use cedar_policy::Effect;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// Of what can be so and was not asked nothing is known: it may be a conjunction that no question has.
const NEVER: &str = "decided none of the questions: what it wants was so in none of them";

/// Every question, and what the policy answers.
pub struct Answered(Vec<(Point, Answer)>);

impl Answered {
    /// Asks everything.
    pub fn ask(space: &Space, rules: &Rules) -> Self {
        Self(space.map(|point, asked| (point.clone(), Answer::of(asked, rules, &rules.policy))))
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The answers about one choice of what is asked for.
    pub fn about(&self, what: u16) -> Vec<&Answer> {
        self.0.iter().filter(|(point, _)| point.first() == Some(&what)).map(|(_, answer)| answer).collect()
    }

    fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.0.iter().map(|(_, answer)| answer)
    }
}

/// What it takes to ask a part of the policies.
struct Parts<'a> {
    all: &'a [Statement],
    rules: &'a Rules,
    space: &'a Space,
}

impl Parts<'_> {
    /// The answers of the policies that are wanted, at every point, in order.
    fn answers(&self, more: &str, wanted: impl Fn(&Statement) -> bool) -> Option<Vec<Answer>> {
        self.answers_at(None, more, wanted).map(|answers| answers.into_iter().flatten().collect())
    }

    /// The same, asked only at some of the points.
    fn answers_at(
        &self,
        points: Option<&HashSet<Point>>,
        more: &str,
        wanted: impl Fn(&Statement) -> bool,
    ) -> Option<Vec<Option<Answer>>> {
        let texts = self.all.iter().filter(|policy| wanted(policy)).map(|policy| policy.text.as_str());
        let text = texts.chain([more]).collect::<Vec<_>>().join("\n");
        let policy = Policy::parse(Path::new(POLICY), &text, Path::new(""), &self.rules.texts[2]).ok()?;
        let is_asked = |point: &Point| points.is_none_or(|points| points.contains(point));
        Some(self.space.map(|point, asked| is_asked(point).then(|| Answer::of(asked, self.rules, &policy))))
    }
}

/// Of the policies to be judged, those that change nothing, and why.
pub fn useless(
    judged: &[&Statement],
    all: &[Statement],
    answered: &Answered,
    space: &Space,
    rules: &Rules,
) -> Vec<Warning> {
    let parts = Parts { all, rules, space };
    let affected = affected(answered, &parts);
    let mut found: Vec<Warning> = Vec::new();
    // The later of two that are alike is the one that can go.
    let mut gone = BTreeSet::new();
    for policy in judged.iter().rev() {
        let says = match policy.effect {
            Effect::Permit => idle_permit(policy, all, answered, &parts, &gone),
            Effect::Forbid => idle_forbid(policy, answered, &affected, &parts, &gone),
        };
        if let Some(says) = says {
            gone.insert(policy.line);
            found.push(Warning { file: POLICY, line: policy.line, says: format!("'{}' {says}", policy.id) });
        }
    }
    found
}

/// Where anything is answered otherwise because something is forbidden.
fn affected(answered: &Answered, parts: &Parts<'_>) -> HashSet<Point> {
    if parts.all.iter().all(|policy| policy.effect == Effect::Permit) {
        return HashSet::new();
    }
    let open = parts.answers("", |policy| policy.effect == Effect::Permit).unwrap_or_default();
    let pairs = answered.0.iter().zip(&open).filter(|((_, real), open)| real.effort() != open.effort());
    pairs.map(|((point, _), _)| point.clone()).collect()
}

fn idle_permit(
    policy: &Statement,
    all: &[Statement],
    answered: &Answered,
    parts: &Parts<'_>,
    gone: &BTreeSet<usize>,
) -> Option<String> {
    let is_decided = |answer: &&Answer| answer.is_permitted() && answer.policies().contains(&policy.id);
    let decided: Vec<&Answer> = answered.answers().filter(is_decided).collect();
    if decided.is_empty() {
        let alone = parts.answers("", |other| other.line == policy.line)?;
        let instead: Vec<&Answer> = alone
            .iter()
            .zip(answered.answers())
            .filter(|(alone, _)| alone.is_permitted())
            .map(|(_, real)| real)
            .collect();
        return Some(outdone(&instead));
    }
    if policy.annotations.iter().any(|(name, _)| !ANNOTATIONS.contains(&name.as_str())) {
        return None;
    }
    let (mut always, mut sometimes): (Option<BTreeSet<&str>>, BTreeSet<&str>) = (None, BTreeSet::new());
    for answer in decided {
        let others: Vec<&Statement> = all
            .iter()
            .filter(|it| it.id != policy.id && answer.policies().contains(&it.id) && !gone.contains(&it.line))
            .collect();
        let shortest = others.iter().filter_map(|it| bound(it)).min();
        let shortens = bound(policy).is_some_and(|own| shortest.is_none_or(|shortest| own < shortest));
        if others.is_empty() || shortens {
            return None;
        }
        let ids: BTreeSet<&str> = others.into_iter().map(|it| it.id.as_str()).collect();
        sometimes.extend(&ids);
        always = Some(always.map_or(ids.clone(), |always| &always & &ids));
    }
    let with: Vec<&str> = always.filter(|ids| !ids.is_empty()).unwrap_or(sometimes).into_iter().collect();
    Some(format!("changes nothing: all that it permits, {} at the same rung for no longer", did(&with, "permit")))
}

/// Why a permit never decides, by what is answered where it would permit.
fn outdone(instead: &[&Answer]) -> String {
    if instead.is_empty() {
        return NEVER.to_owned();
    }
    let by = |permitted: bool| {
        let answers = instead.iter().filter(|answer| answer.is_permitted() == permitted);
        answers.flat_map(|answer| answer.policies().iter().map(String::as_str)).collect::<BTreeSet<_>>()
    };
    let (permits, forbids): (Vec<&str>, Vec<&str>) = (by(true).into_iter().collect(), by(false).into_iter().collect());
    let mut why = Vec::new();
    if !permits.is_empty() {
        why.push(format!("{} the same for less", did(&permits, "permit")));
    }
    if !forbids.is_empty() {
        why.push(format!("{} it", did(&forbids, "forbid")));
    }
    format!("decided none of the questions: wherever it would permit, {}", why.join(", or "))
}

fn idle_forbid(
    policy: &Statement,
    answered: &Answered,
    affected: &HashSet<Point>,
    parts: &Parts<'_>,
    gone: &BTreeSet<usize>,
) -> Option<String> {
    let alone = parts.answers("permit (principal, action, resource);", |other| other.line == policy.line)?;
    if alone.iter().all(|answer| answer.effort().0 == 0) {
        return Some(NEVER.to_owned());
    }
    let differing = |wanted: &dyn Fn(&Statement) -> bool| {
        let answers = parts.answers_at(Some(affected), "", wanted)?;
        let pairs = answers.into_iter().zip(answered.answers());
        let differ = pairs.filter(|(other, real)| other.as_ref().is_some_and(|other| other.effort() != real.effort()));
        Some(differ.count())
    };
    if differing(&|other| other.line != policy.line && !gone.contains(&other.line))? > 0 {
        return None;
    }
    // Where with it alone as much is open as with none, it forbids nothing that anybody is permitted.
    let forbidden: Vec<&Answer> = alone
        .iter()
        .zip(&answered.0)
        .filter(|(alone, (point, _))| alone.effort().0 > 0 && affected.contains(point))
        .map(|(_, (_, real))| real)
        .collect();
    if forbidden.is_empty() {
        return Some("changes nothing: nobody is permitted what it forbids".to_owned());
    }
    let denied = forbidden.iter().filter(|answer| !answer.is_permitted());
    let others = denied.flat_map(|answer| answer.policies().iter().map(String::as_str)).filter(|id| *id != policy.id);
    let others: Vec<&str> = others.collect::<BTreeSet<_>>().into_iter().collect();
    let by = if others.is_empty() { "others forbid".to_owned() } else { did(&others, "forbid") };
    Some(format!("changes nothing: whatever it forbids, {by} as well"))
}

/// "'a' forbids", "'a' and 'b' forbid".
fn did(ids: &[&str], verb: &str) -> String {
    format!("{} {verb}{}", quoted(ids), if ids.len() == 1 { "s" } else { "" })
}

fn bound(policy: &Statement) -> Option<Ttl> {
    policy.annotation("max_ttl").and_then(|ttl| ttl.parse().ok())
}

/// Names as they stand in a sentence.
pub fn quoted(ids: &[&str]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    list(&ids.iter().map(String::as_str).collect::<Vec<_>>(), "and")
}
