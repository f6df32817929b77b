//! Splits exact CPU time into user and system mode by what the scheduler tick sampled. Pure.

use crate::units::Nanos;

/// The last split of one row, so that neither part ever goes down.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ModeSplit {
    user: Nanos,
    system: Nanos,
}

impl ModeSplit {
    /// `(user, system)` with `user + system = cpu`, in the proportion of the sampled `user` and `system`. The rule is
    /// that of `cputime_adjust` (kernel/sched/cputime.c), so the result agrees with what `getrusage(2)` tells.
    pub(super) fn adjust(&mut self, cpu: Nanos, user: Nanos, system: Nanos) -> (Nanos, Nanos) {
        let (cpu, user, system) = (cpu.0, user.0, system.0);
        if self.user.0 + self.system.0 < cpu {
            let share = if system == 0 {
                0
            } else if user == 0 {
                cpu
            } else {
                scale(cpu, system, user.saturating_add(system))
            };
            // Each part keeps at least what it had; since their sum has grown, one of the two can always give.
            let new_system = share.max(self.system.0).min(cpu - self.user.0);
            *self = Self { user: Nanos(cpu - new_system), system: Nanos(new_system) };
        }
        (self.user, self.system)
    }
}

fn scale(cpu: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(cpu) * u128::from(part) / u128::from(whole);
    u64::try_from(scaled).unwrap_or(cpu)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

    use super::{ModeSplit, Nanos};

    #[test]
    fn without_samples_all_time_counts_as_user_mode() {
        assert_eq!(ModeSplit::default().adjust(Nanos(7), Nanos(0), Nanos(0)), (Nanos(7), Nanos(0)));
    }

    #[test]
    fn the_split_follows_the_samples() {
        assert_eq!(ModeSplit::default().adjust(Nanos(100), Nanos(30), Nanos(10)), (Nanos(75), Nanos(25)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn parts_add_up_and_never_go_down(steps in proptest::collection::vec((0u64..1 << 50, 0u64..1 << 50, 0u64..1 << 50), 1..40)) {
            let (mut split, mut cpu, mut user, mut system) = (ModeSplit::default(), 0, 0, 0);
            let mut last = (Nanos(0), Nanos(0));
            for (more_cpu, more_user, more_system) in steps {
                cpu += more_cpu;
                user += more_user;
                system += more_system;
                let now = split.adjust(Nanos(cpu), Nanos(user), Nanos(system));
                prop_assert_eq!(now.0.0 + now.1.0, cpu);
                prop_assert!(now.0 >= last.0 && now.1 >= last.1);
                last = now;
            }
        }
    }
}
