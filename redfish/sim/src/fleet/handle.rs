//! A running fleet: what tests and demos ask of it and do to it, and its end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Fleet;
use crate::machine::Bmc;
use crate::machine::counters::Counters;

/// A running fleet.
#[derive(Debug)]
pub struct FleetHandle {
    pub(super) fleet: Arc<Fleet>,
    pub(super) port: u16,
    pub(super) control_address: Option<SocketAddr>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl FleetHandle {
    /// Port of all BMCs.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the control API listens, when it was asked for.
    #[must_use]
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// What tests and demos may ask and change.
    #[must_use]
    pub fn control(&self) -> FleetControl<'_> {
        FleetControl { fleet: &self.fleet }
    }

    /// The machines.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Stops the listeners and the host program and writes all state.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Some(host) = self.fleet.shared.host() {
            host.stopped().await;
        }
        for bmc in self.fleet.order.iter().filter(|bmc| bmc.config.vm) {
            bmc.vm_cut_power().await;
        }
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the simulator ended badly");
            }
        }
        self.fleet.save_all();
    }
}

/// Questions to and changes of a running fleet, in-process.
#[derive(Debug, Clone, Copy)]
pub struct FleetControl<'a> {
    pub(super) fleet: &'a Fleet,
}

/// No BMC has this address or service tag.
#[derive(Debug, thiserror::Error)]
#[error("find a BMC called '{0}'")]
pub struct NoSuchBmc(pub String);

impl FleetControl<'_> {
    fn find(&self, name: &str) -> Result<&Arc<Bmc>, NoSuchBmc> {
        self.fleet.find(name).ok_or_else(|| NoSuchBmc(name.to_owned()))
    }

    /// Counters of a BMC, by address or service tag.
    ///
    /// # Errors
    /// When there is no such BMC.
    pub fn counters(&self, name: &str) -> Result<Counters, NoSuchBmc> {
        Ok(self.find(name)?.state().kept.counters.clone())
    }

    /// Service tag that a BMC shows.
    ///
    /// # Errors
    /// When there is no such BMC.
    pub fn service_tag(&self, name: &str) -> Result<String, NoSuchBmc> {
        let bmc = self.find(name)?;
        let state = bmc.state();
        Ok(bmc.tag(&state))
    }

    /// Changes the faults of a BMC.
    ///
    /// # Errors
    /// When there is no such BMC.
    pub fn faults(&self, name: &str, change: impl FnOnce(&mut crate::fault::Faults)) -> Result<(), NoSuchBmc> {
        let bmc = self.find(name)?;
        {
            let mut state = bmc.state();
            change(&mut state.kept.faults);
            state.live.dirty = true;
        }
        bmc.save();
        Ok(())
    }

    /// Runs one of the actions of the control API (`pull_gpu`, `new_certificate`, …).
    ///
    /// # Errors
    /// When there is no such BMC or the action or its argument is not known.
    pub fn act(&self, name: &str, action: &str, argument: &serde_json::Value) -> anyhow::Result<()> {
        crate::control::act(self.find(name)?, action, argument)
    }
}
