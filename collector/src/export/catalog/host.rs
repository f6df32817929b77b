//! The whole host, so that ratios can be computed from one endpoint.

use super::{Emit, Family, Group, Kind, Samples, Unit, Value};
use crate::{
    host::{Host, Pressure, Stall},
    units::{Bytes, Nanos},
    view::View,
};

pub(super) const GROUP: Group = Group {
    name: "host",
    help: "The whole host: what a user's figures can be divided by. Left out with `host.enabled = false`.",
    families: &[
        Family {
            name: "uidmeter_host_cpus",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "CPUs that are online.",
            source: "`/proc/stat`",
            samples: Samples::View { labels: &[], each: |view, emit| count(view.host.cpus, emit) },
        },
        Family {
            name: "uidmeter_host_cpu_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "CPU time of the host since boot by mode, over all CPUs, in steps of 10 ms. Time of guests is a part of user and nice.",
            source: "`/proc/stat`",
            samples: Samples::View { labels: &["mode"], each: cpu },
        },
        Family {
            name: "uidmeter_host_memory_size_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Main memory that the kernel can use.",
            source: "`MemTotal` of `/proc/meminfo`",
            samples: Samples::View { labels: &[], each: |view, emit| bytes(view.host.memory.total, &[], emit) },
        },
        Family {
            name: "uidmeter_host_memory_available_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Main memory that new work could get without swapping.",
            source: "`MemAvailable` of `/proc/meminfo`",
            samples: Samples::View { labels: &[], each: |view, emit| bytes(view.host.memory.available, &[], emit) },
        },
        Family {
            name: "uidmeter_host_memory_kind_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Main memory by what it is used for. Kinds overlap: cached contains shmem, and dirty is a part of cached.",
            source: "`/proc/meminfo`",
            samples: Samples::View { labels: &["kind"], each: memory },
        },
        Family {
            name: "uidmeter_host_swap_size_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Swap space.",
            source: "`SwapTotal` of `/proc/meminfo`",
            samples: Samples::View { labels: &[], each: |view, emit| bytes(view.host.memory.swap_total, &[], emit) },
        },
        Family {
            name: "uidmeter_host_swap_free_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Swap space that is not used.",
            source: "`SwapFree` of `/proc/meminfo`",
            samples: Samples::View { labels: &[], each: |view, emit| bytes(view.host.memory.swap_free, &[], emit) },
        },
        Family {
            name: "uidmeter_host_pressure_waiting_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "Time in which at least one task of the host waited for the resource.",
            source: "`some` of `/proc/pressure/*`",
            samples: Samples::View {
                labels: &["resource"],
                each: |view, emit| stalled_time(view, |pressure| pressure.some, emit),
            },
        },
        Family {
            name: "uidmeter_host_pressure_stalled_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "Time in which all tasks of the host that were not idle waited for the resource.",
            source: "`full` of `/proc/pressure/*`",
            samples: Samples::View {
                labels: &["resource"],
                each: |view, emit| stalled_time(view, |pressure| pressure.full, emit),
            },
        },
        Family {
            name: "uidmeter_host_pressure_waiting_ratio",
            kind: Kind::Gauge,
            unit: Unit::Ratio,
            help: "Share of the last seconds in which at least one task of the host waited for the resource.",
            source: "`some` of `/proc/pressure/*`",
            samples: Samples::View {
                labels: &["resource", "window"],
                each: |view, emit| stalled_share(view, |pressure| pressure.some, emit),
            },
        },
        Family {
            name: "uidmeter_host_pressure_stalled_ratio",
            kind: Kind::Gauge,
            unit: Unit::Ratio,
            help: "Share of the last seconds in which all tasks of the host that were not idle waited for the resource.",
            source: "`full` of `/proc/pressure/*`",
            samples: Samples::View {
                labels: &["resource", "window"],
                each: |view, emit| stalled_share(view, |pressure| pressure.full, emit),
            },
        },
        Family {
            name: "uidmeter_host_load1",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Tasks of the host that run, wait for a CPU or for a disk, averaged over one minute.",
            source: "`/proc/loadavg`",
            samples: Samples::View { labels: &[], each: |view, emit| ratio(view.host.load.map(|load| load.one), emit) },
        },
        Family {
            name: "uidmeter_host_load5",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "The same, averaged over five minutes.",
            source: "`/proc/loadavg`",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| ratio(view.host.load.map(|load| load.five), emit),
            },
        },
        Family {
            name: "uidmeter_host_load15",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "The same, averaged over fifteen minutes.",
            source: "`/proc/loadavg`",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| ratio(view.host.load.map(|load| load.fifteen), emit),
            },
        },
        Family {
            name: "uidmeter_host_threads",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Threads of the host, the kernel's own included.",
            source: "`/proc/loadavg`",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| count(view.host.load.map(|load| load.threads), emit),
            },
        },
        Family {
            name: "uidmeter_host_runnable_threads",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Threads of the host that run or wait for a CPU at this moment.",
            source: "`/proc/loadavg`",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| count(view.host.load.map(|load| load.runnable), emit),
            },
        },
        Family {
            name: "uidmeter_host_page_faults_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Page faults of the host since boot: minor ones were served from memory, major ones needed I/O.",
            source: "`pgfault` and `pgmajfault` of `/proc/vmstat`",
            samples: Samples::View { labels: &["kind"], each: faults },
        },
        Family {
            name: "uidmeter_host_direct_reclaims_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Times since boot that a task had to reclaim memory before it got some.",
            source: "`allocstall_*` of `/proc/vmstat`",
            samples: Samples::View { labels: &[], each: |view, emit| count(view.host.events.direct_reclaims, emit) },
        },
        Family {
            name: "uidmeter_host_swapped_pages_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Pages that the host has swapped since boot.",
            source: "`pswpin` and `pswpout` of `/proc/vmstat`",
            samples: Samples::View { labels: &["direction"], each: swapped },
        },
        Family {
            name: "uidmeter_host_oom_kills_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Processes of the host that the kernel has killed for want of memory since boot.",
            source: "`oom_kill` of `/proc/vmstat`",
            samples: Samples::View { labels: &[], each: |view, emit| count(view.host.events.oom_kills, emit) },
        },
    ],
};

fn count(number: Option<u64>, emit: &mut Emit<'_>) {
    labelled(number, &[], emit);
}

fn labelled(number: Option<u64>, labels: &[&str], emit: &mut Emit<'_>) {
    if let Some(number) = number {
        emit(labels, Value::Count(number));
    }
}

fn bytes(amount: Option<Bytes>, labels: &[&str], emit: &mut Emit<'_>) {
    labelled(amount.map(|amount| amount.0), labels, emit);
}

fn ratio(number: Option<f64>, emit: &mut Emit<'_>) {
    if let Some(number) = number {
        emit(&[], Value::Ratio(number));
    }
}

fn cpu(view: &View, emit: &mut Emit<'_>) {
    let Some(cpu) = view.host.cpu else { return };
    let modes: [(&str, Nanos); 8] = [
        ("user", cpu.user),
        ("nice", cpu.nice),
        ("system", cpu.system),
        ("idle", cpu.idle),
        ("iowait", cpu.iowait),
        ("irq", cpu.irq),
        ("softirq", cpu.softirq),
        ("steal", cpu.steal),
    ];
    for (mode, time) in modes {
        emit(&[mode], Value::Time(time));
    }
}

fn memory(view: &View, emit: &mut Emit<'_>) {
    let memory = &view.host.memory;
    for (kind, amount) in [
        ("free", memory.free),
        ("buffers", memory.buffers),
        ("cached", memory.cached),
        ("anon", memory.anon),
        ("shmem", memory.shmem),
        ("slab_reclaimable", memory.slab_reclaimable),
        ("slab_unreclaimable", memory.slab_unreclaimable),
        ("dirty", memory.dirty),
    ] {
        bytes(amount, &[kind], emit);
    }
}

fn resources(host: &Host) -> [(&'static str, &Pressure); 3] {
    [("cpu", &host.cpu_pressure), ("memory", &host.memory_pressure), ("io", &host.io_pressure)]
}

fn stalled_time(view: &View, of: fn(&Pressure) -> Option<Stall>, emit: &mut Emit<'_>) {
    for (resource, pressure) in resources(&view.host) {
        if let Some(stall) = of(pressure) {
            emit(&[resource], Value::Time(stall.total));
        }
    }
}

fn stalled_share(view: &View, of: fn(&Pressure) -> Option<Stall>, emit: &mut Emit<'_>) {
    for (resource, pressure) in resources(&view.host) {
        if let Some(stall) = of(pressure) {
            for (window, share) in [("10s", stall.avg10), ("60s", stall.avg60), ("300s", stall.avg300)] {
                emit(&[resource, window], Value::Ratio(share));
            }
        }
    }
}

fn faults(view: &View, emit: &mut Emit<'_>) {
    let events = &view.host.events;
    // The kernel counts major ones among all.
    let minor = events.faults.zip(events.major_faults).map(|(all, major)| all.saturating_sub(major));
    labelled(minor, &["minor"], emit);
    labelled(events.major_faults, &["major"], emit);
}

fn swapped(view: &View, emit: &mut Emit<'_>) {
    labelled(view.host.events.swapped_in, &["in"], emit);
    labelled(view.host.events.swapped_out, &["out"], emit);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::super::{
            content::Content,
            filter::Filter,
            text::{self, Dialect, parse},
        },
        Bytes, GROUP, Host, Nanos, Pressure, Stall, View,
    };
    use crate::host::{CpuTime, Events, Load, Memory};

    fn page(host: Host) -> Result<parse::Page, String> {
        let mut out = Vec::new();
        let view = View { host: Arc::new(host), ..View::default() };
        text::encode(&Content::new(&view, &[], Filter::ALL), Dialect::Prometheus, &mut out);
        parse::page(&out)
    }

    #[test]
    fn each_figure_of_the_host_stands_under_its_name() -> Result<(), String> {
        let stall = |total| Some(Stall { total: Nanos(total), avg10: 0.5, avg60: 0.25, avg300: 0.125 });
        let page = page(Host {
            cpu: Some(CpuTime { user: Nanos(1_500_000_000), steal: Nanos(20_000_000), ..CpuTime::default() }),
            cpus: Some(4),
            memory: Memory {
                total: Some(Bytes(4096)),
                dirty: Some(Bytes(1)),
                swap_free: Some(Bytes(2)),
                ..Memory::default()
            },
            memory_pressure: Pressure { some: stall(3_000), full: stall(2_000) },
            load: Some(Load { one: 0.36, five: 1.0, fifteen: 2.5, runnable: 3, threads: 400 }),
            events: Events {
                faults: Some(10),
                major_faults: Some(3),
                swapped_out: Some(7),
                oom_kills: Some(1),
                ..Events::default()
            },
            ..Host::default()
        })?;
        for (series, value) in [
            ("uidmeter_host_cpus", "4"),
            ("uidmeter_host_cpu_seconds_total{mode=\"user\"}", "1.5"),
            ("uidmeter_host_cpu_seconds_total{mode=\"steal\"}", "0.02"),
            ("uidmeter_host_memory_size_bytes", "4096"),
            ("uidmeter_host_memory_kind_bytes{kind=\"dirty\"}", "1"),
            ("uidmeter_host_swap_free_bytes", "2"),
            ("uidmeter_host_pressure_waiting_seconds_total{resource=\"memory\"}", "0.000003"),
            ("uidmeter_host_pressure_stalled_seconds_total{resource=\"memory\"}", "0.000002"),
            ("uidmeter_host_pressure_waiting_ratio{resource=\"memory\",window=\"10s\"}", "0.5"),
            ("uidmeter_host_pressure_stalled_ratio{resource=\"memory\",window=\"300s\"}", "0.125"),
            ("uidmeter_host_load1", "0.36"),
            ("uidmeter_host_load15", "2.5"),
            ("uidmeter_host_threads", "400"),
            ("uidmeter_host_runnable_threads", "3"),
            ("uidmeter_host_page_faults_total{kind=\"minor\"}", "7"),
            ("uidmeter_host_swapped_pages_total{direction=\"out\"}", "7"),
            ("uidmeter_host_oom_kills_total", "1"),
        ] {
            assert_eq!(page.value(series), Some(value), "{series}");
        }
        for absent in ["uidmeter_host_memory_available_bytes", "uidmeter_host_direct_reclaims_total"] {
            assert!(page.samples(absent).is_empty(), "{absent}");
        }
        assert!(page.samples("uidmeter_host_pressure_waiting_seconds_total").len() == 1);
        Ok(())
    }

    #[test]
    fn a_host_that_is_not_wanted_is_not_on_the_page() -> Result<(), String> {
        let page = page(Host::default())?;
        for family in GROUP.families {
            assert!(page.samples(family.name).is_empty(), "{}", family.name);
        }
        Ok(())
    }
}
