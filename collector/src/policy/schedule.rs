//! When a rule is off: weekly spans of local time in a time zone, which knows of summer time.

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};

use crate::units::UnixTime;

/// From one minute of some days to another, which may be on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Bit 0 is Monday: the days on which it begins.
    days: u8,
    /// Minutes after midnight.
    from: u16,
    /// Minutes after midnight; not after `from` means on the next day.
    to: u16,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MINUTES: u16 = 24 * 60;

impl Span {
    /// `Mon-Fri 08:00-18:00`, `Sat,Sun 00:00-24:00`, `22:00-06:00` for every day. `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (days, times) = text.rsplit_once(' ').map_or((u8::MAX >> 1, text), |(days, times)| {
            // 0 is no set of days: it is refused below.
            (days.split(',').try_fold(0, |set, part| Some(set | day_set(part.trim())?)).unwrap_or(0), times)
        });
        let (from, to) = times.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        (days != 0 && from < MINUTES && from != to).then_some(Self { days, from, to })
    }

    /// Whether it is on, `minute` minutes after midnight of `day`, which counts from Monday.
    fn is_on(self, day: u8, minute: u16) -> bool {
        let begins = |day: u8| self.days & (1 << day) != 0;
        if self.from < self.to {
            return begins(day) && (self.from..self.to).contains(&minute);
        }
        let yesterday = (day + 6) % 7;
        (begins(day) && minute >= self.from) || (begins(yesterday) && minute < self.to)
    }
}

/// `Mon`, or `Mon-Fri`, which may go on into the next week.
fn day_set(text: &str) -> Option<u8> {
    let day = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let length = (last + 7 - first) % 7;
    Some((0..=length).fold(0, |set, next| set | 1 << ((first + next) % 7)))
}

/// `HH:MM`, up to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60).then_some(hour * 60 + minute).filter(|minute| *minute <= MINUTES)
}

/// When a rule is on.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Schedule {
    /// Always.
    #[default]
    Always,
    /// But not then.
    Except(Vec<Span>),
    /// Then, and not else.
    Only(Vec<Span>),
}

impl Schedule {
    /// Whether the rule is on at this moment of this zone.
    pub(super) fn is_on(&self, moment: Moment) -> bool {
        let any = |spans: &[Span]| spans.iter().any(|span| span.is_on(moment.day, moment.minute));
        match self {
            Self::Always => true,
            Self::Except(spans) => !any(spans),
            Self::Only(spans) => any(spans),
        }
    }
}

/// A moment of the week, in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Counted from Monday.
    day: u8,
    /// Minutes after midnight.
    minute: u16,
}

impl Moment {
    /// The local time of `wall`. A clock beyond what calendars know reads as their beginning.
    pub(super) fn of(wall: UnixTime, zone: &TimeZone) -> Self {
        let seconds = i64::try_from(wall.0.0 / 1_000_000_000).unwrap_or(0);
        let local = zone.to_datetime(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH));
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        Self { day: day_of(local.weekday()), minute }
    }
}

fn day_of(weekday: Weekday) -> u8 {
    u8::try_from(weekday.to_monday_zero_offset()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Moment, Schedule, Span};
    use crate::units::{Nanos, UnixTime};

    /// 2026-03-23 was a Monday.
    const MONDAY: u64 = 1_774_224_000;

    fn at(day: u64, hour: u64, minute: u64) -> Moment {
        let seconds = MONDAY + day * 86_400 + hour * 3600 + minute * 60;
        Moment::of(UnixTime(Nanos(seconds * 1_000_000_000)), &TimeZone::UTC)
    }

    fn only(text: &str) -> Schedule {
        Schedule::Only(Span::parse(text).into_iter().collect())
    }

    #[test]
    fn spans_begin_at_their_first_minute_and_end_before_their_last() {
        let office = only("Mon-Fri 08:00-18:00");
        for (moment, on) in [
            (at(0, 7, 59), false),
            (at(0, 8, 0), true),
            (at(4, 17, 59), true),
            (at(4, 18, 0), false),
            (at(5, 12, 0), false),
        ] {
            assert_eq!(office.is_on(moment), on, "{moment:?}");
        }
        let Schedule::Only(spans) = office else { return };
        assert!(!Schedule::Except(spans).is_on(at(0, 8, 0)));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = only("Fri 22:00-06:00");
        for (moment, on) in [
            (at(4, 21, 59), false),
            (at(4, 22, 0), true),
            (at(5, 5, 59), true),
            (at(5, 6, 0), false),
            (at(4, 3, 0), false),
        ] {
            assert_eq!(night.is_on(moment), on, "{moment:?}");
        }
        assert!(only("sat-mon 00:00-24:00").is_on(at(6, 23, 59)) && !only("sat-mon 00:00-24:00").is_on(at(1, 0, 0)));
        assert!(only("22:00-06:00").is_on(at(2, 1, 0)) && only("Sun,Tue 01:00-02:00").is_on(at(1, 1, 30)));
    }

    #[test]
    fn summer_time_is_known() {
        let Ok(berlin) = TimeZone::get("Europe/Berlin") else { return };
        // The clocks went forward on Sunday, 2026-03-29, at 01:00 UTC.
        let noon = |day: u64| Moment::of(UnixTime(Nanos((MONDAY + day * 86_400 + 12 * 3600) * 1_000_000_000)), &berlin);
        assert_eq!((noon(5).minute, noon(6).minute), (13 * 60, 14 * 60));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for odd in [
            "",
            "08:00",
            "Mon",
            "Mon 8:00-18:00",
            "Mon 08:00-08:00",
            "Mon 24:00-08:00",
            "Mon 08:60-09:00",
            "Foo 08:00-09:00",
            "Mon 08:00-25:00",
            "Mon, 08:00-09:00",
            "Mon +8:00-09:00",
        ] {
            assert_eq!(Span::parse(odd), None, "{odd}");
        }
    }
}
