//! The file and the bounds: what is refused, and how that is told.

use super::{Directory, Person, Policy};
use crate::units::Uid;

/// Users and groups that this host knows.
pub(crate) struct Known;

impl Directory for Known {
    fn user(&self, name: &str) -> Result<Option<Uid>, String> {
        match name {
            "root" => Ok(Some(Uid(0))),
            "ann" => Ok(Some(Uid(20_001))),
            "bob" => Ok(Some(Uid(20_002))),
            "joanna" => Ok(Some(Uid(20_003))),
            "far" => Ok(Some(Uid(4_294_900_000))),
            "slow" => Err("the directory does not answer".into()),
            _ => Ok(None),
        }
    }

    fn group(&self, name: &str) -> Result<Option<u32>, String> {
        match name {
            "staff" => Ok(Some(50)),
            "students" => Ok(Some(60)),
            _ => Ok(None),
        }
    }
}

/// A policy from a file's text; all that is wrong with it if it cannot be one.
pub(crate) fn policy(text: &str) -> Result<Policy, String> {
    Policy::parse(text, "FILE", &Known).map_err(|errors| errors.to_string())
}

/// Somebody whose groups are known.
pub(crate) fn person(uid: u32, name: &str, groups: &[u32]) -> Person {
    Person { uid: Uid(uid), name: Some(name.into()), groups: Some(groups.into()) }
}

/// Nearly the least that is a policy.
pub(crate) const HOG: &str = r#"
time_zone = "UTC"

[users]
grace = "0s"

[[rule]]
name = "hog"
min_limited = "20s"
step_after = "5s"
relax_after = "15s"

[rule.when]
victim_wait_p99 = { above = "10ms", for = "5s", release_below = "5ms" }
user_cpu_fair_shares = { above = 1.25, for = "5s", release_below = 1.0 }

[[rule.step]]
cpu_weight = 20

[[rule.step]]
cpu_max = "50%"

[[rule.step]]
cpu_max = 0.5
"#;

fn mistakes(text: &str) -> Vec<String> {
    policy(text).err().unwrap_or_default().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn a_policy_is_read() {
    let read = policy(HOG);
    assert!(read.as_ref().is_ok_and(|policy| policy.rules().len() == 1), "{read:?}");
}

#[test]
fn unknown_names_are_told_by_name() {
    let users = "[users]\nexempt_users = [\"joe\", \"ann\"]\nexempt_groups = [\"wheel\"]\nusers = [\"slow\"]\n";
    let found = mistakes(&format!("{users}{}", HOG.replace("[users]\ngrace = \"0s\"", "")));
    assert_eq!(
        found.iter().filter(|line| !line.contains("time_zone")).collect::<Vec<_>>(),
        [
            "FILE:2: users.exempt_users is \"joe\", but must be names of users that this host knows",
            "FILE:3: users.exempt_groups is \"wheel\", but must be names of groups that this host knows",
            "FILE:4: users.users is \"slow\", which cannot be looked up (\"the directory does not answer\"), but must be \
             names of users that this host knows",
        ]
    );
}
