//! Power: what the machine does now, and resets.

use std::fmt;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::client::Client;
use crate::dell::lifecycle::LifecycleStatus;
use crate::error::RedfishError;
use crate::lenient;
use crate::message::Class;
use crate::operation::LongOperation;
use crate::system::{PowerState, System};

/// `ResetType` of `ComputerSystem.Reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResetType {
    On,
    /// Cut at once.
    ForceOff,
    /// Asks the operating system; no fallback.
    GracefulShutdown,
    GracefulRestart,
    /// Warm reset: the power state reads `On` throughout.
    ForceRestart,
    /// Off, a short pause, on.
    PowerCycle,
    PushPowerButton,
    Nmi,
}

impl ResetType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "On",
            Self::ForceOff => "ForceOff",
            Self::GracefulShutdown => "GracefulShutdown",
            Self::GracefulRestart => "GracefulRestart",
            Self::ForceRestart => "ForceRestart",
            Self::PowerCycle => "PowerCycle",
            Self::PushPowerButton => "PushPowerButton",
            Self::Nmi => "Nmi",
        }
    }
}

impl fmt::Display for ResetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a machine does now: one small request where the service can select properties.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MachineState {
    pub power: Option<PowerState>,
    /// As the BMC writes it: to be compared with an earlier reading of the same BMC and nothing else.
    pub last_reset_time: Option<String>,
    /// `BootProgress.LastState`, where there is one.
    pub boot_progress: Option<String>,
    /// `OK`, `Warning`, `Critical`.
    pub health: Option<String>,
    pub health_rollup: Option<String>,
}

#[derive(Serialize)]
struct ResetBody {
    #[serde(rename = "ResetType")]
    reset_type: &'static str,
}

#[derive(Serialize)]
struct Empty {}

impl Client {
    /// The system resource.
    ///
    /// # Errors
    /// What a request can end with; `SystemAmbiguous` when the service has several systems.
    pub async fn system(&self) -> Result<System, RedfishError> {
        let uri = &self.place().await?.system;
        Ok(self.read(uri).await?.value)
    }

    /// Power, boot progress and health, as cheaply as the service allows.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn state(&self) -> Result<MachineState, RedfishError> {
        let uri = &self.place().await?.system;
        let unselective = &self.shared.unselective;
        let system = if self.root().await?.can_select() && !unselective.load(Ordering::Relaxed) {
            let select = format!("{uri}?$select=PowerState,Status,LastResetTime,BootProgress");
            match self.read::<System>(&select).await {
                // Firmware without BootProgress may refuse to select it.
                Err(error) if error.class() == Class::Permanent && error.status() == Some(400) => {
                    unselective.store(true, Ordering::Relaxed);
                    self.read(uri).await?
                }
                read => read?,
            }
        } else {
            self.read(uri).await?
        };
        let system = system.value;
        let status = system.status.unwrap_or_default();
        Ok(MachineState {
            power: system.power_state,
            last_reset_time: system.last_reset_time,
            boot_progress: system.boot_progress.and_then(|progress| progress.last_state),
            health: status.health,
            health_rollup: status.health_rollup,
        })
    }

    /// Power state alone.
    ///
    /// # Errors
    /// What a request can end with; `Unreadable` when the system shows none.
    pub async fn power_state(&self) -> Result<PowerState, RedfishError> {
        let uri = self.place().await?.system.clone();
        self.state().await?.power.ok_or_else(|| RedfishError::Unreadable {
            address: self.address().clone(),
            uri,
            why: "it shows no power state".to_owned(),
            source: None,
        })
    }

    /// Resets the system, once, without looking whether it worked: the answer says only that the request was taken.
    ///
    /// # Errors
    /// `NotSupported` when the service does not allow this type, and names those it allows; on iDRAC10 `Retry` for about a
    /// minute after switching off (ActionParameterValueConflict). After `outcome_unknown` look before sending it again.
    pub async fn reset(&self, reset: ResetType) -> Result<LongOperation, RedfishError> {
        let system = self.system().await?;
        let action = system.actions.and_then(|actions| actions.reset).unwrap_or_default();
        if !action.allowable.is_empty() && !action.allowable.iter().any(|allowed| allowed == reset.as_str()) {
            let why = format!("{reset} is not among the reset types that it allows: {}", action.allowable.join(", "));
            return Err(self.not_supported("reset the system", &why));
        }
        let target = match action.target {
            Some(target) => target,
            None => format!("{}/Actions/ComputerSystem.Reset", self.place().await?.system),
        };
        let body = ResetBody { reset_type: reset.as_str() };
        let answer = self.post(&target, &body, self.limits().change).await?;
        Ok(LongOperation::of(&answer))
    }

    /// State of the Lifecycle Controller and of the host's POST. An action by form, a reading by effect.
    ///
    /// # Errors
    /// What a request can end with; `NotSupported` elsewhere than on Dell.
    pub async fn lifecycle_status(&self) -> Result<LifecycleStatus, RedfishError> {
        let manager = self.dell_manager("read the state of the Lifecycle Controller").await?;
        let uri = format!("{manager}/Oem/Dell/DellLCService/Actions/DellLCService.GetRemoteServicesAPIStatus");
        let answer = self.post(&uri, &Empty {}, self.limits().change).await?;
        let (status, _) = lenient::parse(&answer.body).map_err(|source| RedfishError::Unreadable {
            address: self.address().clone(),
            uri,
            why: "what it sends is not JSON".to_owned(),
            source: Some(source),
        })?;
        Ok(status)
    }
}
