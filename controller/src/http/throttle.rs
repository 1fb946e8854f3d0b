//! Slows down who tries passwords: by user in the database, by address in memory.
//!
//! The count by user survives restarts and is shared by replicas; the one by address keeps one machine from trying many
//! names. Neither locks anybody out for long: the aim is that guessing takes years, not that an admin cannot come in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Wrong passwords in a row that cost nothing: people mistype.
const FREE: i32 = 5;
/// First lock; doubles with each further wrong one.
const FIRST_LOCK: TimeDelta = TimeDelta::seconds(15);
/// Longest lock: a person waits it out over a coffee, a guesser gets four tries an hour.
const LAST_LOCK: TimeDelta = TimeDelta::minutes(15);

/// Tries of one address within the window; a whole team behind one address signs in within it.
const ADDRESS_TRIES: u32 = 30;
const ADDRESS_WINDOW: TimeDelta = TimeDelta::seconds(60);
/// Addresses remembered; beyond that the old ones go first.
const ADDRESSES: usize = 10_000;

/// Beginning of the window and failed tries in it.
type Tries = HashMap<IpAddr, (DateTime<Utc>, u32)>;

static ADDRESS: LazyLock<Mutex<Tries>> = LazyLock::new(Mutex::default);

/// How long a user is kept out after this many wrong passwords in a row.
pub(crate) fn lock_after(failed: i32) -> Option<TimeDelta> {
    let over = failed - FREE;
    (over >= 0).then(|| (FIRST_LOCK * 2_i32.pow(u32::try_from(over).unwrap_or(0).min(6))).min(LAST_LOCK))
}

/// Counts a failed try of an address.
pub(crate) fn failed_from(address: IpAddr, now: DateTime<Utc>) {
    let Ok(mut seen) = ADDRESS.lock() else { return };
    if seen.len() >= ADDRESSES {
        seen.retain(|_, (since, _)| now - *since < ADDRESS_WINDOW);
    }
    let entry = seen.entry(address).or_insert((now, 0));
    if now - entry.0 >= ADDRESS_WINDOW {
        *entry = (now, 0);
    }
    entry.1 += 1;
}

/// How long this address must wait, when it tried too often.
pub(crate) fn wait_for(address: IpAddr, now: DateTime<Utc>) -> Option<Duration> {
    let seen = ADDRESS.lock().ok()?;
    let (since, tries) = seen.get(&address)?;
    let left = ADDRESS_WINDOW - (now - *since);
    (*tries >= ADDRESS_TRIES && left > TimeDelta::zero()).then(|| left.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyping_costs_nothing_and_guessing_more_and_more() {
        assert_eq!(lock_after(4), None);
        assert_eq!(lock_after(5), Some(TimeDelta::seconds(15)));
        assert_eq!(lock_after(7), Some(TimeDelta::seconds(60)));
        assert_eq!(lock_after(500), Some(LAST_LOCK));
    }

    #[test]
    fn an_address_that_tries_too_often_waits_and_is_let_in_again() {
        let address: IpAddr = "192.0.2.77".parse().unwrap();
        let start = Utc::now();
        for _ in 0..ADDRESS_TRIES {
            assert_eq!(wait_for(address, start), None);
            failed_from(address, start);
        }
        assert!(wait_for(address, start).is_some());
        assert_eq!(wait_for(address, start + ADDRESS_WINDOW), None);
    }
}
