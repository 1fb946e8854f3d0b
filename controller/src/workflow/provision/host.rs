//! The host as its BMC shows it: power, POST, and how long each may take.

use std::time::Duration;

use redfish_client::{MachineState, PowerState};
use serde_json::{Value, json};

use crate::bmc::Bmc;
use crate::store::node_state;
use crate::workflow::context::StepContext;
use crate::workflow::outcome::{Limit, Stop};
use crate::workflow::power_word;

/// How often a host is looked at while it is on its way: one small request, and a BMC shows a change within seconds.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// Longest silence inside POST, by model. A cold POST of an XE9680 takes 8 to 15 min and its longest silent stretch is
/// memory training; each limit is about twice what was seen or told of the model.
const POST: &[(&str, Limit)] = &[
    ("R660", Limit::minutes(12, "POST of an R660 takes 3 to 6 min")),
    ("R760xa", Limit::minutes(15, "POST of an R760xa with GPUs takes 5 to 8 min")),
    ("XE8640", Limit::minutes(20, "POST of an XE8640 takes 6 to 10 min")),
    ("XE9680", Limit::minutes(30, "POST of an XE9680 takes 8 to 15 min")),
];

/// For a model that is not in the table.
const POST_ELSE: Limit = Limit::minutes(30, "of an unknown model the slowest known POST is assumed");

/// Limit on silence inside POST.
pub(super) fn post_limit(model: Option<&str>) -> Limit {
    let model = model.unwrap_or_default();
    POST.iter().find(|(name, _)| model.contains(name)).map_or(POST_ELSE, |(_, limit)| *limit)
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Off,
    /// In POST; the text changes with every sign of progress.
    Post(String),
    /// POST is over, or the BMC tells nothing of it.
    Up,
    /// It stands at a prompt of the firmware and waits for a person.
    Prompt(String),
}

/// One look at a host.
pub(super) struct Host {
    pub(super) bmc: Bmc,
    pub(super) state: MachineState,
}

impl Host {
    /// Reads power and boot progress, and notes the power state where it changed.
    pub(super) async fn look(ctx: &mut StepContext) -> Result<Self, Stop> {
        let bmc = ctx.app().bmcs.client(ctx.node.bmc_id).await?;
        let state = bmc.told(bmc.state().await).await?;
        let word = state.power.as_ref().map_or("unknown", power_word);
        if word != ctx.node.power {
            let mut tx = ctx.begin().await?;
            node_state::set_power(&mut tx, ctx.node.id, word).await?;
            tx.commit().await?;
            word.clone_into(&mut ctx.node.power);
        }
        Ok(Self { bmc, state })
    }

    pub(super) fn is_off(&self) -> bool {
        self.state.power == Some(PowerState::Off)
    }

    /// What an intent keeps of the host, to compare the BMC with itself later.
    pub(super) fn before(&self) -> Value {
        json!({
            "power": self.state.power.as_ref().map(ToString::to_string),
            "last_reset_time": self.state.last_reset_time,
            "boot_progress": self.state.boot_progress,
        })
    }

    /// Whether anything of the host differs from what an intent kept.
    pub(super) fn differs_from(&self, before: &Value) -> bool {
        let now = self.before();
        ["power", "last_reset_time", "boot_progress"].iter().any(|key| before.get(key) != now.get(key))
    }

    /// Where the host is on its way up. One more request on Dell, which tells more than the standard.
    pub(super) async fn place(&self) -> Result<Place, Stop> {
        if self.is_off() {
            return Ok(Place::Off);
        }
        let progress = self.state.boot_progress.as_deref().unwrap_or("None");
        if matches!(progress, "OSBootStarted" | "OSRunning") {
            return Ok(Place::Up);
        }
        let is_dell = self.bmc.told(self.bmc.root().await).await?.is_dell();
        if !is_dell {
            return Ok(match progress {
                "None" | "OEM" => Place::Up,
                other => Place::Post(other.to_owned()),
            });
        }
        let status = self.bmc.told(self.bmc.lifecycle_status().await).await?;
        let server = status.server_status.clone().unwrap_or_default();
        if status.needs_a_person() {
            return Ok(Place::Prompt(server));
        }
        if status.is_out_of_post() {
            return Ok(Place::Up);
        }
        Ok(Place::Post(format!("{progress}/{server}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_its_own_limit_and_an_unknown_one_the_longest() {
        assert_eq!(post_limit(Some("PowerEdge R660")).after, Duration::from_secs(12 * 60));
        assert_eq!(post_limit(Some("PowerEdge XE9680")).after, Duration::from_secs(30 * 60));
        assert_eq!(post_limit(None).after, Duration::from_secs(30 * 60));
    }
}
