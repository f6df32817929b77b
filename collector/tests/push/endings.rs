//! Series that end are marked: those of a user who is gone, and all of them when the daemon ends.

use std::{collections::HashMap, net::SocketAddr};

use crate::{
    Outcome,
    receiver::{Receiver, Told},
    rig::Rig,
};

const STALE: u64 = 0x7ff0_0000_0000_0002;

/// The last that was told of each series.
fn last(told: Vec<Told>) -> HashMap<String, (i64, f64)> {
    told.into_iter().map(|(name, timestamp, value)| (name, (timestamp, value))).collect()
}

fn is_marked((_, value): &(i64, f64)) -> bool {
    value.to_bits() == STALE
}

#[test]
fn who_is_gone_is_marked_once_and_at_the_end_everybody_is() -> Outcome {
    let receiver = Receiver::start(SocketAddr::from(([127, 0, 0, 1], 0)), &[], None)?;
    let rig = Rig::new(receiver.address)?;
    rig.host.has(&[7, 8]);
    let pusher = rig.start()?;
    receiver.await_taken(2)?;
    rig.host.has(&[8]);
    let told = || -> Result<Vec<Told>, Box<dyn std::error::Error>> {
        Ok(receiver.received().iter().map(super::receiver::Received::samples).collect::<Result<Vec<_>, _>>()?.concat())
    };
    let of_seven = |name: &str| name.contains(";uid=7;");
    receiver.await_that(|_| told().is_ok_and(|told| told.iter().any(|(_, _, value)| value.to_bits() == STALE)))?;
    let count = receiver.received().len();
    receiver.await_taken(count + 2)?;
    let before = told()?;
    for (name, state) in last(before.clone()) {
        assert_eq!(is_marked(&state), of_seven(&name), "{name}");
    }
    let marks = before.iter().filter(|(name, _, value)| of_seven(name) && value.to_bits() == STALE).count();
    assert_eq!(marks, last(before).keys().filter(|name| of_seven(name)).count());
    // He comes back.
    rig.host.has(&[7, 8]);
    let count = receiver.received().len();
    receiver.await_taken(count + 3)?;
    assert!(last(told()?).values().all(|state| !is_marked(state)));
    pusher.stop();
    let all = told()?;
    let ends = last(all.clone());
    assert!(ends.len() > 40 && ends.values().all(is_marked));
    // In order, for every series.
    let mut newest: HashMap<String, i64> = HashMap::new();
    for (name, timestamp, _) in all {
        assert!(newest.insert(name.clone(), timestamp).is_none_or(|before| before < timestamp), "{name}");
    }
    Ok(())
}
