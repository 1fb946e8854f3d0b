//! Work on nodes: enrolment, inspection, power, plans, bulk actions and workflows.

use super::{ApiError, Client};
use crate::bulk::{Bulk, BulkItem};
use crate::enrol::{EnrolAccepted, EnrolRequest};
use crate::node::PowerRequest;
use crate::page::Page;
use crate::workflow::{
    CancelRequest, InspectRequest, PlanSet, ProvisionRequest, RetryRequest, RunPlan, SkipRequest, WorkflowDetail,
    WorkflowSummary,
};

/// Which workflows a list shows, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowQuery {
    /// Node by id, name, tag or address.
    pub node: Option<String>,
    /// State as the API spells it.
    pub state: Option<String>,
    /// Only those that are not finished.
    pub open: bool,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

impl Client {
    /// Enrols BMCs: lines are checked at once, good ones become a bulk action.
    ///
    /// # Errors
    /// As every call; bad lines are in the answer, not an error.
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolAccepted, ApiError> {
        self.post(&["enrolments"]).json(request)?.answer().await
    }

    /// Reads the hardware of the selected nodes.
    ///
    /// # Errors
    /// As every call.
    pub async fn inspect(&self, request: &InspectRequest) -> Result<Bulk, ApiError> {
        self.post(&["inspections"]).json(request)?.answer().await
    }

    /// Switches power of the selected nodes.
    ///
    /// # Errors
    /// As every call.
    pub async fn power(&self, request: &PowerRequest) -> Result<Bulk, ApiError> {
        self.post(&["power"]).json(request)?.answer().await
    }

    /// Plans a provision run for the selected nodes; changes nothing.
    ///
    /// # Errors
    /// 404 `image_unknown`, 409 `image_not_ready`; as every call.
    pub async fn plan_provision(&self, request: &ProvisionRequest) -> Result<PlanSet, ApiError> {
        self.post(&["provision-plans"]).json(request)?.answer().await
    }

    /// Runs exactly the plan that was shown.
    ///
    /// # Errors
    /// 404 `plan_unknown`, 409 `plan_expired`, `plan_used`, `plan_refused`; as every call.
    pub async fn run_plan(&self, plan: &str) -> Result<Bulk, ApiError> {
        self.post(&["provisions"]).json(&RunPlan { plan: plan.to_owned() })?.answer().await
    }

    /// Bulk actions, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn bulks(&self, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Bulk>, ApiError> {
        self.get(&["bulks"])
            .query_opt("limit", limit.map(|limit| limit.to_string()))
            .query_opt("cursor", cursor)
            .answer()
            .await
    }

    /// One bulk action.
    ///
    /// # Errors
    /// 404 `bulk_unknown`; as every call.
    pub async fn bulk(&self, id: &str) -> Result<Bulk, ApiError> {
        self.get(&["bulks", id]).answer().await
    }

    /// Items of a bulk action in the order of the file or selection; of one state when given.
    ///
    /// # Errors
    /// 404 `bulk_unknown`; as every call.
    pub async fn bulk_items(&self, id: &str, state: Option<&str>) -> Result<Page<BulkItem>, ApiError> {
        self.get(&["bulks", id, "items"]).query_opt("state", state).answer().await
    }

    /// Cancels a bulk action: waiting items end, running workflows are asked to.
    ///
    /// # Errors
    /// 404 `bulk_unknown`, 409 `bulk_finished`; as every call.
    pub async fn cancel_bulk(&self, id: &str) -> Result<Bulk, ApiError> {
        self.post(&["bulks", id, "cancel"]).answer().await
    }

    /// Workflows, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn workflows(&self, query: &WorkflowQuery) -> Result<Page<WorkflowSummary>, ApiError> {
        self.get(&["workflows"])
            .query_opt("node", query.node.as_ref())
            .query_opt("state", query.state.as_ref())
            .query_opt("open", query.open.then_some("true"))
            .query_opt("limit", query.limit.map(|limit| limit.to_string()))
            .query_opt("cursor", query.cursor.as_ref())
            .answer()
            .await
    }

    /// One workflow with its steps and attempts.
    ///
    /// # Errors
    /// 404 `workflow_unknown`; as every call.
    pub async fn workflow(&self, id: &str) -> Result<WorkflowDetail, ApiError> {
        self.get(&["workflows", id]).answer().await
    }

    /// Cancels a workflow at its next safe point, or abandons it at once.
    ///
    /// # Errors
    /// 409 `workflow_finished`; as every call.
    pub async fn cancel_workflow(&self, id: &str, request: &CancelRequest) -> Result<WorkflowDetail, ApiError> {
        self.post(&["workflows", id, "cancel"]).json(request)?.answer().await
    }

    /// Tries the step again that a workflow stopped at.
    ///
    /// # Errors
    /// 409 `workflow_not_stopped`; as every call.
    pub async fn retry_workflow(&self, id: &str, request: &RetryRequest) -> Result<WorkflowDetail, ApiError> {
        self.post(&["workflows", id, "retry"]).json(request)?.answer().await
    }

    /// Skips the step at work, where that is allowed.
    ///
    /// # Errors
    /// 409 `step_not_skippable`; as every call.
    pub async fn skip_step(&self, id: &str, request: &SkipRequest) -> Result<WorkflowDetail, ApiError> {
        self.post(&["workflows", id, "skip"]).json(request)?.answer().await
    }
}
