//! What each kernel program costs, from the kernel's own statistics of its runs over a while.

use std::{
    thread,
    time::{Duration, Instant},
};

use collector::{
    config::Config,
    pipeline,
    source::{
        Probe, ProgramRuns, Source as _,
        ebpf::{HeldProgram, LoadError, count_runs, programs_of},
    },
};

use crate::failure::{Failure, PRIVILEGE};

/// Costs of all programs over one span of time.
#[derive(Debug)]
pub(super) struct Measured {
    /// Whose programs.
    pub(super) whose: String,
    /// How long was measured.
    pub(super) over: Duration,
    pub(super) costs: Vec<Cost>,
}

/// What one program costs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cost {
    pub(super) program: String,
    /// Why it is not at work, if it is not.
    pub(super) inactive: Option<String>,
    pub(super) runs: u64,
    pub(super) time_ns: u64,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum CostError {
    #[error("the kernel does not time its programs for this process: {0}; run this as root, on Linux 5.8 or newer")]
    Statistics(std::io::Error),
    #[error("cannot look into the uidmeter with PID {pid}: {source}; run this as root")]
    Process { pid: u32, source: std::io::Error },
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<CostError> for Failure {
    fn from(error: CostError) -> Self {
        match error {
            CostError::Load(error) => error.into(),
            CostError::Statistics(_) | CostError::Process { .. } => Self::new(PRIVILEGE, error.to_string()),
        }
    }
}

impl Cost {
    /// Average time of a run; `None` without runs.
    pub(super) fn ns_per_run(&self) -> Option<u64> {
        self.time_ns.checked_div(self.runs)
    }

    /// Share of one CPU.
    pub(super) fn share(&self, over: Duration) -> f64 {
        if over.is_zero() { 0.0 } else { Duration::from_nanos(self.time_ns).div_duration_f64(over) }
    }
}

/// Of the programs that another uidmeter has loaded.
pub(super) fn of_process(pid: u32, time: Duration) -> Result<Measured, CostError> {
    let programs = || programs_of(pid).map_err(|source| CostError::Process { pid, source });
    // Dropped at the end: the kernel stops timing.
    let _timing = count_runs().map_err(CostError::Statistics)?;
    let (began, before) = (Instant::now(), programs()?);
    thread::sleep(time);
    let (over, after) = (began.elapsed(), programs()?);
    Ok(Measured { whose: format!("of the uidmeter with PID {pid}"), over, costs: between(&before, &after) })
}

/// What the programs of `after` have cost since `before`.
fn between(before: &[HeldProgram], after: &[HeldProgram]) -> Vec<Cost> {
    let cost = |now: &HeldProgram| {
        let earlier = before.iter().find(|program| program.id == now.id).map(|program| program.runs);
        let is_namesake = |program: &&HeldProgram| program.name == now.name;
        let unique = after.iter().filter(is_namesake).count() == 1;
        let name = if unique { now.name.clone() } else { format!("{} (id {})", now.name, now.id) };
        difference(name, None, earlier.unwrap_or_default(), now.runs)
    };
    after.iter().map(cost).collect()
}

/// Of our own programs, which are loaded for that long.
pub(super) fn of_our_own(config: &Config, time: Duration) -> Result<Measured, CostError> {
    let mut source = pipeline::load_source(&config.observe, config.probes)?;
    let _timing = count_runs().map_err(CostError::Statistics)?;
    let (began, before) = (Instant::now(), source.probes());
    // As the daemon does, since that runs programs, too.
    while let Some(left) = time.checked_sub(began.elapsed()) {
        thread::sleep(left.min(MAINTENANCE));
        source.maintain(config.memory.interval);
    }
    let (over, after) = (began.elapsed(), source.probes());
    let cost = |probe: &Probe| {
        let earlier = before.iter().find(|other| other.name == probe.name).map(|other| other.runs);
        let inactive = (!probe.state.is_active()).then(|| probe.state.to_string());
        difference(probe.name.into(), inactive, earlier.unwrap_or_default(), probe.runs)
    };
    Ok(Measured { whose: "loaded for this measurement".into(), over, costs: after.iter().map(cost).collect() })
}

fn difference(program: String, inactive: Option<String>, before: ProgramRuns, after: ProgramRuns) -> Cost {
    Cost {
        program,
        inactive,
        runs: after.count.saturating_sub(before.count),
        time_ns: after.time.0.saturating_sub(before.time.0),
    }
}

/// Time between two calls of `Source::maintain`, about as in the daemon.
const MAINTENANCE: Duration = Duration::from_secs(1);
/// A CPU's share from which all programs together deserve a word.
const MUCH: f64 = 0.01;
/// Time of a run that is unusual: several times what was measured for the slowest of ours.
const SLOW_NS: u64 = 5_000;

/// What could be done about the cost; empty if nothing need be.
pub(super) fn advice(measured: &Measured) -> Vec<String> {
    let mut advice = Vec::new();
    let share = |cost: &Cost| cost.share(measured.over);
    for cost in measured.costs.iter().filter(|cost| cost.runs > 100 && cost.ns_per_run() > Some(SLOW_NS)) {
        advice.push(format!(
            "{} takes {} ns a run, which is slow: see whether the BPF JIT is on (net.core.bpf_jit_enable) and whether this \
             is a debugging kernel",
            cost.program,
            cost.ns_per_run().unwrap_or_default()
        ));
    }
    if measured.costs.iter().map(share).sum::<f64>() >= MUCH {
        let dearest = measured.costs.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
        let what = match dearest.map(|cost| cost.program.as_str()) {
            Some("tick") => "a longer sample_interval makes it cheaper".into(),
            Some("sched_switch") => {
                "it follows the number of context switches: see uidmeter top for who causes them".into()
            }
            Some(other) => format!("{other} costs most of it"),
            None => String::new(),
        };
        let percent = measured.costs.iter().map(share).sum::<f64>() * 100.0;
        advice.push(format!("watching takes {percent:.1} % of one CPU at present: {what}"));
    }
    advice
}

#[cfg(test)]
mod tests {
    use collector::units::Nanos;

    use super::{Cost, Duration, HeldProgram, Measured, ProgramRuns, advice, between};

    fn cost(program: &str, runs: u64, time_ns: u64) -> Cost {
        Cost { program: program.into(), inactive: None, runs, time_ns }
    }

    fn measured(costs: Vec<Cost>) -> Measured {
        Measured { whose: String::new(), over: Duration::from_secs(2), costs }
    }

    #[test]
    fn a_share_is_of_the_time_that_was_measured() {
        let cost = cost("x", 1_000, 50_000_000);
        assert_eq!((cost.ns_per_run(), cost.share(Duration::from_secs(2))), (Some(50_000), 0.025));
        assert!(cost.share(Duration::ZERO) <= 0.0);
        assert_eq!(self::cost("x", 0, 0).ns_per_run(), None);
    }

    #[test]
    fn programs_whose_names_the_kernel_cut_to_the_same_are_told_apart() {
        let program = |id, name: &str, count| HeldProgram {
            id,
            name: name.into(),
            runs: ProgramRuns { count, time: Nanos(count * 100), recursion_misses: 0 },
        };
        let before = [program(3, "sched_process_e", 10), program(4, "sched_process_e", 1_000)];
        let after = [program(3, "sched_process_e", 15), program(4, "sched_process_e", 1_007), program(5, "tick", 2)];
        let expected =
            [cost("sched_process_e (id 3)", 5, 500), cost("sched_process_e (id 4)", 7, 700), cost("tick", 2, 200)];
        assert_eq!(between(&before, &after), expected);
    }

    #[test]
    fn what_is_cheap_needs_no_advice() {
        assert_eq!(
            advice(&measured(vec![cost("sched_switch", 100_000, 3_100_000), cost("tick", 40, 20_000)])),
            [""; 0]
        );
    }

    #[test]
    fn advice_names_what_costs_most_and_what_to_do() {
        let dear = advice(&measured(vec![cost("sched_switch", 1_000_000, 50_000_000), cost("tick", 40, 20_000)]));
        assert_eq!(dear.len(), 1);
        assert!(dear[0].contains("2.5 %") && dear[0].contains("context switches"), "{dear:?}");
        let slow = advice(&measured(vec![cost("tick", 200, 200 * 50_000)]));
        assert!(slow.len() == 1 && slow[0].contains("bpf_jit_enable") && slow[0].contains("50000 ns"), "{slow:?}");
        let ticks = advice(&measured(vec![cost("tick", 200_000, 100_000_000)]));
        assert!(ticks.len() == 1 && ticks[0].contains("sample_interval"), "{ticks:?}");
    }
}
