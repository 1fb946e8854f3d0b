//! Times as people read them: ages and durations in two parts at most, and durations as people type them.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// `4 s`, `12 min`, `1 h 4 min`, `3 d 2 h`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => two(seconds / 60, "min", seconds % 60, "s"),
        600..3600 => format!("{} min", seconds / 60),
        3600..86400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86400, "d", seconds % 86400 / 3600, "h"),
    }
}

/// Age of a moment, `–` when there is none.
#[must_use]
pub fn age(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| duration((now - at).num_seconds()))
}

/// Reads `90s`, `15m`, `2h`, `1d`, or plain seconds.
///
/// # Errors
/// Says which forms are understood.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(format!("\"{text}\" is no duration: write 90s, 15m, 2h or 1d")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("\"{text}\" is no duration: write 90s, 15m, 2h or 1d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_parts_at_most() {
        assert_eq!(duration(4), "4 s");
        assert_eq!(duration(65), "1 min 5 s");
        assert_eq!(duration(725), "12 min");
        assert_eq!(duration(3840), "1 h 4 min");
        assert_eq!(duration(7200), "2 h");
        assert_eq!(duration(93_600), "1 d 2 h");
        assert_eq!(duration(-5), "0 s");
    }

    #[test]
    fn typed_durations_are_read_and_nonsense_is_explained() {
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("soon").unwrap_err().contains("90s, 15m"));
        assert!(parse_duration("99999999999999999999h").is_err());
    }
}
