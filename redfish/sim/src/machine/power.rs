//! Reset actions: which are accepted in which state, what each starts, and how long it takes. An accepted action proves
//! nothing: the power state follows seconds later, or never when a fault says so.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use http::StatusCode;

use super::post::Start;
use super::{Bmc, State};
use crate::message::Failure;

/// Reset types in the order of an iDRAC9.
pub const RESET_TYPES: [&str; 8] =
    ["On", "ForceOff", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PushPowerButton", "Nmi", "PowerCycle"];
/// Seconds from `ForceOff` to off.
const FORCE_OFF_SECONDS: u64 = 5;
/// Seconds an obedient operating system takes to shut down.
const SHUTDOWN_SECONDS: u64 = 30;
/// Seconds that a restarting iDRAC is off the network (60 to 90 were measured).
const BMC_AWAY_SECONDS: u64 = 75;
/// Seconds after that until it is ready.
const BMC_NOT_READY_SECONDS: u64 = 165;
/// Seconds after off during which `On` answers 409, with the fault `on_conflict`.
const ON_CONFLICT_SECONDS: u64 = 60;

impl Bmc {
    /// `ComputerSystem.Reset`.
    ///
    /// # Errors
    /// The refusal an iDRAC answers with.
    pub fn reset(self: &Arc<Self>, kind: &str) -> Result<(), Failure> {
        let outcome = {
            let mut state = self.state();
            let outcome = self.try_reset(&mut state, kind);
            match &outcome {
                Ok(()) => {
                    state.kept.counters.resets += 1;
                    state.kept.counters.writes += 1;
                    *state.kept.counters.resets_by_type.entry(kind.to_owned()).or_default() += 1;
                    let (id, text) = match kind {
                        "ForceRestart" => ("RAC0703", "Requested system hard reset."),
                        "ForceOff" | "PowerCycle" => ("RAC0704", "Requested system power-off."),
                        "Nmi" => ("RAC0706", "Requested non-maskable interrupt."),
                        _ => ("RAC0705", "Requested system power control: %1."),
                    };
                    state.log(id, "OK", "Audit", text, &[kind]);
                }
                Err(_) => state.kept.counters.resets_refused += 1,
            }
            outcome
        };
        self.save();
        outcome
    }

    fn try_reset(self: &Arc<Self>, state: &mut State, kind: &str) -> Result<(), Failure> {
        if state.kept.faults.reset_refused {
            return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "PWR2274"));
        }
        let on = state.kept.power_on;
        let already_on = Failure::new(StatusCode::CONFLICT, "PSU501");
        let already_off = Failure::new(StatusCode::CONFLICT, "PSU502");
        match kind {
            "On" if on => Err(already_on),
            "On" => {
                if state.kept.faults.on_conflict && self.off_for_less_than(state, ON_CONFLICT_SECONDS) {
                    return Err(already_on);
                }
                self.power_up(state);
                Ok(())
            }
            "PushPowerButton" if !on => {
                self.power_up(state);
                Ok(())
            }
            "ForceOff" | "ForceRestart" | "GracefulRestart" | "GracefulShutdown" | "PowerCycle" | "Nmi" if !on => {
                Err(already_off)
            }
            "ForceOff" => {
                let seconds = state.kept.faults.slow_power_off.unwrap_or(FORCE_OFF_SECONDS);
                self.go_off_in(state, seconds);
                Ok(())
            }
            "GracefulShutdown" | "PushPowerButton" => {
                self.ask_to_shut_down(state);
                Ok(())
            }
            "ForceRestart" => {
                self.begin(state, Start::Warm);
                Ok(())
            }
            "GracefulRestart" => {
                if state.live.phase.has_os() && !state.kept.faults.deaf_to_graceful {
                    self.begin(state, Start::Warm);
                }
                Ok(())
            }
            "PowerCycle" => {
                self.begin(state, Start::Cycle);
                Ok(())
            }
            "Nmi" => Ok(()),
            other => Err(Failure::bad_value("ResetType", other)),
        }
    }

    fn off_for_less_than(&self, state: &State, seconds: u64) -> bool {
        let window = self.shared.scale.shorten(Duration::from_secs(seconds));
        state.live.off_since.is_some_and(|since| (Utc::now() - since).to_std().is_ok_and(|passed| passed < window))
    }

    fn power_up(self: &Arc<Self>, state: &mut State) {
        if state.kept.faults.power_stuck {
            return;
        }
        self.begin(state, Start::Cold);
    }

    fn ask_to_shut_down(self: &Arc<Self>, state: &mut State) {
        if state.live.phase.has_os() && state.kept.faults.deaf_to_graceful {
            return;
        }
        if state.live.phase.has_os() && self.vm_press_button() {
            return;
        }
        // Before an operating system runs, the power button just cuts the power.
        let seconds = if state.live.phase.has_os() { SHUTDOWN_SECONDS } else { FORCE_OFF_SECONDS };
        self.go_off_in(state, seconds);
    }

    /// Goes off after some seconds, unless something else happens to the power first.
    pub(crate) fn go_off_in(self: &Arc<Self>, state: &mut State, seconds: u64) {
        state.live.epoch += 1;
        let epoch = state.live.epoch;
        let bmc = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(bmc.shared.scale.shorten(Duration::from_secs(seconds))).await;
            if bmc.host_gone(epoch).await.is_some() {
                let mut state = bmc.state();
                if state.live.epoch == epoch {
                    bmc.went_off(&mut state);
                }
            }
            bmc.save();
        });
    }

    /// The host switched itself off.
    pub(crate) fn host_switched_off(&self) {
        {
            let mut state = self.state();
            if !state.kept.power_on {
                return;
            }
            state.live.epoch += 1;
            self.went_off(&mut state);
        }
        self.save();
    }

    /// The host restarted itself.
    pub(crate) fn host_reset_itself(self: &Arc<Self>) {
        let mut state = self.state();
        if state.kept.power_on {
            self.begin(&mut state, Start::Warm);
        }
    }

    /// Full virtual AC cycle; the host must be off.
    ///
    /// # Errors
    /// PSU507 while the host is on.
    pub fn ac_cycle(self: &Arc<Self>, finally_on: bool) -> Result<(), Failure> {
        {
            let mut state = self.state();
            if state.kept.power_on {
                return Err(Failure::new(StatusCode::CONFLICT, "PSU507"));
            }
            state.kept.counters.writes += 1;
            state.kept.bmc_started = Some(Utc::now());
            state.live.logins.close_all();
            if finally_on {
                self.power_up(&mut state);
            }
            state.live.dirty = true;
        }
        self.save();
        Ok(())
    }

    /// Restart of the iDRAC itself: it leaves the network, comes back and is not ready for a while. Sessions end and virtual
    /// media are lost; the host is not touched.
    pub fn restart_bmc(&self) {
        {
            let mut state = self.state();
            state.live.logins.close_all();
            for slot in &mut state.kept.media {
                *slot = super::media::Slot::default();
            }
            let away = std::time::Instant::now() + self.shared.scale.shorten(Duration::from_secs(BMC_AWAY_SECONDS));
            state.live.away_until = Some(away);
            let ready = self.shared.scale.shorten(Duration::from_secs(BMC_NOT_READY_SECONDS));
            state.live.not_ready_until = Some(away + ready);
            state.kept.faults.media_in_use = false;
            state.kept.bmc_started = Some(Utc::now());
            state.kept.counters.bmc_resets += 1;
            state.kept.counters.writes += 1;
            state.log("RAC0182", "OK", "Audit", "The iDRAC was rebooted: %1.", &["user initiated"]);
        }
        self.save();
    }
}
