//! Every limit of the client with where its number comes from. Connect and read limits are real time; only the pauses between
//! tries follow a time scale.

use std::time::Duration;

/// Requests in flight to one BMC. An iDRAC answers more slowly, not more, when asked for more at once, and its web server has
/// few workers: twelve recorded trees and three exporters agree on two to four.
pub const IN_FLIGHT: usize = 2;

/// TCP and TLS handshake. A SYN is sent again after 1 s and 3 s, so 10 s sees three of them and leaves time for an RSA handshake
/// on a busy iDRAC (1 to 2 s).
pub const CONNECT: Duration = Duration::from_secs(10);

/// A plain GET. The slowest seen outside the logs is 2.5 s on an R760 and 21 s on an XE9680 under a scraper; three times that.
pub const GET: Duration = Duration::from_secs(60);

/// A page of SEL or Lifecycle log: 18 s seen for one page, five times that.
pub const SLOW_GET: Duration = Duration::from_secs(90);

/// Session create and delete. As a plain request; an iDRAC that asks a directory server first adds its time-out of 30 s.
pub const LOGIN: Duration = Duration::from_secs(60);

/// PATCH, DELETE and actions other than the insert: answered in seconds, but a BMC that is committing a job keeps them waiting.
pub const CHANGE: Duration = Duration::from_secs(60);

/// `VirtualMedia.InsertMedia`: the BMC opens the image before it answers, and 30 to 60 s were seen in the field.
pub const INSERT: Duration = Duration::from_secs(90);

/// The open service root of an unknown address: a stranger that does not answer in this time is no BMC worth waiting for.
pub const PROBE: Duration = Duration::from_secs(30);

/// How long an idle connection is kept. Long enough for the next request of the same piece of work, short enough that a fleet
/// of 5,000 holds few sockets.
pub const IDLE: Duration = Duration::from_secs(5);

/// Tries of one GET when the BMC says "not now".
pub const TRIES: u32 = 4;

/// Pauses between those tries, before jitter: older firmware needs about 20 s in all when its data sources reload (SYS518).
pub const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// Largest body read. The manager attribute registry is just over 4 MB; four times that.
pub const BODY_BYTES: usize = 16 << 20;

/// Pages of one collection. A full Lifecycle log has some 170,000 entries at most, but nothing here reads more than 200 pages
/// of 50; a service that hands out more is going round in circles.
pub const PAGES: usize = 200;

/// Refused logins after which a client stops by itself: an iDRAC locks the sender's address out at the third
/// (`IPBlocking.1.FailCount`).
pub const REFUSED_LOGINS: u32 = 2;

/// The limits of one client: the constants of this module unless a test or a setting says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Requests in flight.
    pub in_flight: usize,
    /// TCP and TLS handshake.
    pub connect: Duration,
    /// A plain GET.
    pub get: Duration,
    /// A GET of logs.
    pub slow_get: Duration,
    /// Session create and delete.
    pub login: Duration,
    /// PATCH, DELETE, actions.
    pub change: Duration,
    /// Insertion of virtual media.
    pub insert: Duration,
    /// Life of an idle connection.
    pub idle: Duration,
    /// Pauses between tries of a GET, before jitter; their number plus one is the number of tries.
    pub pauses: Vec<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT,
            connect: CONNECT,
            get: GET,
            slow_get: SLOW_GET,
            login: LOGIN,
            change: CHANGE,
            insert: INSERT,
            idle: IDLE,
            pauses: PAUSES.to_vec(),
        }
    }
}

impl Limits {
    /// The same limits with pauses divided by `time_scale`, for runs where hours pass in minutes. Connect and read limits are
    /// left alone: the network is as slow as it is.
    #[must_use]
    pub fn scaled(mut self, time_scale: f64) -> Self {
        let scale = if time_scale.is_finite() && time_scale > 0.0 { time_scale } else { 1.0 };
        for pause in &mut self.pauses {
            *pause = pause.div_f64(scale);
        }
        self
    }
}
