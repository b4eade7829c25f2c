//! A finite set of questions: the product of axes, each of them the choices for one thing that policies look at.

use crate::authority::cases::Asked;
use crate::protocol::names::ResourceName;
use std::ops::Range;
use std::thread;

/// More questions than these are not asked: then only one of the lesser axes at a time is other than usual.
pub const ENOUGH: usize = 100_000;

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
        let all = axes.iter().map(|axis| axis.choices.len()).fold(1, usize::saturating_mul);
        Self { axes, one_at_a_time: all > ENOUGH, anything }
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
        self.axes.iter().map(|axis| axis.choices.len()).product()
    }

    fn point(&self, mut number: usize) -> Point {
        let mut point = vec![0; self.axes.len()];
        for (place, axis) in self.axes.iter().enumerate().rev() {
            point[place] = u16::try_from(number % axis.choices.len()).unwrap_or(u16::MAX);
            number /= axis.choices.len();
        }
        point
    }

    /// The question at a point, where there is one.
    #[must_use]
    pub fn question(&self, point: &[u16]) -> Option<Asked> {
        let unusual = self.axes.iter().zip(point).filter(|(axis, choice)| !axis.is_main && **choice > 0).count();
        if self.one_at_a_time && unusual > 1 {
            return None;
        }
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
