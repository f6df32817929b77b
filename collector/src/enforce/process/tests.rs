use std::time::{Duration, Instant};

use super::{Enforcer, Outcome, Reply, Request};
use crate::{
    enforce::cgroupfs::tests::{Done, Host, limits, order},
    units::Uid,
};

fn enforcer(host: &Host) -> Result<Enforcer, String> {
    let guard = |order: &crate::limits::Order| {
        if order.uid == Uid(20_002) { Err("user 20002 is exempt".to_owned()) } else { Ok(()) }
    };
    Ok(Enforcer::new(Ok(host.enforcer(usize::MAX)?.0), Box::new(guard), None))
}

#[test]
fn what_the_configuration_does_not_permit_is_refused_whoever_asks() -> Done {
    let host = Host::new()?;
    let before = host.state();
    let reply = enforcer(&host)?.answer(&Request::Set(order(Uid(20_002), limits())), &|| host.now);
    assert_eq!(reply, Reply::Outcome(Outcome::Refused { why: "user 20002 is exempt".into() }));
    assert_eq!(host.state(), before);
    Ok(())
}

#[test]
fn a_lease_that_has_ended_is_not_revived_by_a_late_renewal() -> Done {
    let host = Host::new()?;
    let mut enforcer = enforcer(&host)?;
    enforcer.answer(&Request::Set(order(Uid(20_001), limits())), &|| host.now);
    let late = host.now + Duration::from_secs(11);
    let reply = enforcer.answer(&Request::Renew(vec![Uid(20_001)]), &|| late);
    assert!(matches!(&reply, Reply::Lost(lost) if lost.users.len() == 1), "{reply:?}");
    let reply = enforcer.answer(&Request::Status, &|| late);
    assert!(matches!(&reply, Reply::Status(status) if status.limited == 0), "{reply:?}");
    Ok(())
}

#[test]
fn a_lease_begins_when_its_order_has_been_carried_out() -> Done {
    let host = Host::new()?;
    let mut enforcer = enforcer(&host)?;
    // An order that takes a minute.
    let calls = std::cell::Cell::new(0);
    let slow = || host.now + Duration::from_mins(calls.replace(calls.get() + 1));
    enforcer.answer(&Request::Set(order(Uid(20_001), limits())), &slow);
    let reply = enforcer.answer(&Request::Status, &|| host.now + Duration::from_secs(69));
    assert!(matches!(&reply, Reply::Status(status) if status.limited == 1), "{reply:?}");
    Ok(())
}

#[test]
fn closing_gives_everything_back() -> Done {
    let host = Host::new()?;
    let before = host.state();
    let mut enforcer = enforcer(&host)?;
    enforcer.answer(&Request::Set(order(Uid(20_001), limits())), &|| host.now);
    assert_ne!(host.state(), before);
    enforcer.close();
    assert_eq!(host.state(), before);
    Ok(())
}

#[test]
fn a_host_that_cannot_limit_says_so_to_every_order() {
    let mut enforcer = Enforcer::new(Err("monitor only: cgroup v1".to_owned()), Box::new(|_| Ok(())), None);
    let reply = enforcer.answer(&Request::Set(order(Uid(20_001), limits())), &Instant::now);
    assert_eq!(reply, Reply::Outcome(Outcome::Refused { why: "monitor only: cgroup v1".into() }));
    assert!(matches!(enforcer.answer(&Request::RenewAll, &Instant::now), Reply::Lost(lost) if lost.users.is_empty()));
}
