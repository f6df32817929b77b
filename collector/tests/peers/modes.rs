//! Every documented way in, with the scrape block that the document gives for it; and that no other way leads in.

use std::{error::Error, fs};

use crate::{
    Outcome,
    host::Host,
    prometheus::{Prometheus, RELEASES, V2_42, V2_53, is},
    samples,
    site::{Site, stranger},
};

/// A way to configure a host, and what comes of it.
struct Mode {
    /// Samples of both files.
    web_config: Option<&'static str>,
    auth_file: Option<&'static str>,
    /// Headings of the scrape blocks that come in.
    admits: &'static [&'static str],
    /// And of some that do not.
    refuses: &'static [&'static str],
}

const CERTIFICATE: &str = "A client certificate";
const WITH_PASSWORD: &str = "A client certificate and a password";
const WITH_TOKEN: &str = "A client certificate and a token";

const MODES: [Mode; 9] = [
    Mode { web_config: None, auth_file: None, admits: &["`none`"], refuses: &[] },
    Mode { web_config: Some("basic.yml"), auth_file: None, admits: &["`basic`"], refuses: &["`jwt`"] },
    Mode { web_config: Some("tls.yml"), auth_file: Some("jwt.toml"), admits: &["`jwt`"], refuses: &["`basic`"] },
    Mode {
        web_config: Some("basic.yml"),
        auth_file: Some("jwt.toml"),
        admits: &["`basic`", "`jwt`"],
        refuses: &[CERTIFICATE],
    },
    Mode { web_config: Some("mtls.yml"), auth_file: None, admits: &[CERTIFICATE], refuses: &["`basic`", "`jwt`"] },
    Mode {
        web_config: Some("mtls.yml"),
        auth_file: Some("permissions.toml"),
        admits: &[CERTIFICATE],
        refuses: &["`basic`"],
    },
    Mode {
        web_config: Some("mtls-basic.yml"),
        auth_file: None,
        admits: &[WITH_PASSWORD],
        refuses: &["`basic`", CERTIFICATE, WITH_TOKEN],
    },
    Mode {
        web_config: Some("mtls.yml"),
        auth_file: Some("jwt.toml"),
        admits: &[WITH_TOKEN],
        refuses: &["`jwt`", CERTIFICATE, WITH_PASSWORD],
    },
    Mode {
        web_config: Some("certificate-or-basic.yml"),
        auth_file: Some("sufficient.toml"),
        admits: &[CERTIFICATE, "`basic`", WITH_PASSWORD],
        refuses: &["`jwt`", WITH_TOKEN],
    },
];

/// A right certificate with a wrong second credential: the files of the host, the heading of the scrape block, the file that the
/// block names, and the one that it gets instead. Hosts of their own, since guesses count against an address.
const GUESSES: [(&str, Option<&str>, &str, &str, &str); 2] = [
    ("mtls-basic.yml", None, WITH_PASSWORD, "uidmeter.password", "guessed.password"),
    ("mtls.yml", Some("jwt.toml"), WITH_TOKEN, "uidmeter.token", "forged.token"),
];

/// All hosts at once, and each Prometheus with a job for each block: so it takes no longer than the slowest of them.
#[test]
fn every_prometheus_comes_in_as_documented_and_in_no_other_way() -> Outcome {
    let site = Site::new()?;
    let (mut hosts, mut jobs) = (Vec::new(), String::new());
    for (number, mode) in MODES.iter().enumerate() {
        let path = |name: Option<&str>| name.map(|name| site.path(name));
        let host = Host::start_guarded(path(mode.web_config), path(mode.auth_file))
            .map_err(|error| format!("{:?} {:?}: {error}", mode.web_config, mode.auth_file))?;
        for (kind, headings) in [("admitted", mode.admits), ("refused", mode.refuses)] {
            for heading in headings {
                jobs += &site.job(heading, &job_name(kind, number, mode, heading), host.address)?;
            }
        }
        if mode.web_config.is_some() {
            // TLS alone does not open the door.
            jobs += &stranger(&job_name("refused", number, mode, "stranger"), host.address);
        }
        hosts.push(host);
    }
    for (web_config, auth_file, heading, right, wrong) in GUESSES {
        let host = Host::start_guarded(Some(site.path(web_config)), auth_file.map(|name| site.path(name)))?;
        let job = site.job(heading, &format!("refused {wrong}"), host.address)?;
        let guessed = job.replace(right, wrong);
        assert_ne!(job, guessed, "the block under {heading:?} names {right}");
        jobs += &guessed;
        hosts.push(host);
    }
    let blocks = |of: fn(&Mode) -> &'static [&'static str]| MODES.iter().map(|mode| of(mode).len()).sum::<usize>();
    let (admitted, refused) =
        (blocks(|mode| mode.admits), blocks(|mode| mode.refuses) + MODES.len() - 1 + GUESSES.len());
    for prometheus in Prometheus::all(&jobs)? {
        let counted = |number: usize| -> Result<_, Box<dyn Error>> { Ok(is(f64::from(u32::try_from(number)?))) };
        prometheus
            .await_query("count(up{job=~\"admitted.*\"} == 1)", counted(admitted)?)
            .map_err(|error| format!("{error}: out are {:?}", jobs_that_are(&prometheus, "admitted", 0)))?;
        // More than once, since who answers late is down for once, too.
        prometheus.await_query("count(count_over_time(up{job=~\"refused.*\"}[10m]) >= 3)", counted(refused)?)?;
        let came_in = prometheus.query("max_over_time(up{job=~\"refused.*\"}[10m]) == 1")?;
        if !came_in.is_empty() {
            let who = jobs_that_are(&prometheus, "refused", 1);
            return Err(format!("Prometheus {} came in: {who:?}", prometheus.release.name).into());
        }
    }
    Ok(())
}

fn job_name(kind: &str, number: usize, mode: &Mode, heading: &str) -> String {
    let files: Vec<&str> = [mode.web_config, mode.auth_file].into_iter().flatten().collect();
    format!("{kind} {number} {} {heading}", files.join(" "))
}

/// Names of the jobs of a kind that are up (1) or down (0).
fn jobs_that_are(prometheus: &Prometheus, kind: &str, up: u32) -> Result<Vec<String>, Box<dyn Error>> {
    let found = prometheus.ask("/api/v1/targets?state=active")?;
    let targets = found["data"]["activeTargets"].as_array().ok_or("no targets")?;
    let named = targets.iter().filter_map(|target| {
        let job = target["labels"]["job"].as_str()?;
        let is_up = u32::from(target["health"] == "up");
        (job.starts_with(kind) && is_up == up).then(|| format!("{job}: {}", target["lastError"]))
    });
    Ok(named.collect())
}

/// Samples that name keys which a release does not know yet.
const TOO_NEW: [(&str, &str); 2] = [(V2_42.name, "mtls.yml"), (V2_53.name, "mtls.yml")];

#[test]
fn every_promtool_accepts_the_web_configuration() -> Outcome {
    let folder = samples::samples()?;
    for release in RELEASES {
        let mut checked = 0;
        for entry in fs::read_dir(folder.path())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_none_or(|extension| extension != "yml") || TOO_NEW.contains(&(release.name, &*name))
            {
                continue;
            }
            let output = release.promtool()?.args(["check", "web-config"]).arg(&path).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("promtool {} says about {name}: {said}", release.name).into());
            }
            checked += 1;
        }
        assert!(checked >= 4, "only {checked} samples");
    }
    Ok(())
}
