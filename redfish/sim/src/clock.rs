//! Time as the simulated machines feel it. Waits of a machine (POST, attaching media, jobs, lock-outs) are divided by the
//! time scale; network time-outs are not, and neither is the idle time-out of sessions, which exists to free memory.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};

/// The factory time zone of an iDRAC is CST6CDT. The simulator keeps standard time all year, so that the trap is there
/// (job times without an offset are *local* times) without a table of daylight saving rules.
pub const IDRAC_OFFSET_SECONDS: i32 = -6 * 3600;
/// The same offset as Redfish writes it.
pub const IDRAC_OFFSET: &str = "-06:00";

/// How much faster than real life the machines run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeScale(f64);

impl TimeScale {
    /// A factor of 1 is real time, 100 makes a POST of five minutes take three seconds. Values below 0.01 are raised to it.
    #[must_use]
    pub fn new(factor: f64) -> Self {
        Self(if factor.is_finite() { factor.max(0.01) } else { 1.0 })
    }

    /// The factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.0
    }

    /// What `duration` of machine time takes in real time.
    #[must_use]
    pub fn shorten(self, duration: Duration) -> Duration {
        Duration::from_secs_f64(duration.as_secs_f64() / self.0)
    }
}

impl Default for TimeScale {
    fn default() -> Self {
        Self(1.0)
    }
}

/// A moment in the zone of the iDRAC.
#[must_use]
pub fn local(at: DateTime<Utc>) -> DateTime<FixedOffset> {
    match FixedOffset::east_opt(IDRAC_OFFSET_SECONDS) {
        Some(zone) => at.with_timezone(&zone),
        None => at.fixed_offset(),
    }
}

/// `2026-03-04T10:20:30-06:00`, as most resources write it.
#[must_use]
pub fn with_offset(at: DateTime<Utc>) -> String {
    local(at).to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// `2026-03-04T10:20:30`, as Dell jobs write it: local time without a word about it.
#[must_use]
pub fn without_offset(at: DateTime<Utc>) -> String {
    local(at).format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// `2026-03-04T16:20:30+00:00`, as the inventory times of the Dell resources are written.
#[must_use]
pub fn utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, false)
}
