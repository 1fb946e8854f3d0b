//! Counting what the media listener serves: the only sign of progress before the ramdisk speaks.
//!
//! Counted in memory as bytes leave, written to the rows once a second, so that a stream of many small reads costs one
//! statement a second and not one a read. What a crash loses is a second of a progress bar.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::app::App;
use crate::store::media_files;

/// How often counts are written down: what a person perceives as live.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// Counts since the last write, by the random part of the URL.
#[derive(Debug, Default)]
pub(crate) struct Served {
    counts: Mutex<HashMap<String, Count>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    bytes: u64,
    requests: u64,
}

impl Served {
    /// A request came.
    pub(crate) fn request(&self, random: &str) {
        self.add(random, Count { bytes: 0, requests: 1 });
    }

    /// Bytes left.
    pub(crate) fn bytes(&self, random: &str, bytes: u64) {
        self.add(random, Count { bytes, requests: 0 });
    }

    fn add(&self, random: &str, more: Count) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match counts.get_mut(random) {
            Some(count) => count,
            None => counts.entry(random.to_owned()).or_default(),
        };
        count.bytes += more.bytes;
        count.requests += more.requests;
    }

    /// Writes down what was counted.
    pub(crate) async fn write_down(&self, app: &App) {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.is_empty() {
            return;
        }
        let randoms: Vec<String> = counts.keys().cloned().collect();
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let bytes: Vec<i64> = counts.values().map(|count| signed(count.bytes)).collect();
        let requests: Vec<i64> = counts.values().map(|count| signed(count.requests)).collect();
        let written = async {
            let mut conn = app.db.acquire().await.map_err(crate::store::StoreError::from)?;
            media_files::add_served(&mut conn, &randoms, &bytes, &requests, app.clock.now()).await
        };
        if let Err(error) = written.await {
            tracing::warn!(error = %error, "the progress of media transfers could not be written down; trying again");
            for (random, count) in counts {
                self.add(&random, count);
            }
        }
    }
}

/// Writes counts down every second until the controller stops, and once more then.
pub(crate) fn spawn(app: &Arc<App>, served: &Arc<Served>) {
    let (task, served) = (Arc::clone(app), Arc::clone(served));
    app.tasks.spawn(async move {
        let mut tick = tokio::time::interval(WRITE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = task.shutdown.cancelled() => break,
                _ = tick.tick() => served.write_down(&task).await,
            }
        }
        served.write_down(&task).await;
    });
}
