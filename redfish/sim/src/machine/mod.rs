//! One simulated machine with its BMC: what it is, in which state it is, and what can be done to it. The protocol reads
//! and changes machines through this module only; documents are rendered elsewhere, from a locked [`State`].
//! State that survives a restart of the simulator is in [`Kept`], the rest in [`Live`].

pub mod bios;
pub mod boot;
pub mod counters;
pub mod job;
pub mod journal;
pub mod login;
pub mod media;
pub mod post;
pub mod power;
pub mod real;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::certificate::{self, BmcCertificate, CertificateError};
use crate::fault::Faults;
use crate::fleet::{BmcConfig, Shared};
use crate::hardware::{Hardware, PartChanges};
use crate::identity::Identity;
use crate::model::Model;
use crate::vm::VmHost;

use boot::{BootOverride, BootedFrom};
use counters::Counters;
use job::Queue;
use journal::Journal;
use login::Logins;
use media::Slot;
use post::Phase;

/// What survives a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Seed and model that this state was made with; another seed at the same address is another machine.
    pub made_for: Option<(u64, String)>,
    /// Host power.
    pub power_on: bool,
    /// What runs, when the machine is on and past POST.
    pub booted: Option<BootedFrom>,
    /// Boot override.
    pub boot: BootOverride,
    /// Changed boot order, else the factory's.
    pub boot_order: Option<Vec<String>>,
    /// Boot order that the next BIOS job applies.
    pub boot_order_pending: Option<Vec<String>>,
    /// Time of the last reset of the host.
    pub last_reset: Option<DateTime<Utc>>,
    /// Time of the last inventory, made at each POST.
    pub last_inventory: Option<DateTime<Utc>>,
    /// Time of the last restart of the iDRAC.
    pub bmc_started: Option<DateTime<Utc>>,
    /// Virtual media slots 1 and 2.
    pub media: [Slot; 2],
    /// Job queue.
    pub jobs: Queue,
    /// BIOS attributes that differ from the model's.
    pub bios: BTreeMap<String, Value>,
    /// BIOS attributes that wait for a job and a POST.
    pub bios_pending: BTreeMap<String, Value>,
    /// iDRAC, system and LC attributes that differ from the factory's; key `iDRAC.Embedded.1 NTPConfigGroup.1.NTPEnable`.
    pub attributes: BTreeMap<String, Value>,
    /// Asset tag.
    pub asset_tag: String,
    /// What was done to the parts.
    pub parts: PartChanges,
    /// Switched misbehaviour.
    pub faults: Faults,
    /// Password of `root` when it was changed over Redfish.
    pub password: Option<String>,
    /// Lifecycle log.
    pub lclog: Journal,
    /// System event log.
    pub sel: Journal,
    /// Counters.
    pub counters: Counters,
    /// Renewals of the certificate.
    pub certificates: u32,
    /// Boards that were swapped in.
    pub boards: u32,
}

/// What a restart forgets.
#[derive(Debug)]
pub struct Live {
    /// Where the host stands.
    pub phase: Phase,
    /// Counts everything that makes running sequences stale; a sequence that wakes up under another number ends.
    pub epoch: u64,
    /// Sessions and lock-outs.
    pub logins: Logins,
    /// When the host went off, for the refusal of a quick `On`.
    pub off_since: Option<DateTime<Utc>>,
    /// Until when the restarting iDRAC is off the network.
    pub away_until: Option<Instant>,
    /// Until when it answers that it is not ready.
    pub not_ready_until: Option<Instant>,
    /// From when until when `Systems` is empty, after a forced clearing of the job queue (quirk 26).
    pub empty_systems: Option<(Instant, Instant)>,
    /// Whether the last media request was an eject (quirk 7 needs it).
    pub just_ejected: bool,
    /// Whether something changed since the last save.
    pub dirty: bool,
}

/// The whole state of a machine.
#[derive(Debug)]
pub struct State {
    /// What survives a restart.
    pub kept: Kept,
    /// What does not.
    pub live: Live,
}

impl Live {
    /// Whether the iDRAC is off the network.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.away_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the iDRAC is back but not ready.
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        self.not_ready_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the systems collection is empty for the moment.
    #[must_use]
    pub fn has_no_systems(&self) -> bool {
        self.empty_systems.is_some_and(|(from, until)| (from..until).contains(&Instant::now()))
    }
}

impl State {
    /// Writes an entry of the Lifecycle log.
    pub fn log(&mut self, id: &str, severity: &str, category: &str, text: &str, args: &[&str]) {
        self.kept.lclog.write(id, severity, category, text, args);
        self.live.dirty = true;
    }
}

/// One machine.
pub struct Bmc {
    /// What the fleet file says of it.
    pub config: BmcConfig,
    /// Its model.
    pub model: &'static Model,
    /// What all machines of the fleet share.
    pub shared: Arc<Shared>,
    state: Mutex<State>,
    certificate: Mutex<Option<(String, u32, BmcCertificate)>>,
    /// The virtual machine that is the host, when there is one.
    pub(crate) vm: OnceLock<VmHost>,
}

impl std::fmt::Debug for Bmc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bmc")
            .field("address", &self.config.address)
            .field("model", &self.model.name)
            .finish_non_exhaustive()
    }
}

impl Bmc {
    /// A machine as it left the factory, or as `kept` remembers it.
    #[must_use]
    pub fn new(config: BmcConfig, model: &'static Model, shared: Arc<Shared>, kept: Option<Kept>) -> Self {
        let fresh = kept.is_none();
        let mut kept = kept.unwrap_or_default();
        kept.made_for = Some((shared.seed, model.name.clone()));
        if fresh {
            kept.power_on = config.powered_on;
            kept.booted = config.powered_on.then_some(BootedFrom::Disk);
            let now = Utc::now();
            kept.last_inventory = Some(now);
            kept.bmc_started = Some(now);
            kept.sel.write("LOG0000", "OK", "SEL", "Log cleared.", &[]);
        }
        if config.vm {
            kept.lost_power();
        }
        let phase = match (&kept.power_on, &kept.booted) {
            (false, _) => Phase::Off,
            (true, Some(_)) => Phase::OsRunning,
            (true, None) => Phase::PoweringUp,
        };
        let live = Live {
            phase,
            epoch: 0,
            logins: Logins::default(),
            off_since: None,
            away_until: None,
            not_ready_until: None,
            empty_systems: None,
            just_ejected: false,
            dirty: fresh,
        };
        Self {
            config,
            model,
            shared,
            state: Mutex::new(State { kept, live }),
            certificate: Mutex::new(None),
            vm: OnceLock::new(),
        }
    }

    /// The state, locked. Never held over an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Address of the BMC.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.config.address
    }

    /// Who the machine is, with the board it has now.
    #[must_use]
    pub fn identity(&self, state: &State) -> Identity {
        Identity::new(self.shared.seed, self.config.address, state.kept.boards)
    }

    /// The service tag it shows.
    #[must_use]
    pub fn tag(&self, state: &State) -> String {
        match &state.kept.faults.duplicate_tag {
            Some(tag) => tag.clone(),
            None => self.identity(state).service_tag(),
        }
    }

    /// Its parts.
    #[must_use]
    pub fn hardware<'a>(&self, state: &'a State) -> Hardware<'a> {
        let volume_bytes = if self.config.vm { real::VM_DISK_BYTES } else { self.model.boss.volume_bytes };
        Hardware { model: self.model, identity: self.identity(state), changes: &state.kept.parts, volume_bytes }
    }

    /// The certificate it shows now; made when first asked for.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn certificate(&self) -> Result<BmcCertificate, CertificateError> {
        let (identity, tag, generation) = {
            let state = self.state();
            // The certificate keeps the name it was made with when the board is swapped: the fault for a new
            // certificate is another one, so that a test can have either alone.
            let factory = Identity::new(self.shared.seed, self.config.address, 0);
            (factory, factory.service_tag(), state.kept.certificates)
        };
        let mut held = self.certificate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held_tag, held_generation, certificate)) = held.as_ref()
            && *held_tag == tag
            && *held_generation == generation
        {
            return Ok(certificate.clone());
        }
        let made = certificate::for_bmc(&identity, &tag, generation)?;
        *held = Some((tag, generation, made.clone()));
        Ok(made)
    }

    /// Writes the state to the state folder, when there is one and something changed.
    pub fn save(&self) {
        let Some(folder) = &self.shared.state_dir else { return };
        let text = {
            let mut state = self.state();
            if !std::mem::take(&mut state.live.dirty) {
                return;
            }
            serde_json::to_vec(&state.kept)
        };
        let written = text
            .map_err(std::io::Error::other)
            .and_then(|text| crate::keep::write_atomically(&crate::keep::file_of(folder, self.config.address), &text));
        if let Err(error) = written {
            self.state().live.dirty = true;
            tracing::error!(bmc = %self.config.address, %error, "cannot write the state of a BMC; a restart will forget what just happened");
        }
    }
}
