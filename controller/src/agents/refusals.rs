//! Too many wrong tokens from one address: it has to wait.
//!
//! Tokens have 256 bits, so this is no defence against guessing but against noise: a machine that tries a dead token in
//! a loop costs one look into memory and not one into the database each time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::reply::Refused;

/// Refusals that one address may collect within the window. A rack behind one address with 40 nodes whose tokens all
/// died would have 40.
const MOST_REFUSALS: u32 = 60;
/// The window, and how long an address that was too loud waits at most.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered; older windows are dropped first.
const MOST_ADDRESSES: usize = 4096;

/// Counts of refusals by address.
#[derive(Debug)]
pub(crate) struct Refusals {
    seen: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self { seen: Mutex::new(HashMap::new()) }
    }

    /// Whether the address may ask now.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(&address) {
            Some((since, count)) if *count >= MOST_REFUSALS && since.elapsed() < WINDOW => {
                let wait = WINDOW.saturating_sub(since.elapsed()).as_secs() + 1;
                Err(Refused::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_refusals",
                    format!("{MOST_REFUSALS} tokens from {address} were refused within a minute"),
                )
                .retry_after(u32::try_from(wait).unwrap_or(60)))
            }
            _ => Ok(()),
        }
    }

    /// The address was refused.
    pub(crate) fn count(&self, address: IpAddr) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_ADDRESSES {
            seen.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        if seen.len() >= MOST_ADDRESSES && !seen.contains_key(&address) {
            return;
        }
        let entry = seen.entry(address).or_insert((Instant::now(), 0));
        if entry.0.elapsed() >= WINDOW {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_refused_too_often_waits_and_others_do_not() {
        let refusals = Refusals::new();
        let (loud, quiet) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..MOST_REFUSALS {
            assert!(refusals.check(loud).is_ok());
            refusals.count(loud);
        }
        assert!(refusals.check(loud).is_err());
        assert!(refusals.check(quiet).is_ok());
    }
}
