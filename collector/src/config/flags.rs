//! Flags, made from the table of settings. A flag that is given wins over the file.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::ValueParser};

use super::{
    Kind,
    load::DEFAULT_FILE,
    settings::{SECTIONS, SETTINGS, Setting},
};

/// Flags of `uidmeter run`: every setting, and the file.
#[derive(Clone, Debug, Default)]
pub struct RunFlags {
    /// The file that was named, if one was.
    pub(super) file: Option<PathBuf>,
    pub(super) given: Given,
}

/// How the kernel is observed: flags of every command that loads programs.
#[derive(Clone, Debug, Default)]
pub struct ObserveFlags {
    pub(super) given: Given,
}

/// Settings, by their index in the table, and the values that were given for them.
pub(super) type Given = Vec<(usize, Vec<OsString>)>;

const FILE: &str = "config";

impl RunFlags {
    /// The flags as they are written.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let written = |flag: &str, value: &OsStr| {
            let mut argument = OsString::from(format!("--{flag}="));
            argument.push(value);
            argument
        };
        let file = self.file.iter().map(|file| written(FILE, file.as_os_str()));
        let given =
            self.given.iter().flat_map(|(i, values)| values.iter().map(move |value| (SETTINGS[*i].flag, value)));
        file.chain(given.map(|(flag, value)| written(flag, value))).collect()
    }
}

impl Args for RunFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .value_parser(ValueParser::path_buf())
            .help(format!("Configuration file; flags win over it [default: {DEFAULT_FILE}, if it exists]"));
        with_settings(command.arg(file), |_| true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RunFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { file: matches.get_one(FILE).cloned(), given: given(matches) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ObserveFlags {
    fn augment_args(command: Command) -> Command {
        with_settings(command, |setting| setting.section == "observe")
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ObserveFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { given: given(matches) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn with_settings(command: Command, wanted: impl Fn(&Setting) -> bool) -> Command {
    let args = SETTINGS.iter().filter(|setting| wanted(setting)).map(arg);
    command.args(args)
}

fn arg(setting: &'static Setting) -> Arg {
    let section = SECTIONS.iter().find(|section| section.name == setting.section);
    let arg = Arg::new(setting.flag)
        .long(setting.flag)
        .value_name(setting.kind.placeholder())
        .value_parser(ValueParser::os_string())
        .help_heading(section.map(|section| section.about))
        .help(help(setting));
    match setting.kind {
        Kind::Addresses { .. } | Kind::Labels { .. } => arg.action(ArgAction::Append),
        // Without a value it switches on, as everywhere.
        Kind::Switch { .. } => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}

fn help(setting: &Setting) -> String {
    let range = match setting.kind {
        Kind::Time { .. }
        | Kind::TimeOrNever { .. }
        | Kind::Number { .. }
        | Kind::Size { .. }
        | Kind::Choice { .. } => {
            format!(" ({})", setting.kind.allowed())
        }
        Kind::Labels { .. } => " (can be repeated)".into(),
        Kind::Addresses { .. } => " (also NAME:PORT or unix:/PATH; can be repeated)".into(),
        Kind::Switch { .. }
        | Kind::File { .. }
        | Kind::OptionalFile { .. }
        | Kind::OptionalUser { .. }
        | Kind::OptionalUrl { .. }
        | Kind::OptionalText { .. }
        | Kind::UrlPath { .. } => String::new(),
    };
    let default = if setting.default.is_empty() { "none" } else { setting.default };
    format!("{}{range} [default: {default}]", setting.help)
}

fn given(matches: &ArgMatches) -> Given {
    let values = |setting: &Setting| matches.try_get_many::<OsString>(setting.flag).ok().flatten();
    SETTINGS.iter().enumerate().filter_map(|(i, setting)| Some((i, values(setting)?.cloned().collect()))).collect()
}
