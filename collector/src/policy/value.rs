//! What can stand behind a key of the policy file: reads one value, and says what is allowed.
//!
//! Units are always written: `"75%"` is of everything, `1.5` is CPUs, `"2GiB"` and `"50MiB/s"` are what they say. A
//! number that could be either is refused, since that is how a limit for one CPU comes to act on 128.

use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::{people::UidRange, rule::Amount, schedule::Span};
use crate::{
    config::{Mode, size, time},
    limits::{Millicores, Weight},
    units::Bytes,
};

/// What a value can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A span of time.
    Time {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// A span of time, to be compared with a measured one.
    TimeAmount {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// A number.
    Number {
        /// The least.
        least: f64,
        /// The greatest.
        most: f64,
    },
    /// A number, to be compared with a measured one.
    TimesAmount {
        /// The least.
        least: f64,
        /// The greatest.
        most: f64,
    },
    /// A share under contention that is no more than everybody has.
    Weight,
    /// CPUs.
    Cores,
    /// CPUs, or a share of all.
    CoresOrShare,
    /// A share of time or of all CPUs.
    Share,
    /// An amount of memory.
    Size,
    /// The same, or a share of all.
    SizeOrShare,
    /// Bytes a second.
    Rate,
    /// Bytes a second, to be compared with what is measured.
    RateAmount,
    /// A time zone.
    Zone,
    /// How far a rule goes.
    Mode,
    /// What a rule is called.
    Name,
    /// Names of users, groups or rules.
    Names,
    /// UIDs and ranges of them.
    Uids,
    /// Weekly spans.
    Spans,
    /// A table of further keys.
    Table,
    /// A list of tables.
    Tables,
}

/// A value that was read.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Time(Duration),
    Number(f64),
    Amount(Amount),
    Weight(Weight),
    Cores(Millicores),
    Bytes(Bytes),
    Zone(TimeZone),
    Mode(Mode),
    Text(String),
    Texts(Vec<String>),
    Uids(Vec<UidRange>),
    Spans(Vec<Span>),
}

/// Longer lists are mistakes.
const MOST_ITEMS: usize = 10_000;
/// Of the name of a rule; names of users are no longer (`LOGIN_NAME_MAX`).
const MOST_NAME: usize = 64;
const LEAST_SIZE: Bytes = Bytes(1 << 20);
const MOST_SIZE: Bytes = Bytes(1 << 50);
const LEAST_RATE: Bytes = Bytes(1 << 10);
const MOST_CORES: f64 = 100_000.0;

impl Kind {
    /// `None` if the value is none of this kind.
    pub(super) fn read(self, value: &DeValue<'_>) -> Option<Value> {
        Some(match self {
            Self::Time { least, most } => Value::Time(time_within(value, least, most)?),
            Self::TimeAmount { least, most } => {
                Value::Amount(Amount::Absolute(time_within(value, least, most)?.as_secs_f64() * 1e9))
            }
            Self::Number { least, most } => Value::Number(number_within(value, least, most)?),
            Self::TimesAmount { least, most } => Value::Amount(Amount::Absolute(number_within(value, least, most)?)),
            Self::Weight => Value::Weight(weight(value)?),
            Self::Cores => Value::Cores(cores(value)?),
            Self::CoresOrShare => Value::Amount(match share(value) {
                Some(share) => Amount::Share(share),
                None => Amount::Absolute(f64::from(cores(value)?.get()) / 1000.0),
            }),
            Self::Share => Value::Amount(Amount::Share(share(value)?)),
            Self::Size => Value::Bytes(bytes(text(value)?, LEAST_SIZE)?),
            Self::SizeOrShare => Value::Amount(match share(value) {
                Some(share) => Amount::Share(share),
                None => absolute(bytes(text(value)?, LEAST_SIZE)?),
            }),
            Self::Rate => Value::Bytes(rate(value)?),
            Self::RateAmount => Value::Amount(absolute(rate(value)?)),
            Self::Zone => Value::Zone(zone(text(value)?)?),
            Self::Mode => Value::Mode(Mode::ALL.into_iter().find(|mode| Some(mode.word()) == text(value))?),
            Self::Name => Value::Text(text(value).filter(|text| is_name(text))?.into()),
            Self::Names => Value::Texts(list(value, |item| {
                text(item).filter(|text| !text.is_empty() && text.len() < 256).map(ToOwned::to_owned)
            })?),
            Self::Uids => Value::Uids(list(value, uids)?),
            Self::Spans => Value::Spans(list(value, |item| Span::parse(text(item)?))?),
            Self::Table | Self::Tables => return None,
        })
    }

    /// What is allowed, to follow "must be".
    pub fn allowed(self) -> String {
        match self {
            Self::Time { least, most } | Self::TimeAmount { least, most } => {
                format!("a time from \"{}\" to \"{}\"", time(least), time(most))
            }
            Self::Number { least, most } | Self::TimesAmount { least, most } => {
                format!("a number from {least} to {most}")
            }
            Self::Weight => "a whole number from 1 to 100".into(),
            Self::Cores => "CPUs as a number from 0.01 on".into(),
            Self::CoresOrShare => "CPUs as a number from 0.01 on, or a share of all CPUs such as \"75%\"".into(),
            Self::Share => "a share from \"0.1%\" to \"100%\"".into(),
            Self::Size => format!("a size from \"{}\" to \"{}\"", size(LEAST_SIZE), size(MOST_SIZE)),
            Self::SizeOrShare => format!(
                "a size from \"{}\" to \"{}\", or a share of all memory such as \"25%\"",
                size(LEAST_SIZE),
                size(MOST_SIZE)
            ),
            Self::Rate | Self::RateAmount => {
                format!("a rate such as \"50MiB/s\", at least \"{}/s\"", size(LEAST_RATE))
            }
            Self::Zone => "\"local\", or a time zone that this host knows, such as \"UTC\" or \"Europe/Rome\"".into(),
            Self::Mode => "\"off\", \"dry-run\" or \"enforce\"".into(),
            Self::Name => format!("1 to {MOST_NAME} letters, digits, and any of space - _ ."),
            Self::Names => "a list of one or more names".into(),
            Self::Uids => "a list of one or more UIDs such as 1001, and ranges such as \"2000-2999\"".into(),
            Self::Spans => "a list of one or more spans such as \"Mon-Fri 08:00-18:00\", \"Sat,Sun 00:00-24:00\" or \
                 \"22:00-06:00\""
                .into(),
            Self::Table => "a table".into(),
            Self::Tables => "a list of tables".into(),
        }
    }
}

fn text<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    match value {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let number: f64 = match value {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok()?,
        DeValue::Float(number) => number.as_str().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn number_within(value: &DeValue<'_>, least: f64, most: f64) -> Option<f64> {
    number(value).filter(|number| (least..=most).contains(number))
}

fn whole(value: &DeValue<'_>) -> Option<u32> {
    match value {
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

fn time_within(value: &DeValue<'_>, least: Duration, most: Duration) -> Option<Duration> {
    humantime::parse_duration(text(value)?).ok().filter(|time| (least..=most).contains(time))
}

/// A limited user never weighs more than everybody else does by default.
fn weight(value: &DeValue<'_>) -> Option<Weight> {
    Weight::new(u16::try_from(whole(value)?).ok().filter(|weight| *weight <= 100)?)
}

fn cores(value: &DeValue<'_>) -> Option<Millicores> {
    let cores = number_within(value, 0.01, MOST_CORES)?;
    millicores(cores)
}

/// The nearest thousandth; `None` outside of what can be limited to.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range: checked just before")]
pub(super) fn millicores(cores: f64) -> Option<Millicores> {
    let thousandths = (cores * 1000.0).round();
    (0.0..=f64::from(u32::MAX)).contains(&thousandths).then(|| Millicores::new(thousandths as u32)).flatten()
}

/// `75%` is 0.75.
fn share(value: &DeValue<'_>) -> Option<f64> {
    let digits = text(value)?.strip_suffix('%')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = plain.then(|| digits.parse().ok()).flatten()?;
    (0.1..=100.0).contains(&percent).then_some(percent / 100.0)
}

fn bytes(text: &str, least: Bytes) -> Option<Bytes> {
    let with_unit = text.trim_end().ends_with(['B', 'b']);
    let size = with_unit.then(|| text.parse::<bytesize::ByteSize>().ok()).flatten()?;
    Some(Bytes(size.as_u64())).filter(|size| (least..=MOST_SIZE).contains(size))
}

fn rate(value: &DeValue<'_>) -> Option<Bytes> {
    bytes(text(value)?.strip_suffix("/s")?, LEAST_RATE)
}

#[expect(clippy::cast_precision_loss, reason = "a threshold for people")]
fn absolute(bytes: Bytes) -> Amount {
    Amount::Absolute(bytes.0 as f64)
}

/// From the system's files, which are read here and then kept.
fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "UTC" => Some(TimeZone::UTC),
        "local" => Some(TimeZone::try_system().unwrap_or(TimeZone::UTC)),
        name => TimeZone::get(name).ok(),
    }
}

fn is_name(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || " -_.".contains(c);
    (1..=MOST_NAME).contains(&text.len()) && text.chars().all(fine) && text.trim() == text
}

fn uids(value: &DeValue<'_>) -> Option<UidRange> {
    if let Some(uid) = whole(value) {
        return Some(UidRange { first: uid, last: uid });
    }
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let (first, last) = text(value)?.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(UidRange { first, last })
}

/// Every item; an empty list could mean everybody or nobody, so that it is neither.
fn list<T>(value: &DeValue<'_>, item: impl Fn(&DeValue<'_>) -> Option<T>) -> Option<Vec<T>> {
    let DeValue::Array(items) = value else { return None };
    (1..=MOST_ITEMS).contains(&items.len()).then(|| items.iter().map(|one| item(one.get_ref())).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use toml::de::DeValue;

    use super::{Amount, Kind, Value};

    fn read(kind: Kind, text: &str) -> Option<Value> {
        kind.read(DeValue::parse(text).ok()?.get_ref())
    }

    fn amount(kind: Kind, text: &str) -> Option<Amount> {
        match read(kind, text)? {
            Value::Amount(amount) => Some(amount),
            _ => None,
        }
    }

    #[test]
    fn a_share_is_of_all_cpus_and_a_number_is_cpus() {
        assert_eq!(amount(Kind::CoresOrShare, "\"75%\""), Some(Amount::Share(0.75)));
        assert_eq!(amount(Kind::CoresOrShare, "1.5"), Some(Amount::Absolute(1.5)));
        assert_eq!(amount(Kind::CoresOrShare, "2"), Some(Amount::Absolute(2.0)));
        assert_eq!(amount(Kind::SizeOrShare, "\"2GiB\""), Some(Amount::Absolute(2_147_483_648.0)));
        assert_eq!(amount(Kind::RateAmount, "\"1MiB/s\""), Some(Amount::Absolute(1_048_576.0)));
        let wait = Kind::TimeAmount { least: Duration::ZERO, most: Duration::from_secs(1) };
        assert_eq!(amount(wait, "\"10ms\""), Some(Amount::Absolute(1e7)));
    }

    #[test]
    fn what_could_mean_two_things_means_none() {
        for (kind, text) in [
            (Kind::Share, "75"),
            (Kind::Share, "0.75"),
            (Kind::Share, "\"0.75\""),
            (Kind::Share, "\"101%\""),
            (Kind::Share, "\"-1%\""),
            (Kind::Share, "\"nan%\""),
            (Kind::Share, "\"1e1%\""),
            (Kind::CoresOrShare, "\"2\""),
            (Kind::CoresOrShare, "nan"),
            (Kind::CoresOrShare, "inf"),
            (Kind::CoresOrShare, "0"),
            (Kind::CoresOrShare, "-1"),
            (Kind::Size, "\"2\""),
            (Kind::Size, "2000000"),
            (Kind::Rate, "\"2MiB\""),
            (Kind::Weight, "101"),
            (Kind::Weight, "0"),
            (Kind::Weight, "50.0"),
            (Kind::Uids, "[]"),
            (Kind::Uids, "[\"2000\"]"),
            (Kind::Uids, "[\"2000-1000\"]"),
            (Kind::Uids, "[4294967296]"),
            (Kind::Uids, "[\"+1-2\"]"),
            (Kind::Names, "[]"),
            (Kind::Names, "[\"\"]"),
            (Kind::Names, "\"ann\""),
            (Kind::Spans, "[]"),
            (Kind::Mode, "\"Enforce\""),
            (Kind::Zone, "\"Mars/Olympus\""),
            (Kind::Zone, "\"../../etc/passwd\""),
            (Kind::Name, "\"a\\n\""),
            (Kind::Name, "\" a\""),
        ] {
            assert!(read(kind, text).is_none(), "{kind:?} {text}");
        }
    }
}
