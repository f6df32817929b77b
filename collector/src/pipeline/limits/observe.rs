//! Two views → what the policy is told about the time between them.

use std::sync::Arc;

use crate::{
    host::{Host, HostReader, Pressure},
    policy::{HostLoad, Observation, Person, UserLoad},
    rates::{UserUsage, usage},
    snapshot::{Counters, Owner, Snapshot},
    units::{Bytes, Cores, Uid},
    view::View,
};

/// Remembers the last view's figures.
#[derive(Debug)]
pub(super) struct Observer {
    before: Option<Arc<Snapshot>>,
    host: HostReader,
}

impl Observer {
    pub(super) fn new() -> Self {
        Self { before: None, host: HostReader::open() }
    }

    /// What happened between the last view and this one; `None` for the first, and for one without anything new. Whether limits are
    /// set on users' own `slices` of systemd: then what runs outside of them is out of reach.
    pub(super) fn observe(&mut self, view: &View, slices: bool) -> Option<Observation> {
        let after = &view.snapshot;
        let before = self.before.replace(Arc::clone(after))?;
        let usage = usage(&before, after)?;
        let seconds = usage.interval.as_secs_f64();
        let users = usage.rows.iter().filter_map(|used| {
            let Owner::User(uid) = used.owner else { return None };
            let load = user_load(used, person(view, uid), &before, after, seconds);
            Some(if slices { load } else { UserLoad { outside: Cores(0.0), ..load } })
        });
        let users = users.collect();
        // Kernel threads and users without a row of their own keep CPUs busy, too.
        let busy = Cores(usage.rows.iter().map(|row| row.cpu.0).sum());
        Some(Observation { host: host_load(&self.host.read(), busy), users })
    }
}

fn person(view: &View, uid: Uid) -> Person {
    Person { uid, name: view.names.get(uid).cloned(), groups: view.names.groups(uid).cloned() }
}

fn user_load(used: &UserUsage, person: Person, before: &Snapshot, after: &Snapshot, seconds: f64) -> UserLoad {
    let nothing = Counters::default();
    let counters =
        |snapshot: &Snapshot| snapshot.row(used.owner).map_or_else(|| nothing.clone(), |row| row.counters.clone());
    let grown = counters(after).since(&counters(before)).unwrap_or_default();
    let held = after.census.holdings(used.owner).copied().unwrap_or_default();
    let memory =
        [held.anon, held.file, held.shmem, held.swap].iter().fold(0_u64, |sum, part| sum.saturating_add(part.0));
    UserLoad {
        person,
        cpu: used.cpu,
        outside: Cores(grown.outside.as_secs_f64() / seconds),
        waiting: used.waiting,
        wait_p99: used.latency.quantile(0.99),
        memory: Bytes(memory),
        write_rate: a_second(grown.io.written_bytes, seconds),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rate: no byte of it counts, and the conversion saturates"
)]
fn a_second(bytes: Bytes, seconds: f64) -> Bytes {
    Bytes((bytes.0 as f64 / seconds) as u64)
}

fn host_load(host: &Host, busy: Cores) -> HostLoad {
    let some = |pressure: Pressure| pressure.some.map(|stall| stall.avg10);
    HostLoad {
        cpus: host.cpus.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(0),
        busy,
        cpu_pressure: some(host.cpu_pressure),
        memory_pressure: some(host.memory_pressure),
        io_pressure: some(host.io_pressure),
        memory_total: host.memory.total.unwrap_or_default(),
        memory_available: host.memory.available.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Observer;
    use crate::{
        snapshot::{Census, Counters, Holdings, Io, Owner, Row, Snapshot},
        units::{Bytes, Cores, Nanos, Uid},
        view::View,
    };

    const SECOND: u64 = 1_000_000_000;

    fn view(seconds: u64, rows: &[(Owner, u64)]) -> View {
        let rows: Vec<_> = rows
            .iter()
            .map(|(owner, cores)| {
                let mut counters = Counters {
                    cpu: Nanos(cores * seconds * SECOND),
                    outside: Nanos(seconds * SECOND / 4),
                    io: Io { written_bytes: Bytes(seconds * 1000), ..Io::default() },
                    ..Counters::default()
                };
                counters.latency.buckets[44] = seconds;
                Row { owner: *owner, counters }
            })
            .collect();
        let held = Holdings { anon: Bytes(1), file: Bytes(2), shmem: Bytes(4), swap: Bytes(8), ..Holdings::default() };
        let census = Census { taken: Nanos(1), rows: rows.iter().map(|row| (row.owner, held)).collect() };
        let snapshot =
            Snapshot { taken: Nanos(seconds * SECOND), rows, census: Arc::new(census), ..Snapshot::default() };
        View {
            snapshot: Arc::new(snapshot),
            names: [(Uid(20_001), "ann".into())].into_iter().collect(),
            ..View::default()
        }
    }

    #[test]
    fn the_policy_is_told_rates_over_the_time_between_two_views() -> Result<(), &'static str> {
        let mut observer = Observer::new();
        let rows = [(Owner::User(Uid(20_001)), 2), (Owner::Kernel, 1)];
        assert_eq!(observer.observe(&view(10, &rows), true), None);
        let seen = observer.observe(&view(14, &rows), true).ok_or("nothing")?;
        assert!((seen.host.busy.0 - 3.0).abs() < 1e-9, "{seen:?}");
        assert!(seen.host.cpus > 0 && seen.host.memory_total > seen.host.memory_available);
        let [ann] = &seen.users[..] else { return Err("one user") };
        assert_eq!((ann.person.uid, ann.person.name.as_deref()), (Uid(20_001), Some("ann")));
        assert!((ann.cpu.0 - 2.0).abs() < 1e-9 && (ann.outside.0 - 0.25).abs() < 1e-9);
        assert_eq!((ann.memory, ann.write_rate), (Bytes(15), Bytes(1000)));
        assert!(ann.wait_p99.is_some());
        // The same view again tells nothing new.
        assert_eq!(observer.observe(&view(14, &rows), true), None);
        let later = observer.observe(&view(18, &rows), false).ok_or("nothing")?;
        assert_eq!(later.users[0].outside, Cores(0.0));
        Ok(())
    }
}
