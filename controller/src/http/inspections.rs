//! Inspections: read the hardware of a selection.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use helix_api::bulk::Bulk;
use helix_api::workflow::InspectRequest;
use helix_inventory::plan::{self, WorkflowKind};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::actor::Operator;
use super::body::Body;
use super::{Answer, bulks as bulk_pages, selection};
use crate::app::App;
use crate::bulk;
use crate::store::bulks::{self, NewItem};
use crate::workflow::{self, NewWorkflow, StartError};

/// Reads the hardware of the selected nodes over Redfish; nothing is written to them.
#[utoipa::path(post, path = "/api/v1/inspections", tag = "nodes", request_body = InspectRequest,
    responses((status = 202, body = Bulk), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn create(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Body(request): Body<InspectRequest>,
) -> Answer<(StatusCode, Json<Bulk>)> {
    let nodes = selection::to_act_on(&app.db, &request.selection).await?;
    let title = format!("Inspect {}", counted(nodes.len()));
    let mut tx = app.db.begin().await?;
    let made = bulk::create(&mut tx, "inspect", &title, &actor.name, &json!(request.selection)).await?;
    let mut items = Vec::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        let new = NewWorkflow {
            kind: WorkflowKind::Inspect,
            node_id: node.id,
            plan: plan::inspect(),
            bulk_id: Some(made.id),
            created_by: actor.name.clone(),
        };
        items.push(start(&mut tx, place, &node.name, new).await?);
    }
    bulks::insert_items(&mut *tx, made.id, &items).await?;
    actor
        .record(
            &mut *tx,
            "inspection.create",
            ("bulk", made.id.to_string(), &made.public_id),
            json!({ "nodes": nodes.len() }),
        )
        .await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(bulk_pages::by_id(&app.db, made.id).await?)))
}

/// `1 node`, `19 nodes`.
pub(super) fn counted(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

/// Starts a workflow as an item of a bulk action; what keeps it from starting is the item's refusal.
pub(super) async fn start(conn: &mut PgConnection, place: usize, label: &str, new: NewWorkflow) -> Answer<NewItem> {
    let node_id: Option<Uuid> = Some(new.node_id);
    let item = NewItem {
        position: i32::try_from(place + 1).unwrap_or(i32::MAX),
        label: label.to_owned(),
        input: Value::Object(serde_json::Map::new()),
        node_id,
        ..NewItem::default()
    };
    let refused = |code: String, message: String, next: String| NewItem {
        state: "refused".to_owned(),
        code: Some(code),
        message: Some(message),
        next: Some(next),
        ..item.clone()
    };
    match workflow::start(conn, new).await {
        Ok(started) => Ok(NewItem { state: "running".to_owned(), workflow_id: Some(started.id), ..item }),
        Err(StartError::Busy { public_id }) => Ok(refused(
            "node_busy".to_owned(),
            format!("{public_id} is under way on {label}"),
            format!("helixctl workflow show {public_id}"),
        )),
        Err(StartError::Refused { code, message, next }) => Ok(refused(code, message, next)),
        Err(StartError::Store(error)) => Err(error.into()),
    }
}
