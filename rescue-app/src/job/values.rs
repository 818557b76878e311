//! Values of arguments.

use crate::image::chunks::{ChunkSize, NoChunkSize};

/// A rule that keeps nothing would be a way to lose everything by a slip.
pub(super) fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

pub(super) fn parse_sector_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size @ (512 | 1024 | 2048 | 4096)) => Ok(size),
        _ => Err("a sector has 512, 1024, 2048 or 4096 bytes".to_owned()),
    }
}

pub(super) fn parse_chunk_size(text: &str) -> Result<ChunkSize, String> {
    ChunkSize::try_from(parse_size(text)?).map_err(|error: NoChunkSize| error.to_string())
}

/// Numbers of partitions. The name keeps clap from taking each of them for a value of its own.
pub(super) type Numbers = Vec<u32>;

/// How many partitions a range may have: more than any table that is met.
const MOST_IN_RANGE: u32 = 1024;

/// Numbers of partitions and ranges of them: `1,3` or `1-3,5`; none for an empty text.
pub(super) fn parse_numbers(text: &str) -> Result<Numbers, String> {
    let mut numbers = Numbers::new();
    for word in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (parse_number(first)?, parse_number(last)?);
        if first > last || last - first >= MOST_IN_RANGE {
            return Err(format!("'{word}' is not a range of partitions; give one such as 2-4"));
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

/// The number of a partition.
pub(super) fn parse_number(text: &str) -> Result<u32, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(|| {
        format!("'{text}' is not a partition number; give numbers such as 1,3 or 2-4")
    })
}

/// A size in bytes, or with a unit: `512M` and `1.5GiB` count in powers of 1024, `2TB` in powers of 1000, as the
/// labels of disks do.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "`{text}` is not a size; give bytes, or a number with K, M, G or T (1G is 1024 x 1024 x 1024 bytes, \
             1GB is 1,000,000,000)"
        )
    };
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(number.len()..).unwrap_or_default() {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "m" | "MiB" => 1 << 20,
        "G" | "g" | "GiB" => 1 << 30,
        "T" | "t" | "TiB" => 1 << 40,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000u64,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() > MOST_DECIMALS
        || !digits(part)
        || !digits(whole)
        || (unit == 1 && number != whole)
    {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let decimals = 10u64.pow(u32::try_from(part.len()).unwrap_or_default());
    let part: u64 = if part.is_empty() { 0 } else { part.parse().map_err(|_| wrong())? };
    let part = u128::from(part) * u128::from(unit) / u128::from(decimals);
    let sum = u128::from(whole) * u128::from(unit) + part;
    u64::try_from(sum).map_err(|_| wrong())
}

/// Digits behind the point that a size may have.
const MOST_DECIMALS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbers_and_ranges() {
        assert_eq!(parse_numbers("1-3,5"), Ok(vec![1, 2, 3, 5]));
        assert_eq!(parse_numbers("7"), Ok(vec![7]));
        assert_eq!(parse_numbers(""), Ok(vec![]));
        for wrong in ["sda1", "1,", "3-1", "-3", "1-", "+1", "1-2-3", "1-99999", "4294967296"] {
            let said = parse_numbers(wrong).unwrap_err();
            assert!(said.contains("such as"), "{said}");
        }
    }

    #[test]
    fn sizes_take_units() {
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("64G"), Ok(64 << 30));
        assert_eq!(parse_size("2TiB"), Ok(2 << 40));
        assert_eq!(parse_size("2.5G"), Ok(5 << 29));
        assert_eq!(parse_size("2TB"), Ok(2_000_000_000_000));
        assert_eq!(parse_size("0.5kB"), Ok(500));
        assert_eq!(parse_size("7B"), Ok(7));
        for wrong in [
            "",
            "G",
            "1X",
            "99999999999T",
            "1.5",
            ".5G",
            "1.G5",
            "1,5G",
            "-1",
            "1.2.3G",
            "1.0000001T",
        ] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
