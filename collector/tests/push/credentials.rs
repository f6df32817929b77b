//! Who the host is, and who the receiver must be.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, thread};

use crate::{
    Outcome,
    certificates::Authority,
    receiver::{Receiver, Reply},
    rig::{INTERVAL, Rig},
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn write(rig: &Rig, name: &str, text: &str) -> std::io::Result<std::path::PathBuf> {
    let path = rig.path(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

#[test]
fn a_token_that_is_exchanged_loses_nothing() -> Outcome {
    let receiver = Receiver::start(ANY, &[], None)?;
    receiver.answer(Reply::Authorized("Bearer old"));
    let mut rig = Rig::new(receiver.address)?;
    rig.push.bearer_token_file = Some(write(&rig, "token", "old\n")?);
    let pusher = rig.start()?;
    receiver.await_taken(2)?;
    // First the file, then the receiver: what comes in between may be sent with either.
    write(&rig, "token", "new\n")?;
    receiver.answer(Reply::Authorized("Bearer new"));
    let count = receiver.received().len();
    receiver.await_taken(count + 2)?;
    pusher.stop();
    assert_eq!(rig.counted("uidmeter_push_samples_dropped_total", ""), 0);
    Ok(())
}

#[test]
fn a_file_that_is_broken_later_changes_nothing() -> Outcome {
    let receiver = Receiver::start(ANY, &[], None)?;
    receiver.answer(Reply::Authorized("Basic YW5uOnNlY3JldA=="));
    let mut rig = Rig::new(receiver.address)?;
    rig.push.username = Some("ann".into());
    rig.push.password_file = Some(write(&rig, "password", "secret\n")?);
    let pusher = rig.start()?;
    receiver.await_taken(1)?;
    let path = write(&rig, "password", "secret\n")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    fs::write(&path, "other")?;
    // Refused: the files are looked at again, and found to be unusable.
    receiver.answer(Reply::Status("403 Forbidden"));
    let count = receiver.received().len();
    receiver.await_that(|received| received.len() > count)?;
    receiver.answer(Reply::Authorized("Basic YW5uOnNlY3JldA=="));
    let count = receiver.received().len();
    receiver.await_taken(count)?;
    pusher.stop();
    Ok(())
}

#[test]
fn certificates_are_asked_for_on_both_sides() -> Outcome {
    let (ours, other) = (Authority::new()?, Authority::new()?);
    let receiver = Receiver::start(ANY, &[], Some(ours.server()?))?;
    let mut rig = Rig::new(receiver.address)?;
    rig.push.url = Some(format!("https://{}/api/v1/write", receiver.address));
    let (certificate, key) = ours.sign("host1")?;
    let (stranger, key_of_stranger) = other.sign("host1")?;
    for (ca, pair, is_let_in) in [
        // The receiver is not who it should be.
        (&other.pem, Some((&certificate, &key)), false),
        // The host is nobody, or somebody else.
        (&ours.pem, None, false),
        (&ours.pem, Some((&stranger, &key_of_stranger)), false),
        (&ours.pem, Some((&certificate, &key)), true),
    ] {
        rig.push.ca_file = Some(write(&rig, "ca", ca)?);
        (rig.push.certificate_file, rig.push.key_file) = match pair {
            Some((certificate, key)) => {
                (Some(write(&rig, "certificate", certificate)?), Some(write(&rig, "key", key)?))
            }
            None => (None, None),
        };
        let pusher = rig.start()?;
        if is_let_in {
            receiver.await_taken(2)?;
        } else {
            thread::sleep(INTERVAL * 4);
            assert!(receiver.received().is_empty());
            assert!(rig.counted("uidmeter_push_samples_retried_total", "") > 0);
        }
        pusher.stop();
    }
    // What waited meanwhile has arrived as well.
    assert_eq!(rig.counted("uidmeter_push_samples_dropped_total", ""), 0);
    Ok(())
}
