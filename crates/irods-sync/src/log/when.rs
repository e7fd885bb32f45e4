//! When a log file is full of its time: the arithmetic of rotation, without a clock and without files.
//!
//! The units are those of Python's timed rotation. Time is cut into periods that are the same for every process, however long it
//! runs: S, M and H count from 1970 in UTC; D, midnight and W0 to W6 begin at local midnight. A file belongs to one period, and
//! is named after its beginning when the next one has come.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

/// The length of periods, without their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds(i64),
    Days,
    /// Periods end with this day of the week, counted from Monday as 0.
    Week(i32),
}

/// A unit of time as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    unit: Unit,
    /// How the beginning of a period is written.
    name: &'static str,
}

const DAY: &str = "%Y-%m-%d";

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (unit, name) = match text.to_ascii_uppercase().as_str() {
            "S" => (Unit::Seconds(1), "%Y-%m-%d_%H-%M-%S"),
            "M" => (Unit::Seconds(60), "%Y-%m-%d_%H-%M"),
            "H" => (Unit::Seconds(3600), "%Y-%m-%d_%H"),
            "D" | "MIDNIGHT" => (Unit::Days, DAY),
            week => match week.strip_prefix('W').map(str::parse) {
                Some(Ok(day @ 0..=6)) if week.len() == 2 => (Unit::Week(day), DAY),
                _ => return Err("S, M, H, D, midnight and W0 (Monday) to W6 are accepted"),
            },
        };
        Ok(When { unit, name })
    }
}

/// Periods of a number of units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    when: When,
    /// At least 1.
    interval: i64,
    zone: TimeZone,
}

impl Schedule {
    /// Periods of `interval` units (0 counts as 1) in a time zone.
    pub fn new(when: When, interval: u32, zone: TimeZone) -> Self {
        Schedule {
            when,
            interval: i64::from(interval.max(1)),
            zone,
        }
    }

    /// The beginning of the period that a moment lies in. A moment at the end of what can be reckoned with is its own period.
    pub fn period(&self, moment: Timestamp) -> Timestamp {
        self.try_period(moment).unwrap_or(moment)
    }

    fn try_period(&self, moment: Timestamp) -> Option<Timestamp> {
        let days = match self.when.unit {
            Unit::Seconds(unit) => {
                let length = unit.checked_mul(self.interval)?;
                let seconds = moment.as_second();
                return Timestamp::from_second(seconds - seconds.rem_euclid(length)).ok();
            }
            Unit::Days => self.interval,
            Unit::Week(_) => self.interval.checked_mul(7)?,
        };
        // The first day of some period.
        let origin = match self.when.unit {
            // 1970-01-05 was a Monday, so with W0 a period begins on the day after.
            Unit::Week(day) => Date::new(1970, 1, 6).ok()?.checked_add(day.days()).ok()?,
            _ => Date::new(1970, 1, 1).ok()?,
        };
        let today = self.local(moment).date();
        let since = i64::from(today.since(origin).ok()?.get_days());
        let first = today.checked_sub(since.rem_euclid(days).days()).ok()?;
        Some(first.to_zoned_datetime(self.zone.clone()).ok()?.timestamp())
    }

    /// What is put behind the name of a file of this period.
    pub fn suffix(&self, period: Timestamp) -> String {
        self.local(period).strftime(self.when.name).to_string()
    }

    fn local(&self, moment: Timestamp) -> ZonedDateTime {
        moment.to_zoned_datetime(self.zone.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn schedule(when: &str, interval: u32) -> Schedule {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Schedule::new(when.parse().unwrap(), interval, zone)
    }

    /// The period of a local time, as its file is named.
    fn named(schedule: &Schedule, local: &str) -> String {
        let moment: jiff::civil::DateTime = local.parse().unwrap();
        let moment = moment.to_zoned_datetime(schedule.zone.clone()).unwrap();
        schedule.suffix(schedule.period(moment.timestamp()))
    }

    #[test]
    fn units_are_python_s() {
        for (when, interval, local, period) in [
            ("S", 1, "2026-11-03T09:15:02.9", "2026-11-03_09-15-02"),
            ("S", 10, "2026-11-03T09:15:19", "2026-11-03_09-15-10"),
            ("M", 1, "2026-11-03T09:15:59", "2026-11-03_09-15"),
            ("m", 15, "2026-11-03T09:59:59", "2026-11-03_09-45"),
            ("H", 1, "2026-11-03T09:00:00", "2026-11-03_09"),
            ("H", 6, "2026-11-03T09:00:00", "2026-11-03_07"),
            ("D", 1, "2026-11-03T23:59:59", "2026-11-03"),
            ("midnight", 1, "2026-11-03T00:00:00", "2026-11-03"),
            ("D", 2, "2026-11-03T12:00:00", "2026-11-03"),
            ("D", 2, "2026-11-04T12:00:00", "2026-11-03"),
            // The third of November 2026 is a Tuesday. W0: when Monday has ended.
            ("W0", 1, "2026-11-03T00:00:00", "2026-11-03"),
            ("W0", 1, "2026-11-02T23:59:59", "2026-10-27"),
            ("W1", 1, "2026-11-03T23:59:59", "2026-10-28"),
            ("w6", 1, "2026-11-08T23:59:59", "2026-11-02"),
            ("w6", 1, "2026-11-09T00:00:00", "2026-11-09"),
        ] {
            assert_eq!(named(&schedule(when, interval), local), period, "{when}");
        }
    }

    #[test]
    fn days_are_local_and_as_long_as_they_are() {
        let days = schedule("midnight", 1);
        // Clocks go back in this night: the day has 25 hours.
        let begins: Timestamp = "2026-10-24T22:00:00Z".parse().unwrap();
        for hours in 0..25 {
            let moment = begins.checked_add(hours.hours()).unwrap();
            assert_eq!(days.period(moment), begins, "{hours}");
        }
        let next = begins.checked_add(25.hours()).unwrap();
        assert_eq!(days.period(next), next);
    }

    #[test]
    fn every_moment_is_in_the_period_that_it_names_and_periods_have_no_gaps() {
        for when in ["S", "M", "H", "D", "W0", "W5"] {
            for interval in [0, 1, 3, 7, u32::MAX] {
                let schedule = schedule(when, interval);
                let mut last = Timestamp::MIN;
                for number in 0..3000_i64 {
                    let moment = Timestamp::from_second(1_790_000_000 + number * 997).unwrap();
                    let period = schedule.period(moment);
                    assert!(period <= moment, "{when} {interval} {moment}");
                    assert!(last <= period, "{when} {interval} {moment}");
                    assert_eq!(schedule.period(period), period, "{when} {interval}");
                    last = period;
                }
            }
        }
        for moment in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            schedule("W3", 5).period(moment);
        }
    }

    #[test]
    fn other_units_are_refused() {
        for text in ["", "X", "W", "W7", "W10", "W-1", "days", "é"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
