//! Two snapshots → use over the time between them. Pure: no clock, no I/O. A counter that fell yields `None`.

use crate::{
    snapshot::{Counters, Latency, Owner, Row, Snapshot},
    units::{Cores, Nanos},
};

/// What everybody used over one interval.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Length of the interval.
    pub interval: Nanos,
    /// One entry per owner, in the order of [`Owner`].
    pub rows: Vec<UserUsage>,
}

/// What one user used over one interval.
#[derive(Clone, Debug)]
pub struct UserUsage {
    /// Who.
    pub owner: Owner,
    /// CPUs kept busy on average.
    pub cpu: Cores,
    /// Tasks waiting for a CPU on average.
    pub waiting: Cores,
    /// Waits that ended in the interval, by length.
    pub latency: Latency,
    /// Context switches per second, of either kind.
    pub switches_per_second: f64,
}

/// Use between `before` and `after`, or `None` if no time has passed. A user who was not there `before` started at
/// zero; one whose counters fell is left out.
pub fn usage(before: &Snapshot, after: &Snapshot) -> Option<Usage> {
    let interval = after.taken.since(before.taken).filter(|interval| interval.0 > 0)?;
    let nothing = Counters::default();
    let rows = after
        .rows
        .iter()
        .filter_map(|row| {
            let earlier = before.row(row.owner).map_or(&nothing, |row| &row.counters);
            user_usage(row, earlier, interval.as_secs_f64())
        })
        .collect();
    Some(Usage { interval, rows })
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn user_usage(row: &Row, earlier: &Counters, seconds: f64) -> Option<UserUsage> {
    let now = &row.counters;
    let switches = |c: &Counters| c.voluntary_switches.checked_add(c.involuntary_switches);
    Some(UserUsage {
        owner: row.owner,
        cpu: Cores(now.cpu.since(earlier.cpu)?.as_secs_f64() / seconds),
        waiting: Cores(now.wait.since(earlier.wait)?.as_secs_f64() / seconds),
        latency: now.latency.since(&earlier.latency)?,
        switches_per_second: switches(now)?.checked_sub(switches(earlier)?)? as f64 / seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::{Cores, Counters, Nanos, Owner, Row, Snapshot, usage};
    use crate::units::Uid;

    fn snapshot(taken: u64, cpu: u64) -> Snapshot {
        let counters = Counters { cpu: Nanos(cpu), voluntary_switches: cpu / 1_000_000, ..Counters::default() };
        Snapshot {
            taken: Nanos(taken),
            rows: vec![Row { owner: Owner::User(Uid(7)), counters }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn half_a_cpu_is_half_a_core() {
        let usage = usage(&snapshot(0, 0), &snapshot(100_000_000, 50_000_000)).unwrap_or_default();
        assert_eq!(usage.rows[0].cpu, Cores(0.5));
        assert!((usage.rows[0].switches_per_second - 500.0).abs() < 1e-9);
    }

    #[test]
    fn a_user_who_has_just_come_started_at_zero() {
        let before = Snapshot { rows: Vec::new(), ..snapshot(0, 0) };
        let usage = usage(&before, &snapshot(1_000_000_000, 2_000_000_000)).unwrap_or_default();
        assert_eq!(usage.rows[0].cpu, Cores(2.0));
    }

    #[test]
    fn a_counter_that_fell_yields_nothing_instead_of_nonsense() {
        let usage = usage(&snapshot(0, 5), &snapshot(1, 4)).unwrap_or_default();
        assert!(usage.rows.is_empty());
    }

    #[test]
    fn no_time_no_rate() {
        assert!(usage(&snapshot(5, 0), &snapshot(5, 1)).is_none());
    }
}
