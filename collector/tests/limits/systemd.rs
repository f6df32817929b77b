//! systemd is the first process: limits are asked of it over D-Bus.

use std::fs;

use crate::{Outcome, Tests, people::ANN};

pub(crate) const TESTS: Tests = &[("a_login_makes_a_session_in_the_users_slice", login)];

/// What all other tests here stand on.
fn login() -> Outcome {
    let mut load = ANN.runs(&["wake", "60", "0"])?;
    let slice = format!("/user.slice/user-{}.slice/session-", ANN.uid);
    for pid in ANN.loads()? {
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        if !group.trim().strip_prefix("0::").is_some_and(|path| path.starts_with(&slice)) {
            return Err(format!("a process that {} started at login is in {group:?}", ANN.name).into());
        }
    }
    Ok(load.stop()?)
}
