//! From the kernel's BPF statistics to nanoseconds per context switch. Pure.
//!
//! The statistics include what it takes to measure, to enter and to leave a program. The empty program shows how much
//! that is; it is taken off once for each run of the others, with the figure of the same round.

use serde::Serialize;

use crate::{
    program::Runs,
    spread::{Spread, per},
};

/// What each program of a set did in one round.
pub(super) type Round = Vec<(&'static str, Runs)>;

/// What one program costs.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ProgramCost {
    /// Its name.
    pub(super) program: &'static str,
    /// Runs in all rounds.
    pub(super) runs: u64,
    /// As the statistics have it; `None` if it never ran.
    pub(super) ns_per_run: Option<Spread>,
    /// Net of the empty program.
    pub(super) net_ns_per_switch: Option<Spread>,
}

/// What programs cost that work together.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct SetCost {
    /// Each alone.
    pub(super) programs: Vec<ProgramCost>,
    /// All together, net of the empty program.
    pub(super) net_ns_per_switch: Option<Spread>,
}

/// Nanoseconds of a run of the empty program, round by round.
pub(super) fn ns_per_run(rounds: &[Round]) -> Vec<f64> {
    rounds.iter().map(total).map(|runs| per(runs.time_ns, runs.count)).collect()
}

/// Costs of a set. `at_switch` is its program that runs once at each context switch; `empty` is [`ns_per_run`] of the
/// empty program.
pub(super) fn of_set(rounds: &[Round], at_switch: &str, empty: &[f64]) -> SetCost {
    let net = |measured: fn(&Round, &str) -> Runs, program: &str| {
        Spread::of(rounds.iter().zip(empty).filter_map(|(round, empty)| {
            let switches = of(round, at_switch).count;
            let runs = measured(round, program);
            let cost = per(runs.time_ns, switches) - empty * per(runs.count, switches);
            (switches > 0).then_some(cost)
        }))
    };
    let cost = |&(program, _): &(&'static str, Runs)| {
        let each = rounds.iter().map(|round| of(round, program)).filter(|runs| runs.count > 0);
        ProgramCost {
            program,
            runs: rounds.iter().map(|round| of(round, program).count).sum(),
            ns_per_run: Spread::of(each.map(|runs| per(runs.time_ns, runs.count))),
            net_ns_per_switch: net(of, program),
        }
    };
    SetCost {
        programs: rounds.first().into_iter().flatten().map(cost).collect(),
        net_ns_per_switch: net(|round, _| total(round), ""),
    }
}

fn of(round: &Round, program: &str) -> Runs {
    round.iter().find(|(name, _)| *name == program).map(|(_, runs)| *runs).unwrap_or_default()
}

fn total(round: &Round) -> Runs {
    let mut sum = Runs::default();
    for (_, runs) in round {
        sum += *runs;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{Round, ns_per_run, of_set};
    use crate::{program::Runs, spread::Spread};

    fn runs(count: u64, time_ns: u64) -> Runs {
        Runs { count, time_ns }
    }

    fn exactly(value: f64) -> Option<Spread> {
        Spread::of([value])
    }

    #[test]
    fn the_empty_program_is_taken_off_once_for_each_run() {
        let empty = ns_per_run(&[vec![("empty", runs(10, 200))]]);
        let round: Round = vec![("switch", runs(100, 30_000)), ("wakeup", runs(50, 6_000)), ("never", runs(0, 0))];
        let cost = of_set(&[round], "switch", &empty);
        assert_eq!(cost.programs[0].net_ns_per_switch, exactly(280.0));
        // Half as many wakeups as switches: (6,000 - 50 × 20) / 100.
        assert_eq!(cost.programs[1].net_ns_per_switch, exactly(50.0));
        assert_eq!(cost.net_ns_per_switch, exactly(330.0));
    }

    #[test]
    fn a_program_that_never_ran_costs_nothing_and_has_no_time_per_run() {
        let cost = of_set(&[vec![("switch", runs(2, 80)), ("never", runs(0, 0))]], "switch", &[10.0]);
        assert_eq!((cost.programs[1].runs, cost.programs[1].ns_per_run), (0, None));
        assert_eq!(cost.programs[1].net_ns_per_switch, exactly(0.0));
        assert_eq!(cost.net_ns_per_switch, exactly(30.0));
    }

    #[test]
    fn each_round_is_held_against_the_empty_program_of_that_round() {
        let empty = ns_per_run(&[vec![("empty", runs(10, 100))], vec![("empty", runs(10, 500))]]);
        let rounds = [vec![("switch", runs(10, 400))], vec![("switch", runs(10, 800))]];
        let cost = of_set(&rounds, "switch", &empty);
        assert_eq!(cost.net_ns_per_switch, exactly(30.0));
        assert_eq!(cost.programs[0].ns_per_run, Some(Spread { median: 60.0, min: 40.0, max: 80.0 }));
        assert_eq!(cost.programs[0].runs, 20);
    }

    #[test]
    fn without_a_context_switch_there_is_no_figure() {
        let cost = of_set(&[vec![("switch", runs(0, 0))]], "switch", &[10.0]);
        assert_eq!(cost.net_ns_per_switch, None);
    }
}
