//! A finite set of questions: the product of axes, each of them the choices for one thing that policies look at.

use crate::authority::cases::Asked;
use crate::protocol::names::ResourceName;
use std::ops::Range;
use std::thread;

/// More questions than these are not asked: then only one of the lesser axes at a time is other than usual.
pub const ENOUGH: usize = 100_000;
/// Where that is still more than these, each axis is one of the lesser, but for the first.
const AT_MOST: usize = 2_000_000;

/// One of the choices of an axis.
pub struct Choice {
    /// What it stands for, for people: one name, or those of everything that is alike.
    pub names: Vec<String>,
    /// Makes a question so; `false` where there is no such question.
    apply: Box<dyn Fn(&mut Asked) -> bool + Send + Sync>,
}

impl Choice {
    /// The one of this name.
    pub fn new(name: impl Into<String>, apply: impl Fn(&mut Asked) -> bool + Send + Sync + 'static) -> Self {
        Self::alike(vec![name.into()], apply)
    }

    /// The one that stands for all of these names.
    pub fn alike(names: Vec<String>, apply: impl Fn(&mut Asked) -> bool + Send + Sync + 'static) -> Self {
        Self { names, apply: Box::new(apply) }
    }
}

/// Something that is varied.
pub struct Axis {
    /// What stands before its choices: "for", "with".
    pub preposition: &'static str,
    /// What it is, for whoever asks what was varied.
    pub name: &'static str,
    /// The paths of policies that it varies.
    pub paths: Vec<String>,
    /// Every choice; the first is the usual one.
    pub choices: Vec<Choice>,
    /// Whether it is varied with every other, however many questions that makes.
    pub is_main: bool,
}

/// Which choice of each axis.
pub type Point = Vec<u16>;

/// All questions.
pub struct Space {
    axes: Vec<Axis>,
    one_at_a_time: bool,
    anything: ResourceName,
}

impl Space {
    /// The product of these.
    #[must_use]
    pub fn new(axes: Vec<Axis>, anything: ResourceName) -> Self {
        let axes: Vec<Axis> = axes.into_iter().filter(|axis| !axis.choices.is_empty()).collect();
        let choices = |axes: &[Axis], wanted: &dyn Fn(&Axis) -> bool| {
            axes.iter().filter(|axis| wanted(axis)).map(|axis| axis.choices.len()).fold(1, usize::saturating_mul)
        };
        let one_at_a_time = choices(&axes, &|_| true) > ENOUGH;
        let mut axes = axes;
        if choices(&axes, &|axis| axis.is_main) > AT_MOST {
            axes.iter_mut().skip(1).for_each(|axis| axis.is_main = false);
        }
        Self { axes, one_at_a_time, anything }
    }

    /// What is varied.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Whether the lesser axes are varied one at a time, since all together would be too many.
    #[must_use]
    pub const fn is_one_at_a_time(&self) -> bool {
        self.one_at_a_time
    }

    /// How many points there are; not at each of them stands a question.
    fn size(&self) -> usize {
        self.together().map(|(_, axis)| axis.choices.len()).fold(1 + self.unusual(), usize::saturating_mul)
    }

    /// The axes whose choices are combined, with their places.
    fn together(&self) -> impl DoubleEndedIterator<Item = (usize, &Axis)> {
        self.axes.iter().enumerate().filter(|(_, axis)| axis.is_main || !self.one_at_a_time)
    }

    /// The axes of which one at a time is other than usual.
    fn lesser(&self) -> impl Iterator<Item = (usize, &Axis)> {
        self.axes.iter().enumerate().filter(|(_, axis)| !axis.is_main && self.one_at_a_time)
    }

    /// How many choices that are other than usual those have.
    fn unusual(&self) -> usize {
        self.lesser().map(|(_, axis)| axis.choices.len() - 1).sum()
    }

    fn point(&self, number: usize) -> Point {
        let mut point = vec![0; self.axes.len()];
        let choice = |number| u16::try_from(number).unwrap_or(u16::MAX);
        let (mut number, mut unusual) = (number / (1 + self.unusual()), number % (1 + self.unusual()));
        for (place, axis) in self.together().collect::<Vec<_>>().into_iter().rev() {
            point[place] = choice(number % axis.choices.len());
            number /= axis.choices.len();
        }
        for (place, axis) in self.lesser() {
            let others = axis.choices.len() - 1;
            if (1..=others).contains(&unusual) {
                point[place] = choice(unusual);
                break;
            }
            unusual = unusual.saturating_sub(others);
        }
        point
    }

    /// The question at a point, where there is one.
    #[must_use]
    pub fn question(&self, point: &[u16]) -> Option<Asked> {
        let mut asked = Asked::plain(self.anything.clone());
        let there_is = self.axes.iter().zip(point).all(|(axis, choice)| {
            let choice = axis.choices.get(usize::from(*choice));
            choice.is_some_and(|choice| (choice.apply)(&mut asked))
        });
        there_is.then_some(asked)
    }

    /// What `look` makes of every question, in order. All processors are used.
    pub fn map<T: Send>(&self, look: impl Fn(&Point, &Asked) -> T + Sync) -> Vec<T> {
        let (size, workers) = (self.size(), thread::available_parallelism().map_or(1, usize::from));
        let part = size.div_ceil(workers).max(1);
        let of = |range: Range<usize>| {
            let questions = range.map(|number| self.point(number));
            let questions = questions.filter_map(|point| self.question(&point).map(|asked| look(&point, &asked)));
            questions.collect::<Vec<T>>()
        };
        thread::scope(|scope| {
            let ranges = (0..workers).map(|worker| worker * part..((worker + 1) * part).min(size));
            let running: Vec<_> = ranges.map(|range| scope.spawn(|| of(range))).collect();
            let done = running
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)));
            done.collect()
        })
    }
}
