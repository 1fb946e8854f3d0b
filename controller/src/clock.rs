//! Time as the controller sees it: now, and waits that a time scale can shorten.
//!
//! Waits, leases, polls, back-off and deadlines go through `scaled` or `sleep` and divide by the scale, so that a test
//! of a thirty-minute deadline takes seconds. Connect and read time-outs of real sockets do not: they belong to the
//! machine, not to the plan. It holds no timers of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Now, and how long a wait really is. Cheap to clone; clones share the offset.
#[derive(Debug, Clone)]
pub struct Clock {
    scale: f64,
    /// Milliseconds added to the machine's time, so that tests can run two controllers whose clocks differ.
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// A clock on the machine's time whose waits divide by `scale` (1 in real life, 60 to 200 in tests).
    #[must_use]
    pub fn new(scale: f64) -> Self {
        Self { scale: if scale.is_finite() && scale > 0.0 { scale } else { 1.0 }, offset_ms: Arc::default() }
    }

    /// The present time in UTC.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.offset_ms.load(Ordering::Relaxed))
    }

    /// How long a wait of `planned` really lasts under the time scale.
    #[must_use]
    pub fn scaled(&self, planned: Duration) -> Duration {
        Duration::try_from_secs_f64(planned.as_secs_f64() / self.scale).unwrap_or(planned)
    }

    /// `now` plus a planned wait under the time scale: when a lease or deadline of that length ends.
    #[must_use]
    pub fn after(&self, planned: Duration) -> DateTime<Utc> {
        self.now() + TimeDelta::from_std(self.scaled(planned)).unwrap_or(TimeDelta::MAX)
    }

    /// Waits for `planned`, shortened by the time scale.
    pub async fn sleep(&self, planned: Duration) {
        tokio::time::sleep(self.scaled(planned)).await;
    }

    /// The factor by which waits are shortened.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Moves this clock against the machine's, forward or back. For tests of clocks that differ.
    pub fn shift(&self, by: TimeDelta) {
        self.offset_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_shortens_waits_and_not_the_time_of_day() {
        let clock = Clock::new(60.0);
        assert_eq!(clock.scaled(Duration::from_secs(1800)), Duration::from_secs(30));
        assert!((clock.now() - Utc::now()).abs() < TimeDelta::seconds(1));
    }

    #[test]
    fn a_shifted_clock_is_shifted_for_all_who_share_it() {
        let clock = Clock::new(1.0);
        let other = clock.clone();
        clock.shift(TimeDelta::minutes(5));
        assert!(other.now() - Utc::now() > TimeDelta::minutes(4));
    }

    #[test]
    fn a_scale_that_makes_no_sense_counts_as_one() {
        for scale in [0.0, -3.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Clock::new(scale).scaled(Duration::from_secs(7)), Duration::from_secs(7));
        }
    }
}
