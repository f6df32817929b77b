//! The enforcer as a process, seen through its socket, on whatever host this is: it never gets to limit anybody here.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use collector::{
    enforce::{
        Outcome,
        client::{Client, ClientError, Spawn},
        driver::Kind,
        journal::Journal,
    },
    limits::{Cause, Limits, Order, Weight},
    units::Uid,
};

type Done = Result<(), Box<dyn std::error::Error>>;

/// Below a folder that is no cgroup, so that it can only refuse.
fn spawn(folder: &Path) -> Spawn {
    let root = folder.as_os_str().to_owned();
    let journal = folder.join("limits.journal").into_os_string();
    let mut arguments: Vec<OsString> =
        ["enforcer", "--limits.driver=cgroupfs", "--limits.audit-log=", "--limits.journal"].map(Into::into).to_vec();
    arguments.extend([journal, "--limits.cgroup-root".into(), root]);
    Spawn {
        program: env!("CARGO_BIN_EXE_uidmeter").into(),
        arguments,
        patience: Duration::from_secs(30),
        deadline: Duration::from_secs(30),
    }
}

fn order(uid: u32) -> Order {
    let limits = Limits { cpu_weight: Weight::new(20), ..Limits::default() };
    Order { uid: Uid(uid), limits, cause: Cause { rule: "r".into(), reason: "x".into() } }
}

#[test]
fn without_cgroup_v2_every_order_is_refused_with_the_reason() -> Done {
    let folder = tempfile::tempdir()?;
    let mut client = Client::spawn(&spawn(folder.path()))?;
    let why = client.hello().monitor_only.clone().unwrap_or_default();
    assert!(why.starts_with("monitor only: ") && why.contains("no cgroup of version 2"), "{why}");
    assert_eq!(client.set(&order(20_001))?, Outcome::Refused { why });
    assert_eq!(
        client.set(&order(0))?,
        Outcome::Refused { why: client.hello().monitor_only.clone().unwrap_or_default() }
    );
    assert_eq!(client.status()?.limited, 0);
    assert!(client.renew(None)?.users.is_empty());
    assert!(client.close(Duration::from_secs(30)), "it ends when its socket closes");
    Ok(())
}

#[test]
fn of_two_at_once_the_second_does_not_start() -> Done {
    let folder = tempfile::tempdir()?;
    let first = Journal::open(&folder.path().join("limits.journal"), Kind::Systemd, Duration::ZERO)?;
    match Client::spawn(&spawn(folder.path())) {
        Err(ClientError::NotStarted(why)) => assert!(why.starts_with("another enforcer is at work"), "{why}"),
        other => panic!("{other:?}"),
    }
    drop(first);
    assert!(Client::spawn(&spawn(folder.path())).is_ok());
    Ok(())
}

#[test]
fn an_enforcer_that_is_killed_is_noticed() -> Done {
    let folder = tempfile::tempdir()?;
    let mut client = Client::spawn(&spawn(folder.path()))?;
    let pid = nix::unistd::Pid::from_raw(client.pid().try_into()?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)?;
    assert!(matches!(client.set(&order(20_001)), Err(ClientError::Ended)));
    Ok(())
}

#[test]
fn nonsense_is_refused_and_does_no_harm() -> Done {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    let folder = tempfile::tempdir()?;
    let spawn = spawn(folder.path());
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs): (OwnedFd, OwnedFd) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    let mut child = Command::new(&spawn.program).args(&spawn.arguments).stdin(Stdio::from(theirs)).spawn()?;
    let mut socket = std::fs::File::from(ours);
    let mut buffer = vec![0; 70_000];
    let mut hear = |socket: &mut std::fs::File| {
        let length = socket.read(&mut buffer)?;
        io::Result::Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    assert!(hear(&mut socket)?.contains("\"ready\""));
    let order = r#"{"number":7,"message":{"set":{"uid":1,"limits":{"cpu_weight":0},"cause":{"rule":"","reason":""}}}}"#;
    let long = "[".repeat(65_000);
    let too_long = " ".repeat(66_000);
    for nonsense in [
        "x",
        "{}",
        r#"{"number":1,"message":"stat"}"#,
        r#"{"number":1,"message":"status","more":1}"#,
        order,
        &long,
        &too_long,
    ] {
        socket.write_all(nonsense.as_bytes())?;
        let reply = hear(&mut socket)?;
        assert!(reply.contains("\"refused\""), "{nonsense:.40}: {reply}");
    }
    socket.write_all(br#"{"number":8,"message":"status"}"#)?;
    assert!(hear(&mut socket)?.starts_with(r#"{"number":8,"message":{"status""#));
    drop(socket);
    assert!(child.wait()?.success());
    Ok(())
}

#[test]
fn sigterm_ends_it() -> Done {
    let folder = tempfile::tempdir()?;
    let client = Client::spawn(&spawn(folder.path()))?;
    let pid = nix::unistd::Pid::from_raw(client.pid().try_into()?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    assert!(client.close(Duration::from_secs(30)));
    Ok(())
}
