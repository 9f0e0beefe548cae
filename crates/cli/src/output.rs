//! What goes to the terminal: results to the standard output, everything said besides to the standard error.
//!
//! Colours appear only on a terminal, and not when `NO_COLOR` is set; `anstream` sees to that. Nothing that came over the
//! network reaches a terminal with its control characters.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

/// Less important than the rest.
pub(crate) const DIM: Style = Style::new().dimmed();
/// A name.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
/// A second kind of name.
pub(crate) const KIND: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// The important part.
pub(crate) const STRONG: Style = Style::new().bold();

/// `text` in a style.
pub(crate) fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The standard output, buffered: a burst is one write. Whoever waits for something flushes before.
pub(crate) fn stdout() -> io::BufWriter<anstream::AutoStream<io::Stdout>> {
    io::BufWriter::new(anstream::stdout())
}

/// Says something on the standard error. If that is gone there is nobody to tell.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// `text` with control characters made visible, so that a payload cannot move the cursor or set the title.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    // U+009B and its neighbours are controls too; bidirectional overrides can make a line read as another.
    let harmful = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.chars().any(harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            c if harmful(c) => write!(shown, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail"),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A time in UTC as in `2025-11-21T06:50:45.123Z`.
pub(crate) fn utc(millis: u64) -> String {
    let (days, ms) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil(days);
    let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// Year, month and day of so many days after 1970-01-01 in the Gregorian calendar.
///
/// Counts in eras of 400 years (146,097 days) from 0000-03-01, so that a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// A whole number with its thousands apart: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// About how many bytes: `512 B`, `1.5 KiB`, `10.0 GiB`.
pub(crate) fn about(bytes: u64) -> String {
    let mut unit = ("B", 1u64);
    for larger in [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)] {
        if bytes >= larger.1 {
            unit = larger;
        }
    }
    match unit {
        (name, 1) => format!("{bytes} {name}"),
        #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
        (name, factor) => format!("{:.1} {name}", bytes as f64 / factor as f64),
    }
}

/// A time as a person says it: `350 ms`, `1.2 s`.
pub(crate) fn span(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_763_683_200_123, "2025-11-21T00:00:00.123Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (millis, expected) in cases {
            assert_eq!(utc(millis), expected, "{millis}");
        }
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        let cases = [
            ("plain 봉수 🔥", "plain 봉수 🔥"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("\0", "\\u{0}"),
        ];
        for (text, expected) in cases {
            assert_eq!(harmless(text), expected);
        }
    }

    #[test]
    fn numbers_are_readable() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
        for (bytes, expected) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10 << 30, "10.0 GiB")] {
            assert_eq!(about(bytes), expected);
        }
    }
}
