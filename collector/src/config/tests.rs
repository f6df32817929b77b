//! File and flags together, with files of every kind of mistake.

use std::{error::Error, ffi::OsString, fs, os::unix::ffi::OsStringExt as _, path::Path, time::Duration};

use clap::{Args as _, Command, FromArgMatches as _};
use proptest::prelude::{any, prop, proptest};

use super::{
    Config, Kind, ListenAddress, Loaded, Observe, ObserveFlags, Origin, Problem, RunFlags,
    document::{effective, sample},
    load::DEFAULT_FILE,
    settings::{SECTIONS, SETTINGS},
};

type Outcome = Result<(), Box<dyn Error>>;

fn flags(arguments: &[&str]) -> Result<RunFlags, clap::Error> {
    let command = RunFlags::augment_args(Command::new("run")).no_binary_name(true);
    RunFlags::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// What comes of `file` as the usual file together with `arguments`; for mistakes their sentences, without the path.
fn load(file: &[u8], arguments: &[&str]) -> Result<Result<Loaded, Vec<String>>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("uidmeter.toml");
    fs::write(&path, file)?;
    let loaded = Loaded::with_default_file(&flags(arguments)?, &path);
    let prefix = path.display().to_string();
    Ok(loaded.map_err(|error| error.0.iter().map(|problem| problem.to_string().replace(&prefix, "FILE")).collect()))
}

fn config(file: &str, arguments: &[&str]) -> Result<Config, Box<dyn Error>> {
    Ok(load(file.as_bytes(), arguments)?.map_err(|problems| problems.join("\n"))?.config)
}

fn mistakes(file: &str, arguments: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    Ok(load(file.as_bytes(), arguments)?.err().unwrap_or_default())
}

#[test]
fn without_a_file_every_setting_has_its_default() -> Outcome {
    let loaded = Loaded::with_default_file(&RunFlags::default(), Path::new("/nowhere/uidmeter.toml"))?;
    assert_eq!((&loaded.config, &loaded.file), (&Config::default(), &None));
    for setting in SETTINGS {
        let mut written: Vec<_> = [setting.default].map(str::to_owned).into();
        if matches!(setting.kind, Kind::Labels { .. }) {
            written.retain(|value| !value.is_empty());
        }
        assert_eq!(setting.kind.values(&loaded.config), written, "{}", setting.name());
    }
    assert_eq!(loaded.config.observe.sample_interval, Duration::from_millis(100));
    assert_eq!(loaded.config.users.forget_after, Some(Duration::from_hours(1)));
    assert_eq!(loaded.config.web.config_file, None);
    assert!(loaded.config.host && loaded.config.probes.execs && !loaded.config.web.systemd_socket);
    Ok(())
}

#[test]
fn a_file_that_was_named_must_be_there() -> Outcome {
    let named = flags(&["--config", "/nowhere/uidmeter.toml"])?;
    let error = Loaded::new(&named).map(drop).map_err(|error| error.to_string());
    assert!(error.is_err_and(|why| why.contains("/nowhere/uidmeter.toml") && why.contains("--config")));
    Ok(())
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() -> Outcome {
    let file =
        "[observe]\nmax_users = 7\nsample_interval = '1s'\n\n[web]\nlisten_addresses = ['[::1]:1', 'unix:/run/x']\n";
    let loaded =
        load(file.as_bytes(), &["--max-users", "9", "--host=false"])?.map_err(|problems| problems.join("\n"))?;
    let config = &loaded.config;
    assert_eq!((config.observe.max_users, config.observe.sample_interval), (9, Duration::from_secs(1)));
    assert_eq!((config.host, config.users.top), (false, 0));
    assert_eq!(config.web.listen_addresses.len(), 2);
    let origin = |name: &str| SETTINGS.iter().zip(&loaded.origins).find(|(s, _)| s.name() == name).map(|(_, o)| o);
    assert_eq!(origin("observe.max_users"), Some(&Origin::Flag));
    assert!(matches!(origin("observe.sample_interval"), Some(Origin::File { line: 3, .. })));
    assert_eq!(origin("users.top"), Some(&Origin::Default));
    Ok(())
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_line_and_what_is_allowed() -> Outcome {
    let file = "\
sample_interval = '1s'
[observe]
sample_intervall = '1s'
sample-interval = '1s'
max_users = '4096'
kernel_memory = 'much'
btf = ''
[user]
top = 1
[users]
forget_after = '5s'
name_timeout = 3
zebra = 1
[web]
listen_addresses = ['127.0.0.1:9101', '9101']
telemetry_path = '/-/healthy'
max_requests = -1
[host]
enabled = 'yes'
";
    let found = mistakes(file, &["--users.top", "many", "--bursts.peak-window=0s"])?;
    assert_eq!(
        found,
        [
            "FILE:1: there is no setting sample_interval; did you mean observe.sample_interval?",
            "FILE:3: there is no setting observe.sample_intervall; did you mean observe.sample_interval?",
            "FILE:4: there is no setting observe.sample-interval; did you mean observe.sample_interval?",
            "FILE:5: observe.max_users is \"4096\", but must be a whole number from 1 to 1000000",
            "FILE:6: observe.kernel_memory is \"much\", but must be a size from 64KiB to 1TiB",
            "FILE:7: observe.btf is \"\", but must be the path of a file",
            "FILE:8: there is no section user; did you mean [users]?",
            "FILE:11: users.forget_after is \"5s\", but must be a time from 10s to 365d, or \"never\"",
            "FILE:12: users.name_timeout is 3, but must be a time from 100ms to 1m",
            "FILE:13: there is no setting users.zebra; uidmeter check-config --effective shows all there are",
            "FILE:15: web.listen_addresses is \"9101\", but must be ADDRESS:PORT, NAME:PORT or unix:/PATH, once or more",
            "FILE:16: web.telemetry_path is \"/-/healthy\", but must be a path of letters, digits and any of / - . _ ~ that \
         begins with a slash and is not used otherwise",
            "FILE:17: web.max_requests is -1, but must be a whole number from 0 to 100000",
            "FILE:19: host.enabled is \"yes\", but must be true or false",
            "--users.top is \"many\", but must be a whole number from 0 to 1000000",
            "--bursts.peak-window is \"0s\", but must be a time from 1s to 1h",
        ]
    );
    Ok(())
}

#[test]
fn what_is_not_toml_is_told_with_its_line_beside_everything_else() -> Outcome {
    let found = mistakes("[observe]\nmax_users = \n[users]\ntop = 'x'\ntop = 2\nnames = maybe\n", &[])?;
    let starts: Vec<_> = found.iter().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    for line in ["FILE:2: this is not TOML", "FILE:5: this is not TOML", "FILE:6: this is not TOML"] {
        assert!(starts.iter().any(|start| start == line), "{line}: {found:#?}");
    }
    assert!(found.iter().any(|line| line.starts_with("FILE:4: users.top is \"x\"")), "{found:#?}");
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.iter().all(|line| !line.contains('\n')), "{found:#?}");
    Ok(())
}

#[test]
fn nothing_that_others_can_reach_is_served_without_a_web_configuration() -> Outcome {
    let exposed = mistakes("[web]\nlisten_addresses = ['127.0.0.1:1', '0.0.0.0:9101']\n", &[])?;
    assert_eq!(exposed.len(), 1, "{exposed:?}");
    assert!(exposed[0].starts_with("FILE:2: web.listen_addresses would serve") && exposed[0].contains("0.0.0.0:9101"));
    let flag = mistakes("", &["--web.listen-address", "[::]:9101"])?;
    assert!(flag[0].starts_with("--web.listen-address would serve"), "{flag:?}");
    let guarded = config("[web]\nconfig_file = '/etc/uidmeter/web.yml'\nlisten_addresses = ['0.0.0.0:9101']\n", &[])?;
    assert_eq!(guarded.web.config_file.as_deref(), Some(Path::new("/etc/uidmeter/web.yml")));
    Ok(())
}

#[test]
fn settings_that_contradict_each_other_are_refused() -> Outcome {
    let window = mistakes("[observe]\nsample_interval = '10s'\n[bursts]\npeak_window = '5s'\n", &[])?;
    assert_eq!(
        window,
        ["FILE:4: bursts.peak_window is \"5s\", but must be no shorter than observe.sample_interval (10s)"]
    );
    let twice = mistakes("", &["--web.listen-address=[::1]:1", "--web.listen-address=[::1]:1"])?;
    assert_eq!(twice, ["--web.listen-address is \"[::1]:1\" twice, but must be a list without repetitions"]);
    Ok(())
}

#[test]
fn a_file_that_is_none_is_refused_without_waiting() -> Outcome {
    let folder = tempfile::tempdir()?;
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    for (path, why) in
        [(folder.path(), "no regular file"), (Path::new("/dev/zero"), "no regular file"), (&pipe, "no regular file")]
    {
        let error = Loaded::with_default_file(&RunFlags::default(), path).map(drop).map_err(|error| error.to_string());
        assert!(error.as_ref().is_err_and(|error| error.contains(why)), "{}: {error:?}", path.display());
    }
    let sentences =
        |bytes: &[u8]| -> Result<_, Box<dyn Error>> { Ok(load(bytes, &[])?.err().unwrap_or_default().concat()) };
    assert!(sentences(b"[observe]\n# \xff\n")?.contains("not text in UTF-8: see line 2"));
    assert!(sentences(&vec![b'#'; (1 << 20) + 1])?.contains("longer than"));
    Ok(())
}

#[test]
fn hostile_names_and_values_are_shown_short_and_harmless() -> Outcome {
    let long = "x".repeat(10_000);
    let file = format!("[users]\n\"\\u001b[2J\" = 1\n{long} = 1\ntop = \"{long}\"\nnames = \"\\u001b]0;\\n\"\n");
    let found = mistakes(&file, &[])?;
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|line| line.len() < 300 && !line.contains(char::is_control)), "{found:?}");
    Ok(())
}

#[test]
fn a_thousand_mistakes_are_not_all_told() -> Outcome {
    let file = (0..1000).map(|i| format!("zebra{i} = 1")).collect::<Vec<_>>().join("\n");
    let found = mistakes(&file, &[])?;
    assert_eq!(
        (found.len(), found.last().map(String::as_str)),
        (51, Some("and 950 more problems, which are shown once these are solved"))
    );
    let deep = format!("[users]\nnames = {}1", "[".repeat(100_000));
    assert!(!mistakes(&deep, &[])?.is_empty());
    Ok(())
}

#[test]
fn the_sample_sets_nothing_and_its_settings_are_the_defaults() -> Outcome {
    let loaded = load(sample().as_bytes(), &[])?.map_err(|problems| problems.join("\n"))?;
    assert!(loaded.origins.iter().all(|origin| *origin == Origin::Default));
    let is_setting =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    let sample = sample();
    let active: Vec<_> = sample.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect();
    let active = active.join(
        "
",
    );
    let loaded = load(active.as_bytes(), &[])?.map_err(|problems| problems.join("\n"))?;
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.origins.iter().all(|origin| matches!(origin, Origin::File { .. })));
    Ok(())
}

#[test]
fn what_is_in_force_can_be_read_again_as_a_file() -> Outcome {
    let arguments = [
        "--btf=/odd \"name\"\\\u{1f}é",
        "--users.forget-after=never",
        "--kernel-memory=1GiB",
        "--users.names=false",
        "--web.listen-address=127.0.0.1:1",
        "--web.listen-address=unix:/run/\u{7f}x",
        "--bursts.peak-window=90s",
    ];
    let loaded = load(b"[users]\ntop = 0x10\n", &arguments)?.map_err(|problems| problems.join("\n"))?;
    let text = effective(&loaded);
    assert!(text.contains("top = 16  # line 2") && text.contains("peak_window = \"90s\"  # flag"), "{text}");
    assert_eq!(config(&text, &[])?, loaded.config);
    Ok(())
}

#[test]
fn a_path_need_not_be_utf_8_and_a_number_must() -> Outcome {
    let odd = || OsString::from_vec(b"/\xff".to_vec());
    let command = || ObserveFlags::augment_args(Command::new("top")).no_binary_name(true);
    let matches = command().try_get_matches_from([OsString::from("--btf"), odd()])?;
    assert_eq!(Observe::new(&ObserveFlags::from_arg_matches(&matches)?)?.btf.as_os_str(), odd());
    let matches = command().try_get_matches_from([OsString::from("--max-users"), odd()])?;
    assert!(Observe::new(&ObserveFlags::from_arg_matches(&matches)?).is_err());
    assert!(command().try_get_matches_from(["--users.top", "1"]).is_err());
    Ok(())
}

#[test]
fn bounds_themselves_are_allowed_and_what_lies_beyond_is_not() -> Outcome {
    for (arguments, fine) in [
        ("--sample-interval=10ms", true),
        ("--sample-interval=9ms", false),
        ("--sample-interval=10s", true),
        ("--sample-interval=10001ms", false),
        ("--users.forget-after=365d", true),
        ("--users.forget-after=366d", false),
        ("--users.forget-after=10s", true),
        ("--users.forget-after=Never", false),
        ("--max-users=1", true),
        ("--max-users=0", false),
        ("--max-users=1000000", true),
        ("--max-users=1000001", false),
        ("--kernel-memory=64KiB", true),
        ("--kernel-memory=1", false),
        ("--kernel-memory=18EB", false),
        ("--memory-interval=1h", true),
        ("--memory-interval=999ms", false),
        ("--web.telemetry-path=/a/b.c", true),
        ("--web.telemetry-path=/", false),
        ("--web.telemetry-path=/a//b", false),
        ("--web.telemetry-path=/a?b", false),
        ("--web.telemetry-path=/../a", false),
        ("--web.telemetry-path=/-", false),
        ("--web.config.file=", true),
        ("--host", true),
        ("--host=1", false),
        ("--web.max-requests=0", true),
        ("--web.max-requests=-1", false),
    ] {
        assert_eq!(mistakes("", &[arguments])?.is_empty(), fine, "{arguments}");
    }
    Ok(())
}

#[test]
fn names_are_spelled_one_way_and_belong_to_a_section() {
    for (i, setting) in SETTINGS.iter().enumerate() {
        assert!(SECTIONS.iter().any(|section| section.name == setting.section), "{}", setting.name());
        assert!(setting.key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", setting.name());
        assert!(!setting.help.ends_with('.') && !setting.help.contains('|'), "{}", setting.help);
        let same = |other: &&super::settings::Setting| other.name() == setting.name() || other.flag == setting.flag;
        assert_eq!(SETTINGS[..i].iter().find(same).map(|other| other.flag), None);
    }
    assert!(DEFAULT_FILE.starts_with("/etc/"));
}

#[test]
fn every_setting_has_a_field_of_its_own() -> Outcome {
    let other = [
        "--sample-interval=1s",
        "--max-users=5",
        "--kernel-memory=1MiB",
        "--btf=/x",
        "--users.forget-after=1d",
        "--users.top=3",
        "--users.names=false",
        "--users.name-timeout=1s",
        "--memory-interval=1m",
        "--host=false",
        "--probes.reclaim=false",
        "--probes.execs=false",
        "--probes.memstall=false",
        "--bursts.peak-window=2m",
        "--limits.mode=off",
        "--limits.policy-file=/x",
        "--limits.interval=2s",
        "--limits.driver=systemd",
        "--limits.cgroup-root=/x",
        "--limits.lease=1m",
        "--limits.journal=/x",
        "--limits.audit-log=/x",
        "--limits.control-socket=/x",
        "--limits.hook=/x",
        "--limits.webhook=https://x",
        "--limits.hook-timeout=1s",
        "--process.user=x",
        "--web.listen-address=127.0.0.1:1",
        "--web.telemetry-path=/x",
        "--web.max-requests=1",
        "--web.config.file=/x",
        "--web.auth-file=/x",
        "--web.open-health=false",
        "--web.systemd-socket",
        "--push.url=https://x",
        "--push.interval=1s",
        "--push.protocol=2.0",
        "--push.histograms=both",
        "--push.job=x",
        "--push.instance=x",
        "--push.label=a=b",
        "--push.ca-file=/x",
        "--push.certificate-file=/x",
        "--push.key-file=/x",
        "--push.username=x",
        "--push.password-file=/x",
        "--push.bearer-token-file=/x",
        "--push.timeout=1s",
        "--push.max-samples=500",
        "--push.queue-folder=/x",
        "--push.queue-max-size=1MiB",
        "--push.queue-max-age=1h",
    ];
    assert_eq!(other.len(), SETTINGS.len());
    for (argument, setting) in other.iter().zip(SETTINGS) {
        let changed = config("", &[argument])?;
        let differing: Vec<_> = SETTINGS
            .iter()
            .filter(|setting| setting.kind.copy(&changed, &mut Config::default()))
            .map(|setting| setting.flag)
            .collect();
        assert_eq!(differing, [setting.flag]);
        let mut copied = Config::default();
        setting.kind.copy(&changed, &mut copied);
        assert_eq!(copied, changed);
    }
    Ok(())
}

#[test]
fn a_lease_outlives_what_renews_it() -> Outcome {
    let enforced = ["--limits.mode=enforce", "--limits.policy-file=/x", "--limits.interval=4s", "--sample-interval=5s"];
    let said = config("", &enforced).map(|_| ()).map_err(|error| error.to_string());
    let said = said.err().ok_or("it is refused")?;
    assert!(said.contains("three times limits.interval (4s)"), "{said}");
    assert!(said.contains("three times observe.sample_interval (5s)"), "{said}");
    // Nobody who enforces nothing is bothered.
    config("", &enforced[1..])?;
    config("", &[&enforced[..], &["--limits.lease=15s"]].concat())?;
    Ok(())
}

/// A configuration with any value that a setting can have.
fn any_value(kind: Kind, chosen: u64) -> String {
    let time = |least: Duration, most: Duration| {
        let span = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
        format!("{}ns", u64::try_from(least.as_nanos()).unwrap_or(0) + chosen % (span + 1))
    };
    match kind {
        Kind::Time { least, most, .. } | Kind::TimeOrNever { least, most, .. } => time(least, most),
        Kind::Number { least, most, .. } => (u64::from(least) + chosen % (u64::from(most - least) + 1)).to_string(),
        Kind::Size { least, most, .. } => format!("{}B", least.0 + chosen % (most.0 - least.0 + 1)),
        Kind::Switch { .. } => chosen.is_multiple_of(2).to_string(),
        Kind::File { .. } | Kind::OptionalFile { .. } | Kind::UrlPath { .. } => format!("/{chosen}"),
        Kind::Choice { words, .. } => words[usize::try_from(chosen).unwrap_or(0) % words.len()].into(),
        Kind::OptionalUser { .. } => format!("user{chosen}"),
        Kind::OptionalUrl { .. } => format!("https://host/{chosen}"),
        Kind::Addresses { .. } => format!("127.0.0.1:{}", chosen % 65536),
        Kind::OptionalText { .. } => format!("text {chosen}"),
        Kind::Labels { .. } => format!("name_{chosen}=value"),
    }
}

proptest! {
    #[test]
    fn a_value_that_is_written_is_the_one_that_was_read(setting in 0..SETTINGS.len(), chosen in any::<u64>()) {
        let kind = SETTINGS[setting].kind;
        let (mut first, mut second) = (Config::default(), Config::default());
        assert_eq!(kind.set(&[any_value(kind, chosen)], &mut first), Ok(()));
        assert_eq!(kind.set(&kind.values(&first), &mut second), Ok(()));
        assert_eq!(first, second);
    }

    #[test]
    fn no_file_makes_it_fall(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let parsed = load(&bytes, &[]).map_err(|error| error.to_string());
        assert!(parsed.is_ok(), "{parsed:?}");
    }

    #[test]
    fn no_mangled_sample_makes_it_fall_or_be_accepted_with_something_else(
        at in 0..sample().len(), cut in 0_usize..40, insert in "[\\[\\]='\"#\n,{}a-z0-9_.\\\\-]{0,8}",
    ) {
        let mut text: Vec<u8> = sample().replace("\n#", "\n").into_bytes();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, insert.bytes());
        match load(&text, &[]).map_err(|error| error.to_string()) {
            Ok(Err(mistakes)) => assert!(mistakes.iter().all(|mistake| !mistake.contains('\n')), "{mistakes:?}"),
            other => assert!(other.is_ok(), "{other:?}"),
        }
    }

    #[test]
    fn no_text_is_an_address_that_cannot_be_written_and_read_again(text in "[a-z0-9:.\\[\\]/%+-]{0,24}") {
        if let Ok(address) = text.parse::<ListenAddress>() {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
}

#[test]
fn permission_to_read_is_asked_for_in_one_sentence() {
    let problem = Problem::Read { path: "/x".into(), source: std::io::ErrorKind::PermissionDenied.into() };
    assert_eq!(
        problem.to_string(),
        "cannot read /x: permission denied; name another file with --config, or correct this one's permissions"
    );
}
