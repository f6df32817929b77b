//! A hub that is away, in trouble, or nonsensical: nothing is lost that it did not refuse, and order is kept.

use std::{error::Error, net::SocketAddr, thread, time::Duration};

use collector::config::PushProtocol;

use crate::{
    Outcome,
    receiver::{Received, Receiver, Reply, nowhere},
    rig::{INTERVAL, Rig},
};

const ONE: &str = "__name__=uidmeter_users;instance=host1;job=uidmeter;site=north;";

/// Timestamps at which one series was told, in the order of arrival, with what became of the request.
fn moments(received: &[Received]) -> Result<Vec<(i64, bool)>, Box<dyn Error>> {
    let mut moments = Vec::new();
    for one in received {
        let samples = one.samples()?;
        let of_series = samples.iter().filter(|(name, _, value)| name == ONE && !value.is_nan());
        moments.extend(of_series.map(|(_, timestamp, _)| (*timestamp, one.taken)));
    }
    Ok(moments)
}

fn steps(moments: &[i64]) -> Vec<i64> {
    moments.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn what_is_not_refused_arrives_in_order_whatever_happens() -> Outcome {
    let address = nowhere()?;
    let rig = Rig::new(address)?;
    let pusher = rig.start()?;
    // Nobody is there for a few readings.
    thread::sleep(INTERVAL * 3);
    let trouble = [
        Reply::Status("500 Internal Server Error"),
        Reply::Status("429 Too Many Requests\r\nRetry-After: 1"),
        Reply::Fine,
        Reply::Garbage,
        Reply::HangUp,
        Reply::Fine,
        Reply::Slow,
        Reply::Status("302 Found\r\nLocation: /elsewhere"),
        Reply::Fine,
        Reply::Status("400 Bad Request"),
    ];
    let hub = Receiver::start(address, &trouble, None)?;
    let received = hub.await_taken(10)?;
    pusher.stop();
    let first = &received[0];
    assert_eq!(first.head[0], "POST /api/v1/write HTTP/1.1");
    for (name, value) in [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("user-agent", concat!("uidmeter/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(first.header(name), Some(value), "{name}");
    }
    // The same request until it is taken; and nobody goes elsewhere.
    for three in received[..9].chunks(3) {
        assert!(three.iter().all(|one| one.body == three[0].body));
    }
    assert!(received[3..10].windows(2).any(|pair| pair[0].body != pair[1].body));
    assert!(received.iter().all(|one| one.head[0] == first.head[0]));
    // Retry-After is heard.
    assert!(received[2].at - received[1].at >= Duration::from_secs(1));
    // Every moment once, but for what was refused.
    let arrived: Vec<_> =
        [2, 5].into_iter().chain(8..received.len()).filter_map(|i| received.get(i).cloned()).collect();
    let moments = moments(&arrived)?;
    assert!(!moments[3].1 && moments.iter().filter(|(_, taken)| !taken).count() == 1, "{moments:?}");
    let told: Vec<i64> = moments.iter().map(|(moment, _)| *moment).collect();
    let interval = i64::try_from(INTERVAL.as_millis())?;
    assert!(steps(&told).iter().all(|step| *step == interval), "{told:?}");
    let refused = received[9].samples()?.len();
    assert_eq!(rig.counted("uidmeter_push_samples_dropped_total", "refused"), refused as u64);
    assert_eq!(rig.counted("uidmeter_push_samples_dropped_total", ""), refused as u64);
    let of_first = first.samples()?.len() as u64;
    // Six failures of the hub, and at least one while nobody was there; each request has about as many samples.
    assert!(rig.counted("uidmeter_push_samples_retried_total", "") * 2 >= 13 * of_first);
    Ok(())
}

#[test]
fn a_restart_while_the_receiver_is_away_leaves_no_gap_and_no_repetition() -> Outcome {
    let address = nowhere()?;
    let rig = Rig::new(address)?;
    let pusher = rig.start()?;
    thread::sleep(INTERVAL * 5);
    pusher.stop();
    let pusher = rig.start()?;
    thread::sleep(INTERVAL * 5);
    let hub = Receiver::start(address, &[], None)?;
    let received = hub.await_taken(14)?;
    // Once more, with the hub there.
    pusher.stop();
    let pusher = rig.start()?;
    let before = received.len();
    hub.await_taken(before + 3)?;
    pusher.stop();
    let moments: Vec<i64> = moments(&hub.received())?.into_iter().map(|(moment, _)| moment).collect();
    let interval = i64::try_from(INTERVAL.as_millis())?;
    // Of a restart that falls onto a moment, this one is missing.
    let steps = steps(&moments);
    assert!(steps.iter().all(|step| *step > 0 && step % interval == 0), "{moments:?}");
    assert!(steps.iter().filter(|step| **step != interval).count() <= 2, "{moments:?}");
    assert!(steps.iter().all(|step| *step <= 3 * interval), "{moments:?}");
    assert_eq!(rig.counted("uidmeter_push_samples_dropped_total", ""), 0);
    Ok(())
}

#[test]
fn who_does_not_understand_2_0_is_found_out() -> Outcome {
    let hub = Receiver::start(SocketAddr::from(([127, 0, 0, 1], 0)), &[], None)?;
    hub.answer(Reply::Status("204 No Content"));
    let mut rig = Rig::new(hub.address)?;
    rig.push.protocol = PushProtocol::V2;
    let pusher = rig.start()?;
    hub.await_that(|received| received.len() >= 2)?;
    hub.answer(Reply::Fine);
    let received = hub.await_taken(2)?;
    pusher.stop();
    assert!(rig.counted("uidmeter_push_samples_dropped_total", "refused") > 0);
    let taken = received.iter().find(|one| one.taken).ok_or("nothing")?;
    assert_eq!(taken.header("content-type"), Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"));
    assert_eq!(taken.header("x-prometheus-remote-write-version"), Some("2.0.0"));
    assert!(taken.samples()?.iter().any(|(name, ..)| name == ONE));
    Ok(())
}
