//! Every metric family that uidmeter exports, as data. Encoders, filters, documentation and checks walk this table;
//! nobody else spells a metric's name. The order of the table is the order of the page.
//!
//! Families stand in groups, one file each. A family says where its values come from: a user's row, the view as a
//! whole, or the process itself, whose values [`super::own`] keeps in a `prometheus` registry under the names given
//! here. What a row or view does not know has no sample, and a family without samples is not on the page.

mod collector;
mod cpu;
mod host;
mod io;
mod lifecycle;
mod limits;
mod memory;
mod push;
mod scheduler;

pub use self::collector::{
    AUTH_FAILURES, BUILD_INFO, CERTIFICATE_EXPIRY, CONFIG_RELOAD, CONFIG_RELOAD_TIME, HTTP_REQUESTS, PASSWORD_CHECKS,
    SCRAPE_DURATION, TICK_DURATION, TICKS_LATE,
};
pub use self::push::{
    PUSH_DELIVERED, PUSH_DROPPED, PUSH_LAST_SUCCESS, PUSH_QUEUE, PUSH_QUEUE_LIMIT, PUSH_RETRIED, PUSH_SENT,
};
use super::shape::Shape;
use crate::{
    units::Nanos,
    view::{RowView, View},
};

/// The table.
pub static GROUPS: &[Group] = &[
    cpu::GROUP,
    scheduler::GROUP,
    memory::GROUP,
    io::GROUP,
    lifecycle::GROUP,
    limits::GROUP,
    host::GROUP,
    collector::GROUP,
    push::GROUP,
];

/// All families, in the order of the page.
pub fn families() -> impl Iterator<Item = &'static Family> {
    GROUPS.iter().flat_map(|group| group.families)
}

/// Families that belong together: what `collect[]=NAME` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// One lower-case word.
    pub name: &'static str,
    /// What the families tell.
    pub help: &'static str,
    /// In the order of the page.
    pub families: &'static [Family],
}

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Full name, with unit and `_total` where they belong.
    pub name: &'static str,
    /// What its numbers do over time.
    pub kind: Kind,
    /// What its numbers are counted in.
    pub unit: Unit,
    /// One line for people, without backslashes and double quotes: no format has to escape it.
    pub help: &'static str,
    /// What counts it, for people.
    pub source: &'static str,
    /// Where its samples come from.
    pub samples: Samples,
}

/// What a family's numbers do over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They come and go.
    Gauge,
    /// Counters by size.
    Histogram,
}

impl Kind {
    /// The word after `# TYPE`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// CPUs' worth.
    Cores,
    /// Parts of one.
    Ratio,
    /// Things counted: the name says which.
    Things,
}

impl Unit {
    /// The word that ends a name, and follows `# UNIT`. Things have none.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Seconds => Some("seconds"),
            Self::Bytes => Some("bytes"),
            Self::Cores => Some("cores"),
            Self::Ratio => Some("ratio"),
            Self::Things => None,
        }
    }
}

/// A number before it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number of things or bytes.
    Count(u64),
    /// A time, to be written in seconds. Whole microseconds of the kernel are exact here too.
    Time(Nanos),
    /// What is no whole number of anything: cores, parts of one.
    Ratio(f64),
}

/// Takes one number out of a row, if the row has it.
pub type Extract = fn(&RowView<'_>) -> Option<Value>;
/// Receives a sample: values of the family's labels, in their order, and the number.
pub type Emit<'a> = dyn FnMut(&[&str], Value) + 'a;

/// A histogram before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Observations in each bucket of the shape, not cumulated.
    pub buckets: &'a [u64],
    /// The sum of all observations.
    pub sum: Value,
}

/// Where samples come from.
#[derive(Clone, Copy, Debug)]
pub enum Samples {
    /// One from each row.
    Row(Extract),
    /// Several from each row, told apart by the value of `label`.
    RowBy {
        /// Name of the label.
        label: &'static str,
        /// Its values and their numbers.
        parts: &'static [(&'static str, Extract)],
    },
    /// A histogram from each row.
    RowHistogram {
        /// Its buckets.
        shape: &'static Shape,
        /// Takes the observations out of a row, if the row has them.
        observed: for<'a> fn(&RowView<'a>) -> Option<Observed<'a>>,
    },
    /// From the view as a whole.
    View {
        /// Names of the labels.
        labels: &'static [&'static str],
        /// Emits the samples, none of them twice.
        each: fn(&View, &mut Emit<'_>),
    },
    /// Kept by the process itself.
    Process {
        /// Names of the labels.
        labels: &'static [&'static str],
    },
}

/// Labels of each sample that comes from a row.
pub const ROW_LABELS: [&str; 2] = ["uid", "user"];

impl Family {
    /// Names of the labels, but for a histogram's `le`.
    pub fn labels(&self) -> Vec<&'static str> {
        match self.samples {
            Samples::Row(_) | Samples::RowHistogram { .. } => ROW_LABELS.to_vec(),
            Samples::RowBy { label, .. } => [ROW_LABELS.as_slice(), &[label]].concat(),
            Samples::View { labels, .. } | Samples::Process { labels } => labels.to_vec(),
        }
    }

    /// Whether a sample of this family began at zero when its owner's row did: [`RowView::since`] then says when.
    pub fn began_with_its_row(&self) -> bool {
        let of_row = matches!(self.samples, Samples::Row(_) | Samples::RowBy { .. } | Samples::RowHistogram { .. });
        of_row && self.kind != Kind::Gauge
    }

    /// The name without what the kind adds: a counter's `_total`.
    pub fn stem(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

#[cfg(test)]
mod tests;
