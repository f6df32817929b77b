//! The whole way in a dry run over a simulated host: decisions, figures, questions, reloads.

use std::{
    error::Error,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Limiter, Message, Settings, prepare};
use crate::{
    config::{Config, Mode},
    export::OwnMetrics,
    limits::{
        ask::{Answer, Question},
        standing::Standing,
    },
    pipeline::{Sampler, sampler::Gatherer},
    source::simulated::{Simulated, Simulation},
    units::Uid,
    users::Users,
};

type Outcome = Result<(), Box<dyn Error>>;

const FIRST: u32 = 20_000;
/// Whoever does more than a little, as soon as a policy can.
const RULE: &str = "[[rule]]\nname = \"anything\"\nmin_limited = \"1s\"\n[rule.when]\n\
    user_cpu = { above = 0.02, for = \"1s\", release_below = 0.01 }\n[[rule.step]]\ncpu_max = 0.5\n";

fn policy(rules: &str) -> String {
    format!("[users]\ngrace = \"0s\"\n{rules}")
}

struct Rig {
    folder: tempfile::TempDir,
    sampler: Sampler,
    limiter: Limiter,
}

impl Rig {
    fn new(mode: Mode) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("policy.toml"), policy(RULE))?;
        let mut config = Config::default();
        config.observe.sample_interval = Duration::from_millis(20);
        config.limits.interval = Duration::from_millis(50);
        config.limits.policy_file = Some(path("policy.toml"));
        config.limits.control_socket = Some(path("run/control.sock"));
        config.limits.mode = mode;
        // In a dry run no enforcer is started, so nothing of this host is touched.
        let prepared = prepare(&config.limits, Vec::new())?;
        let settings = Arc::new(Settings::new(config));
        let source = Simulated::new(&Simulation { users: 60, first_uid: FIRST, seed: 1, age: Duration::from_mins(1) });
        let users = Users::with_lookup(Box::new(|uid| Some(format!("user{uid}").into())))?;
        let sampler = Sampler::start(Box::new(source), users, Arc::new(OwnMetrics::new()?), Arc::clone(&settings))?;
        let limiter = Limiter::start(prepared, settings, sampler.gatherer(), Box::new(|| {}))?.ok_or("no policy")?;
        Ok(Self { folder, sampler, limiter })
    }

    fn views(&self) -> Gatherer {
        self.sampler.gatherer()
    }

    fn ask(&self, question: &str) -> Result<Answer, Box<dyn Error>> {
        let mut stream = UnixStream::connect(self.folder.path().join("run/control.sock"))?;
        stream.write_all(question.as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn until(&self, what: impl Fn(&Standing) -> bool) -> Result<Arc<Standing>, String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let standing = self.views().limits();
            if what(&standing) {
                return Ok(standing);
            }
            if Instant::now() > deadline {
                return Err(format!("it did not come to that: {standing:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self) {
        self.limiter.stop();
        self.sampler.stop();
    }
}

fn state(standing: &Standing, uid: u32) -> Option<&str> {
    standing.users.iter().find(|user| user.uid == Uid(uid)).map(|user| user.state.as_str())
}

#[test]
fn a_dry_run_shows_what_would_be_and_changes_nothing() -> Outcome {
    let rig = Rig::new(Mode::DryRun)?;
    let standing = rig.until(|standing| standing.users.iter().any(|user| user.state == "limited"))?;
    assert_eq!((standing.mode.as_str(), standing.rules, &standing.driver), ("dry-run", Some(1), &None));
    let user = standing.users.iter().find(|user| user.state == "limited").ok_or("nobody")?;
    assert!(user.dry_run && user.in_force.is_none() && !user.wanted.is_none(), "{user:?}");
    assert!(user.reason.as_deref().is_some_and(|reason| reason.contains("over 0.02")), "{user:?}");
    let counted: Vec<String> = standing.changes.keys().map(|change| change.clone().into()).collect();
    assert!(counted.contains(&"set dry-run".to_owned()), "{counted:?}");
    rig.end();
    Ok(())
}

#[test]
fn whoever_asks_over_the_socket_is_answered() -> Outcome {
    let rig = Rig::new(Mode::DryRun)?;
    let standing = rig.until(|standing| standing.users.iter().any(|user| user.state == "limited"))?;
    let uid = standing.users.iter().find(|user| user.state == "limited").map(|user| user.uid).ok_or("nobody")?;
    let line = |question: &Question| serde_json::to_string(question).map(|text| text + "\n");
    let Answer::Standing(told) = rig.ask(&line(&Question::List)?)? else { return Err("no standing".into()) };
    assert_eq!(told.rules, Some(1));
    assert_eq!(rig.ask(&line(&Question::Hold(uid))?)?, Answer::Done);
    rig.until(|standing| state(standing, uid.0) == Some("held"))?;
    assert_eq!(rig.ask(&line(&Question::Release { uid, seconds: 3600 })?)?, Answer::Done);
    rig.until(|standing| state(standing, uid.0) == Some("released"))?;
    for (question, why) in [
        ("x\n".to_owned(), "is not understood"),
        (line(&Question::Hold(Uid(1)))?, "is not limited"),
        (line(&Question::Release { uid: Uid(0), seconds: 1 })?, "could not be"),
    ] {
        let answer = rig.ask(&question)?;
        assert!(matches!(&answer, Answer::Refused(text) if text.contains(why)), "{question}: {answer:?}");
    }
    rig.end();
    Ok(())
}

#[test]
fn a_policy_with_mistakes_changes_nothing_and_a_better_one_is_taken() -> Outcome {
    let rig = Rig::new(Mode::DryRun)?;
    let file = rig.folder.path().join("policy.toml");
    fs::write(&file, "[[rule]]\nname = 1\n")?;
    rig.limiter.messages().send(Message::Reload)?;
    rig.until(|standing| standing.users.iter().any(|user| user.state == "limited"))?;
    fs::write(&file, policy(&format!("{RULE}{}", RULE.replace("anything", "more"))))?;
    rig.limiter.messages().send(Message::Reload)?;
    rig.until(|standing| standing.rules == Some(2))?;
    rig.end();
    Ok(())
}

#[test]
fn what_is_off_decides_nothing() -> Outcome {
    let rig = Rig::new(Mode::Off)?;
    let standing = rig.until(|standing| standing.evaluations > 3)?;
    assert!(standing.users.iter().all(|user| user.wanted.is_none()) && standing.changes.is_empty(), "{standing:?}");
    rig.end();
    Ok(())
}

#[test]
fn two_daemons_do_not_share_a_socket() -> Outcome {
    let rig = Rig::new(Mode::DryRun)?;
    let mut config = Config::default();
    config.limits.policy_file = Some(rig.folder.path().join("policy.toml"));
    config.limits.control_socket = Some(rig.folder.path().join("run/control.sock"));
    let error = prepare(&config.limits, Vec::new()).map(|_| ()).map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.contains("another daemon listens there")));
    rig.end();
    Ok(())
}
