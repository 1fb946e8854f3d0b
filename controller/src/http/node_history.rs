//! What happened to a node: its events, and how its hardware changed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use helix_api::node::{HardwareChange, NodeEvent};
use helix_api::page::Page;

use super::Answer;
use super::actor::Viewer;
use super::params::Params;
use super::selection;
use crate::app::App;
use crate::store::nodes;

/// Lines of a page unless asked otherwise: what a person reads before they narrow it.
const PAGE: i64 = 100;
/// Lines of a page at most.
const LARGEST_PAGE: i64 = 1_000;

/// Events of a node, newest first.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/events", tag = "nodes",
    params(("node" = String, Path), ("limit" = Option<u32>, Query, description = "1 to 1000; 100 unless given"),
        ("before" = Option<i64>, Query, description = "Id of the last event of the page before")),
    responses((status = 200, body = Page<NodeEvent>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn events(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    params: Params,
) -> Answer<Json<Page<NodeEvent>>> {
    params.only(&["limit", "before"])?;
    let node = selection::one(&app.db, &node).await?;
    let limit = params.number("limit", 1, LARGEST_PAGE)?.unwrap_or(PAGE);
    let before = params.number("before", 0, i64::MAX)?;
    let rows = nodes::events(&app.db, node.id, before, limit).await?;
    let (total, _) = nodes::history_size(&app.db, node.id).await?;
    let next = rows.last().filter(|_| rows.len() as i64 == limit).map(|row| row.id.to_string());
    let items = rows
        .into_iter()
        .map(|row| NodeEvent {
            id: row.id,
            at: row.at,
            source: row.source,
            severity: row.severity,
            code: row.code,
            message: row.message,
            workflow: row.workflow,
        })
        .collect();
    Ok(Json(Page { items, next, total: u64::try_from(total).unwrap_or_default() }))
}

/// What changed between collections of a node's hardware, newest first.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/hardware/history", tag = "nodes",
    params(("node" = String, Path), ("limit" = Option<u32>, Query), ("before" = Option<i64>, Query)),
    responses((status = 200, body = Page<HardwareChange>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn hardware(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    params: Params,
) -> Answer<Json<Page<HardwareChange>>> {
    params.only(&["limit", "before"])?;
    let node = selection::one(&app.db, &node).await?;
    let limit = params.number("limit", 1, LARGEST_PAGE)?.unwrap_or(PAGE);
    let before = params.number("before", 0, i64::MAX)?;
    let rows = nodes::hardware_changes(&app.db, node.id, before, limit).await?;
    let (_, total) = nodes::history_size(&app.db, node.id).await?;
    let next = rows.last().filter(|_| rows.len() as i64 == limit).map(|row| row.id.to_string());
    let items = rows
        .into_iter()
        .map(|row| HardwareChange {
            id: row.id,
            at: row.at,
            section: row.section,
            part: row.part,
            kind: row.kind,
            summary: row.summary,
            before: row.before,
            after: row.after,
        })
        .collect();
    Ok(Json(Page { items, next, total: u64::try_from(total).unwrap_or_default() }))
}
