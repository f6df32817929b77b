//! The settings of the section `push`.

use std::{path::PathBuf, time::Duration};

use super::{DAY, MS, SECOND, Setting, at_once, restart, time};
use crate::{
    config::{Config, Kind, PushHistograms, PushProtocol},
    units::Bytes,
};

const MINUTE: u64 = 60 * SECOND;

const fn file(
    key: &'static str,
    flag: &'static str,
    at: fn(&mut Config) -> &mut Option<PathBuf>,
    help: &'static str,
) -> Setting {
    restart(at_once("push", key, flag, Kind::OptionalFile { at }, "", help))
}

/// In the order of the documents.
pub(super) const SETTINGS: [Setting; 18] = [
    restart(at_once(
        "push",
        "url",
        "push.url",
        Kind::OptionalUrl { at: |config| &mut config.push.url },
        "",
        "URL of a Prometheus remote write receiver, to which everything on the page of metrics is sent; empty means nowhere",
    )),
    at_once(
        "push",
        "interval",
        "push.interval",
        // Prometheus' queries look back five minutes, so two values must lie within.
        time(SECOND, 2 * MINUTE, |config| &mut config.push.interval),
        "15s",
        "Time between two readings that are sent",
    ),
    restart(at_once(
        "push",
        "protocol",
        "push.protocol",
        Kind::Choice {
            words: &PushProtocol::WORDS,
            get: |config| config.push.protocol as usize,
            set: |config, chosen| config.push.protocol = PushProtocol::ALL[chosen],
        },
        "1.0",
        "Version of remote write: 1.0 is understood everywhere, 2.0 is smaller and has types, help and start times",
    )),
    restart(at_once(
        "push",
        "histograms",
        "push.histograms",
        Kind::Choice {
            words: &PushHistograms::WORDS,
            get: |config| config.push.histograms as usize,
            set: |config, chosen| config.push.histograms = PushHistograms::ALL[chosen],
        },
        "classic",
        "Which buckets are sent with 2.0; native ones only to a receiver that takes them, or nothing gets through",
    )),
    restart(at_once(
        "push",
        "job",
        "push.job",
        Kind::OptionalText { at: |config| &mut config.push.job },
        "uidmeter",
        "Label job of everything that is sent; empty means none",
    )),
    restart(at_once(
        "push",
        "instance",
        "push.instance",
        Kind::OptionalText { at: |config| &mut config.push.instance },
        "",
        "Label instance of everything that is sent; empty means the host's name",
    )),
    restart(at_once(
        "push",
        "labels",
        "push.label",
        Kind::Labels { at: |config| &mut config.push.labels },
        "",
        "Further labels of everything that is sent",
    )),
    file(
        "ca_file",
        "push.ca-file",
        |config| &mut config.push.ca_file,
        "File with the CAs that may sign the receiver's certificate; empty means those of the system",
    ),
    file(
        "certificate_file",
        "push.certificate-file",
        |config| &mut config.push.certificate_file,
        "File with the certificate, and its chain, by which the receiver knows this host; empty means none",
    ),
    file(
        "key_file",
        "push.key-file",
        |config| &mut config.push.key_file,
        "File with the private key of that certificate",
    ),
    restart(at_once(
        "push",
        "username",
        "push.username",
        Kind::OptionalText { at: |config| &mut config.push.username },
        "",
        "User for basic authentication; empty means none",
    )),
    file(
        "password_file",
        "push.password-file",
        |config| &mut config.push.password_file,
        "File with the password of that user",
    ),
    file(
        "bearer_token_file",
        "push.bearer-token-file",
        |config| &mut config.push.bearer_token_file,
        "File with a token that is sent as Authorization: Bearer; empty means none",
    ),
    at_once(
        "push",
        "timeout",
        "push.timeout",
        time(100 * MS, 5 * MINUTE, |config| &mut config.push.timeout),
        "30s",
        "Longest time for one request",
    ),
    at_once(
        "push",
        "max_samples",
        "push.max-samples",
        Kind::Number { least: 100, most: 20_000, at: |config| &mut config.push.max_samples },
        "2000",
        "Most samples in one request",
    ),
    restart(at_once(
        "push",
        "queue_folder",
        "push.queue-folder",
        Kind::File { at: |config| &mut config.push.queue_folder },
        "/var/lib/uidmeter/push",
        "Folder where samples wait until the receiver has them; it belongs to the user that the daemon becomes",
    )),
    at_once(
        "push",
        "queue_max_size",
        "push.queue-max-size",
        Kind::Size { least: Bytes(1 << 20), most: Bytes(1 << 40), at: |config| &mut config.push.queue_max_size },
        "512MiB",
        "Most space for them on the disk; the oldest are dropped when it is full",
    ),
    at_once(
        "push",
        "queue_max_age",
        "push.queue-max-age",
        Kind::Time {
            least: Duration::from_millis(5 * MINUTE),
            most: Duration::from_millis(30 * DAY),
            at: |config| &mut config.push.queue_max_age,
        },
        "12h",
        "Longest time that they wait, after which they are dropped",
    ),
];
