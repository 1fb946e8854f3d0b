//! What a person can do with a workflow that is not finished: cancel, retry, skip.
//!
//! Each is one transaction with its audit line. Nothing here talks to a BMC: the engine carries out what was asked for.

use std::sync::Arc;

use helix_inventory::plan::{Plan, StepKind};
use helix_inventory::profile::DiskChoice;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::drive::{event, step_kind};
use super::registry::Registry;
use crate::app::App;
use crate::store::audit::{self, NewAudit};
use crate::store::workflows::{self, WorkflowRow};
use crate::store::{StoreError, attempts, bmcs, intents, node_state, steps};
use crate::workflow::course::End;

/// Options of a retry.
#[derive(Debug, Clone, Default)]
pub struct RetryOptions {
    /// Another disk than the plan has.
    pub disk: Option<DiskChoice>,
    /// Clear signatures of conflicting disks, and of those only.
    pub wipe_conflicting: bool,
}

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error("there is no such workflow")]
    NotFound,
    /// It is over.
    #[error("{public_id} has ended ({state}): there is nothing to {verb}. Start a new run instead.")]
    Finished { public_id: String, state: String, verb: &'static str },
    /// A step is being carried out at this moment.
    #[error("{public_id} is at work on \"{step}\" right now; try again in a moment, or cancel it.")]
    AtWork { public_id: String, step: String },
    /// The step may not be skipped.
    #[error("\"{step}\" of {public_id} cannot be skipped: the steps after it rely on it. Retry or cancel instead.")]
    NotSkippable { public_id: String, step: String },
    /// Options that do not fit the kind of workflow.
    #[error("a disk can be chosen only for a workflow that writes one; {public_id} does not.")]
    NoDisk { public_id: String },
    #[error("change a workflow")]
    Store(#[from] StoreError),
}

impl AnswerError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "workflow_not_found",
            Self::Finished { .. } => "workflow_finished",
            Self::AtWork { .. } => "workflow_at_work",
            Self::NotSkippable { .. } => "step_not_skippable",
            Self::NoDisk { .. } => "workflow_has_no_disk",
            Self::Store(error) => error.code(),
        }
    }
}

impl From<sqlx::Error> for AnswerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a cancel came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It ends at the next safe point, with the node in a safe state.
    Requested,
    /// It has ended; this lies about.
    Abandoned { left_behind: Option<String> },
}

/// Cancels a workflow: at the next safe point, or `now`, which abandons it and says what is left behind.
///
/// # Errors
/// [`AnswerError::Finished`] when it is over.
pub async fn cancel(
    app: &Arc<App>,
    id: Uuid,
    actor: &str,
    now: bool,
    reason: Option<&str>,
) -> Result<Cancelled, AnswerError> {
    let mut tx = app.db.begin().await?;
    let workflow = open(&mut tx, id, "cancel").await?;
    let done = cancel_in(app, &mut tx, &super::registry(), &workflow, actor, now, reason).await?;
    tx.commit().await?;
    Ok(done)
}

pub(super) async fn cancel_in(
    app: &Arc<App>,
    conn: &mut PgConnection,
    registry: &Registry,
    workflow: &WorkflowRow,
    actor: &str,
    now: bool,
    reason: Option<&str>,
) -> Result<Cancelled, AnswerError> {
    let done = if now {
        let all = intents::of_workflow(&mut *conn, workflow.id).await?;
        let course = workflow.kind.parse().ok().and_then(|kind| registry.course(kind).cloned());
        let left = course.as_ref().and_then(|course| course.left_behind(workflow, &all));
        workflows::abandon(&mut *conn, workflow.id, actor, reason, left.as_deref().unwrap_or("nothing")).await?;
        attempts::end(&mut *conn, workflow.id, workflow.step, "cancelled", None).await?;
        steps::set(&mut *conn, workflow.id, workflow.step, "failed", Some("cancelled")).await?;
        if let Some(course) = course {
            let end = End::Cancelled { reason: reason.map(str::to_owned) };
            course.ended(app, &mut *conn, workflow, &workflow.memory, &end).await?;
        }
        let message = format!(
            "{} was abandoned by {actor}. Left behind: {}",
            workflow.public_id,
            left.as_deref().unwrap_or("nothing")
        );
        event(&mut *conn, workflow, "warning", "workflow_abandoned", &message).await?;
        Cancelled::Abandoned { left_behind: left }
    } else {
        workflows::request_cancel(&mut *conn, workflow.id, actor, reason).await?;
        Cancelled::Requested
    };
    let detail = json!({ "now": now, "reason": reason });
    note(conn, workflow, actor, "workflow.cancel", detail).await?;
    Ok(done)
}

/// Goes on with a workflow: a fresh budget for the step at work, and contact with a BMC that was stopped for a wrong
/// password is tried again.
///
/// # Errors
/// [`AnswerError::Finished`] when it is over, [`AnswerError::AtWork`] while a step is being carried out.
pub async fn retry(app: &Arc<App>, id: Uuid, actor: &str, options: &RetryOptions) -> Result<(), AnswerError> {
    let mut tx = app.db.begin().await?;
    let workflow = open(&mut tx, id, "retry").await?;
    let bmc = node_state::brief(&mut tx, workflow.node_id).await?.map(|node| node.bmc_id);
    if let Some(bmc) = bmc {
        bmcs::retry_contact(&mut tx, bmc).await?;
    }
    retry_in(&mut tx, &super::registry(), &workflow, actor, options).await?;
    tx.commit().await?;
    if let Some(bmc) = bmc {
        app.bmcs.forget(bmc).await;
    }
    Ok(())
}

pub(super) async fn retry_in(
    conn: &mut PgConnection,
    registry: &Registry,
    workflow: &WorkflowRow,
    actor: &str,
    options: &RetryOptions,
) -> Result<(), AnswerError> {
    let mut plan = workflow.plan.clone();
    if options.disk.is_some() || options.wipe_conflicting {
        let mut parsed: Plan =
            serde_json::from_value(plan.clone()).map_err(|error| StoreError::unreadable("the plan", error))?;
        let Some(spec) = parsed.spec.as_mut() else {
            return Err(AnswerError::NoDisk { public_id: workflow.public_id.clone() });
        };
        if let Some(disk) = &options.disk {
            spec.disk = disk.clone();
        }
        spec.wipe_conflicting |= options.wipe_conflicting;
        plan = serde_json::to_value(parsed).map_err(|error| StoreError::unreadable("the plan", error))?;
    }
    let all = steps::of_workflow(&mut *conn, workflow.id).await?;
    let at = all.iter().find(|step| step.position == workflow.step);
    let from = at
        .and_then(|step| step_kind(&step.kind))
        .and_then(|kind| registry.step(kind))
        .map(|step| step.retry_from().as_str());
    let position = all
        .iter()
        .find(|step| Some(step.kind.as_str()) == from)
        .map_or(workflow.step, |step| step.position.min(workflow.step));
    if !workflows::resume(&mut *conn, workflow.id, position, &plan).await? {
        return Err(at_work(workflow, at.map(|step| step.title.clone())));
    }
    attempts::end(&mut *conn, workflow.id, workflow.step, "retried", None).await?;
    steps::reset_from(&mut *conn, workflow.id, position).await?;
    let detail = json!({ "disk": options.disk, "wipe_conflicting": options.wipe_conflicting });
    note(conn, workflow, actor, "workflow.retry", detail).await
}

/// Skips the step at work and goes on with the next; the answer is what that means.
///
/// # Errors
/// [`AnswerError::NotSkippable`] for steps that the others rely on, and as [`retry`].
pub async fn skip(app: &Arc<App>, id: Uuid, actor: &str) -> Result<&'static str, AnswerError> {
    let mut tx = app.db.begin().await?;
    let workflow = open(&mut tx, id, "skip").await?;
    let consequence = skip_in(&mut tx, &workflow, actor).await?;
    tx.commit().await?;
    Ok(consequence)
}

pub(super) async fn skip_in(
    conn: &mut PgConnection,
    workflow: &WorkflowRow,
    actor: &str,
) -> Result<&'static str, AnswerError> {
    let all = steps::of_workflow(&mut *conn, workflow.id).await?;
    let at = all.iter().find(|step| step.position == workflow.step);
    let consequence = at.and_then(|step| step_kind(&step.kind)).and_then(StepKind::skip_consequence);
    let (Some(step), Some(consequence)) = (at, consequence) else {
        let step = at.map(|step| step.title.clone()).unwrap_or_default();
        return Err(AnswerError::NotSkippable { public_id: workflow.public_id.clone(), step });
    };
    if !workflows::resume(&mut *conn, workflow.id, workflow.step + 1, &workflow.plan).await? {
        return Err(at_work(workflow, Some(step.title.clone())));
    }
    let line = format!("skipped by {actor}: {consequence}");
    attempts::end(&mut *conn, workflow.id, workflow.step, "skipped", None).await?;
    steps::set(&mut *conn, workflow.id, workflow.step, "skipped", Some(&line)).await?;
    let message = format!("\"{}\" of {} was skipped by {actor}: {consequence}", step.title, workflow.public_id);
    event(&mut *conn, workflow, "warning", "step_skipped", &message).await?;
    note(conn, workflow, actor, "workflow.skip", json!({ "step": step.kind })).await?;
    Ok(consequence)
}

async fn open(conn: &mut PgConnection, id: Uuid, verb: &'static str) -> Result<WorkflowRow, AnswerError> {
    let workflow = workflows::lock(conn, id).await?.ok_or(AnswerError::NotFound)?;
    if matches!(workflow.state.as_str(), "succeeded" | "failed" | "cancelled") {
        return Err(AnswerError::Finished { public_id: workflow.public_id, state: workflow.state, verb });
    }
    Ok(workflow)
}

fn at_work(workflow: &WorkflowRow, step: Option<String>) -> AnswerError {
    AnswerError::AtWork { public_id: workflow.public_id.clone(), step: step.unwrap_or_default() }
}

async fn note(
    conn: &mut PgConnection,
    workflow: &WorkflowRow,
    actor: &str,
    action: &str,
    detail: serde_json::Value,
) -> Result<(), AnswerError> {
    let line = NewAudit {
        actor,
        action,
        object_kind: "workflow",
        object_id: Some(workflow.id.to_string()),
        object_name: Some(workflow.public_id.clone()),
        outcome: "done",
        detail,
        request_id: None,
    };
    audit::insert(conn, &line).await?;
    Ok(())
}
