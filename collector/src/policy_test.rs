//! `uidmeter policy`: tells what is wrong with a policy file, and what it would have done in the course of a recorded or
//! hand-written series of observations. Changes nothing on this host.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    path::Path,
    sync::Arc,
};

use collector::{
    config::Mode,
    policy::{
        self, Action, Decision, Directory, Engine, Policy, PolicyErrors,
        series::{self, Backed, Line, Names, Observed},
    },
    units::{Nanos, Uid, UnixTime},
};
use nix::unistd::{Group, User};
use serde::Serialize;

use crate::{
    cli::{PolicyCommand, PolicyTestOptions},
    failure::{Failure, USAGE},
};

/// Longer series are cut into several.
const MOST_LINES: usize = 10_000_000;
/// Most characters of a name in the table.
const NAME_WIDTH: usize = 20;

/// Users and groups of this host, by its name service, which is waited for.
struct Host;

impl Directory for Host {
    fn user(&self, name: &str) -> Result<Option<Uid>, String> {
        let user = User::from_name(name).map_err(|error| error.desc().to_owned())?;
        Ok(user.map(|user| Uid(user.uid.as_raw())))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, String> {
        let group = Group::from_name(name).map_err(|error| error.desc().to_owned())?;
        Ok(group.map(|group| group.gid.as_raw()))
    }
}

pub(crate) fn run(command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Check { file } => check(file),
        PolicyCommand::Test { file, options } => test(file, options),
    }
}

/// All mistakes, or one line for each rule.
fn check(file: &Path) -> Result<(), Failure> {
    let policy = load(file, &Host)?;
    let mut out = io::stdout().lock();
    writeln!(out, "fine: {}", file.display())?;
    for rule in policy.rules() {
        let (conditions, steps) = (count(rule.when.len(), "condition"), count(rule.steps.len(), "step"));
        writeln!(out, "rule {}: {conditions}, {steps}, {} at most", rule.name, rule.mode.word())?;
    }
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn load(file: &Path, directory: &dyn Directory) -> Result<Policy, PolicyErrors> {
    Policy::parse(&policy::read(file)?, &file.display().to_string(), directory)
}

/// Replays the series.
fn test(file: &Path, options: &PolicyTestOptions) -> Result<(), Failure> {
    let series = Series::open(&options.series)?;
    let mut lines = series.peekable();
    let names = match lines.next_if(|line| matches!(line, Ok((_, Line::Names(_))))) {
        Some(Ok((_, Line::Names(names)))) => names,
        _ => Names::default(),
    };
    let policy = load(file, &Backed { names: &names, directory: &Host })?;
    let mut replay = Replay::new(policy);
    let mut out = io::stdout().lock();
    for line in lines {
        let (number, line) = line?;
        let at = |what: &str| Failure::new(USAGE, format!("{}:{number}: {what}", options.series.display()));
        let Line::Observed(observed) = line else {
            return Err(at("names stand in the first line or nowhere"));
        };
        if replay.last.is_some_and(|last| observed.time <= last) {
            return Err(at("the time is no later than the end of the observation before"));
        }
        let mut text = String::new();
        replay.play(&observed, |shown| if options.json { shown.json(&mut text) } else { shown.row(&mut text) });
        match out.write_all(text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    if !options.json {
        write!(out, "{}", replay.summary())?;
    }
    Ok(())
}

/// The lines of a file, with their numbers, until the first that is none.
struct Series {
    name: String,
    lines: Box<dyn BufRead>,
    number: usize,
}

impl Series {
    fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(USAGE, format!("cannot read {}: {error}", path.display()));
        let lines: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(path).map_err(failed)?))
        };
        Ok(Self { name: path.display().to_string(), lines, number: 0 })
    }

    /// The next line that is not blank; `None` at the end.
    fn read(&mut self) -> Result<Option<Line>, String> {
        loop {
            let mut bytes = Vec::new();
            self.number += 1;
            let most = series::MOST_BYTES as u64;
            let read = self.lines.by_ref().take(most + 1).read_until(b'\n', &mut bytes);
            read.map_err(|error| format!("this cannot be read: {error}"))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if bytes.len() as u64 > most || self.number > MOST_LINES {
                return Err(format!("a series has at most {MOST_LINES} lines of {most} bytes"));
            }
            let text = String::from_utf8(bytes).map_err(|_| "this is not text in UTF-8".to_owned())?;
            if !text.trim().is_empty() {
                return series::line(text.trim()).map(Some).map_err(|error| error.to_string());
            }
        }
    }
}

impl Iterator for Series {
    type Item = Result<(usize, Line), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().transpose()?;
        let failed = |what| Failure::new(USAGE, format!("{}:{}: {what}", self.name, self.number));
        Some(read.map(|line| (self.number, line)).map_err(failed))
    }
}

/// A policy in the course of a series.
struct Replay {
    engine: Engine,
    /// By the last observation that has one.
    names: BTreeMap<Uid, String>,
    last: Option<UnixTime>,
    observations: u64,
    /// Of each user: how often he was limited, for how long, and since when he is; in a dry run or for good.
    limited: BTreeMap<Uid, (u64, u64, Option<UnixTime>)>,
}

/// A decision, as it is shown.
struct Shown<'a> {
    time: UnixTime,
    name: &'a str,
    decision: &'a Decision,
}

#[derive(Serialize)]
struct Json<'a> {
    time: String,
    name: &'a str,
    #[serde(flatten)]
    order: &'a collector::limits::Order,
    action: Action,
    mode: Mode,
}

impl Replay {
    fn new(policy: Policy) -> Self {
        let mut engine = Engine::new(Arc::new(policy));
        engine.set_mode(Mode::Enforce);
        Self { engine, names: BTreeMap::new(), last: None, observations: 0, limited: BTreeMap::new() }
    }

    fn play(&mut self, observed: &Observed, mut show: impl FnMut(&Shown<'_>)) {
        for user in &observed.observation.users {
            if let Some(name) = &user.person.name {
                let name = name.chars().map(|c| if c.is_control() { '?' } else { c }).take(NAME_WIDTH).collect();
                self.names.insert(user.person.uid, name);
            }
        }
        for clock in observed.clocks() {
            self.observations += 1;
            self.last = Some(clock.wall);
            for decision in self.engine.evaluate(&observed.observation, &clock).decisions {
                let uid = decision.order.uid;
                let (times, nanos, since) = self.limited.entry(uid).or_default();
                match decision.action {
                    Action::Set => {
                        *times += 1;
                        *since = since.or(Some(clock.wall));
                    }
                    Action::Release => *nanos += elapsed(since.take(), clock.wall),
                    Action::Tighten | Action::Relax => {}
                }
                let name = self.names.get(&uid).map_or("", String::as_str);
                show(&Shown { time: clock.wall, name, decision: &decision });
            }
        }
    }

    /// Who was limited how often, and for how long.
    fn summary(&self) -> String {
        let mut text = format!("{}\n", count(usize::try_from(self.observations).unwrap_or(usize::MAX), "observation"));
        for (uid, (times, nanos, since)) in &self.limited {
            let last = self.last.unwrap_or(UnixTime(Nanos(0)));
            let seconds = (nanos + elapsed(*since, last)) / 1_000_000_000;
            let still = if since.is_some() { ", and is at the end" } else { "" };
            let name = self.names.get(uid).map_or("", String::as_str);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} ({uid}): limited {}, for {seconds} s in all{still}", count_times(*times));
        }
        if self.limited.is_empty() {
            text.push_str("nobody would have been limited\n");
        }
        text
    }
}

fn count_times(times: u64) -> String {
    if times == 1 { "once".into() } else { format!("{times} times") }
}

fn elapsed(since: Option<UnixTime>, until: UnixTime) -> u64 {
    since.map_or(0, |since| until.0.0.saturating_sub(since.0.0))
}

impl Shown<'_> {
    fn row(&self, text: &mut String) {
        let Decision { order, action, mode } = self.decision;
        let dry = if *mode == Mode::Enforce { "" } else { " (dry run)" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}  {:<NAME_WIDTH$} {:<10} {:<7} {}{dry}\n    {}: {}",
            moment(self.time),
            self.name,
            order.uid,
            action.name(),
            order.limits,
            order.cause.rule,
            order.cause.reason,
        );
    }

    fn json(&self, text: &mut String) {
        let Decision { order, action, mode } = self.decision;
        let json = Json { time: moment(self.time), name: self.name, order, action: *action, mode: *mode };
        // Plain data of our own can be written.
        if let Ok(line) = serde_json::to_string(&json) {
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// `2026-03-23T12:00:05Z`.
fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.0.0 / 1_000_000_000).ok();
    let moment = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    moment.map(|moment| moment.to_string()).unwrap_or_default()
}
