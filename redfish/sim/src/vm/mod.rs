//! A real machine behind a simulated iDRAC: one QEMU process per powered-on node.
//!
//! Relies on QEMU and OVMF (found by path, see [`unavailable`]) and on `setpriv`, which ties QEMU's life to ours. It plays the
//! host only: what the BMC says of it, how long POST takes and where media come from is the simulator's business.
//!
//! A node's folder holds what survives: `disk.raw` (sparse), `nvram.fd` (firmware variables), `console.log`. A machine never
//! outlives the simulator: it gets SIGKILL when we die, and a leftover is stopped at the next start. After a restart every
//! machine is therefore Off, with disk and NVRAM as they were: to the node it looks like a loss of power.

mod error;
mod folder;
mod process;
mod qmp;
mod spec;

#[cfg(test)]
pub(crate) mod payload;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tracing::{debug, info, warn};

pub use error::VmError;
pub use process::unavailable;
pub use spec::{BootDevice, VmSpec};

use folder::Folder;
use process::Process;
use qmp::{Qmp, QmpEvent, ShutdownReason};

/// How long QEMU may take to go after `quit`: it only closes files. Then it is killed.
const QUIT_WAIT: Duration = Duration::from_secs(5);
/// Events kept for a slow listener. A machine makes a handful an hour; the simulator reads at once.
const EVENTS_KEPT: usize = 64;

/// Whether the machine has power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmState {
    On,
    Off,
}

/// What the machine did by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmEvent {
    /// It is off: the guest switched itself off, obeyed the power button, or was switched off by force.
    PoweredOff,
    /// The guest restarted itself; it is on again and booted the device set for the next boot.
    Reset,
}

/// One virtual machine. Cheap to clone; the last clone that goes takes the power away.
#[derive(Clone)]
pub struct VmHost {
    shared: Arc<Shared>,
}

struct Shared {
    spec: VmSpec,
    folder: Folder,
    events: broadcast::Sender<VmEvent>,
    state: watch::Sender<VmState>,
    /// Serialises power actions: none starts while another is half done.
    action: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    running: Option<Running>,
    /// Which of the machine's starts this is; a watcher of an earlier one has nothing to say any more.
    start: u64,
    media: Option<PathBuf>,
    next_boot: BootDevice,
}

#[derive(Clone)]
struct Running {
    process: Arc<Process>,
    qmp: Qmp,
}

/// One start of the machine, for its watcher.
struct Started {
    number: u64,
    process: Arc<Process>,
    events: mpsc::UnboundedReceiver<QmpEvent>,
}

impl VmHost {
    /// Opens (or makes) the node's folder and stops what an earlier simulator left running. The machine is off.
    ///
    /// # Errors
    /// When QEMU or its firmware are missing, the folder cannot be used or belongs to another running simulator.
    pub async fn new(spec: VmSpec) -> Result<Self, VmError> {
        if let Some(missing) = unavailable() {
            return Err(VmError::Unavailable { missing });
        }
        spec.check()?;
        let folder = Folder::open(&spec).await?;
        let shared = Shared {
            spec,
            folder,
            events: broadcast::Sender::new(EVENTS_KEPT),
            state: watch::Sender::new(VmState::Off),
            action: tokio::sync::Mutex::new(()),
            inner: Mutex::new(Inner::default()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Gives power and boots `device`; the machine falls back to its disk when the CD does not boot.
    ///
    /// # Errors
    /// [`VmError::AlreadyOn`], or why QEMU did not start, with the end of what it said.
    pub async fn power_on(&self, device: BootDevice) -> Result<(), VmError> {
        let _turn = self.shared.action.lock().await;
        self.start(device).await
    }

    /// Presses the power button (`force` false: the guest decides, [`VmEvent::PoweredOff`] follows if it obeys) or takes the power
    /// away (`force` true: off when this returns). Does nothing to a machine that is off.
    ///
    /// # Errors
    /// When QEMU does not answer the button press.
    pub async fn power_off(&self, force: bool) -> Result<(), VmError> {
        let _turn = self.shared.action.lock().await;
        let Some(running) = self.running() else { return Ok(()) };
        if !force {
            return running.qmp.execute("system_powerdown", None).await.map(drop);
        }
        self.stop(&running).await;
        self.shared.off();
        Ok(())
    }

    /// Takes the power away and gives it back: boots the device of [`Self::set_next_boot`]. No event follows, the caller knows.
    ///
    /// # Errors
    /// [`VmError::Off`] when there is no power, or why QEMU did not start.
    pub async fn reset(&self) -> Result<(), VmError> {
        let _turn = self.shared.action.lock().await;
        let running = self.running().ok_or(VmError::Off)?;
        self.stop(&running).await;
        let device = std::mem::take(&mut self.inner().next_boot);
        match self.start(device).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.shared.off();
                Err(error)
            }
        }
    }

    /// The device for the next [`Self::reset`] or restart by the guest; used once, then it is the disk again.
    pub fn set_next_boot(&self, device: BootDevice) {
        self.inner().next_boot = device;
    }

    /// Puts a medium into the drive or (with `None`) takes it out, also while the machine runs and whether or not the guest
    /// locked the drive: a BMC does not ask.
    ///
    /// # Errors
    /// When QEMU cannot open the file. The drive is empty then.
    pub async fn insert_media(&self, medium: Option<PathBuf>) -> Result<(), VmError> {
        let _turn = self.shared.action.lock().await;
        let running = {
            let mut inner = self.inner();
            inner.media.clone_from(&medium);
            inner.running.clone()
        };
        let Some(running) = running else { return Ok(()) };
        let drive = serde_json::json!({ "id": process::CD_DEVICE, "force": true });
        running.qmp.execute("eject", Some(drive)).await?;
        if let Some(path) = medium {
            let file = serde_json::json!({
                "id": process::CD_DEVICE, "filename": path, "format": "raw", "read-only-mode": "read-only", "force": true,
            });
            if let Err(error) = running.qmp.execute("blockdev-change-medium", Some(file)).await {
                self.inner().media = None;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether there is power now.
    #[must_use]
    pub fn state(&self) -> VmState {
        *self.shared.state.borrow()
    }

    /// What the machine does by itself, from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<VmEvent> {
        self.shared.events.subscribe()
    }

    /// The serial console since the folder was made, newest last.
    #[must_use]
    pub fn console_path(&self) -> PathBuf {
        self.shared.folder.console()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner()
    }

    fn running(&self) -> Option<Running> {
        self.inner().running.clone()
    }

    /// Starts QEMU and the watcher of this start. The caller holds the action lock.
    async fn start(&self, device: BootDevice) -> Result<(), VmError> {
        let started = self.launch(device).await?;
        tokio::spawn(watch_machine(Arc::downgrade(&self.shared), started));
        Ok(())
    }

    async fn launch(&self, device: BootDevice) -> Result<Started, VmError> {
        let shared = &self.shared;
        let medium = {
            let mut inner = self.inner();
            if inner.running.is_some() {
                return Err(VmError::AlreadyOn);
            }
            if let BootDevice::Cd(path) = &device {
                inner.media = Some(path.clone());
            }
            inner.media.clone()
        };
        shared.folder.prepare_start(&shared.spec)?;
        let arguments = process::arguments(&shared.spec, &shared.folder, &device, medium.as_deref());
        let (process, pipes) = Process::spawn(&shared.spec, &shared.folder, arguments).await?;
        let process = Arc::new(process);
        let (qmp, events) = match Qmp::connect(pipes).await {
            Ok(connected) => connected,
            Err(error) => {
                process.kill();
                process.wait().await;
                let said = shared.folder.qemu_log_tail();
                return Err(VmError::Start { said, source: Box::new(error) });
            }
        };
        info!(service_tag = %shared.spec.service_tag, pid = process.pid(), ?device, "the machine has power");
        let number = {
            let mut inner = self.inner();
            inner.start += 1;
            inner.running = Some(Running { process: Arc::clone(&process), qmp });
            inner.start
        };
        shared.state.send_replace(VmState::On);
        Ok(Started { number, process, events })
    }

    /// Start number `number` has ended for `reason`. Starts the machine again if the guest wanted that.
    async fn ended(&self, number: u64, reason: Option<ShutdownReason>) -> Option<Started> {
        let shared = &self.shared;
        let _turn = shared.action.lock().await;
        let device = {
            let mut inner = self.inner();
            if inner.running.is_none() || inner.start != number {
                return None; // switched off or reset by us
            }
            inner.running = None;
            (reason == Some(ShutdownReason::GuestReset)).then(|| std::mem::take(&mut inner.next_boot))
        };
        let tag = &shared.spec.service_tag;
        if reason.is_none() {
            warn!(service_tag = %tag, said = %shared.folder.qemu_log_tail(), "QEMU ended without a word: as a loss of power");
        }
        let Some(device) = device else {
            info!(service_tag = %tag, ?reason, "the machine is off");
            shared.off();
            return None;
        };
        match self.launch(device).await {
            Ok(started) => {
                // Nobody listening is no error.
                drop(shared.events.send(VmEvent::Reset));
                Some(started)
            }
            Err(error) => {
                warn!(service_tag = %tag, %error, "the machine could not be started again after the guest's reset");
                shared.off();
                None
            }
        }
    }

    /// Ends the process; the machine's record is cleared first, so that its watcher stays silent.
    async fn stop(&self, running: &Running) {
        self.inner().running = None;
        if let Err(error) = running.qmp.execute("quit", None).await {
            debug!(%error, "QEMU did not take `quit`");
        }
        if tokio::time::timeout(QUIT_WAIT, running.process.wait()).await.is_err() {
            running.process.kill();
            running.process.wait().await;
        }
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn off(&self) {
        self.state.send_replace(VmState::Off);
        // Nobody listening is no error.
        drop(self.events.send(VmEvent::PoweredOff));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(running) = self.inner().running.take() {
            running.process.kill();
        }
    }
}

/// Follows a machine from one start to the end of its last, and says what the guest did.
async fn watch_machine(shared: Weak<Shared>, mut started: Started) {
    loop {
        let mut reason = None;
        while let Some(QmpEvent::Shutdown(why)) = started.events.recv().await {
            reason = Some(why);
        }
        started.process.wait().await;
        let Some(shared) = shared.upgrade() else { return };
        let host = VmHost { shared };
        match host.ended(started.number, reason).await {
            Some(again) => started = again,
            None => return,
        }
    }
}
