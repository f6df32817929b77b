//! What must hold between settings, each of which is fine by itself.

use super::{
    Config, ListenAddress, Mode, Origin, Problem,
    listen::may_listen,
    settings::{SETTINGS, Setting, find},
};

/// Adds what is wrong with `config`, whose values come from `origins`.
pub(super) fn check(config: &Config, origins: &[Origin], problems: &mut Vec<Problem>) {
    let named = |section, key| Named::of(section, key, config, origins);
    if config.bursts.peak_window < config.observe.sample_interval {
        let interval = named("observe", "sample_interval");
        problems.push(named("bursts", "peak_window").must_be(format!("no shorter than {}", interval.described())));
    }
    let limits = &config.limits;
    if limits.mode == Mode::Enforce && limits.policy_file.is_some() {
        // Renewed at each evaluation, and only while the sampler delivers.
        for (section, key, time) in
            [("limits", "interval", limits.interval), ("observe", "sample_interval", config.observe.sample_interval)]
        {
            if limits.lease < time * 3 {
                let other = named(section, key).described();
                problems.push(named("limits", "lease").must_be(format!("no shorter than three times {other}")));
            }
        }
    }
    for (key, found, allowed) in config.push.conflicts() {
        let named = named("push", key);
        let allowed = allowed.into();
        problems.push(match found {
            Some(found) => Problem::Value { at: named.place, found: found.into(), allowed },
            None => named.must_be(allowed),
        });
    }
    let addresses = &config.web.listen_addresses;
    let twice = addresses.iter().enumerate().find(|(i, address)| addresses[..*i].contains(address));
    if let Some((_, address)) = twice {
        let listen = named("web", "listen_addresses");
        problems.push(Problem::Value {
            at: listen.place,
            found: format!("\"{address}\" twice"),
            allowed: "a list without repetitions".into(),
        });
    }
    for address in addresses {
        if let ListenAddress::Ip(ip) = address
            && !may_listen(ip, &config.web)
        {
            problems.push(Problem::Exposed { at: named("web", "listen_addresses").place, address: *ip });
        }
    }
}

/// A setting, how it was given, and its value.
struct Named {
    setting: &'static Setting,
    place: String,
    value: String,
}

impl Named {
    fn of(section: &str, key: &str, config: &Config, origins: &[Origin]) -> Self {
        let i = find(section, key).unwrap_or_default();
        let setting = &SETTINGS[i];
        Self { setting, place: origins[i].name(setting), value: setting.kind.values(config).join(", ") }
    }

    fn described(&self) -> String {
        format!("{} ({})", self.setting.name(), self.value)
    }

    fn must_be(self, allowed: String) -> Problem {
        Problem::Value { at: self.place, found: format!("{:?}", self.value), allowed }
    }
}
