//! Sizes and lengths of time as people type them.

use jiff::{Span, SpanRelativeTo};

/// A number of bytes as it is typed: `1000`, `64K`, `100MiB`, `1.5 GB`; K, M, G and T are powers of 1024, with or without iB, and of
/// 1000 with a B alone.
///
/// # Errors
/// What is accepted.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let accepted =
        || format!("{text:?} is no number of bytes; 1000, 64K, 100MiB and 1.5GB are accepted");
    let text_of_unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - text_of_unit.len()]
        .parse()
        .map_err(|_| accepted())?;
    let unit = text_of_unit.trim().to_ascii_lowercase();
    let (power, base) = match unit.as_str() {
        "" | "b" => (0, 1024),
        unit => {
            let mut letters = unit.chars();
            let letter = letters.next().ok_or_else(accepted)?;
            let power = "kmgt".find(letter).ok_or_else(accepted)? + 1;
            match letters.as_str() {
                "" | "ib" => (power, 1024_u64),
                "b" => (power, 1000),
                _ => return Err(accepted()),
            }
        }
    };
    let bytes = number * (base as f64).powi(i32::try_from(power).unwrap_or(0));
    match bytes.is_finite() && bytes < 9e18 {
        true => Ok(bytes as u64),
        false => Err(accepted()),
    }
}

/// Seconds of a length of time as it is typed: `90s`, `5 minutes`, `36h`, `30d`, `2w`. A day has 24 hours; months and years have no length.
///
/// # Errors
/// What is accepted.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let accepted =
        || format!("{text:?} is no length of time; 90s, 5m, 36h, 30d and 2w are accepted");
    let span: Span = text.parse().map_err(|_| accepted())?;
    let days = SpanRelativeTo::days_are_24_hours();
    let duration = span.to_duration(days).map_err(|_| accepted())?;
    u64::try_from(duration.as_secs()).map_err(|_| accepted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("64K", 65_536),
            ("64k", 65_536),
            ("100MiB", 100 << 20),
            ("1.5GB", 1_500_000_000),
            ("1 TiB", 1 << 40),
            ("7b", 7),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1x",
            "1MiBs",
            "1é",
            "1e5",
            "9999999999999T",
            "1.2.3",
            "NaN",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("5 minutes", 300),
            ("1h30m", 5400),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
        for text in ["", "5", "-1s", "1 month", "2y", "d", "1x", "é"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
