//! Switches one node's power: look, write down what was seen, act once, look again.
//!
//! A reset is the one act that cannot simply be repeated. What was read before it is committed before it, and a controller
//! that takes an item over compares: when it cannot tell whether the reset happened, it says so instead of doing it again.

use std::sync::Arc;
use std::time::Duration;

use helix_api::node::PowerAction;
use redfish_client::{MachineState, ResetType};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::bmc::{Bmc, BmcError};
use crate::enrol::identify::power_word;
use crate::store::bulks::{self, Claimed, Outcome};
use crate::store::events::{self, NewEvent};
use crate::store::{StoreError, node_state, nodes, workflows};

/// How long an operating system may take to go down: most take 30 s, a loaded database server 90.
const GOES_DOWN_IN: Duration = Duration::from_secs(90);
/// How long a power state may take to follow a hard act: an iDRAC shows it within 10 s.
const FOLLOWS_IN: Duration = Duration::from_secs(60);
/// Between looks.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What is kept of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PowerInput {
    pub(crate) action: PowerAction,
    /// What was read just before the act; present as soon as the act may have happened.
    #[serde(default)]
    pub(crate) before: Option<Before>,
}

/// The BMC's own words before the act, to be compared with its own words afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    power: String,
    last_reset_time: Option<String>,
}

fn reset(action: PowerAction) -> ResetType {
    match action {
        PowerAction::On => ResetType::On,
        PowerAction::Off => ResetType::GracefulShutdown,
        PowerAction::ForceOff => ResetType::ForceOff,
        PowerAction::Restart => ResetType::GracefulRestart,
        PowerAction::ForceRestart => ResetType::ForceRestart,
        PowerAction::Cycle => ResetType::PowerCycle,
    }
}

/// The action as a title begins with it.
pub(crate) fn title(action: PowerAction) -> String {
    let words = words(action);
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The action in words.
fn words(action: PowerAction) -> &'static str {
    match action {
        PowerAction::On => "power on",
        PowerAction::Off => "shut down",
        PowerAction::ForceOff => "power off by force",
        PowerAction::Restart => "restart",
        PowerAction::ForceRestart => "restart by force",
        PowerAction::Cycle => "power-cycle",
    }
}

/// Whether the state that an action wants is there; `None` for a restart, which leaves the state as it was.
fn is_there(action: PowerAction, power: &str) -> Option<bool> {
    match action {
        PowerAction::On => Some(matches!(power, "on" | "turning_on")),
        PowerAction::Off | PowerAction::ForceOff => Some(power == "off"),
        PowerAction::Restart | PowerAction::ForceRestart | PowerAction::Cycle => None,
    }
}

fn ended(state: &'static str, code: Option<&str>, message: impl Into<String>, next: Option<String>) -> Option<Outcome> {
    Some(Outcome { state, code: code.map(str::to_owned), message: Some(message.into()), next, ..Outcome::default() })
}

/// Does one item. `None` when somebody else has it.
///
/// # Errors
/// When the database fails.
pub(super) async fn work(app: &Arc<App>, item: &Claimed) -> Result<Option<Outcome>, StoreError> {
    match switch(app, item).await {
        Ok(outcome) => Ok(outcome),
        Err(BmcError::Store(error)) => Err(error),
        Err(error) if error.outcome_unknown() => Ok(ended(
            "failed",
            Some("power_outcome_unknown"),
            format!("{error}. The BMC may have carried it out."),
            Some(format!("Look before you repeat: helixctl node show {}", item.label)),
        )),
        Err(error) => {
            let next = format!("helixctl node show {}", item.label);
            Ok(ended("failed", Some(error.code()), error.to_string(), Some(next)))
        }
    }
}

async fn switch(app: &Arc<App>, item: &Claimed) -> Result<Option<Outcome>, BmcError> {
    let mut input: PowerInput =
        serde_json::from_value(item.input.clone()).map_err(|error| StoreError::unreadable("a power action", error))?;
    let row = match item.node_id {
        Some(id) => nodes::get(&app.db, id).await?,
        None => None,
    };
    let Some(node) = row else {
        return Ok(ended("cancelled", Some("node_removed"), "The node was removed.", None));
    };
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let open = workflows::open_of_node(&mut conn, node.id).await?;
    drop(conn);
    if let Some(open) = open {
        return Ok(ended(
            "refused",
            Some("node_busy"),
            format!(
                "{} ({}) is under way on {}; its power is not touched meanwhile.",
                open.public_id, open.kind, node.name
            ),
            Some(format!("helixctl workflow show {}", open.public_id)),
        ));
    }
    let bmc = app.bmcs.client(node.bmc_id).await?;
    let seen = look(&bmc).await?;
    if is_there(input.action, &seen.power) == Some(true) {
        note(app, &node, &seen.power).await?;
        return Ok(ended("done", None, format!("is {} already", seen.power), None));
    }
    if let Some(before) = &input.before {
        if is_there(input.action, &seen.power).is_none() {
            // A restart that was begun: it happened when the BMC's own time of the last reset moved.
            return Ok(if before.last_reset_time.is_some() && before.last_reset_time != seen.last_reset_time {
                note(app, &node, &seen.power).await?;
                ended("done", None, format!("{} was done", words(input.action)), None)
            } else {
                ended(
                    "failed",
                    Some("power_outcome_unknown"),
                    "The controller was restarted while it asked the BMC; it cannot tell whether that happened, and does \
                     not reset a host twice.",
                    Some(format!("Look before you repeat: helixctl node show {}", node.name)),
                )
            });
        }
    } else if matches!(seen.power.as_str(), "off") && is_there(input.action, "off").is_none() {
        return Ok(ended(
            "refused",
            Some("power_is_off"),
            format!("{} is off: there is nothing to restart.", node.name),
            Some(format!("helixctl node power on {}", node.name)),
        ));
    }
    input.before = Some(seen.clone());
    let kept = serde_json::to_value(&input).map_err(|error| StoreError::unreadable("a power action", error))?;
    if !bulks::remember(&app.db, item.bulk_id, item.position, app.instance, &kept).await? {
        return Ok(None);
    }
    bmc.told(bmc.reset(reset(input.action)).await).await?;
    record(app, &node, item, input.action).await?;
    follow(app, &bmc, &node, input.action, &seen).await
}

async fn look(bmc: &Bmc) -> Result<Before, BmcError> {
    let MachineState { power, last_reset_time, .. } = bmc.told(bmc.state().await).await?;
    Ok(Before { power: power_word(power.as_ref()).to_owned(), last_reset_time })
}

/// Waits until the BMC shows what was asked for.
async fn follow(
    app: &App,
    bmc: &Bmc,
    node: &nodes::NodeRow,
    action: PowerAction,
    before: &Before,
) -> Result<Option<Outcome>, BmcError> {
    let limit = if action == PowerAction::Off { GOES_DOWN_IN } else { FOLLOWS_IN };
    let until = tokio::time::Instant::now() + app.clock.scaled(limit);
    loop {
        app.clock.sleep(LOOK_AGAIN).await;
        let seen = look(bmc).await?;
        let moved = before.last_reset_time.is_some() && seen.last_reset_time != before.last_reset_time;
        if is_there(action, &seen.power).unwrap_or(moved) {
            note(app, node, &seen.power).await?;
            return Ok(ended("done", None, format!("{}: is {}", words(action), seen.power), None));
        }
        if tokio::time::Instant::now() < until {
            continue;
        }
        note(app, node, &seen.power).await?;
        return Ok(match action {
            PowerAction::Off => ended(
                "failed",
                Some("power_stays_on"),
                format!("the operating system did not switch off in {} s; it is {}", limit.as_secs(), seen.power),
                Some(format!("helixctl node power off {} --force", node.name)),
            ),
            PowerAction::On | PowerAction::ForceOff => ended(
                "failed",
                Some("power_does_not_follow"),
                format!("the BMC took the order, and after {} s the host is {}", limit.as_secs(), seen.power),
                Some(format!("helixctl node events {}", node.name)),
            ),
            // Not every BMC tells the time of the last reset; the order was taken.
            PowerAction::Restart | PowerAction::ForceRestart | PowerAction::Cycle => {
                ended("done", None, format!("{}: the BMC took the order", words(action)), None)
            }
        });
    }
}

async fn note(app: &App, node: &nodes::NodeRow, power: &str) -> Result<(), StoreError> {
    let mut conn = app.db.acquire().await?;
    node_state::set_power(&mut conn, node.id, power).await
}

async fn record(app: &App, node: &nodes::NodeRow, item: &Claimed, action: PowerAction) -> Result<(), StoreError> {
    let message = format!("{} asked to {} the host ({}).", item.created_by, words(action), item.public_id);
    let event = NewEvent {
        node_id: node.id,
        source: "helix",
        severity: "info",
        code: Some("power_action"),
        message: &message,
        workflow_id: None,
    };
    let mut tx = app.db.begin().await?;
    events::insert(&mut tx, &event).await?;
    let line = crate::store::audit::NewAudit {
        actor: &item.created_by,
        action: "node.power",
        object_kind: "node",
        object_id: Some(node.id.to_string()),
        object_name: Some(node.name.clone()),
        outcome: "done",
        detail: json!({ "action": action, "bulk": item.public_id }),
        request_id: None,
    };
    crate::store::audit::insert(&mut *tx, &line).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_restart_has_no_state_to_wait_for() {
        assert_eq!(is_there(PowerAction::On, "turning_on"), Some(true));
        assert_eq!(is_there(PowerAction::Off, "turning_off"), Some(false));
        assert_eq!(is_there(PowerAction::Cycle, "on"), None);
    }
}
