//! Bulk actions: what they are doing, their items, and how to stop them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use helix_api::bulk::{Bulk, BulkCounts, BulkItem};
use helix_api::page::Page;
use helix_inventory::id::{IdKind, PublicId};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::Answer;
use super::actor::{Operator, Viewer};
use super::params::Params;
use super::problem::Refused;
use crate::app::App;
use crate::store::StoreError;
use crate::store::bulks::{self, BulkRow, Filter};
use crate::workflow::{self, AnswerError};

/// Bulk actions of a page unless asked otherwise.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 500;
const ITEM_STATES: [&str; 7] = ["waiting", "running", "done", "failed", "refused", "cancelled", "needs_human"];

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// A row as the API shows it.
pub(crate) fn view(row: BulkRow) -> Bulk {
    Bulk {
        id: row.public_id,
        kind: row.kind,
        title: row.title,
        created_by: row.created_by,
        created_at: row.created_at,
        finished_at: row.finished_at,
        cancelled_at: row.cancelled_at,
        counts: BulkCounts {
            total: count(row.total),
            waiting: count(row.waiting),
            running: count(row.running),
            done: count(row.done),
            failed: count(row.failed),
            refused: count(row.refused),
            cancelled: count(row.cancelled),
            needs_human: count(row.needs_human),
        },
    }
}

/// A bulk action by its row id.
pub(crate) async fn by_id(db: &PgPool, id: Uuid) -> Answer<Bulk> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    let row = bulks::list(db, filter, 1).await?.pop().ok_or(StoreError::NotFound { what: "bulk action" })?;
    Ok(view(row))
}

/// A bulk action by what a person typed.
async fn find(db: &PgPool, reference: &str) -> Answer<BulkRow> {
    let public_id = PublicId::parse(IdKind::Bulk, reference);
    let filter =
        Filter { id: reference.parse().ok(), public_id: public_id.as_ref().map(PublicId::as_str), before: None };
    let unknown = || {
        Refused::not_found("bulk_unknown", format!("There is no bulk action \"{reference}\"."))
            .next("helixctl bulk list")
    };
    if filter.id.is_none() && filter.public_id.is_none() {
        return Err(unknown());
    }
    bulks::list(db, filter, 1).await?.pop().ok_or_else(unknown)
}

/// Bulk actions, newest first.
#[utoipa::path(get, path = "/api/v1/bulks", tag = "bulks",
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Bulk>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn list(_: Viewer, State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<Bulk>>> {
    params.only(&["limit", "cursor"])?;
    let limit = params.number("limit", 1, LARGEST_PAGE)?.unwrap_or(PAGE);
    let before: Option<Uuid> = params.one("cursor").map(super::cursor::read).transpose()?;
    let mut rows = bulks::list(&app.db, Filter { before, ..Filter::default() }, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = match rows.last() {
        Some(last) if more => Some(super::cursor::write(&last.id)?),
        _ => None,
    };
    let total = u64::try_from(bulks::count(&app.db).await?).unwrap_or_default();
    Ok(Json(Page { items: rows.into_iter().map(view).collect(), next, total }))
}

/// One bulk action.
#[utoipa::path(get, path = "/api/v1/bulks/{id}", tag = "bulks", params(("id" = String, Path)),
    responses((status = 200, body = Bulk), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn show(_: Viewer, State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<Bulk>> {
    Ok(Json(view(find(&app.db, &id).await?)))
}

/// Items of a bulk action, in the order of the file or selection.
#[utoipa::path(get, path = "/api/v1/bulks/{id}/items", tag = "bulks",
    params(("id" = String, Path), ("state" = Option<String>, Query, description = "Only items of this state")),
    responses((status = 200, body = Page<BulkItem>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn items(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Answer<Json<Page<BulkItem>>> {
    params.only(&["state"])?;
    let state = params.one("state");
    if let Some(state) = state.filter(|state| !ITEM_STATES.contains(state)) {
        return Err(Refused::bad_request("query_bad_value", format!("\"{state}\" is no state of an item."))
            .because(format!("States: {}.", ITEM_STATES.join(", ")))
            .field("state"));
    }
    let bulk = find(&app.db, &id).await?;
    let items: Vec<BulkItem> = bulks::items(&app.db, bulk.id, state)
        .await?
        .into_iter()
        .map(|row| BulkItem {
            position: u32::try_from(row.position).unwrap_or_default(),
            label: row.label,
            node: row.node,
            workflow: row.workflow,
            workflow_state: row.workflow_state,
            state: row.state,
            code: row.code,
            message: row.message,
            next: row.next,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
        .collect();
    let total = items.len() as u64;
    Ok(Json(Page { items, next: None, total }))
}

/// Cancels a bulk action: items that wait end at once, workflows under way are asked to end at their next safe point.
#[utoipa::path(post, path = "/api/v1/bulks/{id}/cancel", tag = "bulks", params(("id" = String, Path)),
    responses((status = 200, body = Bulk), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn cancel(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Answer<Json<Bulk>> {
    let bulk = find(&app.db, &id).await?;
    let finished =
        || Refused::conflict("bulk_finished", format!("{} is over: there is nothing to cancel.", bulk.public_id));
    let mut tx = app.db.begin().await?;
    let workflows = bulks::cancel(&mut tx, bulk.id).await.map_err(|error| match error {
        StoreError::Stale { .. } => finished(),
        other => other.into(),
    })?;
    let detail = json!({ "workflows": workflows.len() });
    actor.record(&mut *tx, "bulk.cancel", ("bulk", bulk.id.to_string(), &bulk.public_id), detail).await?;
    tx.commit().await?;
    let reason = format!("{} was cancelled", bulk.public_id);
    for id in workflows {
        match workflow::cancel(&app, id, &actor.name, false, Some(&reason)).await {
            // It ended by itself meanwhile, or went with its node.
            Ok(_) | Err(AnswerError::Finished { .. } | AnswerError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(by_id(&app.db, bulk.id).await?))
}
