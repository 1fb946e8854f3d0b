//! The disk of a simulated machine: remembered, not written.
//!
//! Takes the time a real one would, divided by the time scale, and fails as the machine's description says. The image is really
//! fetched, as far as [`super::image`] goes. A read-back gives the right digest unless the disk is described as corrupt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use helix_api::deploy::{ImageSource, WriteOrder};

use super::image::{Checked, Sampler};
use super::machine::Machine;
use super::memory::{Installed, Memory};
use crate::deploy::failure::Failure;
use crate::deploy::fetch;
use crate::deploy::host::DeployHost;
use crate::deploy::progress::Progress;
use crate::deploy::rule::Seen;
use crate::deploy::session::Pace;
use crate::deploy::signature::Signature;

/// What a BOSS-N1 mirror takes, bytes a second.
const WRITE_RATE: u64 = 500_000_000;
/// What it gives back.
const READ_RATE: u64 = 1_500_000_000;
/// Progress moves in this many steps.
const STEPS: u64 = 10;
/// Probing all controllers and disks.
const INSPECT_TIME: Duration = Duration::from_secs(3);
/// Wiping, with a discard of the whole drive.
const WIPE_TIME: Duration = Duration::from_secs(4);
/// Each of growing, seeding and the boot entry.
const SMALL_STEP_TIME: Duration = Duration::from_secs(2);

/// A simulated machine under deployment.
pub struct SimulatedHost {
    pub machine: Machine,
    pub memory: Memory,
    pub http: reqwest::Client,
    pub sampler: Sampler,
    pub pace: Pace,
    /// How the image of this deployment was checked.
    pub checked: Mutex<Option<Checked>>,
}

impl SimulatedHost {
    /// Moves `progress` through a phase at this rate.
    async fn pass(&self, bytes: u64, rate: u64, progress: &Progress) {
        for step in 1..=STEPS {
            let share = bytes / STEPS;
            tokio::time::sleep(self.pace.wait(Duration::from_secs_f64(share as f64 / rate as f64))).await;
            progress.moved(share * step);
        }
        progress.moved(bytes);
    }

    async fn small_step(&self) {
        tokio::time::sleep(self.pace.wait(SMALL_STEP_TIME)).await;
    }

    fn change(&self, target: &Seen, change: impl FnOnce(&mut Installed)) -> Result<(), Failure> {
        let failed = |source| Failure::DiskIo { what: "write", path: target.disk.path.clone(), source };
        let mut installed =
            self.memory.installed().ok_or_else(|| failed(std::io::Error::other("the simulated disk is empty")))?;
        change(&mut installed);
        self.memory.remember(&installed).map_err(failed)
    }
}

impl DeployHost for SimulatedHost {
    async fn inspect(&self) -> Result<Vec<Seen>, Failure> {
        tokio::time::sleep(self.pace.wait(INSPECT_TIME)).await;
        let installed = self.memory.installed();
        Ok(self.machine.seen(installed.as_ref().and_then(|installed| installed.disk_serial.as_deref())))
    }

    async fn image_is_there(&self, image: &ImageSource) -> Result<(), Failure> {
        fetch::is_there(&self.http, image).await
    }

    async fn wipe(&self, target: &Seen) -> Result<(), Failure> {
        tokio::time::sleep(self.pace.wait(WIPE_TIME)).await;
        self.memory.forget().map_err(|source| Failure::DiskIo { what: "wipe", path: target.disk.path.clone(), source })
    }

    async fn wipe_others(&self, conflicting: &[Seen]) -> Result<(), Failure> {
        tracing::info!(disks = conflicting.len(), "clearing conflicting disks");
        tokio::time::sleep(self.pace.wait(WIPE_TIME)).await;
        Ok(())
    }

    async fn write(&self, target: &Seen, image: &ImageSource, progress: &Arc<Progress>) -> Result<(), Failure> {
        let checked = self.sampler.check(&self.http, image, progress).await?;
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(checked);
        self.pass(image.raw_size_bytes, WRITE_RATE, progress).await;
        let installed = Installed {
            image: image.name.clone(),
            digest: image.raw_sha256.clone(),
            disk_serial: target.disk.facts.serial.clone(),
            seed: Vec::new(),
            complete: false,
            first_boot_done: false,
        };
        self.memory.remember(&installed).map_err(|source| Failure::DiskIo {
            what: "write",
            path: target.disk.path.clone(),
            source,
        })
    }

    async fn read_back(&self, target: &Seen, image: &ImageSource, progress: &Arc<Progress>) -> Result<String, Failure> {
        self.pass(image.raw_size_bytes, READ_RATE, progress).await;
        let corrupt = self.machine.disks.iter().any(|disk| disk.corrupt && disk.name == target.disk.facts.name);
        Ok(if corrupt { "0".repeat(image.raw_sha256.len()) } else { image.raw_sha256.clone() })
    }

    async fn signatures(&self, _target: &Seen) -> Result<Vec<Signature>, Failure> {
        Ok(Vec::new())
    }

    async fn grow(&self, _target: &Seen, _image: &ImageSource) -> Result<Option<String>, Failure> {
        self.small_step().await;
        Ok(self.checked.lock().unwrap_or_else(PoisonError::into_inner).map(|checked| checked.words().to_owned()))
    }

    async fn seed(&self, target: &Seen, order: &WriteOrder) -> Result<(), Failure> {
        self.small_step().await;
        self.change(target, |installed| installed.seed.clone_from(&order.seed))
    }

    async fn boot_entry(&self, target: &Seen, _order: &WriteOrder) -> Result<Option<String>, Failure> {
        self.small_step().await;
        self.change(target, |installed| installed.complete = true)?;
        Ok(None)
    }
}
