//! Tokens and their keys change while Prometheus scrapes.

use std::{fs, thread, time::Duration};

use crate::{
    Outcome,
    host::Host,
    prometheus::{Prometheus, V2_42, V2_53, is},
    site::Site,
};

/// Files are looked at every three seconds.
const AFTER_A_LOOK: Duration = Duration::from_secs(5);

/// A new key comes beside the old one, each Prometheus gets a token of it, and the old key goes. Prometheus 2 reads its
/// token's file at each scrape. Prometheus 3 keeps its first token, so it is let in as long as the old key stands there, and
/// again once it has been started anew.
#[test]
fn prometheus_2_takes_a_new_token_at_its_next_scrape_and_prometheus_3_when_it_starts() -> Outcome {
    let site = Site::new()?;
    site.keygen("next", "next")?;
    let jwt = fs::read_to_string(site.path("jwt.toml"))?;
    let next = "[[jwt.keys]]\nkid = \"next\"\nalgorithm = \"EdDSA\"\nfile = \"next.key.pub\"\n";
    let host = Host::start_guarded(Some(site.path("tls.yml")), Some(site.path("jwt.toml")))?;
    let job = site.job("`jwt`", "uidmeter", host.address)?;
    let everybody = Prometheus::all(&job)?;
    for prometheus in &everybody {
        prometheus.await_query("up", is(1.0))?;
    }
    // Both keys hold, then the token changes: nobody is turned away meanwhile.
    site.write("jwt.toml", &format!("{jwt}\n{next}"))?;
    thread::sleep(AFTER_A_LOOK);
    site.mint("next", "next")?;
    thread::sleep(Duration::from_secs(3));
    for prometheus in &everybody {
        prometheus.await_query("min_over_time(up[15s])", is(1.0))?;
    }
    // The old key goes.
    let (before, _) = jwt.split_once("[[jwt.keys]]").ok_or("the sample has no key")?;
    site.write("jwt.toml", &format!("{before}{next}"))?;
    thread::sleep(AFTER_A_LOOK);
    for prometheus in &everybody {
        let follows = [V2_42.name, V2_53.name].contains(&prometheus.release.name);
        if follows {
            prometheus.await_query("min_over_time(up[30s])", is(1.0))?;
        } else {
            prometheus.await_query("up", is(0.0))?;
            Prometheus::start(prometheus.release, &[], &job)?.await_query("up", is(1.0))?;
        }
    }
    Ok(())
}
