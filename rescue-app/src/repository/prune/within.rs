//! A span of the calendar, as restic writes it: `2y5m7d3h` (`internal/data/duration.go`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::{Date, Duration, Month, OffsetDateTime};

/// Years, months, days and hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Within {
    years: u16,
    months: u16,
    days: u16,
    hours: u16,
}

impl Within {
    /// The time so long before `time`; the months are counted first, and a day that the month then
    /// does not have is one of the next (Go's `Time.AddDate`, which restic uses). `None` before the
    /// calendar begins.
    pub(super) fn before(self, time: OffsetDateTime) -> Option<OffsetDateTime> {
        let date = time.date();
        let months = i32::from(self.years) * 12 + i32::from(self.months);
        let month = date.year() * 12 + i32::from(u8::from(date.month())) - 1 - months;
        let number = u8::try_from(month.rem_euclid(12) + 1).ok()?;
        let first =
            Date::from_calendar_date(month.div_euclid(12), Month::try_from(number).ok()?, 1)
                .ok()?;
        let days = i64::from(date.day()) - 1 - i64::from(self.days);
        let date = first.checked_add(Duration::days(days))?;
        time.replace_date(date).checked_sub(Duration::hours(self.hours.into()))
    }
}

impl FromStr for Within {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a time such as 30d or 1y6m");
        let (mut within, mut number) = (Self::default(), String::new());
        for c in text.chars() {
            let unit = match c {
                '0'..='9' => {
                    number.push(c);
                    continue;
                }
                'y' => &mut within.years,
                'm' => &mut within.months,
                'd' => &mut within.days,
                'h' => &mut within.hours,
                _ => return Err(wrong()),
            };
            *unit = number.parse().map_err(|_| wrong())?;
            number.clear();
        }
        match number.is_empty() && within != Self::default() {
            true => Ok(within),
            false => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Within {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Within> for String {
    fn from(within: Within) -> Self {
        within.to_string()
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { years, months, days, hours } = *self;
        for (number, unit) in [(years, 'y'), (months, 'm'), (days, 'd'), (hours, 'h')] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn spans_are_those_of_the_calendar() {
        let time = datetime!(2026-03-31 12:00 +02:00);
        let before = |span: &str| span.parse::<Within>().unwrap().before(time);
        assert_eq!(before("30d"), Some(datetime!(2026-03-01 12:00 +02:00)));
        assert_eq!(before("13h"), Some(datetime!(2026-03-30 23:00 +02:00)));
        // The 31st of February, to Go.
        assert_eq!(before("1m"), Some(datetime!(2026-03-03 12:00 +02:00)));
        assert_eq!(before("1y3m"), Some(datetime!(2024-12-31 12:00 +02:00)));
        assert_eq!(before("60000y"), None);
        for wrong in ["", "d", "5", "0d", "3w", "-1d", "99999d"] {
            assert!(wrong.parse::<Within>().is_err(), "{wrong}");
        }
        assert_eq!("1y6m2d3h".parse::<Within>().unwrap().to_string(), "1y6m2d3h");
    }
}
