//! From power on to a running operating system: the phases of POST with the words that Redfish has for them, the jobs that
//! run inside it, and the boot at its end. A sequence belongs to an epoch; whatever happens to the power starts a new
//! epoch, and a sequence that wakes up in a later one ends without doing anything.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::boot::{self, BootedFrom, Choice};
use super::job::{JobState, Work};
use super::{Bmc, State};

/// Seconds from the command to `PowerState` On.
const POWER_ON_SECONDS: f64 = 3.0;
/// Part of a cold POST that a warm one takes.
const WARM_PART: f64 = 0.6;
/// Seconds that a BIOS job takes inside POST (an R750 took 6 min 47 s with its second POST).
const BIOS_JOB_SECONDS: f64 = 150.0;
/// Seconds from the hand-over to an operating system that signals it, when nobody plays the host.
const OS_START_SECONDS: f64 = 45.0;

/// Where the host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No power.
    Off,
    /// Power is coming.
    PoweringUp,
    /// First processor.
    FirstProcessor,
    /// Buses.
    Buses,
    /// Memory training.
    Memory,
    /// Second processor.
    SecondProcessor,
    /// PCI devices.
    PciDevices,
    /// Inventory at the end of POST.
    Inventory,
    /// A staged job runs.
    AutomatedTask,
    /// F2 setup.
    Setup,
    /// Lifecycle Controller.
    LifecycleController,
    /// Waits for F1 or F2.
    Halted,
    /// An operating system was started.
    OsStarted,
    /// It said that it runs.
    OsRunning,
}

/// Phases of POST with the part of its time that each takes.
const STEPS: [(Phase, f64); 6] = [
    (Phase::FirstProcessor, 0.08),
    (Phase::Buses, 0.07),
    (Phase::Memory, 0.40),
    (Phase::SecondProcessor, 0.10),
    (Phase::PciDevices, 0.20),
    (Phase::Inventory, 0.15),
];

impl Phase {
    /// `BootProgress.LastState`.
    #[must_use]
    pub fn boot_progress(self) -> &'static str {
        match self {
            Self::Off | Self::PoweringUp => "None",
            Self::FirstProcessor => "PrimaryProcessorInitializationStarted",
            Self::Buses => "BusInitializationStarted",
            Self::Memory => "MemoryInitializationStarted",
            Self::SecondProcessor => "SecondaryProcessorInitializationStarted",
            Self::PciDevices => "PCIResourceConfigStarted",
            Self::Inventory | Self::AutomatedTask | Self::LifecycleController | Self::Halted => {
                "SystemHardwareInitializationComplete"
            }
            Self::Setup => "SetupEntered",
            Self::OsStarted => "OSBootStarted",
            Self::OsRunning => "OSRunning",
        }
    }

    /// `ServerStatus` of the Lifecycle Controller.
    #[must_use]
    pub fn server_status(self) -> &'static str {
        match self {
            Self::Off => "PoweredOff",
            Self::PoweringUp
            | Self::FirstProcessor
            | Self::Buses
            | Self::Memory
            | Self::SecondProcessor
            | Self::PciDevices => "InPOST",
            Self::Inventory => "CollectingSystemInventory",
            Self::AutomatedTask => "AutomatedTaskExecution",
            Self::Setup => "EnteredF2Setup",
            Self::LifecycleController => "LCUSC",
            Self::Halted => "HaltedF1/F2Prompt",
            Self::OsStarted | Self::OsRunning => "OutOfPOST",
        }
    }

    /// Whether an operating system is there to hear a polite request.
    #[must_use]
    pub fn has_os(self) -> bool {
        matches!(self, Self::OsStarted | Self::OsRunning)
    }
}

/// How a sequence begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From off.
    Cold,
    /// Power stays on.
    Warm,
    /// Off for a few seconds, then on.
    Cycle,
}

impl Bmc {
    /// Begins a sequence under a new epoch.
    pub(crate) fn begin(self: &Arc<Self>, state: &mut State, start: Start) {
        state.live.epoch += 1;
        state.live.dirty = true;
        let epoch = state.live.epoch;
        let bmc = Arc::clone(self);
        tokio::spawn(async move {
            bmc.run_sequence(epoch, start).await;
            bmc.save();
        });
    }

    /// Does something to the state if the epoch is still this one; `None` ends the sequence.
    fn step<R>(&self, epoch: u64, act: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut state = self.state();
        if state.live.epoch != epoch {
            return None;
        }
        state.live.dirty = true;
        Some(act(&mut state))
    }

    async fn wait(&self, seconds: f64) {
        tokio::time::sleep(self.shared.scale.shorten(Duration::from_secs_f64(seconds))).await;
    }

    async fn run_sequence(self: &Arc<Self>, epoch: u64, start: Start) -> Option<()> {
        match start {
            Start::Cold => {
                self.wait(POWER_ON_SECONDS).await;
                self.step(epoch, |state| self.came_on(state))?;
            }
            Start::Warm => {
                self.host_gone(epoch).await?;
                self.step(epoch, |state| {
                    state.kept.booted = None;
                    state.live.phase = Phase::PoweringUp;
                    state.kept.last_reset = Some(Utc::now());
                    state.log("SYS1003", "OK", "Audit", "System CPU resetting.", &[]);
                })?;
            }
            Start::Cycle => {
                self.host_gone(epoch).await?;
                self.step(epoch, |state| self.went_off(state))?;
                self.wait(5.0).await;
                self.step(epoch, |state| self.came_on(state))?;
            }
        }
        self.save();
        let cold = start != Start::Warm;
        loop {
            // What the BIOS finds in the virtual drives is decided now: a drive that comes later is an empty drive.
            let visible =
                self.step(epoch, |state| [state.kept.media[0].is_attached(), state.kept.media[1].is_attached()])?;
            let total = self.model.post_seconds as f64 * if cold { 1.0 } else { WARM_PART };
            for (phase, part) in STEPS {
                let hangs = self.step(epoch, |state| {
                    state.live.phase = phase;
                    state.kept.faults.post_hangs && phase == Phase::Memory
                })?;
                if hangs {
                    return None;
                }
                self.wait(total * part).await;
            }
            self.step(epoch, |state| {
                state.kept.counters.posts += 1;
                state.kept.last_inventory = Some(Utc::now());
                state.log("SYS336", "OK", "System Health", "The inventory of the system was collected.", &[]);
            })?;
            if self.run_staged_jobs(epoch, visible).await? {
                // The job ends with another pass through POST.
                continue;
            }
            let choice = self.step(epoch, |state| boot::choose(state, visible))?;
            self.save();
            return self.hand_over(epoch, choice).await;
        }
    }

    /// Runs a scheduled BIOS job; true when there was one.
    async fn run_staged_jobs(&self, epoch: u64, visible: [bool; 2]) -> Option<bool> {
        let id = self.step(epoch, |state| {
            let id = state.kept.jobs.open_bios_job().map(|job| job.id.clone())?;
            // The boot into the automated task is a boot: it spends the override.
            let _spent = boot::choose(state, visible);
            state.live.phase = Phase::AutomatedTask;
            if let Some(job) = state.kept.jobs.get_mut(&id) {
                job.state = JobState::Running;
                job.percent = 34;
                job.started = Some(Utc::now());
            }
            Some(id)
        })?;
        let Some(id) = id else { return Some(false) };
        self.save();
        self.wait(BIOS_JOB_SECONDS).await;
        self.step(epoch, |state| {
            let failed = state.kept.faults.bios_job_fails;
            if !failed {
                super::bios::apply_pending(state);
            }
            if let Some(job) = state.kept.jobs.get_mut(&id) {
                job.state = if failed { JobState::CompletedWithErrors } else { JobState::Completed };
                job.percent = 100;
                job.ended = Some(Utc::now());
            }
            let rebooted: Vec<String> = state
                .kept
                .jobs
                .all()
                .iter()
                .filter(|job| job.work == Work::Reboot && !job.state.is_over())
                .map(|job| job.id.clone())
                .collect();
            for id in rebooted {
                if let Some(job) = state.kept.jobs.get_mut(&id) {
                    job.state = JobState::RebootCompleted;
                    job.percent = 100;
                    job.ended = Some(Utc::now());
                }
            }
            state.kept.counters.jobs_finished += 1;
            state.kept.last_reset = Some(Utc::now());
            state.log(
                "JCP037",
                "OK",
                "Configuration",
                "The (installation or configuration) job %1 is completed.",
                &[&id],
            );
        })?;
        self.save();
        Some(true)
    }

    async fn hand_over(self: &Arc<Self>, epoch: u64, choice: Choice) -> Option<()> {
        let from = match choice {
            Choice::Setup => return self.step(epoch, |state| state.live.phase = Phase::Setup),
            Choice::LifecycleController => {
                return self.step(epoch, |state| state.live.phase = Phase::LifecycleController);
            }
            Choice::Halt => {
                return self.step(epoch, |state| {
                    state.live.phase = Phase::Halted;
                    state.log("PST0128", "Critical", "System Health", "POST waits for F1 or F2.", &[]);
                });
            }
            Choice::Boot(from) => from,
        };
        self.step(epoch, |state| {
            state.live.phase = Phase::OsStarted;
            state.kept.booted = Some(from.clone());
            match from {
                BootedFrom::Disk => state.kept.counters.boots_from_disk += 1,
                BootedFrom::Cd { .. } => state.kept.counters.boots_from_media += 1,
            }
        })?;
        self.save();
        if self.announce_boot(epoch, &from).await {
            return Some(());
        }
        if !self.vm_boot(&from).await {
            return Some(());
        }
        self.wait(OS_START_SECONDS).await;
        self.step(epoch, |state| state.live.phase = Phase::OsRunning)
    }

    /// Tells whoever plays the host that it boots. False when nobody does: then the system just comes up.
    async fn announce_boot(self: &Arc<Self>, epoch: u64, from: &BootedFrom) -> bool {
        if self.config.vm {
            return false;
        }
        let Some(host) = self.shared.host() else { return false };
        let event = {
            let state = self.state();
            if state.live.epoch != epoch {
                return true;
            }
            crate::host::boot_event(self, &state, from)
        };
        host.tell(event);
        true
    }

    /// Tells whoever plays the host that its power is gone or that it is being reset.
    pub(crate) async fn host_gone(&self, epoch: u64) -> Option<()> {
        let tag = self.step(epoch, |state| {
            let tag = state.live.phase.has_os().then(|| self.tag(state));
            // From here on a virtual machine that goes off does so because of us.
            state.live.phase = Phase::PoweringUp;
            tag
        })?;
        if self.config.vm {
            self.vm_cut_power().await;
        } else if let (Some(tag), Some(host)) = (tag, self.shared.host()) {
            host.tell(crate::host::power_off_event(&tag));
        }
        Some(())
    }

    /// The host says that its operating system runs.
    pub(crate) fn os_running(&self) {
        let mut state = self.state();
        if state.kept.power_on && state.live.phase.has_os() {
            state.live.phase = Phase::OsRunning;
            state.live.dirty = true;
        }
    }

    /// The host found nothing to boot.
    pub(crate) fn boot_failed(&self, why: &str) {
        let mut state = self.state();
        if state.live.phase.has_os() {
            state.live.phase = Phase::OsStarted;
            state.log("UEFI0134", "Warning", "System Health", "No boot device is found: %1", &[why]);
        }
    }

    fn came_on(&self, state: &mut State) {
        state.kept.power_on = true;
        state.kept.booted = None;
        state.live.phase = Phase::PoweringUp;
        state.live.off_since = None;
        state.kept.last_reset = Some(Utc::now());
        state.kept.counters.power_ons += 1;
        state.log("SYS1000", "OK", "Audit", "System is turning on.", &[]);
    }

    pub(crate) fn went_off(&self, state: &mut State) {
        if state.kept.power_on {
            state.kept.counters.power_offs += 1;
        }
        state.kept.power_on = false;
        state.kept.booted = None;
        state.live.phase = Phase::Off;
        state.live.off_since = Some(Utc::now());
        state.live.dirty = true;
        state.log("SYS1001", "OK", "Audit", "System is turning off.", &[]);
    }
}
