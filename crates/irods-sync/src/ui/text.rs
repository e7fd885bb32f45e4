//! Values as text for people.

use std::fmt::Write as _;
use std::time::Duration;

/// Text from outside, fit for a terminal and for one line: control characters and bytes that are not UTF-8 escaped.
pub fn plain(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A word as a shell takes it.
pub fn shell_word(word: &[u8]) -> String {
    let text = plain(word);
    let harmless = |c: char| c.is_alphanumeric() || "/._-+:=,@%".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// 1234567 as 1,234,567.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes with the unit that leaves at most four digits, and exactly where that rounds.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = number as f64;
    let mut unit = None;
    for name in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(name);
    }
    match unit {
        None => format!("{number} bytes"),
        Some(unit) => format!("{value:.1} {unit} ({} bytes)", thousands(number)),
    }
}

/// How fast it goes: `12.3 files/s, 2.0 MiB/s`.
pub fn rate(files: f64, bytes_per_second: f64) -> String {
    let whole = bytes_per_second.max(0.0).round() as u64;
    let text = bytes(whole);
    let (short, _) = text.split_once(" (").unwrap_or((&text, ""));
    format!("{files:.1} files/s, {short}/s")
}

/// A length of time: `0.42 s`, `12.3 s`, `5 min 20 s`, `2 h 3 min`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    match whole {
        0..10 => format!("{:.2} s", time.as_secs_f64()),
        10..120 => format!("{:.1} s", time.as_secs_f64()),
        120..7200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB (1,536 bytes)");
        assert_eq!(seconds(Duration::from_millis(420)), "0.42 s");
        assert_eq!(seconds(Duration::from_secs(320)), "5 min 20 s");
        assert_eq!(seconds(Duration::from_secs(7380)), "2 h 3 min");
    }

    #[test]
    fn rates_read_well() {
        assert_eq!(rate(12.34, 2_097_152.0), "12.3 files/s, 2.0 MiB/s");
        assert_eq!(rate(0.0, f64::NAN), "0.0 files/s, 0 bytes/s");
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_raw() {
        assert_eq!(plain("Größe\u{1b}[2J\n".as_bytes()), "Größe\\u{1b}[2J\\n");
        assert_eq!(plain(b"a\xffb"), "a\\xffb");
        assert_eq!(shell_word(b"/a/b.c"), "/a/b.c");
        assert_eq!(shell_word(b"it's"), r"'it'\''s'");
        assert_eq!(shell_word(b""), "''");
    }
}
