//! What the daemon serves, read by name.

use std::io;

use crate::people::Person;

/// A page in the text format.
pub(crate) struct Figures(String);

impl Figures {
    pub(crate) fn new(page: String) -> Self {
        Self(page)
    }

    /// The sample whose name and labels are written like this.
    pub(crate) fn value(&self, series: &str) -> io::Result<f64> {
        self.find(series).ok_or_else(|| io::Error::other(format!("the page has no sample {series}")))
    }

    /// The same, if there is one.
    pub(crate) fn find(&self, series: &str) -> Option<f64> {
        self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// The sample of a user in a family without further labels.
    pub(crate) fn of(&self, family: &str, person: Person) -> io::Result<f64> {
        self.value(&format!("{family}{{uid=\"{}\",user=\"{}\"}}", person.uid, person.name))
    }

    /// Whether limits are in force on a user.
    pub(crate) fn is_limited(&self, person: Person) -> bool {
        let Person { name, uid } = person;
        self.find(&format!("uidmeter_limit_active{{uid=\"{uid}\",user=\"{name}\",mode=\"enforce\"}}")) == Some(1.0)
    }

    /// Waits for a CPU so far: how many were at most so long, in seconds.
    pub(crate) fn waits(&self, uid: u32) -> Waits {
        let label = format!("uid=\"{uid}\"");
        let samples = self.0.lines().filter_map(|line| line.strip_prefix("uidmeter_run_queue_latency_seconds_bucket{"));
        let mut counts: Vec<(f64, f64)> = samples
            .filter(|rest| rest.contains(&label))
            .filter_map(|line| {
                let (bound, count) = line.split_once("le=\"")?.1.split_once("\"}")?;
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
                Some((bound, count.trim().parse().ok()?))
            })
            .collect();
        counts.sort_by(|left, right| left.0.total_cmp(&right.0));
        Waits(counts)
    }
}

/// A cumulative histogram: bounds in seconds, and counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits(Vec<(f64, f64)>);

impl Waits {
    /// The bound under which 99 of 100 waits since `base` were; `None` if there were none.
    pub(crate) fn p99_since(&self, base: &Self) -> Option<f64> {
        let before = |index: usize| base.0.get(index).map_or(0.0, |(_, count)| *count);
        let new = |index: usize, count: f64| count - before(index);
        let all = self.0.last().map(|(_, count)| new(self.0.len() - 1, *count)).filter(|all| *all > 0.0)?;
        let mut counts = self.0.iter().enumerate();
        counts.find(|(index, (_, count))| new(*index, *count) >= 0.99 * all).map(|(_, (bound, _))| *bound)
    }
}
