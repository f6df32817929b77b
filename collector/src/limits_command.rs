//! `uidmeter limits`: asks the daemon over its control socket who is limited and why, and overrides it.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use collector::{
    config::Config,
    limits::{
        ask::{Answer, MOST_ANSWER, Question},
        standing::{Standing, UserStanding},
    },
    units::Uid,
};
use nix::unistd::User;

use crate::{
    cli::LimitsCommand,
    failure::{Failure, HOST, PRIVILEGE, USAGE},
};

/// Longest time for the daemon's answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks, and prints the answer.
pub(crate) fn run(command: &LimitsCommand, config: &Config) -> Result<(), Failure> {
    let socket = config.limits.control_socket.as_deref();
    let socket = socket
        .ok_or_else(|| Failure::new(USAGE, "limits.control_socket is empty, so the daemon cannot be asked".into()))?;
    match command {
        LimitsCommand::List { json: true, .. } => {
            let text = serde_json::to_string_pretty(&standing(socket)?).map_err(io::Error::from)?;
            writeln!(io::stdout(), "{text}")?;
        }
        LimitsCommand::List { .. } => write!(io::stdout(), "{}", table(&standing(socket)?))?,
        LimitsCommand::Explain { user, .. } => {
            let uid = uid_of(user)?;
            write!(io::stdout(), "{}", explanation(&standing(socket)?, uid))?;
        }
        LimitsCommand::Hold { user, .. } => {
            done(socket, Question::Hold(uid_of(user)?))?;
            writeln!(io::stdout(), "{user} stays limited as it is now, until released")?;
        }
        LimitsCommand::Release { user, time, .. } => {
            done(socket, Question::Release { uid: uid_of(user)?, seconds: time.as_secs() })?;
            writeln!(io::stdout(), "{user} is released and left alone for {}", humantime::format_duration(*time))?;
        }
    }
    Ok(())
}

/// By name, or by number if there is no such name.
fn uid_of(user: &str) -> Result<Uid, Failure> {
    let found = User::from_name(user).ok().flatten().map(|user| Uid(user.uid.as_raw()));
    let uid = found.or_else(|| user.parse().ok().map(Uid));
    uid.ok_or_else(|| Failure::new(USAGE, format!("there is no user {user:?}; name one, or give a UID")))
}

fn standing(socket: &Path) -> Result<Standing, Failure> {
    match ask(socket, Question::List)? {
        Answer::Standing(standing) => Ok(*standing),
        other => Err(unexpected(&other)),
    }
}

fn done(socket: &Path, question: Question) -> Result<(), Failure> {
    match ask(socket, question)? {
        Answer::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> Failure {
    match answer {
        Answer::Refused(why) => Failure::new(PRIVILEGE, why.clone()),
        other => io::Error::other(format!("the daemon answers something else: {other:?}")).into(),
    }
}

fn ask(socket: &Path, question: Question) -> Result<Answer, Failure> {
    let stream = UnixStream::connect(socket).map_err(|error| {
        let hint = "is the daemon running, and does it have a limits.policy_file?";
        Failure::new(HOST, format!("cannot ask the daemon at {}: {error}; {hint}", socket.display()))
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(&question).map_err(io::Error::from)?;
    line.push('\n');
    (&stream).write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(MOST_ANSWER as u64)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer).map_err(io::Error::from)?)
}

/// For people.
fn table(standing: &Standing) -> String {
    let mut text = head(standing);
    if standing.users.is_empty() {
        text.push_str("nobody is limited\n");
        return text;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:<20} {:<9} {:>6} {:>7} {:<7} LIMITS", "USER", "STATE", "STEP", "CORES", "WORKS");
    for user in &standing.users {
        let step = user.step.map_or_else(|| "-".into(), |(step, steps)| format!("{step}/{steps}"));
        let _ = writeln!(
            text,
            "{:<20} {:<9} {step:>6} {:>7.2} {:<7} {}",
            printable(&name(user)),
            user.state,
            user.cores,
            works(user),
            if user.wanted.is_none() { "-".into() } else { user.wanted.to_string() },
        );
    }
    text
}

fn head(standing: &Standing) -> String {
    let rules = standing.rules.map_or_else(|| "no policy".into(), |rules| format!("a policy of {rules} rules"));
    let driver = standing.driver.as_deref().unwrap_or("nobody: there is no enforcer");
    let mut text = format!("mode {}, {rules}, limited by {driver}\n", standing.mode);
    if let Some(why) = &standing.unable {
        // As above.
        let _ = writeln!(text, "nobody can be limited: {why}");
    }
    text
}

/// Whether what is wanted is so.
fn works(user: &UserStanding) -> String {
    match (user.dry_run, &user.trouble, user.effective) {
        _ if user.wanted.is_none() => "-".into(),
        (true, ..) => "dry run".into(),
        (_, Some(_), _) => "no".into(),
        (_, None, Some(ratio)) if ratio < 1.0 => format!("{:.0} %", ratio * 100.0),
        _ if user.in_force.is_none() => "no".into(),
        _ => "yes".into(),
    }
}

fn name(user: &UserStanding) -> String {
    user.name.clone().unwrap_or_else(|| user.uid.to_string())
}

/// A name that cannot move the cursor, cut to its column.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(20).collect()
}

/// Everything about one user, a line each.
fn explanation(standing: &Standing, uid: Uid) -> String {
    let mut text = head(standing);
    let Some(user) = standing.users.iter().find(|user| user.uid == uid) else {
        // Writing to a string cannot fail; neither below.
        let _ = writeln!(text, "user {uid}: no rule has anything against him");
        return text;
    };
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "{what:<14} {value}");
    };
    line("user", format!("{} ({uid})", printable(&name(user))));
    line("state", user.seconds.map_or_else(|| user.state.clone(), |seconds| format!("{}, {seconds:.0} s", user.state)));
    if let Some(rule) = &user.rule {
        let step = user.step.map(|(step, steps)| format!(", step {step} of {steps}")).unwrap_or_default();
        line("rule", format!("{}{step}", printable(rule)));
    }
    if let Some(reason) = &user.reason {
        line("because", reason.clone());
    }
    let would = if user.dry_run { " (dry run: nothing is written)" } else { "" };
    line("wanted", format!("{}{would}", user.wanted));
    line("in force", user.in_force.to_string());
    if let Some(group) = &user.group {
        line("cgroup", group.display().to_string());
    }
    if let Some(trouble) = &user.trouble {
        line("trouble", trouble.clone());
    }
    line("uses", format!("{:.2} CPUs", user.cores));
    if user.unenforceable_cores >= 0.005 {
        line(
            "out of reach",
            format!("{:.2} CPUs outside of the user's slice (su, sudo, cron, containers)", user.unenforceable_cores),
        );
    }
    if let Some(ratio) = user.effective.filter(|ratio| *ratio < 1.0) {
        line("effective", format!("no: the limit allows {:.0} % of what is used", ratio * 100.0));
    }
    text
}

#[cfg(test)]
mod tests {
    use collector::{
        limits::{
            Limits, Millicores,
            standing::{Standing, UserStanding},
        },
        units::Uid,
    };

    use super::{explanation, table, works};

    fn ann() -> UserStanding {
        let limits = Limits { cpu_max: Millicores::new(500), ..Limits::default() };
        UserStanding {
            uid: Uid(20_001),
            name: Some("ann\x1b[2J".into()),
            state: "limited".into(),
            seconds: Some(12.0),
            rule: Some("cpu hog".into()),
            step: Some((2, 3)),
            reason: Some("ann uses 1.9 of 2 CPUs".into()),
            dry_run: false,
            wanted: limits,
            in_force: limits,
            group: Some("/sys/fs/cgroup/user.slice/user-20001.slice".into()),
            trouble: None,
            effective: Some(0.5),
            cores: 1.0,
            unenforceable_cores: 0.5,
        }
    }

    fn standing(users: Vec<UserStanding>) -> Standing {
        Standing {
            mode: "enforce".into(),
            rules: Some(2),
            driver: Some("systemd".into()),
            users,
            ..Standing::default()
        }
    }

    #[test]
    fn the_list_has_a_line_for_each_user() {
        let text = table(&standing(vec![ann()]));
        let line = text.lines().last().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["ann?[2J", "limited", "2/3", "1.00", "50", "%", "cpu.max", "0.500", "cores"], "{text}");
        assert_eq!(table(&standing(Vec::new())).lines().count(), 2);
    }

    #[test]
    fn whether_a_limit_works_is_never_guessed() {
        let none = Limits::default();
        for (user, expected) in [
            (UserStanding { effective: Some(1.0), ..ann() }, "yes"),
            (ann(), "50 %"),
            (UserStanding { in_force: none, effective: None, ..ann() }, "no"),
            (UserStanding { trouble: Some("gone".into()), ..ann() }, "no"),
            (UserStanding { dry_run: true, in_force: none, ..ann() }, "dry run"),
            (UserStanding { wanted: none, in_force: none, ..ann() }, "-"),
        ] {
            assert_eq!(works(&user), expected);
        }
    }

    #[test]
    fn an_explanation_has_reason_and_what_is_out_of_reach() {
        let text = explanation(&standing(vec![ann()]), Uid(20_001));
        for part in ["ann uses 1.9 of 2 CPUs", "step 2 of 3", "0.50 CPUs outside", "allows 50 %", "user-20001.slice"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(explanation(&standing(vec![ann()]), Uid(1)).contains("no rule has anything"));
    }
}
