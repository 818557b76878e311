//! Times as filesystems keep them.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// Nanoseconds of a second, and of a tick of Windows.
const SECOND: i128 = 1_000_000_000;
const TICK: i128 = 100;
/// Seconds from the first of January 1601 to that of 1970.
const WINDOWS_EPOCH: i128 = 11_644_473_600;
/// Seconds from the first of January 1904 to that of 1970.
const MAC_EPOCH: i64 = 2_082_844_800;

/// Seconds and nanoseconds since 1970, UTC; `None` for what no calendar has.
pub(crate) fn unix(seconds: i64, nanoseconds: u32) -> Option<OffsetDateTime> {
    let whole = i128::from(seconds).checked_mul(SECOND)?;
    OffsetDateTime::from_unix_timestamp_nanos(whole.checked_add(nanoseconds.into())?).ok()
}

/// Ticks since 1601, UTC (MS-DTYP, `FILETIME`); 0 stands for none.
pub(crate) fn windows(ticks: u64) -> Option<OffsetDateTime> {
    let before = WINDOWS_EPOCH.checked_mul(SECOND)?;
    let since = i128::from(ticks).checked_mul(TICK)?.checked_sub(before)?;
    OffsetDateTime::from_unix_timestamp_nanos(since).ok().filter(|_| ticks != 0)
}

/// Seconds since 1904, UTC (Apple Technical Note TN1150, "HFS Plus Dates"); 0 stands for none.
pub(crate) fn mac(seconds: u32) -> Option<OffsetDateTime> {
    let since = i64::from(seconds).checked_sub(MAC_EPOCH)?;
    unix(since, 0).filter(|_| seconds != 0)
}

/// Date and time of MS-DOS (fatgen103, "Date and Time Formats") and hundredths of a second more, at
/// a distance from UTC; `None` for what no calendar has, such as a date of zeros.
pub(crate) fn dos(
    date: u16,
    time: u16,
    hundredths: u8,
    offset: UtcOffset,
) -> Option<OffsetDateTime> {
    let field = |value: u16, shift: u32, bits: u32| {
        let value = value.checked_shr(shift)? & 1u16.checked_shl(bits)?.checked_sub(1)?;
        u8::try_from(value).ok()
    };
    let year = 1980i32.checked_add(field(date, 9, 7)?.into())?;
    let month = Month::try_from(field(date, 5, 4)?).ok()?;
    let date = Date::from_calendar_date(year, month, field(date, 0, 5)?).ok()?;
    let seconds = field(time, 0, 5)?.checked_mul(2)?.checked_add(hundredths / 100)?;
    let milliseconds = u16::from(hundredths % 100).checked_mul(10)?;
    let time = Time::from_hms_milli(field(time, 11, 5)?, field(time, 5, 6)?, seconds, milliseconds);
    Some(date.with_time(time.ok()?).assume_offset(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn every_clock_shows_the_same_moment() {
        let moment = datetime!(2024-02-29 13:37:58.5 UTC);
        assert_eq!(unix(1_709_213_878, 500_000_000), Some(moment));
        // `w32tm /ntte` of this number.
        assert_eq!(windows(133_536_874_785_000_000), Some(moment));
        assert_eq!(mac(3_792_058_678), Some(datetime!(2024-02-29 13:37:58 UTC)));
        let (date, time) = (44 << 9 | 2 << 5 | 29, 13 << 11 | 37 << 5 | 29);
        assert_eq!(dos(date, time, 50, UtcOffset::UTC), Some(moment));
        let offset = UtcOffset::from_hms(2, 0, 0).unwrap_or(UtcOffset::UTC);
        assert_eq!(dos(date, time, 50, offset), Some(datetime!(2024-02-29 11:37:58.5 UTC)));
    }

    #[test]
    fn what_no_calendar_has_is_none() {
        assert_eq!((windows(0), mac(0), dos(0, 0, 0, UtcOffset::UTC)), (None, None, None));
        assert_eq!(dos(44 << 9 | 2 << 5 | 30, 0, 0, UtcOffset::UTC), None);
        assert_eq!((unix(i64::MAX, 0), windows(u64::MAX)), (None, None));
        assert!(unix(-1, 999_999_999).is_some());
    }
}
