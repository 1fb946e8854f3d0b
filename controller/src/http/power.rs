//! Power of a selection: one bulk action, an item a node.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use helix_api::bulk::Bulk;
use helix_api::node::PowerRequest;
use serde_json::json;

use super::actor::Operator;
use super::body::Body;
use super::inspections::counted;
use super::{Answer, bulks as bulk_pages, selection};
use crate::app::App;
use crate::bulk::{self, PowerInput};
use crate::store::bulks::{self, NewItem};

/// Switches power of the selected nodes. Nodes with a workflow under way are refused, each for itself.
#[utoipa::path(post, path = "/api/v1/power", tag = "nodes", request_body = PowerRequest,
    responses((status = 202, body = Bulk), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn create(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Body(request): Body<PowerRequest>,
) -> Answer<(StatusCode, Json<Bulk>)> {
    let nodes = selection::to_act_on(&app.db, &request.selection).await?;
    let title = format!("{} {}", bulk::power_title(request.action), counted(nodes.len()));
    let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
    let mut tx = app.db.begin().await?;
    let under_way: std::collections::HashMap<_, _> =
        bulks::open_power_nodes(&mut *tx, &ids).await?.into_iter().collect();
    let made = bulk::create(&mut tx, "power", &title, &actor.name, &json!(request)).await?;
    let input = serde_json::to_value(PowerInput { action: request.action, before: None })?;
    let items: Vec<NewItem> = nodes
        .iter()
        .enumerate()
        .map(|(place, node)| {
            let item = NewItem {
                position: i32::try_from(place + 1).unwrap_or(i32::MAX),
                label: node.name.clone(),
                input: input.clone(),
                node_id: Some(node.id),
                state: "waiting".to_owned(),
                ..NewItem::default()
            };
            match under_way.get(&node.id) {
                None => item,
                Some(other) => NewItem {
                    state: "refused".to_owned(),
                    code: Some("power_under_way".to_owned()),
                    message: Some(format!("{other} is switching the power of {} already", node.name)),
                    next: Some(format!("helixctl bulk show {other}")),
                    ..item
                },
            }
        })
        .collect();
    bulks::insert_items(&mut *tx, made.id, &items).await?;
    let detail = json!({ "action": request.action, "nodes": nodes.len() });
    actor.record(&mut *tx, "power.create", ("bulk", made.id.to_string(), &made.public_id), detail).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(bulk_pages::by_id(&app.db, made.id).await?)))
}
