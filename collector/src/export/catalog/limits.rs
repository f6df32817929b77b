//! Who is limited, how far, and whether that works.

use super::{Emit, Family, Group, Kind, Samples, Unit, Value};
use crate::{limits::standing::UserStanding, snapshot::Owner, view::View};

pub(super) const GROUP: Group = Group {
    name: "limits",
    help: "Who is limited, how far, and whether that works.",
    families: &[
        Family {
            name: "uidmeter_limit_active",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Whether limits are in force on the user (1), or are wanted and are not (0); those of a dry run are never in force.",
            source: "the enforcer, read back",
            samples: Samples::View {
                labels: &["uid", "user", "mode"],
                each: |view, emit| {
                    for user in limited(view) {
                        let (uid, name) = labels(view, user);
                        let mode = if user.dry_run { "dry-run" } else { "enforce" };
                        emit(&[&uid, &name, mode], Value::Count(u64::from(!user.in_force.is_none())));
                    }
                },
            },
        },
        Family {
            name: "uidmeter_limit_cpu_cores",
            kind: Kind::Gauge,
            unit: Unit::Cores,
            help: "CPUs that the user may keep busy on average.",
            source: "cpu.max of the user's cgroup",
            samples: Samples::View {
                labels: &["uid", "user"],
                each: |view, emit| {
                    each_user(view, emit, |user| {
                        user.in_force.cpu_max.map(|cores| Value::Ratio(f64::from(cores.get()) / 1000.0))
                    });
                },
            },
        },
        Family {
            name: "uidmeter_limit_memory_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Memory from which on the user is slowed down (high), or processes are killed (max).",
            source: "memory.high and memory.max of the user's cgroup",
            samples: Samples::View {
                labels: &["uid", "user", "kind"],
                each: |view, emit| {
                    for user in limited(view) {
                        let (uid, name) = labels(view, user);
                        for (kind, bytes) in [("high", user.in_force.memory_high), ("max", user.in_force.memory_max)] {
                            if let Some(bytes) = bytes {
                                emit(&[&uid, &name, kind], Value::Count(bytes.0));
                            }
                        }
                    }
                },
            },
        },
        Family {
            name: "uidmeter_limit_effective_ratio",
            kind: Kind::Gauge,
            unit: Unit::Ratio,
            help: "Whether the limit on CPU time works: 1 while what is measured stays within it, else the part of it that the limit allows.",
            source: "measured use and the limit in force",
            samples: Samples::View {
                labels: &["uid", "user"],
                each: |view, emit| each_user(view, emit, |user| user.effective.map(Value::Ratio)),
            },
        },
        Family {
            name: "uidmeter_limit_unenforceable_cores",
            kind: Kind::Gauge,
            unit: Unit::Cores,
            help: "CPUs that a limited user keeps busy outside of the cgroup that is limited.",
            source: "CPU time outside of the user's slice",
            samples: Samples::View {
                labels: &["uid", "user"],
                each: |view, emit| each_user(view, emit, |user| Some(Value::Ratio(user.unenforceable_cores))),
            },
        },
        Family {
            name: "uidmeter_limit_changes_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Changes of limits that the policy decided on, by what was to be done and what came of it.",
            source: "the policy and the enforcer",
            samples: Samples::View {
                labels: &["action", "outcome"],
                each: |view, emit| {
                    for (change, times) in &view.limits.changes {
                        emit(&[&change.action, &change.outcome], Value::Count(*times));
                    }
                },
            },
        },
        Family {
            name: "uidmeter_limit_state_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "Time that all users whom a policy covers have spent in each of its states.",
            source: "the policy",
            samples: Samples::View {
                labels: &["state"],
                each: |view, emit| {
                    for (state, time) in &view.limits.time_in_states {
                        emit(&[state], Value::Time(*time));
                    }
                },
            },
        },
        Family {
            name: "uidmeter_policy_evaluations_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Evaluations of the policy; absent without one.",
            source: "the policy",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| {
                    if view.limits.rules.is_some() {
                        emit(&[], Value::Count(view.limits.evaluations));
                    }
                },
            },
        },
        Family {
            name: "uidmeter_policy_enforcing",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Whether decisions of the policy are carried out (1), or only shown or not possible (0); absent without a policy.",
            source: "the enforcer",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| {
                    let limits = &view.limits;
                    if limits.rules.is_some() {
                        let enforcing = limits.mode == "enforce" && limits.driver.is_some() && limits.unable.is_none();
                        emit(&[], Value::Count(enforcing.into()));
                    }
                },
            },
        },
    ],
};

/// Whoever is limited, or was to be.
fn limited(view: &View) -> impl Iterator<Item = &UserStanding> {
    view.limits.users.iter().filter(|user| !user.wanted.is_none() || !user.in_force.is_none())
}

fn labels(view: &View, user: &UserStanding) -> (String, String) {
    let owner = Owner::User(user.uid);
    (View::uid_label(owner), view.user_label(owner))
}

fn each_user(view: &View, emit: &mut Emit<'_>, value: fn(&UserStanding) -> Option<Value>) {
    for user in limited(view) {
        if let Some(value) = value(user) {
            let (uid, name) = labels(view, user);
            emit(&[&uid, &name], value);
        }
    }
}
