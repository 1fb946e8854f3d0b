//! Following work: one tick whenever something changed, and at least every two seconds.
//!
//! The live feed is a hint; the objects are read again each time. Ctrl-C stops watching, never the work.

pub mod bulk;
pub mod workflow;

use std::time::Duration;

use futures::StreamExt;
use helix_api::client::{Client, Feed, FeedStream};
use tokio::time::Instant;

use crate::problem::{CtlError, Exit};

/// A person sees a change within this even when the feed is lost.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Redraws on a terminal: at most twice a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
/// Piped output: one line per change, at most this often.
pub(crate) const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Why a wait ended.
pub(crate) enum Tick {
    /// Look again.
    Look,
    /// Ctrl-C.
    Interrupted,
    /// `--wait` ran out.
    Over,
}

/// Wakes whoever follows.
pub(crate) struct Ticker {
    feed: FeedStream,
    last: Instant,
    until: Option<Instant>,
    lost: bool,
}

impl Ticker {
    pub(crate) fn new(client: &Client, topics: &[&str], wait: Option<Duration>) -> Self {
        Self {
            feed: client.changes(topics, None),
            last: Instant::now(),
            until: wait.and_then(|wait| Instant::now().checked_add(wait)),
            lost: false,
        }
    }

    /// Waits for the next reason to look.
    ///
    /// # Errors
    /// The controller refuses the feed: not signed in any more.
    pub(crate) async fn tick(&mut self) -> Result<Tick, CtlError> {
        let latest = Instant::now() + LONGEST_PAUSE;
        loop {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Tick::Over);
            }
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.map_err(|error| CtlError::new(Exit::Failed, "signals_unusable", error.to_string()))?;
                    return Ok(Tick::Interrupted);
                }
                item = self.feed.next() => match item {
                    Some(Ok(Feed::Lost { reason, .. })) => {
                        if !self.lost {
                            eprintln!("No updates from the controller ({reason}); asking again by itself.");
                        }
                        self.lost = true;
                    }
                    Some(Ok(_)) => {
                        self.lost = false;
                        break;
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => {
                        tokio::time::sleep_until(latest).await;
                        break;
                    }
                },
                () = tokio::time::sleep_until(latest) => break,
            }
        }
        let since = self.last.elapsed();
        if since < SHORTEST_PAUSE {
            tokio::time::sleep(SHORTEST_PAUSE.saturating_sub(since)).await;
        }
        self.last = Instant::now();
        Ok(Tick::Look)
    }
}

/// Bytes as people read them: `1.4 GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
