//! Sizes, speeds and times as a person reads them; the same for menu and command line.

use std::time::Duration;

use crate::table::{Partition, Purpose, UNKNOWN_TYPE as UNKNOWN};
use crate::volume::Kind;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// Binary units (IEC 80000-13), each 1024 times the one before.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes: `512 B`, `2.5 GiB`, `466 GiB`.
pub fn size(bytes: u64) -> String {
    let (number, unit) = scaled(u128::from(bytes) * 10);
    format!("{number} {unit}")
}

/// Partition numbers in a row: `1, 2, 5`.
pub fn numbers(numbers: &[u32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A part of a whole, both in the unit of the whole: `2.5/6.0 GiB`.
pub fn size_of(part: u64, whole: u64) -> String {
    let (number, unit) = scaled(u128::from(whole) * 10);
    let index = UNITS.iter().position(|name| *name == unit).unwrap_or(0);
    let tenths = (0..index).fold(u128::from(part) * 10, |value, _| (value + 512) / 1024);
    format!("{}/{number} {unit}", number_of(tenths, index == 0))
}

/// A speed in bytes a second: `118 MiB/s`; nothing moving is `0 B/s`.
pub fn speed(bytes_per_second: f64) -> String {
    let mut value = bytes_per_second.max(0.0);
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == UNITS[0] || value >= 99.95 {
        format!("{value:.0} {unit}/s")
    } else {
        format!("{value:.1} {unit}/s")
    }
}

/// A span of time, two units at most: `45 s`, `3 min 20 s`, `2 h 05 min`, `1 d 3 h`.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {:02} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {:02} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

/// A point in time: `2026-11-22 03:00 UTC`, whatever zone it was told in.
pub fn time(time: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    // Only years beyond 9999 have no such form.
    time.to_offset(UtcOffset::UTC).format(form).unwrap_or_else(|_| time.to_string())
}

/// [`time`] of one in the form of RFC 3339; anything else is returned as it is.
pub fn time_of(rfc3339: &str) -> String {
    OffsetDateTime::parse(rfc3339, &Rfc3339).map_or_else(|_| rfc3339.to_owned(), time)
}

/// So many of a thing whose plural ends in "s": `1 file`, `12 files`.
pub fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// What a partition or a whole disk holds, in a few words: the filesystem, else what the partition's
/// type says, in brackets where any filesystem could be in such a one.
pub fn content_name(filesystem: Option<Kind>, partition: Option<&Partition>) -> String {
    let named = partition.filter(|partition| partition.type_name != UNKNOWN);
    match (filesystem, named) {
        (Some(kind), _) => kind.to_string(),
        (None, None) => UNKNOWN.to_owned(),
        (None, Some(partition)) if partition.purpose() == Purpose::Volume => {
            format!("{UNKNOWN} ({})", partition.type_name)
        }
        (None, Some(partition)) => partition.type_name.clone(),
    }
}

/// Scales a count of tenths to the unit that leaves fewer than 1024 of it.
fn scaled(tenths: u128) -> (String, &'static str) {
    let mut value = tenths;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        // From 1023.5 on the rounded number would read "1024": the next unit says it better.
        if value < 10_235 {
            break;
        }
        value = (value + 512) / 1024;
        unit = next;
    }
    (number_of(value, unit == UNITS[0]), unit)
}

/// Tenths as a number: one decimal below a hundred, none above and none for bytes.
fn number_of(tenths: u128, whole_bytes: bool) -> String {
    if tenths < 1000 && !whole_bytes {
        format!("{}.{}", tenths / 10, tenths % 10)
    } else {
        ((tenths + 5) / 10).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn sizes_read_naturally() {
        let cases = [
            (0, "0 B"),
            (512, "512 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (512 << 20, "512 MiB"),
            (GIB - 1, "1.0 GiB"),
            (GIB * 5 / 2, "2.5 GiB"),
            (500_107_862_016, "466 GiB"),
            (12_000_138_625_024, "10.9 TiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn a_part_is_told_in_the_unit_of_the_whole() {
        assert_eq!(size_of(GIB * 5 / 2, GIB * 6), "2.5/6.0 GiB");
        assert_eq!(size_of(33 << 20, 512 << 20), "33.0/512 MiB");
        assert_eq!(size_of(120 * GIB, 464 * GIB), "120/464 GiB");
        assert_eq!(size_of(0, 464 * GIB), "0.0/464 GiB");
        assert_eq!(size_of(10, 512), "10/512 B");
    }

    #[test]
    fn times_name_their_zone() {
        assert_eq!(time_of("2026-11-20T09:14:33.5Z"), "2026-11-20 09:14 UTC");
        assert_eq!(time_of("2026-01-01T00:14:33+02:00"), "2025-12-31 22:14 UTC");
        assert_eq!(time_of("soon"), "soon");
    }

    #[test]
    fn speeds_and_spans_read_naturally() {
        assert_eq!(speed(0.0), "0 B/s");
        assert_eq!(speed(124_000_000.0), "118 MiB/s");
        assert_eq!(speed(1_600_000.0), "1.5 MiB/s");
        assert_eq!(duration(Duration::from_secs(45)), "45 s");
        assert_eq!(duration(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 05 min");
        assert_eq!(duration(Duration::from_secs(97_200)), "1 d 3 h");
    }
}
