//! Workflows: lists, one with its steps, and what a person can do with it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use helix_api::page::Page;
use helix_api::workflow::{
    Attempt, CancelRequest, CancelStatus, RetryRequest, SkipRequest, Step, WorkflowDetail, WorkflowSummary,
};
use helix_inventory::id::{IdKind, PublicId};
use helix_inventory::plan::{Plan, StepKind};
use helix_inventory::words::WorkflowState;
use uuid::Uuid;

use super::Answer;
use super::actor::{Operator, Viewer};
use super::body::Body;
use super::params::Params;
use super::problem::Refused;
use super::{cursor, selection, workflow_view};
use crate::app::App;
use crate::store::summaries::{self, Filter};
use crate::store::workflows::{self, WorkflowRow};
use crate::store::{StoreError, attempts, steps};
use crate::workflow::{self, AnswerError, RetryOptions};

/// Workflows of a page unless asked otherwise.
const PAGE: i64 = 100;
const LARGEST_PAGE: i64 = 5_000;

/// Workflows, newest first.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows",
    params(("node" = Option<String>, Query), ("state" = Option<String>, Query),
        ("open" = Option<bool>, Query, description = "Only those that are not finished"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<WorkflowSummary>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn list(
    _: Viewer,
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<WorkflowSummary>>> {
    params.only(&["node", "state", "open", "limit", "cursor"])?;
    if let Some(state) = params.one("state") {
        state.parse::<WorkflowState>().map_err(|error| {
            let known: Vec<&str> = WorkflowState::ALL.iter().map(|state| state.as_str()).collect();
            Refused::bad_request("query_bad_value", format!("{error}."))
                .because(format!("States: {}.", known.join(", ")))
                .field("state")
        })?;
    }
    let node_id = match params.one("node") {
        Some(node) => Some(selection::one(&app.db, node).await?.id),
        None => None,
    };
    let limit = params.number("limit", 1, LARGEST_PAGE)?.unwrap_or(PAGE);
    let before: Option<Uuid> = params.one("cursor").map(cursor::read).transpose()?;
    let filter = Filter { ids: None, node_id, state: params.one("state"), open: params.flag("open")?, before };
    let mut rows = summaries::list(&app.db, filter, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = match rows.last() {
        Some(last) if more => Some(cursor::write(&last.id)?),
        _ => None,
    };
    let total = u64::try_from(summaries::count(&app.db, filter).await?).unwrap_or_default();
    let items = rows.into_iter().map(workflow_view::summary).collect::<Answer<_>>()?;
    Ok(Json(Page { items, next, total }))
}

/// A workflow by its public id or row id.
async fn find(app: &App, reference: &str) -> Answer<WorkflowRow> {
    let mut conn = app.db.acquire().await?;
    let found = match (PublicId::parse(IdKind::Workflow, reference), reference.parse::<Uuid>()) {
        (Some(public_id), _) => workflows::by_public_id(&mut conn, public_id.as_str()).await?,
        (None, Ok(id)) => workflows::get(&mut conn, id).await?,
        (None, Err(_)) => None,
    };
    found.ok_or_else(|| {
        Refused::not_found("workflow_unknown", format!("There is no workflow \"{reference}\"."))
            .next("helixctl workflow list")
    })
}

async fn detail(app: &App, id: Uuid) -> Answer<Json<WorkflowDetail>> {
    let ids = [id];
    let filter = Filter { ids: Some(&ids), ..Filter::default() };
    let row = summaries::list(&app.db, filter, 1).await?.pop().ok_or(StoreError::NotFound { what: "workflow" })?;
    let summary = workflow_view::summary(row)?;
    let mut conn = app.db.acquire().await?;
    let workflow = workflows::get(&mut conn, id).await?.ok_or(StoreError::NotFound { what: "workflow" })?;
    let plan: Plan = serde_json::from_value(workflow.plan)
        .map_err(|error| StoreError::unreadable("the plan of a workflow", error))?;
    let step_list = steps::of_workflow(&mut conn, id).await?.into_iter().map(step).collect::<Answer<_>>()?;
    let attempts = attempts::of_workflow(&mut conn, id)
        .await?
        .into_iter()
        .map(|row| Attempt {
            step: number(row.position),
            number: u32::try_from(row.number).unwrap_or_default(),
            started_at: row.started_at,
            finished_at: row.finished_at,
            outcome: row.outcome,
            error_code: row.error_code,
            error_message: row.error_message,
        })
        .collect();
    let bulk = match workflow.bulk_id {
        Some(id) => Some(super::bulks::by_id(&app.db, id).await?.id),
        None => None,
    };
    Ok(Json(WorkflowDetail {
        summary,
        bulk,
        plan,
        step_list,
        attempts,
        cancel: workflow.cancel_requested_at.map(|at| CancelStatus {
            at,
            by: workflow.cancelled_by,
            now: workflow.cancel_now,
            reason: workflow.cancel_reason,
        }),
        left_behind: workflow.left_behind,
    }))
}

/// Positions count from 0 in the database and from 1 for people.
fn number(position: i32) -> u32 {
    u32::try_from(position).unwrap_or_default().saturating_add(1)
}

fn step(row: steps::StepRow) -> Answer<Step> {
    let kind: StepKind = row.kind.parse().map_err(|error| workflow_view::unknown_word("a step", error))?;
    Ok(Step {
        number: number(row.position),
        kind,
        title: row.title,
        state: row.state,
        attempts: u32::try_from(row.attempts).unwrap_or_default(),
        started_at: row.started_at,
        finished_at: row.finished_at,
        progress: row.progress.map(workflow_view::progress),
        message: row.message,
        skip_consequence: kind.skip_consequence().map(str::to_owned),
    })
}

impl From<AnswerError> for Refused {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Store(error) => error.into(),
            AnswerError::NotFound => Self::not_found("workflow_unknown", "There is no such workflow (any more)."),
            other => Self::conflict(other.code(), other.to_string()),
        }
    }
}

/// One workflow with its steps and attempts.
#[utoipa::path(get, path = "/api/v1/workflows/{id}", tag = "workflows", params(("id" = String, Path)),
    responses((status = 200, body = WorkflowDetail), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn show(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Answer<Json<WorkflowDetail>> {
    let workflow = find(&app, &id).await?;
    detail(&app, workflow.id).await
}

/// Cancels a workflow at its next safe point; with `now` it is abandoned, and the answer says what is left behind.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/cancel", tag = "workflows", params(("id" = String, Path)),
    request_body = CancelRequest,
    responses((status = 200, body = WorkflowDetail), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn cancel(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Body(request): Body<CancelRequest>,
) -> Answer<Json<WorkflowDetail>> {
    let workflow = find(&app, &id).await?;
    workflow::cancel(&app, workflow.id, &actor.name, request.now, request.reason.as_deref()).await?;
    detail(&app, workflow.id).await
}

/// Tries the step again that a workflow stopped at, with a fresh budget.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/retry", tag = "workflows", params(("id" = String, Path)),
    request_body = RetryRequest,
    responses((status = 200, body = WorkflowDetail), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn retry(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Body(request): Body<RetryRequest>,
) -> Answer<Json<WorkflowDetail>> {
    let workflow = find(&app, &id).await?;
    let options = RetryOptions {
        disk: request.disk.filter(|disk| !disk.is_empty()),
        wipe_conflicting: request.wipe_conflicting.unwrap_or_default(),
    };
    workflow::retry(&app, workflow.id, &actor.name, &options).await?;
    detail(&app, workflow.id).await
}

/// Skips the step at work, where that is allowed. The step is named, so that a late click cannot skip the next one.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/skip", tag = "workflows", params(("id" = String, Path)),
    request_body = SkipRequest,
    responses((status = 200, body = WorkflowDetail), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn skip(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Body(request): Body<SkipRequest>,
) -> Answer<Json<WorkflowDetail>> {
    let workflow = find(&app, &id).await?;
    if request.step != number(workflow.step) {
        return Err(Refused::conflict(
            "step_moved_on",
            format!(
                "{} is at step {}, not {}. Nothing was skipped.",
                workflow.public_id,
                number(workflow.step),
                request.step
            ),
        )
        .field("step")
        .next(format!("helixctl workflow show {}", workflow.public_id)));
    }
    workflow::skip(&app, workflow.id, &actor.name).await?;
    detail(&app, workflow.id).await
}
