//! `policy simulate`: the decisions of the log once more, under the rules in force and under new ones. What is compared
//! are the answers of both, not what was recorded: who proved more than was asked did so anyway.

use super::answer::Answer;
use super::boxes::list;
use super::change::Change;
use super::page::{Page, thousands};
use crate::authority::question::{Action, Question, Target};
use crate::authority::rules::Rules;
use crate::authority::store::StoreError;
use crate::authority::store::replay::{Decided, Replay};
use crate::protocol::assurance::Assurance;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;

/// What is shown of one sort at most.
const SHOWN: usize = 5;

/// What became of every decision that there was.
#[derive(Default)]
pub struct Simulation {
    changes: BTreeMap<Change, Places>,
    /// Touches by person, before and after.
    touches: BTreeMap<String, [usize; 2]>,
    days: BTreeSet<jiff::civil::Date>,
    replayed: usize,
    erased: usize,
    unasked: usize,
}

/// Which decisions changed alike: how many of which resource, and whose.
#[derive(Default)]
struct Places {
    count: usize,
    resources: BTreeMap<String, usize>,
    people: BTreeSet<String>,
}

/// One decision, as far as it can be replayed.
enum Replayed {
    Erased,
    Unasked,
    Again { day: jiff::civil::Date, sub: String, resource: String, change: Change },
}

#[derive(Deserialize)]
struct Private {
    question: Option<Question>,
}

/// Replays what was decided since then.
///
/// # Errors
/// [`StoreError`].
pub async fn simulate(log: &mut Replay, since: Timestamp, old: &Rules, new: &Rules) -> Result<Simulation, StoreError> {
    let mut simulation = Simulation::default();
    while let Some(decided) = log.next(since).await? {
        for one in again(&decided, old, new) {
            simulation.add(one);
        }
    }
    Ok(simulation)
}

/// Both answers to each, on all processors.
fn again(decided: &[Decided], old: &Rules, new: &Rules) -> Vec<Replayed> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let parts = decided.chunks(decided.len().div_ceil(workers).max(1));
        let one = |decided| replayed(decided, old, new);
        let running: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>())).collect();
        let done = running
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)));
        done.collect()
    })
}

fn replayed(decided: &Decided, old: &Rules, new: &Rules) -> Replayed {
    let Some(private) = &decided.private else { return Replayed::Erased };
    let Some(question) = serde_json::from_str::<Private>(private).ok().and_then(|private| private.question) else {
        return Replayed::Unasked;
    };
    let change = Change { old: answer(&question, old, new), new: answer(&question, new, old) };
    let (sub, resource) = (question.principal.sub, question.resource.name.to_string());
    Replayed::Again { day: TimeZone::UTC.to_datetime(decided.time).date(), sub, resource, change }
}

/// The same person, at the same time, asking rules that may have another catalogue and give other roles. What `others` have
/// in their files and these have not is gone.
fn answer(asked: &Question, rules: &Rules, others: &Rules) -> Answer {
    let is_declared = |rules: &Rules| rules.config.resources.contains_key(&asked.resource.name);
    let trusts = |rules: &Rules, name: &str| rules.config.trusted_issuers.iter().any(|trusted| trusted.name == name);
    if asked.action == Action::Elevate && is_declared(others) && !is_declared(rules) {
        return Answer::NotDeclared;
    }
    let issuer = asked.principal.workload.as_ref().map(|workload| workload.issuer.as_str());
    if issuer.is_some_and(|issuer| trusts(others, issuer) && !trusts(rules, issuer)) {
        return Answer::Denied { policies: Vec::new(), cause: String::new() };
    }
    let mut question = asked.clone();
    if let Some(signals) = question.context["observed"]["signals"].as_array_mut() {
        signals.retain(|name| !rules.config.risk.off.iter().any(|signal| name == signal.name()));
    }
    question.default_ttl = rules.config.default_ttl;
    if let (Action::Elevate, Some(resource)) = (asked.action, rules.config.resources.get(&asked.resource.name)) {
        question.resource = Target::of(&asked.resource.name, resource);
    }
    let principal = &mut question.principal;
    let means = |entry: &String| match entry.strip_prefix("group:") {
        Some(group) => asked.principal.groups.contains(group),
        None => *entry == asked.principal.sub,
    };
    let those = rules.config.roles.iter().filter(|(_, members)| members.iter().any(means));
    principal.roles = those.map(|(role, _)| role.clone()).collect();
    if !rules.config.admins.is_empty() {
        principal.admin = rules.config.admins.iter().any(means);
    }
    Answer::to(&question, &rules.policy).without_cause()
}

impl Simulation {
    fn add(&mut self, one: Replayed) {
        let (day, sub, resource, change) = match one {
            Replayed::Erased => return self.erased += 1,
            Replayed::Unasked => return self.unasked += 1,
            Replayed::Again { day, sub, resource, change } => (day, sub, resource, change),
        };
        self.replayed += 1;
        self.days.insert(day);
        let [before, after] = self.touches.entry(sub.clone()).or_default();
        *before += touches(&change.old);
        *after += touches(&change.new);
        if change.is_one() {
            let places = self.changes.entry(change).or_default();
            places.count += 1;
            *places.resources.entry(resource).or_default() += 1;
            places.people.insert(sub);
        }
    }

    /// How many decisions would be others.
    #[must_use]
    pub fn count(&self) -> usize {
        self.changes.values().map(|places| places.count).sum()
    }

    /// For people, at 80 columns.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = Page::default();
        let mut changes: Vec<(&Change, &Places)> = self.changes.iter().collect();
        changes.sort_by_key(|(change, places)| (change.weight(), usize::MAX - places.count));
        for (opens, title) in [(true, "opens"), (false, "tightens")] {
            let mut those = changes.iter().filter(|(change, _)| change.opens() == opens).peekable();
            if those.peek().is_none() {
                continue;
            }
            page.paragraph(0, title);
            for (change, places) in those {
                page.paragraph(2, &change.sentence(places.count, "decision"));
                page.paragraph(4, &places.sentence());
            }
            page.gap();
        }
        let (all, other) = (thousands(self.replayed), thousands(self.count()));
        page.paragraph(
            0,
            &format!("{other} of {all} decisions would be others, {} of them new denials", self.denials()),
        );
        self.say_touches(&mut page);
        if self.erased + self.unasked > 0 {
            let (erased, unasked) = (thousands(self.erased), thousands(self.unasked));
            let says =
                format!("Not replayed: {erased} that are erased, {unasked} that were recorded without their question.");
            page.paragraph(0, &says);
        }
        page.text().to_owned()
    }

    fn denials(&self) -> String {
        let new = self.changes.iter().filter(|(change, _)| change.old.is_permitted() && !change.new.is_permitted());
        thousands(new.map(|(_, places)| places.count).sum())
    }

    fn say_touches(&self, page: &mut Page) {
        let (people, days) = (self.touches.len(), self.days.len());
        if people == 0 {
            return;
        }
        let sum = |place: usize| self.touches.values().map(|touches| touches[place]).sum::<usize>();
        let each = |touches: usize| {
            let hundredths = (touches * 200 / (people * days)).div_ceil(2);
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
        };
        let (before, after) = (each(sum(0)), each(sum(1)));
        let (who, when) = (plural(people, "person", "people"), plural(days, "day", "days"));
        page.paragraph(0, &format!("touches per person and day: {before} -> {after} ({who}, {when} with decisions)"));
        let more = |touches: &[usize; 2]| touches[1].cast_signed() - touches[0].cast_signed();
        let mut most: Vec<(&String, isize)> =
            self.touches.iter().map(|(sub, touches)| (sub, more(touches))).filter(|(_, more)| *more != 0).collect();
        most.sort_by_key(|(sub, more)| (-more.abs(), *sub));
        for (sub, more) in most.into_iter().take(SHOWN) {
            page.paragraph(2, &format!("{sub}: {more:+}"));
        }
    }
}

impl Places {
    fn sentence(&self) -> String {
        let mut most: Vec<(&String, &usize)> = self.resources.iter().collect();
        most.sort_by_key(|(name, count)| (usize::MAX - **count, *name));
        let mut shown: Vec<String> =
            most.iter().take(SHOWN).map(|(name, count)| format!("{name} {}", thousands(**count))).collect();
        if most.len() > SHOWN {
            shown.push(format!("{} others", most.len() - SHOWN));
        }
        let people: Vec<&str> = self.people.iter().map(String::as_str).collect();
        format!("{}; by {}", shown.join(", "), list(&people, "and"))
    }
}

/// One, where it takes a key.
fn touches(answer: &Answer) -> usize {
    match answer {
        Answer::Permitted { assurance, .. } => usize::from(*assurance > Assurance::Session),
        Answer::Denied { .. } | Answer::NotDeclared => 0,
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}
