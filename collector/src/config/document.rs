//! What people read about the settings, written from the table: the sample file, the manual, the values in force.

use std::fmt::Write as _;

use super::{
    Config, Kind, Loaded, Origin,
    load::DEFAULT_FILE,
    settings::{Reload, SECTIONS, SETTINGS, Section, Setting},
};

/// The file that packages install: every setting, commented out, at its default.
pub fn sample() -> String {
    sample_of(&Config::default())
}

/// The same with what differs in `config` set.
pub fn sample_of(config: &Config) -> String {
    let mut text = format!(
        "# {DEFAULT_FILE}: the settings of uidmeter; those with a # are at their defaults.\n\
         #\n\
         # Remove the # before a setting to change it; flags of `uidmeter run` win over this file. Check your changes with\n\
         # `uidmeter check-config`, and apply them with `systemctl reload uidmeter` (SIGHUP). Passwords and keys do not\n\
         # belong here: they stand in the files that web.config_file names.\n"
    );
    let defaults = Config::default();
    for section in SECTIONS {
        line(&mut text, &format!("\n# {}.\n[{}]", section.about, section.name));
        for setting in of(section) {
            line(&mut text, "");
            let restart = if setting.reload == Reload::Restart { " Needs a restart." } else { "" };
            for comment in wrapped(&format!("{}. Must be {}.{restart}", setting.help, setting.kind.allowed()), 116) {
                line(&mut text, &format!("# {comment}"));
            }
            let (usual, wanted) = (assignment(setting, &defaults), assignment(setting, config));
            let is_usual = if usual == wanted { "#" } else { "" };
            line(&mut text, &format!("{is_usual}{wanted}"));
        }
    }
    text
}

/// `docs/CONFIGURATION.md`.
pub fn manual() -> String {
    let mut text = format!(
        "<!-- Written from the table in collector/src/config/settings.rs: change it there. -->\n\
         # Configuration\n\n\
         `uidmeter run` reads `{DEFAULT_FILE}` if it exists, or the file that `--config` names. Flags win over the file. The sample\n\
         in [packaging/config/uidmeter.toml](../packaging/config/uidmeter.toml) has every setting at its default.\n\n\
         A name that is no setting is refused with the nearest one that is, and so is a value out of its range; all mistakes are\n\
         told at once, each with its line. `uidmeter check-config` does that without starting anything, for the\n\
         web configuration file and the authentication file, too, and with `--effective` shows every value in force and where it\n\
         comes from. Times are written as `100ms`, `10s`, `1m` or `1h`, sizes as `64MiB`.\n\n\
         **Reload.** On SIGHUP the file is read again. What can change at once does so, and no counter is lost; what needs a restart\n\
         is named in the log and stays as it was. A file with mistakes changes nothing: they are logged, and\n\
         `uidmeter_config_last_reload_successful` is 0 until a reload succeeds.\n\n\
         **Who can reach it.** Without a web configuration file uidmeter listens on loopback addresses and sockets in the file\n\
         system only. Passwords, keys and tokens never stand in this file.\n"
    );
    for section in SECTIONS {
        line(&mut text, &format!("\n## [{}]\n\n{}.\n", section.name, section.about));
        line(&mut text, "| setting | flag | default | what it does | reload |\n|---|---|---|---|---|");
        for setting in of(section) {
            let default = if setting.default.is_empty() { "none".into() } else { format!("`{}`", setting.default) };
            let reload = match setting.reload {
                Reload::AtOnce => "at once".into(),
                Reload::InPart(what) => format!("at once, but {what}"),
                Reload::Restart => "needs a restart".into(),
            };
            let allowed = setting.kind.allowed();
            let row = format!(
                "| `{}` | `--{}` | {default} | {}. Must be {allowed}. | {reload} |",
                setting.key, setting.flag, setting.help
            );
            line(&mut text, &row);
        }
    }
    text
}

/// Every value in force, as a file that would set it, with where it comes from.
pub fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let gap = if text.is_empty() { "" } else { "\n" };
        line(&mut text, &format!("{gap}[{}]", section.name));
        for (setting, origin) in
            SETTINGS.iter().zip(&loaded.origins).filter(|(setting, _)| setting.section == section.name)
        {
            let from = if *origin == Origin::Default { String::new() } else { format!("  # {origin}") };
            line(&mut text, &format!("{}{from}", assignment(setting, &loaded.config)));
        }
    }
    text
}

fn of(section: &Section) -> impl Iterator<Item = &'static Setting> {
    let name = section.name;
    SETTINGS.iter().filter(move |setting| setting.section == name)
}

/// `key = value` in TOML.
fn assignment(setting: &Setting, config: &Config) -> String {
    let values = setting.kind.values(config);
    let strings =
        values.iter().map(|value| toml::Value::String(value.clone()).to_string()).collect::<Vec<_>>().join(", ");
    match setting.kind {
        Kind::Number { .. } | Kind::Switch { .. } => format!("{} = {}", setting.key, values.concat()),
        Kind::Addresses { .. } | Kind::Labels { .. } => format!("{} = [{strings}]", setting.key),
        _ => format!("{} = {strings}", setting.key),
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

/// `text` in lines of at most `width`, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(last) if last.len() + 1 + word.len() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs, path::Path};

    use super::{SETTINGS, manual, sample};

    /// `UIDMETER_BLESS=1` writes the file anew; the difference is then reviewed like any other.
    fn assert_written(file: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        if std::env::var_os("UIDMETER_BLESS").is_some() {
            fs::write(&path, text)?;
        }
        assert_eq!(fs::read_to_string(&path)?, text, "{file} differs; UIDMETER_BLESS=1 writes it anew");
        Ok(())
    }

    #[test]
    fn the_sample_file_is_what_the_table_says() -> Result<(), Box<dyn Error>> {
        assert_written("packaging/config/uidmeter.toml", &sample())
    }

    #[test]
    fn the_manual_is_what_the_table_says() -> Result<(), Box<dyn Error>> {
        assert_written("docs/CONFIGURATION.md", &manual())
    }

    #[test]
    fn every_setting_stands_in_both_once() {
        for setting in SETTINGS {
            let in_sample = sample().lines().filter(|line| line.starts_with(&format!("#{} = ", setting.key))).count();
            let of_that_name = SETTINGS.iter().filter(|other| other.key == setting.key).count();
            assert_eq!(in_sample, of_that_name, "{}", setting.name());
            assert_eq!(manual().matches(&format!("`--{}`", setting.flag)).count(), 1, "{}", setting.flag);
        }
    }
}
