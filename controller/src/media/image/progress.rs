//! How far an import is: counted by whoever moves bytes, read once a second by whoever writes it down.
//!
//! The same object carries the order to stop, so that a long blocking step ends soon after the import was deleted or
//! the controller shuts down.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use helix_api::workflow::Progress;

use super::ImageError;

/// Counts bytes of the stage at work.
#[derive(Debug)]
pub(crate) struct Meter {
    stage: Mutex<Stage>,
    done: AtomicU64,
    stopped: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Stage {
    what: &'static str,
    total: Option<u64>,
    since: Instant,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            stage: Mutex::new(Stage { what: "starting", total: None, since: Instant::now() }),
            done: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Begins a stage of `total` bytes; `None` when nobody knows how many.
    pub(crate) fn begin(&self, what: &'static str, total: Option<u64>) {
        let mut stage = self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *stage = Stage { what, total, since: Instant::now() };
        self.done.store(0, Ordering::Relaxed);
    }

    /// Counts bytes of the stage at work.
    pub(crate) fn moved(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Orders the import to stop at its next piece.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`ImageError::Stopped`] after [`Meter::stop`].
    pub(crate) fn check(&self) -> Result<(), ImageError> {
        if self.stopped.load(Ordering::Relaxed) { Err(ImageError::Stopped) } else { Ok(()) }
    }

    /// How far the stage at work is.
    pub(crate) fn read(&self) -> Progress {
        let stage = *self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let done = self.done.load(Ordering::Relaxed);
        let seconds = stage.since.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
        let percent = stage.total.filter(|total| *total > 0).map(|total| done as f64 * 100.0 / total as f64);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people; both operands are positive"
        )]
        let rate = (seconds >= 1.0).then(|| (done as f64 / seconds) as u64);
        Progress {
            what: Some(stage.what.to_owned()),
            bytes_done: Some(done),
            bytes_total: stage.total,
            bytes_per_second: rate,
            percent: percent.map(|percent| percent.min(100.0)),
        }
    }
}
