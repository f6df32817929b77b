//! `loadtests policy`: what one evaluation of a policy costs, for users in several moods and for each sample policy that
//! ships. In this process, on one thread; counted in its CPU time, so that other work on this host does not count.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use collector::{
    config::Mode,
    policy::{Clock, Directory, Engine, HostLoad, Observation, Person, Policy, UserLoad},
    units::{Bytes, Cores, Nanos, Uid, UnixTime},
};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::{
    interrupt::Interrupt,
    spread::{Spread, per},
    table::Table,
    target::{Target, Verdict},
};

const EVALUATION: Target =
    Target { figure: "the median evaluation, whatever policy and users", at_most: 1.0, unit: "ms" };

/// The policies that ship, and one with many overrides.
const POLICIES: [(&str, &str); 3] = [
    ("hpc-login", include_str!("../../packaging/policy/hpc-login.toml")),
    ("build-server", include_str!("../../packaging/policy/build-server.toml")),
    ("teaching-host", include_str!("../../packaging/policy/teaching-host.toml")),
];
/// In the policy with many overrides.
const OVERRIDES: u32 = 50;
/// Evaluations of which nothing is counted.
const WARMING: u64 = 20;

/// What users do.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// A little, all of them.
    Quiet,
    /// A tenth takes far too much, the others wait: limits are set and tightened, then stand.
    Rude,
    /// Everybody is rude, and then nobody, by turns of minutes.
    Moody,
}

const MOODS: [(&str, Mood); 3] = [("quiet", Mood::Quiet), ("rude", Mood::Rude), ("moody", Mood::Moody)];

/// What can be said on the command line.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Users
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..1_000_000))]
    users: u32,

    /// Evaluations of each policy in each mood, a second apart
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..))]
    evaluations: u32,

    /// Write all figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One policy in one mood.
#[derive(Debug, Serialize)]
struct Cost {
    policy: &'static str,
    mood: &'static str,
    /// Milliseconds.
    evaluation: Spread,
    p99_ms: f64,
    decisions: u64,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Report {
    users: u32,
    costs: Vec<Cost>,
    verdicts: Vec<Verdict>,
}

/// Samples name nobody.
struct Nobody;

impl Directory for Nobody {
    fn user(&self, _: &str) -> Result<Option<Uid>, String> {
        Ok(None)
    }

    fn group(&self, _: &str) -> Result<Option<u32>, String> {
        Ok(None)
    }
}

/// Measures and prints; tells whether every target is met.
pub(crate) fn run(flags: &Flags) -> Result<bool> {
    let interrupt = Interrupt::catch()?;
    let mut policies: Vec<_> = POLICIES.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    policies.push(("with overrides", with_overrides(POLICIES[0].1)));
    let mut costs = Vec::new();
    for (policy, text) in policies {
        let parsed = Policy::parse(&text, policy, &Nobody).context("a sample policy has mistakes")?;
        let parsed = Arc::new(parsed);
        for (mood, what) in MOODS {
            interrupt.sleep(std::time::Duration::ZERO)?;
            costs.push(cost((policy, &parsed), (mood, what), flags)?);
        }
    }
    println!("Evaluating a policy for {} users, ms of CPU time\n{}", flags.users, table(&costs));
    // An evaluation that decides about everybody at once writes as many sentences, and may take longer.
    let worst = costs.iter().map(|cost| cost.evaluation.median).fold(0.0, f64::max);
    let verdicts = vec![EVALUATION.judge(worst)];
    for verdict in &verdicts {
        println!("{verdict}");
    }
    let met = verdicts.iter().all(Verdict::met);
    if let Some(path) = &flags.json {
        let report = Report { users: flags.users, costs, verdicts };
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(met)
}

fn with_overrides(text: &str) -> String {
    let over = |number: u32| format!("[[override]]\nuids = [{}]\nallowance = 1.1\n", 20_000 + number * 7);
    (0..OVERRIDES).map(over).fold(text.to_owned(), |text, over| text + "\n" + &over)
}

fn cost(policy: (&'static str, &Arc<Policy>), mood: (&'static str, Mood), flags: &Flags) -> Result<Cost> {
    let mut engine = Engine::new(Arc::clone(policy.1));
    engine.set_mode(Mode::Enforce);
    let (mut times, mut decisions) = (Vec::new(), 0);
    for second in 0..u64::from(flags.evaluations) + WARMING {
        let observation = observation(flags.users, mood.1, second);
        // A Monday, from 12:00 UTC on.
        let moment = Nanos((1_774_267_200 + second) * 1_000_000_000);
        let clock = Clock { monotonic: moment, wall: UnixTime(moment) };
        let before = cpu_time()?;
        let evaluation = engine.evaluate(&observation, &clock);
        let after = cpu_time()?;
        decisions += evaluation.decisions.len() as u64;
        if second >= WARMING {
            times.push(per(after - before, 1_000_000));
        }
    }
    let Some(evaluation) = Spread::of(times.iter().copied()) else { bail!("nothing was evaluated") };
    times.sort_by(f64::total_cmp);
    let p99_ms = times[(times.len() * 99 / 100).min(times.len() - 1)];
    Ok(Cost { policy: policy.0, mood: mood.0, evaluation, p99_ms, decisions })
}

fn observation(users: u32, mood: Mood, second: u64) -> Observation {
    let host_cpus = 64.0;
    let rude = |number: u32| match mood {
        Mood::Quiet => false,
        Mood::Rude => number.is_multiple_of(10),
        Mood::Moody => (second / 60).is_multiple_of(2) && number > 0,
    };
    let user = |number: u32| {
        let person = Person {
            uid: Uid(20_000 + number),
            name: Some(format!("user{number}").into()),
            groups: Some([100].into()),
        };
        if rude(number) {
            UserLoad {
                cpu: Cores(host_cpus / 2.0),
                waiting: Cores(3.0),
                wait_p99: Some(Nanos(80_000_000)),
                memory: Bytes(16 << 30),
                write_rate: Bytes(1 << 30),
                ..UserLoad::idle(person)
            }
        } else {
            let waits = if matches!(mood, Mood::Quiet) { 100_000 } else { 40_000_000 };
            UserLoad {
                cpu: Cores(0.02),
                waiting: Cores(0.03),
                wait_p99: Some(Nanos(waits)),
                memory: Bytes(100 << 20),
                ..UserLoad::idle(person)
            }
        }
    };
    let some_are_rude = (0..users.min(20)).any(rude);
    let pressure = Some(if some_are_rude { 0.8 } else { 0.0 });
    let host = HostLoad {
        cpus: 64,
        busy: Cores(if some_are_rude { host_cpus } else { 1.0 }),
        cpu_pressure: pressure,
        memory_pressure: pressure,
        io_pressure: pressure,
        memory_total: Bytes(32 << 30),
        memory_available: Bytes(if some_are_rude { 1 << 30 } else { 24 << 30 }),
    };
    Observation { host, users: (0..users).map(user).collect() }
}

/// Of this thread, in nanoseconds.
fn cpu_time() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

fn table(costs: &[Cost]) -> Table<6> {
    let mut table = Table::new(["policy", "users are", "median", "p99", "greatest", "decisions"]);
    for cost in costs {
        let milliseconds = |time: f64| format!("{time:.3}");
        table.row([
            cost.policy.into(),
            cost.mood.into(),
            milliseconds(cost.evaluation.median),
            milliseconds(cost.p99_ms),
            milliseconds(cost.evaluation.max),
            cost.decisions.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Mood, Nobody, POLICIES, Policy, observation, with_overrides};

    #[test]
    fn the_policies_that_are_measured_are_valid() {
        for (name, text) in POLICIES {
            assert!(Policy::parse(text, name, &Nobody).is_ok(), "{name}");
        }
        assert!(Policy::parse(&with_overrides(POLICIES[0].1), "overrides", &Nobody).is_ok());
    }

    #[test]
    fn the_moody_change_their_minds_and_one_of_them_suffers() {
        let busy = |second| observation(1000, Mood::Moody, second).users.iter().filter(|user| user.cpu.0 > 1.0).count();
        assert_eq!((busy(0), busy(60), busy(120)), (999, 0, 999));
    }
}
