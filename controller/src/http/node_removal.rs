//! Removing a node: Helix lets go of it and says what stays behind. Power and disks are never touched.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use helix_api::node::Removed;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::actor::{Actor, Admin};
use super::params::Params;
use super::problem::Refused;
use super::{Answer, selection};
use crate::app::App;
use crate::bmc::BmcError;
use crate::chain::Chain;
use crate::store::nodes::{self, NodeRow};
use crate::store::{StoreError, workflows};
use crate::workflow;

/// How long a cancelled workflow may take to its safe point before the caller is told to come back: most steps reach one
/// within seconds, the request itself may take 3 min.
const CANCEL_WAIT: Duration = Duration::from_secs(60);
/// Between looks at it.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long the BMC may take for the farewell: an eject and a logout, 18 s each when it is busy.
const FAREWELL: Duration = Duration::from_secs(60);

/// Removes a node: closes the session, ejects Helix's own medium, revokes the agent; audit and history stay under the tag.
#[utoipa::path(delete, path = "/api/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path),
        ("cancel_first" = Option<bool>, Query, description = "Cancel the workflow under way first"),
        ("no_contact" = Option<bool>, Query, description = "Do not talk to the BMC: for one that is dead")),
    responses((status = 200, body = Removed), (status = "4XX", body = helix_api::problem::Problem),
        (status = 502, body = helix_api::problem::Problem)))]
pub(crate) async fn remove(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    params: Params,
) -> Answer<Json<Removed>> {
    params.only(&["cancel_first", "no_contact"])?;
    let (cancel_first, no_contact) = (params.flag("cancel_first")?, params.flag("no_contact")?);
    let names = selection::one(&app.db, &node).await?;
    let row = nodes::get(&app.db, names.id).await?.ok_or(StoreError::NotFound { what: "node" })?;
    let mut left_behind = Vec::new();
    end_workflow(&app, &actor, &row, cancel_first, no_contact, &mut left_behind).await?;
    if no_contact {
        left_behind.push(format!(
            "On the BMC at {}: Helix's session (it ends by itself after 30 min), and a deploy medium if one was inserted.",
            super::node_view::address(&row.bmc_host, row.bmc_port)
        ));
    } else {
        farewell(&app, &row, &mut left_behind).await?;
    }
    if row.joined_at.is_some() {
        left_behind.push(
            "On the node: the agent. Its certificate works no more; it keeps knocking until it is removed.".to_owned(),
        );
    }
    if let Some(image) = &row.image_name {
        left_behind.push(format!("On the node: its operating system ({image}), running or not as it was."));
    }
    let mut tx = app.db.begin().await?;
    if let Some(open) = workflows::open_of_node(&mut tx, row.id).await? {
        return Err(busy(&row, &open.public_id, &open.kind));
    }
    nodes::remove(&mut tx, row.id, &actor.name).await?;
    let detail = json!({
        "service_tag": row.service_tag, "no_contact": no_contact, "left_behind": left_behind,
        "address": super::node_view::address(&row.bmc_host, row.bmc_port),
        "certificate_sha256": row.certificate_sha256.as_ref().map(hex::encode),
    });
    actor.record(&mut *tx, "node.remove", ("node", row.id.to_string(), &row.name), detail).await?;
    tx.commit().await?;
    Ok(Json(Removed { name: row.name, service_tag: row.service_tag, left_behind }))
}

fn busy(row: &NodeRow, public_id: &str, kind: &str) -> Refused {
    Refused::conflict("node_busy", format!("{public_id} ({kind}) is under way on {}. Nothing was changed.", row.name))
        .next(format!("helixctl node remove {} --cancel-first", row.name))
}

/// Makes sure that no workflow is under way: cancels it when that was asked for, and waits for its safe point.
async fn end_workflow(
    app: &Arc<App>,
    actor: &Actor,
    row: &NodeRow,
    cancel_first: bool,
    no_contact: bool,
    left_behind: &mut Vec<String>,
) -> Answer<()> {
    let Some(open) = open(app, row.id).await? else { return Ok(()) };
    if !cancel_first {
        return Err(busy(row, &open.public_id, &open.kind));
    }
    // Without contact there is no safe point to be reached: it is abandoned, and says what that leaves.
    let cancelled = workflow::cancel(app, open.id, &actor.name, no_contact, Some("the node is removed")).await;
    match cancelled {
        Ok(workflow::Cancelled::Abandoned { left_behind: left }) => left_behind.extend(left),
        Ok(workflow::Cancelled::Requested) | Err(workflow::AnswerError::Finished { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let until = Instant::now() + app.clock.scaled(CANCEL_WAIT);
    while self::open(app, row.id).await?.is_some() {
        if Instant::now() >= until {
            return Err(Refused::conflict(
                "workflow_still_ending",
                format!(
                    "{} was asked to end and has not reached its safe point yet; {} stays.",
                    open.public_id, row.name
                ),
            )
            .next(format!("helixctl workflow watch {}", open.public_id))
            .next(format!("Then again: helixctl node remove {}", row.name)));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let mut conn = app.db.acquire().await?;
    left_behind.extend(workflows::get(&mut conn, open.id).await?.and_then(|ended| ended.left_behind));
    left_behind.dedup();
    Ok(())
}

async fn open(app: &App, node: Uuid) -> Answer<Option<workflows::WorkflowRow>> {
    let mut conn = app.db.acquire().await?;
    Ok(workflows::open_of_node(&mut conn, node).await?)
}

/// Ejects Helix's own medium and closes the session.
async fn farewell(app: &App, row: &NodeRow, left_behind: &mut Vec<String>) -> Answer<()> {
    let took_leave = tokio::time::timeout(FAREWELL, eject_own_medium(app, row)).await;
    let error = match took_leave {
        Ok(Ok(true)) => None,
        Ok(Ok(false)) => {
            left_behind.push("On the BMC: virtual media that is not Helix's own stays inserted.".to_owned());
            None
        }
        Ok(Err(error)) => Some(Chain(&error).to_string()),
        Err(_) => Some(format!("it did not answer within {} s", FAREWELL.as_secs())),
    };
    if let Some(error) = error {
        return Err(Refused::new(
            StatusCode::BAD_GATEWAY,
            "bmc_unreachable",
            format!("The BMC of {} could not be told that Helix leaves. Nothing was changed.", row.name),
        )
        .because(error)
        .next(format!("If it is dead: helixctl node remove {} --no-contact", row.name)));
    }
    app.bmcs.forget(row.bmc_id).await;
    Ok(())
}

/// Whether the slot is empty afterwards; a medium of somebody else is left alone.
async fn eject_own_medium(app: &App, row: &NodeRow) -> Result<bool, BmcError> {
    let bmc = app.bmcs.client(row.bmc_id).await?;
    let slot = match bmc.media_slot().await {
        Err(redfish_client::RedfishError::NotSupported { .. }) => return Ok(true),
        slot => bmc.told(slot).await?,
    };
    let state = bmc.told(bmc.media_state(&slot).await).await?;
    match &state.image {
        _ if !state.inserted => Ok(true),
        Some(url) if ours(app, row, url) => {
            bmc.told(bmc.eject_media(&slot).await).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Whether a URL is one that this controller hands out.
fn ours(app: &App, row: &NodeRow, url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let host = row.bmc_host.parse().ok().and_then(|ip| app.advertise.media_for(ip).ok());
    let authority = url.host_str().map(|name| format!("{name}:{}", url.port_or_known_default().unwrap_or_default()));
    url.path().starts_with("/media/") && (host.is_none() || host == authority)
}
