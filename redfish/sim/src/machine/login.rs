//! Sessions and refused logins of one BMC: eight sessions at most, idle ones end, and three refused logins within a minute
//! lock the *address of the caller* out for another minute (attributes `IPBlocking.1.*`), right password or not.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::clock::TimeScale;
use crate::identity::mix;

/// Sessions at the same time (`WebServer.1.MaxNumberOfSessions`).
pub const MAX_SESSIONS: usize = 8;
/// Idle time of a session in seconds (`SessionService.SessionTimeout`). Real time: it exists to free a place in the table.
pub const SESSION_TIMEOUT_SECONDS: u64 = 1800;
/// `IPBlocking.1.FailCount`.
pub const FAIL_COUNT: usize = 3;
/// `IPBlocking.1.FailWindow`, seconds of machine time.
pub const FAIL_WINDOW_SECONDS: u64 = 60;
/// `IPBlocking.1.PenaltyTime`, seconds of machine time.
pub const PENALTY_SECONDS: u64 = 60;

/// One session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Number in its URI.
    pub id: u64,
    /// The token, 32 hexadecimal digits.
    pub token: String,
    /// Who.
    pub user: String,
    /// From where.
    pub origin: IpAddr,
    /// When it was made.
    pub created: chrono::DateTime<chrono::Utc>,
    used: Instant,
}

#[derive(Debug)]
struct Offender {
    origin: IpAddr,
    failures: Vec<Instant>,
    blocked_until: Option<Instant>,
}

/// Sessions and lock-outs of one BMC.
#[derive(Debug, Default)]
pub struct Logins {
    sessions: Vec<Session>,
    next: u64,
    offenders: Vec<Offender>,
}

impl Logins {
    /// The open sessions.
    #[must_use]
    pub fn sessions(&mut self) -> &[Session] {
        self.expire();
        &self.sessions
    }

    fn expire(&mut self) {
        let timeout = Duration::from_secs(SESSION_TIMEOUT_SECONDS);
        self.sessions.retain(|session| session.used.elapsed() < timeout);
    }

    /// Opens a session, or `None` when the table is full.
    pub fn open(&mut self, user: &str, origin: IpAddr) -> Option<Session> {
        self.expire();
        if self.sessions.len() >= MAX_SESSIONS {
            return None;
        }
        self.next += 1;
        let session = Session {
            id: self.next,
            token: format!("{:016x}{:016x}", rand::random::<u64>(), mix(rand::random::<u64>() ^ self.next)),
            user: user.to_owned(),
            origin,
            created: chrono::Utc::now(),
            used: Instant::now(),
        };
        self.sessions.push(session.clone());
        Some(session)
    }

    /// The user of a token; using it keeps it alive.
    pub fn user_of(&mut self, token: &str) -> Option<String> {
        self.expire();
        let session = self.sessions.iter_mut().find(|session| session.token == token)?;
        session.used = Instant::now();
        Some(session.user.clone())
    }

    /// Ends a session; false when there is none with this number.
    pub fn close(&mut self, id: u64) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|session| session.id != id);
        self.sessions.len() != before
    }

    /// Ends all sessions, as a restart of the iDRAC does.
    pub fn close_all(&mut self) {
        self.sessions.clear();
    }

    /// Whether logins from this address are refused for now.
    pub fn is_blocked(&mut self, origin: IpAddr) -> bool {
        let now = Instant::now();
        self.offenders.retain(|offender| offender.blocked_until.is_none_or(|until| until > now));
        self.offenders.iter().any(|offender| offender.origin == origin && offender.blocked_until.is_some())
    }

    /// Counts a refused login; true when this one locked the address out.
    pub fn refused(&mut self, origin: IpAddr, scale: TimeScale) -> bool {
        let now = Instant::now();
        let window = scale.shorten(Duration::from_secs(FAIL_WINDOW_SECONDS));
        let offender = match self.offenders.iter_mut().find(|offender| offender.origin == origin) {
            Some(offender) => offender,
            None => {
                self.offenders.push(Offender { origin, failures: Vec::new(), blocked_until: None });
                let last = self.offenders.len() - 1;
                &mut self.offenders[last]
            }
        };
        offender.failures.retain(|at| now.duration_since(*at) < window);
        offender.failures.push(now);
        if offender.failures.len() >= FAIL_COUNT && offender.blocked_until.is_none() {
            offender.blocked_until = Some(now + scale.shorten(Duration::from_secs(PENALTY_SECONDS)));
            return true;
        }
        false
    }

    /// A right password forgives what came before.
    pub fn accepted(&mut self, origin: IpAddr) {
        self.offenders.retain(|offender| offender.origin != origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_ninth_session_does_not_fit_and_a_closed_one_makes_room() {
        let mut logins = Logins::default();
        let first = logins.open("root", HERE).unwrap();
        for _ in 1..MAX_SESSIONS {
            assert!(logins.open("root", HERE).is_some());
        }
        assert!(logins.open("root", HERE).is_none());
        assert!(logins.close(first.id));
        assert!(logins.open("root", HERE).is_some());
    }

    #[test]
    fn the_third_refused_login_locks_the_address_out_and_no_other() {
        let mut logins = Logins::default();
        let elsewhere = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));
        let scale = TimeScale::new(1.0);
        assert!(!logins.refused(HERE, scale));
        assert!(!logins.refused(HERE, scale));
        assert!(!logins.is_blocked(HERE));
        assert!(logins.refused(HERE, scale));
        assert!(logins.is_blocked(HERE) && !logins.is_blocked(elsewhere));
    }
}
