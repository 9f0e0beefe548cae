//! Numbers with units, as people write and read them: `256MiB`, `7d`, `1500ms`.
//!
//! A bare number counts the base unit: bytes, or seconds. What is printed is exact and reads back as the same value.
//! It knows no option and no range.

use std::time::Duration;

/// Units of size and their bytes, largest first within each family.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Units of time and their milliseconds, largest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The bytes that `text` names: a whole number and a unit, or bare bytes. `None` if it is neither or overflows.
///
/// Units of 1,024 are written `KiB`, of 1,000 `KB`, in any case of letters.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.checked_mul(factor)
}

/// The time that `text` names: a whole number and a unit, or bare seconds. `None` if it is neither or overflows.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" => 1_000,
        unit => TIMES.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.checked_mul(factor).map(Duration::from_millis)
}

/// The shortest exact form of so many bytes, in units of 1,024: `1MiB`, `1500B`.
#[must_use]
pub fn bytes(count: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| count != 0 && factor.is_power_of_two() && count.is_multiple_of(*factor);
    let (unit, factor) = SIZES.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", count / factor)
}

/// The shortest exact form of a duration, to the millisecond: `7d`, `20s`, `1500ms`.
#[must_use]
pub fn duration(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, factor): &&(&str, u64)| millis != 0 && millis.is_multiple_of(*factor);
    let (unit, factor) = TIMES.iter().find(fits).unwrap_or(&("s", 1_000));
    format!("{}{unit}", millis / factor)
}

/// A whole number, `_` between its digits allowed.
#[must_use]
pub fn parse_count(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    let whole = text.starts_with(|c: char| c.is_ascii_digit()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole { digits.parse().ok() } else { None }
}

/// The number and the unit of `text`, which may have one run of spaces between them.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((parse_count(number)?, unit.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_written() {
        let cases = [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("1_000", Some(1000)),
            ("16B", Some(16)),
            ("1KiB", Some(1024)),
            ("1kib", Some(1024)),
            ("1 KB", Some(1000)),
            ("256MiB", Some(256 << 20)),
            ("10GiB", Some(10 << 30)),
            ("2TB", Some(2_000_000_000_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("16777216TiB", None),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("+1", None),
            ("_1", None),
            ("1.5MiB", None),
            ("1M", None),
            ("1MiB ", None),
            (" 1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_bytes(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_read_as_written() {
        let cases = [
            ("20", Some(20_000)),
            ("0", Some(0)),
            ("500ms", Some(500)),
            ("20s", Some(20_000)),
            ("5m", Some(300_000)),
            ("2 h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("20sec", None),
            ("7D", None),
            ("1w", None),
            ("", None),
            ("s", None),
            ("99999999999999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn what_is_printed_is_exact_and_reads_back() {
        for (count, text) in
            [(0, "0B"), (1, "1B"), (1000, "1000B"), (1024, "1KiB"), (1 << 20, "1MiB"), (3 << 29, "1536MiB")]
        {
            assert_eq!(bytes(count), text);
            assert_eq!(parse_bytes(text), Some(count));
        }
        for (millis, text) in
            [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (20_000, "20s"), (60_000, "1m"), (604_800_000, "7d")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)));
        }
    }
}
