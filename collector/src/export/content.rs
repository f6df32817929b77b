//! What a page is made of, for every format: a view, the process's own metrics of the same moment, and a choice.

use prometheus::proto::{Metric, MetricFamily};

use super::{catalog::Family, filter::Filter};
use crate::view::{RowView, View};

/// The parts of a page.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// What was read.
    pub view: &'a View,
    /// The view's rows.
    pub rows: Vec<RowView<'a>>,
    own: &'a [MetricFamily],
    filter: Filter,
}

impl<'a> Content<'a> {
    /// `own` is what [`super::OwnMetrics::gather`] yields.
    pub fn new(view: &'a View, own: &'a [MetricFamily], filter: Filter) -> Self {
        Self { view, rows: view.rows().collect(), own, filter }
    }

    /// The families to show, in the order of the page.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        self.filter.families()
    }

    /// The process's samples of `family`.
    pub fn own(&self, family: &Family) -> &'a [Metric] {
        self.own.iter().find(|own| own.name() == family.name).map_or(&[], MetricFamily::get_metric)
    }
}
