//! Workflows as the API shows them.

use helix_api::workflow::{Progress, WorkflowError, WorkflowSummary};
use helix_inventory::words::WorkflowState;

use super::Answer;
use super::problem::Refused;
use crate::store::StoreError;
use crate::store::summaries::SummaryRow;

/// A word that this version does not know: the row was written by another one.
pub(crate) fn unknown_word(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Refused {
    StoreError::unreadable(what, error).into()
}

/// A row in one line.
pub(crate) fn summary(row: SummaryRow) -> Answer<WorkflowSummary> {
    let state: WorkflowState = row.state.parse().map_err(|error| unknown_word("a workflow", error))?;
    let steps = u32::try_from(row.steps).unwrap_or_default();
    let next = serde_json::from_value(row.error_next).unwrap_or_default();
    Ok(WorkflowSummary {
        id: row.public_id,
        kind: row.kind.parse().map_err(|error| unknown_word("a workflow", error))?,
        node: row.node,
        state,
        step: u32::try_from(row.step).unwrap_or_default().saturating_add(1).min(steps.max(1)),
        steps,
        step_title: row.step_title.unwrap_or_default(),
        waits_for: row.waits_for,
        waits_since: row.waits_since,
        waits_until: row.waits_until,
        then_what: row.then_what,
        progress: row.progress.map(progress),
        error: row.error_code.map(|code| WorkflowError {
            code,
            message: row.error_message.unwrap_or_default(),
            why: row.error_why,
            next,
        }),
        created_by: row.created_by,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
    })
}

/// How far a step is; what this version does not understand is left out.
pub(crate) fn progress(value: serde_json::Value) -> Progress {
    serde_json::from_value(value).unwrap_or_default()
}
