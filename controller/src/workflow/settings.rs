//! Numbers of the engine, each with where it comes from.

use std::time::Duration;

/// Settings of the engine. Times are before the time scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How long a lease lasts without a heartbeat: three heartbeats, and longer than a busy Postgres keeps a write waiting.
    pub lease: Duration,
    /// Work driven at once by this process. Most of it waits for a BMC: at 0.22 s an answer and two requests in flight, an
    /// inspection of 60 requests takes 6 s, so 1,500 nodes a minute need about 400 under way; and each costs some 50 kB.
    pub at_once: usize,
    /// Places that bulk work leaves free for single nodes, so that a person's retry starts at once.
    pub kept_for_single: usize,
    /// How often the table is asked when no notification came: a lost notification costs this much.
    pub poll: Duration,
    /// First pause before another attempt; doubles each time.
    pub first_back_off: Duration,
    /// Longest pause before another attempt. A BMC reset takes about 4 min: after that waiting longer brings nothing.
    pub longest_back_off: Duration,
    /// How long tidying up after a cancel may take: soft off 90 s, forced off, eject, each with its retries.
    pub tidy: Duration,
}

/// A lease is never shorter than this in real time, whatever the time scale: a heartbeat is a round trip to Postgres on a
/// machine that may be busy.
pub(super) const SHORTEST_LEASE: Duration = Duration::from_secs(2);

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            at_once: 500,
            kept_for_single: 50,
            poll: Duration::from_secs(2),
            first_back_off: Duration::from_secs(5),
            longest_back_off: Duration::from_secs(300),
            tidy: Duration::from_secs(900),
        }
    }
}
