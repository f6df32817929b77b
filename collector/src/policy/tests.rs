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

/// [`HOG`] with `with` in place of `what`, which stands in it once.
fn changed(what: &str, with: &str) -> String {
    assert_eq!(HOG.matches(what).count(), 1, "{what}");
    HOG.replace(what, with)
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_what_to_do() {
    let file = r#"
tyme_zone = "UTC"
[users]
min_uid = 0
exempt_user = ["ann"]
[floors]
cpu_max = "none"
[[rule]]
name = "a"
when = { user_cpu = { above = 75 , for = "5" }, host_cpu = { above = "1%" } }
step = [{ cpu_weight = 200 }, {}]
[[rule]]
name = "a"
min_limited = "1h"
[rule.when]
host_cpu_busy = { above = "50%", release_below = "60%" }
[[override]]
users = ["ann"]
rules = ["b"]
allowance = 2.0
"#;
    assert_eq!(
        mistakes(file),
        [
            "FILE:2: there is no setting tyme_zone; did you mean time_zone?",
            "FILE:4: users.min_uid is 0, but must be a number from 1 to 4294967294",
            "FILE:5: there is no setting users.exempt_user; did you mean exempt_users?",
            "FILE:7: floors.cpu_max is \"none\", but must be CPUs as a number from 0.01 on",
            "FILE:10: there is no setting rule \"a\".when.host_cpu; did you mean host_cpu_busy?",
            "FILE:10: rule \"a\".when.user_cpu.for is \"5\", but must be a time from \"1s\" to \"1h\"",
            "FILE:11: rule \"a\", step 1.cpu_weight is 200, but must be a whole number from 1 to 100",
            "FILE:11: rule \"a\", step 2 is empty, but must be given something to limit",
            "FILE:12: rule \"a\".step is missing, but must be a list of tables",
            "FILE:12: rule.name is \"a\", but must be a name that no other rule has",
            "FILE:15: rule \"a\".when is without a condition on the user's own figures, but must be given one of user_cpu, \
             user_cpu_fair_shares, user_memory, user_write_rate: without, everybody would be limited",
            "FILE:16: rule \"a\".when.host_cpu_busy.release_below is \"60%\", but must be less than above (\"50%\"), and in \
             the same unit",
            "FILE:19: override 1.rules is \"b\", but must be names of rules of this file",
        ]
    );
}

#[test]
fn contradictions_are_refused() {
    for (what, with, said) in [
        ("release_below = 1.0", "release_below = 1.25", "release_below is 1.25, but must be less than above (1.25)"),
        ("release_below = 1.0", "release_above = 1.0", "there is no setting"),
        (
            "victim_wait_p99 = {",
            "memory_available = { below = \"10%\", release_above = \"5%\" }\nvictim_wait_p99 = {",
            "release_above is \"5%\", but must be more than below (\"10%\")",
        ),
        (
            "victim_wait_p99 = {",
            "memory_available = { below = \"90%\" }\nvictim_wait_p99 = {",
            "which is more than all, but must be given, up to \"100%\"",
        ),
        (
            "victim_wait_p99 = {",
            "memory_available = { below = \"9%\", release_above = \"2GiB\" }\nvictim_wait_p99 = {",
            "and in the same unit",
        ),
        ("cpu_max = 0.5", "cpu_max = 0.05", "cpu_max is 0.05, but must be no less than its floor, 0.1"),
        ("cpu_weight = 20", "cpu_weight = 4", "cpu_weight is 4, but must be no less than its floor, 5"),
        (
            "cpu_max = 0.5",
            "cpu_max = 0.5\ncpu_weight = 30",
            "cpu_weight is 30, but must be no more than in the step before",
        ),
        ("cpu_max = 0.5", "memory_max = \"2GiB\"", "memory_max is without memory_high"),
        ("cpu_max = 0.5", "memory_high = \"2GiB\"\nmemory_max = \"1GiB\"", "but must be no less than memory_high"),
        ("cpu_max = 0.5", "memory_high = \"1MiB\"", "but must be no less than its floor, \"256MiB\""),
        ("cpu_max = 0.5", "io_read = \"1KiB/s\"", "but must be no less than its floor, \"1MiB/s\""),
        (
            "min_limited = \"20s\"",
            "off_during = [\"Mon 08:00-09:00\"]\nonly_during = [\"Tue 08:00-09:00\"]",
            "off_during is given, but must be left out where only_during is given",
        ),
        (
            "min_limited = \"20s\"",
            "users = [\"ann\"]\nexempt_users = [\"ann\"]",
            "chosen and exempt at once for UID 20001",
        ),
        ("min_limited = \"20s\"", "users = [\"root\"]", "\"root\" with UID 0, which belongs to the system"),
        (
            "grace = \"0s\"",
            "exempt_users = [\"ann\"]\n[[override]]\nusers = [\"ann\"]\nallowance = 2.0",
            "which is exempt",
        ),
        (
            "grace = \"0s\"",
            "[[override]]\nusers = [\"ann\"]\nallowance = 2.0\n[[override]]\nuids = [\"20000-20009\"]\nallowance = 3.0",
            "the second override for UID 20000-20009",
        ),
        ("grace = \"0s\"", "[[override]]\nusers = [\"ann\"]", "override 1 is without effect"),
        ("grace = \"0s\"", "[[override]]\nallowance = 2.0", "override 1.users is missing"),
    ] {
        let found = mistakes(&changed(what, with));
        assert!(found.len() == 1 && found[0].contains(said), "{with}: {found:#?}");
    }
    assert!(mistakes("").iter().any(|line| line.contains("without a rule nobody is ever limited")));
    assert!(mistakes("[[rule]]\nname = \"a\"\nwhen = {}\nstep = []\n")[0].contains("without conditions"));
}

#[test]
fn an_empty_list_means_neither_everybody_nor_nobody() {
    for key in ["users", "uids", "groups", "exempt_users", "off_during"] {
        let found = mistakes(&changed("min_limited = \"20s\"", &format!("{key} = []")));
        assert!(
            found.len() == 1 && found[0].contains("is a list of 0, but must be a list of one or more"),
            "{found:?}"
        );
    }
}

#[test]
fn nothing_is_decided_by_the_name_of_a_process() {
    for key in ["processes", "exempt_processes", "commands", "exempt_commands"] {
        let found = mistakes(&changed("min_limited = \"20s\"", &format!("{key} = [\"sshd\"]")));
        assert!(found.len() == 1 && found[0].contains("there is no setting"), "{found:?}");
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_line_and_nothing_hostile_is_printed() {
    let found = mistakes(&changed("cpu_weight = 20", "cpu_weight = "));
    assert!(found.len() == 1 && found[0].starts_with("FILE:18: this is not TOML: "), "{found:?}");
    let long = "x".repeat(10_000);
    let found = mistakes(&format!("\"\\u001b[2J\" = 1\n{long} = 1\n{HOG}"));
    assert!(
        found.len() == 2 && found.iter().all(|line| line.len() < 400 && !line.contains(char::is_control)),
        "{found:?}"
    );
    let many = (0..1000).map(|number| format!("zebra{number} = 1")).collect::<Vec<_>>().join("\n");
    assert_eq!(mistakes(&many).len(), 51);
    assert!(!mistakes(&format!("a = {}1", "[".repeat(100_000))).is_empty());
}

mod bounds {
    use super::{HOG, Person, Policy, Uid, changed, person, policy};
    use crate::{
        limits::{Cause, Limits, Millicores, Order, Weight},
        policy::Refusal,
        units::Bytes,
    };

    fn order(uid: u32, limits: Limits) -> Order {
        Order { uid: Uid(uid), limits, cause: Cause { rule: "hog".into(), reason: "because".into() } }
    }

    fn asked(policy: &Policy, limits: Limits) -> Result<(), Refusal> {
        policy.permits(&order(20_001, limits), &person(20_001, "ann", &[]))
    }

    fn cores(thousandths: u32) -> Limits {
        Limits { cpu_max: Millicores::new(thousandths), ..Limits::default() }
    }

    #[test]
    fn what_a_rule_could_set_is_permitted_and_less_is_not() -> Result<(), String> {
        let policy = policy(HOG)?;
        let weight = |weight| Limits { cpu_weight: Weight::new(weight), ..Limits::default() };
        assert_eq!(asked(&policy, weight(20)), Ok(()));
        assert!(matches!(asked(&policy, weight(19)), Err(Refusal::OutOfBounds { .. })));
        assert!(matches!(asked(&policy, weight(101)), Err(Refusal::OutOfBounds { .. })));
        // A share could be anything down to the floor.
        assert_eq!(asked(&policy, cores(100)), Ok(()));
        assert!(matches!(asked(&policy, cores(99)), Err(Refusal::OutOfBounds { .. })));
        let memory = Limits { memory_high: Some(Bytes(1 << 40)), ..Limits::default() };
        assert!(matches!(asked(&policy, memory), Err(Refusal::NotSet { property: "memory_high", .. })));
        Ok(())
    }

    #[test]
    fn without_shares_the_tightest_step_is_the_bound() -> Result<(), String> {
        let policy = policy(&changed("\"50%\"", "1.0"))?;
        assert_eq!(asked(&policy, cores(500)), Ok(()));
        assert!(matches!(asked(&policy, cores(499)), Err(Refusal::OutOfBounds { .. })));
        Ok(())
    }

    #[test]
    fn who_asks_for_somebody_else_is_refused_and_giving_back_never_is() -> Result<(), String> {
        let exempt = "exempt_users = [\"ann\"]\nexempt_groups = [\"staff\"]";
        let policy = policy(&changed("grace = \"0s\"", exempt))?;
        let permits = |uid, person: &Person| policy.permits(&order(uid, cores(500)), person);
        assert_eq!(permits(20_001, &person(20_001, "ann", &[])), Err(Refusal::Exempt(Uid(20_001))));
        assert_eq!(permits(20_002, &person(20_002, "bob", &[50])), Err(Refusal::Exempt(Uid(20_002))));
        assert_eq!(permits(20_002, &person(20_002, "bob", &[51])), Ok(()));
        let unknown = Person { groups: None, ..person(20_002, "bob", &[]) };
        assert_eq!(permits(20_002, &unknown), Err(Refusal::GroupsUnknown(Uid(20_002))));
        let other = Refusal::SomebodyElse { uid: Uid(20_001), person: Uid(20_002) };
        assert_eq!(permits(20_001, &person(20_002, "bob", &[])), Err(other));
        assert_eq!(permits(0, &person(0, "root", &[])), Err(Refusal::NoPerson(Uid(0))));
        assert_eq!(policy.permits(&order(0, Limits::default()), &person(0, "root", &[])), Ok(()));
        Ok(())
    }

    #[test]
    fn rules_that_are_not_there_or_do_not_enforce_permit_nothing() -> Result<(), String> {
        let dry = policy(&changed("min_limited = \"20s\"", "mode = \"dry-run\""))?;
        assert_eq!(asked(&dry, cores(500)), Err(Refusal::NotEnforced("hog".into())));
        let other = policy(&changed("name = \"hog\"", "name = \"pig\""))?;
        assert_eq!(asked(&other, cores(500)), Err(Refusal::NoRule("hog".into())));
        let bob = policy(&changed("min_limited = \"20s\"", "users = [\"bob\"]"))?;
        assert_eq!(asked(&bob, cores(500)), Err(Refusal::NotCovered { rule: "hog".into(), uid: Uid(20_001) }));
        Ok(())
    }

    #[test]
    fn memory_max_stands_behind_memory_high_or_not_at_all() -> Result<(), String> {
        let policy = policy(&changed("cpu_max = 0.5", "memory_high = \"1GiB\"\nmemory_max = \"2GiB\""))?;
        let memory = |high, max| Limits { memory_high: high, memory_max: max, ..Limits::default() };
        let (one, two, four) = (Some(Bytes(1 << 30)), Some(Bytes(2 << 30)), Some(Bytes(4 << 30)));
        assert_eq!(asked(&policy, memory(one, two)), Ok(()));
        for (high, max) in [(None, two), (four, two)] {
            assert!(matches!(asked(&policy, memory(high, max)), Err(Refusal::OutOfBounds { .. })), "{high:?} {max:?}");
        }
        assert!(asked(&policy, memory(Some(Bytes((1 << 30) - 1)), None)).is_err());
        Ok(())
    }
}
