//! How far a deployment is: shared between the work, which moves it, and the reporter, which sends it.
//!
//! The work changes it from any thread; a change of phase wakes the reporter at once, bytes do not. It sends nothing itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use helix_api::deploy::{DeployError, Phase};
use helix_api::machine::DiskFacts;
use tokio::sync::Notify;

/// What is known at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub write_id: Option<String>,
    pub phase: Phase,
    pub disk: Option<DiskFacts>,
    pub disks: Vec<DiskFacts>,
    pub bytes_done: u64,
    pub bytes_total: u64,
    pub digest: Option<String>,
    pub error: Option<DeployError>,
    pub message: Option<String>,
    /// Counts changes other than bytes, so that the reporter knows what it has not sent yet.
    pub version: u64,
}

/// Shared progress of one deployment.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                write_id: None,
                phase: Phase::Claimed,
                disk: None,
                disks: Vec::new(),
                bytes_done: 0,
                bytes_total: 0,
                digest: None,
                error: None,
                message: None,
                version: 0,
            }),
            changed: Notify::new(),
        }
    }
}

impl Progress {
    /// The state now.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// Begins a phase with this many bytes to move (0 when none move).
    pub fn begin(&self, phase: Phase, bytes_total: u64) {
        tracing::info!(?phase, bytes_total, "begin");
        self.update(|state| {
            state.phase = phase;
            state.bytes_done = 0;
            state.bytes_total = bytes_total;
        });
    }

    /// Bytes of the present phase done so far.
    pub fn moved(&self, bytes_done: u64) {
        self.lock().bytes_done = bytes_done;
    }

    /// Changes anything else and wakes the reporter.
    pub fn update(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.lock();
            change(&mut state);
            state.version += 1;
        }
        self.changed.notify_one();
    }

    /// Waits for the next change other than bytes.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A thread that panicked while holding the lock leaves plain values behind, which are as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
