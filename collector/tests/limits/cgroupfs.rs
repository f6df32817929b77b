//! Direct writes to cgroup v2, on a machine without systemd.

use crate::{Outcome, Tests};

pub(crate) const TESTS: Tests = &[("the_machine_has_cgroup_v2_with_cpu_memory_and_io", controllers)];

/// What all other tests here stand on.
fn controllers() -> Outcome {
    let found = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")?;
    for controller in ["cpu", "memory", "io"] {
        if !found.split_whitespace().any(|name| name == controller) {
            return Err(format!("{controller} is missing: /sys/fs/cgroup/cgroup.controllers says {found:?}").into());
        }
    }
    Ok(())
}
