//! The machine's clock, set from the controller's answer.
//!
//! A node whose clock is years off rejects certificates and confuses every log. The system clock and the hardware clock (UTC) are
//! set, and the offset is said in words. Setting needs root; failing to set it stops nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::time::TimeSpec;

/// Offsets below this are the time that the answer took.
const NEGLIGIBLE: TimeDelta = TimeDelta::seconds(2);

/// The offset in words: `clock was 9 years, 364 days behind; set`. `None` when it is negligible.
pub fn offset_words(machine: DateTime<Utc>, controller: DateTime<Utc>) -> Option<String> {
    let offset = controller - machine;
    (offset.abs() > NEGLIGIBLE).then(|| {
        format!("clock was {} {}", span(offset.abs()), if offset > TimeDelta::zero() { "behind" } else { "ahead" })
    })
}

fn span(offset: TimeDelta) -> String {
    let (days, seconds) = (offset.num_days(), offset.num_seconds() % 86_400);
    let count = |number: i64, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    match (days / 365, days % 365) {
        (0, 0) if seconds < 120 => count(seconds, "second"),
        (0, 0) if seconds < 7_200 => count(seconds / 60, "minute"),
        (0, 0) => count(seconds / 3_600, "hour"),
        (0, days) => count(days, "day"),
        (years, 0) => count(years, "year"),
        (years, days) => format!("{}, {}", count(years, "year"), count(days, "day")),
    }
}

/// Sets system and hardware clock to `now`; `Ok` says whether the hardware clock followed.
///
/// # Errors
/// When the system clock cannot be set.
pub fn set(now: DateTime<Utc>) -> std::io::Result<bool> {
    let since = Duration::new(u64::try_from(now.timestamp()).unwrap_or(0), now.timestamp_subsec_nanos());
    nix::time::clock_settime(nix::time::ClockId::CLOCK_REALTIME, TimeSpec::from_duration(since))?;
    let hardware = std::process::Command::new("hwclock").args(["--systohc", "--utc"]).output();
    Ok(hardware.is_ok_and(|output| output.status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_said_in_units_that_people_use() {
        let now = Utc::now();
        assert_eq!(offset_words(now, now + TimeDelta::seconds(1)), None);
        assert_eq!(offset_words(now, now + TimeDelta::seconds(90)).unwrap(), "clock was 90 seconds behind");
        assert_eq!(offset_words(now, now - TimeDelta::hours(5)).unwrap(), "clock was 5 hours ahead");
        assert_eq!(offset_words(now, now + TimeDelta::days(3650)).unwrap(), "clock was 10 years behind");
        assert_eq!(offset_words(now, now + TimeDelta::days(3649)).unwrap(), "clock was 9 years, 364 days behind");
    }
}
