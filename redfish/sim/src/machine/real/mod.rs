//! Machines whose host is a real virtual machine: power, boot device and medium go to it, and what it does by itself comes
//! back as if the hardware had noticed. What the BMC tells of it, POST and its time included, stays simulated.
//! The image is fetched whole to the node's folder before it counts as attached, as a drive must be there to be booted.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::io::AsyncWriteExt;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::boot::BootedFrom;
use super::{Bmc, Kept};
use crate::vm::{BootDevice, VmError, VmEvent, VmHost, VmSpec};

/// Disk of a virtual machine. Sparse; an image of a few gigabytes grows into it. Redfish shows this size for the volume.
pub const VM_DISK_BYTES: u64 = 16 << 30;
/// Pieces in which an image is read, as an iDRAC reads it.
const PIECE_BYTES: u64 = 1 << 20;
/// Time-out of one piece. Network time.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// How virtual machines are made.
#[derive(Debug, Clone)]
pub struct VmSettings {
    /// Folder that holds one folder a machine.
    pub folder: PathBuf,
    /// Memory in MiB. The deploy ramdisk, its buffers and an idle Debian fit into 1 GiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// User that QEMU runs as; `None` is our own.
    pub user: Option<String>,
    /// Use KVM; only when it is known to boot guests here.
    pub kvm: bool,
}

impl VmSettings {
    /// Machines in this folder, of the usual size.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        // QEMU runs in a folder of its own, so a relative path would mean another one there.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self { folder, memory_mib: 1024, cpus: 2, user: None, kvm: false }
    }
}

impl Bmc {
    /// Makes the virtual machine behind this BMC. It is off, whatever it was before the simulator ended.
    ///
    /// # Errors
    /// When QEMU is missing or the folder cannot be used.
    pub(crate) async fn attach_vm(
        self: &Arc<Self>,
        settings: &VmSettings,
        stop: CancellationToken,
    ) -> Result<(), VmError> {
        let spec = {
            let state = self.state();
            let tag = self.tag(&state);
            let identity = self.identity(&state);
            VmSpec {
                uuid: uuid::Uuid::parse_str(&identity.uuid(&tag)).unwrap_or_default(),
                model: self.model.product.clone(),
                mac: identity.mac(1).to_lowercase(),
                state_dir: settings.folder.join(&tag),
                disk_size_bytes: VM_DISK_BYTES,
                disk_serial: self.hardware(&state).boss_serial(),
                memory_mib: settings.memory_mib,
                cpus: settings.cpus,
                user: settings.user.clone(),
                kvm: settings.kvm,
                service_tag: tag,
            }
        };
        let vm = VmHost::new(spec).await?;
        let mut events = vm.events();
        if self.vm.set(vm).is_err() {
            return Ok(());
        }
        // Images that were inserted before a restart of the simulator are still there, and are fetched and attached anew.
        let inserted: Vec<(usize, String, u64)> = {
            let state = self.state();
            let slots = state.kept.media.iter().enumerate();
            slots.filter_map(|(slot, media)| Some((slot, media.image.clone()?, media.size_bytes))).collect()
        };
        for (slot, url, size) in inserted {
            self.vm_fetch_image(slot, url, size, Duration::ZERO);
        }
        let bmc = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = stop.cancelled() => return,
                    event = events.recv() => event,
                };
                match event {
                    Ok(VmEvent::PoweredOff) => bmc.vm_went_off(),
                    Ok(VmEvent::Reset) => bmc.host_reset_itself(),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(())
    }

    /// A machine that is switched off by us is past its operating system already; only one that did it by itself counts.
    fn vm_went_off(&self) {
        let running = self.state().live.phase.has_os();
        if running {
            self.host_switched_off();
        }
    }

    /// Gives power to the virtual machine and boots it; false when that failed. Hosts that are none have nothing to do.
    pub(crate) async fn vm_boot(&self, from: &BootedFrom) -> bool {
        let Some(vm) = self.vm.get() else { return true };
        let device = match from {
            BootedFrom::Disk => BootDevice::Disk,
            BootedFrom::Cd { slot, .. } => BootDevice::Cd(self.image_file(*slot)),
        };
        if let Err(error) = vm.power_on(device).await {
            tracing::error!(bmc = %self.address(), %error, "a virtual machine did not start; its BMC says that it is on");
            self.boot_failed(&error.to_string());
            return false;
        }
        true
    }

    /// Takes the power away from the virtual machine, when there is one.
    pub(crate) async fn vm_cut_power(&self) {
        if let Some(vm) = self.vm.get()
            && let Err(error) = vm.power_off(true).await
        {
            tracing::error!(bmc = %self.address(), %error, "a virtual machine cannot be switched off");
        }
    }

    /// Presses the power button of the virtual machine; false when the host of this BMC is none.
    pub(crate) fn vm_press_button(self: &Arc<Self>) -> bool {
        if self.vm.get().is_none() {
            return false;
        }
        let bmc = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(vm) = bmc.vm.get()
                && let Err(error) = vm.power_off(false).await
            {
                tracing::error!(bmc = %bmc.address(), %error, "a virtual machine does not feel its power button");
            }
        });
        true
    }

    fn image_file(&self, slot: usize) -> PathBuf {
        let folder = self.shared.vm.as_ref().map(|settings| settings.folder.clone()).unwrap_or_default();
        let tag = self.tag(&self.state());
        folder.join(tag).join(format!("media-{}.iso", slot + 1))
    }

    /// Fetches an inserted image whole and then attaches it.
    pub(crate) fn vm_fetch_image(self: &Arc<Self>, slot: usize, url: String, size: u64, attach: Duration) {
        let bmc = Arc::clone(self);
        tokio::spawn(async move {
            let began = tokio::time::Instant::now();
            let file = bmc.image_file(slot);
            if let Err(error) = bmc.fetch(&url, size, &file).await {
                tracing::warn!(bmc = %bmc.address(), %url, %error, "an image was not fetched whole; its drive stays detached");
                return;
            }
            tokio::time::sleep_until(began + attach).await;
            {
                let mut state = bmc.state();
                if state.kept.media[slot].image.as_deref() != Some(url.as_str())
                    || state.kept.faults.media_never_attaches
                {
                    return;
                }
                state.kept.media[slot].attach_at = Some(Utc::now());
                state.live.dirty = true;
            }
            bmc.save();
            if let Some(vm) = bmc.vm.get()
                && let Err(error) = vm.insert_media(Some(file)).await
            {
                tracing::error!(bmc = %bmc.address(), %error, "a virtual machine does not take its medium");
            }
        });
    }

    /// Takes the medium out of the virtual machine's drive.
    pub(crate) fn vm_remove_image(self: &Arc<Self>) {
        if self.vm.get().is_none() {
            return;
        }
        let bmc = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(vm) = bmc.vm.get()
                && let Err(error) = vm.insert_media(None).await
            {
                tracing::error!(bmc = %bmc.address(), %error, "a virtual machine does not give its medium back");
            }
        });
    }

    async fn fetch(&self, url: &str, size: u64, file: &std::path::Path) -> anyhow::Result<()> {
        let mut out = tokio::fs::File::create(file).await?;
        let mut from = 0;
        while from < size {
            let to = (from + PIECE_BYTES).min(size) - 1;
            let answer = self
                .shared
                .http
                .get(url)
                .header(http::header::RANGE, format!("bytes={from}-{to}"))
                .timeout(PIECE_TIMEOUT)
                .send()
                .await?
                .error_for_status()?;
            let bytes = answer.bytes().await?;
            anyhow::ensure!(bytes.len() as u64 == to - from + 1, "the piece at {from} has {} bytes", bytes.len());
            out.write_all(&bytes).await?;
            {
                let mut state = self.state();
                state.kept.counters.image_requests += 1;
                state.kept.counters.image_bytes += bytes.len() as u64;
            }
            from = to + 1;
        }
        out.flush().await?;
        Ok(())
    }
}

impl Kept {
    /// What a restart of the simulator means for a virtual machine: its power was lost and comes back.
    pub(crate) fn lost_power(&mut self) {
        self.booted = None;
        for slot in &mut self.media {
            slot.attach_at = None;
        }
    }
}
