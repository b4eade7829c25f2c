//! Many questions as few sentences: a set of points is covered by products of choices, each as large as it can be.

use super::space::{Axis, Point, Space};
use std::collections::{BTreeSet, HashSet};

/// A product of choices: which of each axis.
pub struct Cover {
    choices: Vec<BTreeSet<u16>>,
    /// Axes of which everything that there is belongs to it.
    whole: Vec<bool>,
}

/// Covers these points, and of those that `exist` no others; the largest first.
#[must_use]
pub fn cover(points: &HashSet<Point>, exist: &HashSet<Point>, space: &Space) -> Vec<Cover> {
    let mut open: Vec<&Point> = points.iter().collect();
    open.sort_unstable();
    let mut covered: HashSet<Point> = HashSet::new();
    let mut covers: Vec<(Cover, HashSet<Point>)> = Vec::new();
    for point in open {
        if covered.contains(point) {
            continue;
        }
        let cover = grown(point, points, exist, space);
        let all: HashSet<Point> = product(&cover.choices).filter(|point| exist.contains(point)).collect();
        covered.extend(all.iter().cloned());
        // A later one may have grown around those before.
        covers.retain(|(_, before)| !before.is_subset(&all));
        covers.push((cover, all));
    }
    covers.sort_by_key(|(_, points)| usize::MAX - points.len());
    covers.into_iter().map(|(cover, _)| cover).collect()
}

/// From one point, along the lesser axes first.
fn grown(point: &Point, points: &HashSet<Point>, exist: &HashSet<Point>, space: &Space) -> Cover {
    let mut choices: Vec<BTreeSet<u16>> = point.iter().map(|choice| BTreeSet::from([*choice])).collect();
    let all = |axis: &Axis| (0..u16::try_from(axis.choices.len()).unwrap_or(u16::MAX)).collect::<BTreeSet<u16>>();
    for (place, axis) in space.axes().iter().enumerate().rev() {
        for choice in all(axis) {
            let mut there = Slice::of(&choices, place, choice, exist);
            if there.next().is_some_and(|first| points.contains(&first) && there.all(|next| points.contains(&next))) {
                choices[place].insert(choice);
            }
        }
    }
    let whole = space.axes().iter().enumerate().map(|(place, axis)| {
        let others = &all(axis) - &choices[place];
        others.into_iter().all(|choice| Slice::of(&choices, place, choice, exist).next().is_none())
    });
    Cover { whole: whole.collect(), choices }
}

/// The points of a product with one other choice at one place, as far as they exist.
struct Slice;

impl Slice {
    fn of<'a>(
        choices: &[BTreeSet<u16>],
        place: usize,
        choice: u16,
        exist: &'a HashSet<Point>,
    ) -> impl Iterator<Item = Point> + use<'a> {
        let mut choices = choices.to_vec();
        choices[place] = BTreeSet::from([choice]);
        product(&choices).filter(|point| exist.contains(point))
    }
}

fn product(choices: &[BTreeSet<u16>]) -> impl Iterator<Item = Point> + use<> {
    let choices: Vec<Vec<u16>> = choices.iter().map(|set| set.iter().copied().collect()).collect();
    let size: usize = choices.iter().map(Vec::len).product();
    (0..size).map(move |mut number| {
        let mut point = vec![0; choices.len()];
        for (place, set) in choices.iter().enumerate().rev() {
            point[place] = set[number % set.len()];
            number /= set.len();
        }
        point
    })
}

impl Cover {
    /// For people: "prod-db and 3 others for an admin, with `recent_failures`".
    #[must_use]
    pub fn sentence(&self, space: &Space) -> String {
        let parts = space.axes().iter().zip(&self.choices).zip(&self.whole);
        let mut said = Vec::new();
        for (place, ((axis, choices), whole)) in parts.enumerate() {
            match (place, whole) {
                (0, true) => said.push("everything".to_owned()),
                (_, true) => {}
                (_, false) => said.push(phrase(axis, choices)),
            }
        }
        let (what, how) = said.split_first().map_or(("", &[][..]), |(what, how)| (what.as_str(), how));
        if how.is_empty() { what.to_owned() } else { format!("{what} {}", how.join(", ")) }
    }
}

fn phrase(axis: &Axis, choices: &BTreeSet<u16>) -> String {
    let names = |wanted: bool| {
        let all = axis.choices.iter().zip(0_u16..).filter(|(_, n)| choices.contains(n) == wanted);
        all.flat_map(|(choice, _)| choice.names.iter().map(String::as_str)).collect::<Vec<_>>()
    };
    let (those, others) = (names(true), names(false));
    let and = if axis.preposition.is_empty() { "and" } else { "or" };
    let listed = if those.len() > 3 && others.len() < 3 {
        format!("all but {}", list(&others, "and"))
    } else {
        list(&those, and)
    };
    format!("{} {listed}", axis.preposition).trim_start().to_owned()
}

/// "a", "a and b", "a, b and c", "a and 3 others".
#[must_use]
pub fn list(names: &[&str], and: &str) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, second] => format!("{first} {and} {second}"),
        [first, second, third] => format!("{first}, {second} {and} {third}"),
        [first, others @ ..] => format!("{first} {and} {} others", others.len()),
    }
}
