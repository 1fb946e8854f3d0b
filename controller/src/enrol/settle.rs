//! Writes what an enrolment found: a new node, an update of a known one, or why neither. One transaction with the end of
//! the line, so that a crash leaves no node without its line and no line without its node.

use std::sync::Arc;

use helix_inventory::plan::{self, WorkflowKind};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::failure::{Ended, Failure};
use super::identify::{self, Identity};
use super::item::Input;
use crate::app::App;
use crate::http::address;
use crate::store::audit::{self, NewAudit};
use crate::store::bulks::{self, Claimed, Outcome};
use crate::store::events::{self, NewEvent};
use crate::store::nodes::{self, Known, NewNode, ReEnrolled};
use crate::store::{StoreError, bmcs};
use crate::workflow::{self, NewWorkflow, StartError};

/// Longest host name label.
const LONGEST_NAME: usize = 63;

/// Settles one line.
pub(super) async fn settle(
    app: &Arc<App>,
    item: &Claimed,
    input: &Input,
    bmc: Uuid,
    credential: &str,
    identity: &Identity,
) -> Result<(), Ended> {
    let tag = identity.service_tag.as_str();
    let here = nodes::of_bmc(&app.db, bmc).await?;
    match (here, nodes::by_tag(&app.db, tag).await?) {
        (Some(node), _) if node.service_tag == tag => again(app, item, input, &node, identity).await,
        (Some(node), _) => Err(swapped(app, item, &node, tag).await?),
        (None, Some(other)) => {
            // The address is free again for `node edit --address`.
            app.bmcs.forget(bmc).await;
            nodes::forget_bmc(&app.db, bmc).await?;
            Err(elsewhere(&other, &input.line.address().to_string()).into())
        }
        (None, None) => new(app, item, input, bmc, credential, identity).await,
    }
}

fn elsewhere(other: &Known, here: &str) -> Failure {
    Failure::new(
        "node_known_elsewhere",
        format!(
            "service tag {} is {} already, whose BMC is {}",
            other.service_tag,
            other.name,
            address(&other.host, other.port)
        ),
    )
    .next(format!("If its BMC moved: helixctl node edit {} --address {here}", other.name))
}

/// Known address, other machine: contact stops until a person looked.
async fn swapped(app: &App, item: &Claimed, node: &Known, tag: &str) -> Result<Ended, Ended> {
    let reason = format!(
        "board or chassis swapped? The BMC at {} now says service tag {tag}, and {} is {}",
        address(&node.host, node.port),
        node.name,
        node.service_tag
    );
    let mut tx = app.db.begin().await?;
    bmcs::stop(&mut tx, node.bmc_id, "board_swapped", &reason).await?;
    event(&mut tx, node.id, "critical", "board_swapped", &reason).await?;
    record(&mut tx, item, "node.contact_stopped", node.id, &node.name, json!({ "service_tag": tag })).await?;
    tx.commit().await?;
    app.bmcs.forget(node.bmc_id).await;
    Ok(Failure::new("board_swapped", reason)
        .next(format!("helixctl node remove {} --no-contact, then enrol again", node.name))
        .into())
}

/// A known node: rack, position and labels, nothing else. (The credential was set before the login.)
async fn again(app: &App, item: &Claimed, input: &Input, node: &Known, identity: &Identity) -> Result<(), Ended> {
    let line = &input.line;
    let labels = line.labels.as_ref().map(|labels| json!(labels));
    let mut tx = app.db.begin().await?;
    let update = ReEnrolled { rack: line.rack.as_deref(), position: line.position, labels: labels.as_ref() };
    let changed = nodes::enrolled_again(&mut *tx, node.id, &update).await?;
    bmcs::set_about(&mut tx, node.bmc_id, &identify::about(identity)).await?;
    if changed {
        let detail =
            json!({ "bulk": item.public_id, "rack": line.rack, "position": line.position, "labels": line.labels });
        record(&mut tx, item, "node.enrol_again", node.id, &node.name, detail).await?;
    }
    let message = if changed { "known already: updated" } else { "known already: nothing to change" };
    finish(&mut tx, app, item, input, node.id, message).await?;
    tx.commit().await?;
    Ok(())
}

async fn new(
    app: &App,
    item: &Claimed,
    input: &Input,
    bmc: Uuid,
    credential: &str,
    identity: &Identity,
) -> Result<(), Ended> {
    let line = &input.line;
    let tag = identity.service_tag.as_str();
    let name = line.name.clone().unwrap_or_else(|| name_of_tag(tag));
    let id = Uuid::now_v7();
    let labels = line.labels.as_ref().map_or_else(|| json!({}), |labels| json!(labels));
    let boot_network = line
        .boot_network
        .as_ref()
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| StoreError::unreadable("a boot network", error))?;
    let node = NewNode {
        id,
        service_tag: tag,
        name: &name,
        bmc_id: bmc,
        rack: line.rack.as_deref(),
        position: line.position,
        labels: &labels,
        boot_network: boot_network.as_ref(),
        manufacturer: identity.manufacturer.as_deref(),
        model: identity.model.as_deref(),
        power: identity.power,
    };
    let mut tx = app.db.begin().await?;
    if let Err(error) = nodes::insert(&mut *tx, &node).await {
        return Err(match error.constraint() {
            Some("nodes_name_key") => Failure::new("name_taken", format!("the name {name} is taken by another node"))
                .next("Give the line another name, or the other node: helixctl node edit NODE --name NAME")
                .into(),
            Some("nodes_service_tag_key" | "nodes_bmc_id_key") => Failure::new(
                "enrolled_twice",
                format!("service tag {tag} was enrolled by another line at the same moment"),
            )
            .next("Enrol the line again if it should be updated.")
            .into(),
            _ => Ended::Store(error),
        });
    }
    bmcs::set_about(&mut tx, bmc, &identify::about(identity)).await?;
    let from = item.request.get("source").and_then(Value::as_str).unwrap_or("a list");
    let message = format!("Enrolled by {} from {from}, line {}.", item.created_by, line.line);
    event(&mut tx, id, "info", "enrolled", &message).await?;
    let detail = json!({
        "bulk": item.public_id, "service_tag": tag, "address": line.address().to_string(), "credential": credential,
    });
    record(&mut tx, item, "node.enrol", id, &name, detail).await?;
    finish(&mut tx, app, item, input, id, "enrolled").await?;
    tx.commit().await?;
    Ok(())
}

/// A host name made of a tag: Dell's are letters and digits, others hold anything.
fn name_of_tag(tag: &str) -> String {
    let clean: String =
        tag.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let clean: String = clean.trim_matches('-').chars().take(LONGEST_NAME).collect();
    clean.trim_matches('-').to_owned()
}

/// Ends the line, or hands it to the inspection that was asked for.
async fn finish(
    tx: &mut PgConnection,
    app: &App,
    item: &Claimed,
    input: &Input,
    node: Uuid,
    message: &str,
) -> Result<(), Ended> {
    let mut outcome =
        Outcome { state: "done", message: Some(message.to_owned()), node_id: Some(node), ..Outcome::default() };
    if input.inspect {
        let new = NewWorkflow {
            kind: WorkflowKind::Inspect,
            node_id: node,
            plan: plan::inspect(),
            bulk_id: Some(item.bulk_id),
            created_by: item.created_by.clone(),
        };
        match workflow::start(&mut *tx, new).await {
            Ok(started) => {
                outcome.state = "running";
                outcome.workflow_id = Some(started.id);
            }
            // The node is at work already: enrolled it is, and its workflow reads the hardware or has done so.
            Err(StartError::Busy { public_id, .. }) => {
                outcome.message = Some(format!("{message}; not inspected, {public_id} is under way"));
            }
            Err(StartError::Refused { message: why, .. }) => {
                outcome.message = Some(format!("{message}; not inspected: {why}"));
            }
            Err(StartError::Store(error)) => return Err(error.into()),
        }
    }
    if bulks::finish(&mut *tx, item.bulk_id, item.position, app.instance, &outcome).await? {
        Ok(())
    } else {
        // Somebody else has the line: what this transaction wrote must not stay.
        Err(Ended::Store(StoreError::Stale { what: "line" }))
    }
}

async fn event(tx: &mut PgConnection, node: Uuid, severity: &str, code: &str, message: &str) -> Result<(), StoreError> {
    let new = NewEvent { node_id: node, source: "helix", severity, code: Some(code), message, workflow_id: None };
    events::insert(tx, &new).await
}

async fn record(
    tx: &mut PgConnection,
    item: &Claimed,
    action: &str,
    node: Uuid,
    name: &str,
    detail: Value,
) -> Result<(), StoreError> {
    let line = NewAudit {
        actor: &item.created_by,
        action,
        object_kind: "node",
        object_id: Some(node.to_string()),
        object_name: Some(name.to_owned()),
        outcome: "done",
        detail,
        request_id: None,
    };
    audit::insert(tx, &line).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_becomes_a_host_name() {
        assert_eq!(name_of_tag("2CQH9V4"), "2cqh9v4");
        assert_eq!(name_of_tag("..SN 0815/A.."), "sn-0815-a");
        assert_eq!(name_of_tag(&"A".repeat(80)).len(), 63);
    }
}
