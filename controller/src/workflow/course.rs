//! The course of one kind of workflow besides its steps: what an end means for the node, and how a cancel is tidied up.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::PgConnection;

use super::context::StepContext;
use super::outcome::{Stop, Trouble, Wait};
use crate::app::App;
use crate::store::StoreError;
use crate::store::intents::IntentRow;
use crate::store::workflows::WorkflowRow;

/// How a workflow ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Succeeded,
    Failed(Trouble),
    Cancelled { reason: Option<String> },
}

/// What tidying up after a cancel came to.
#[derive(Debug)]
pub enum Tidied {
    /// The node is in a safe state, which these words name.
    Safe(String),
    /// Not yet.
    Wait(Wait),
}

/// What is particular to a kind of workflow.
#[async_trait]
pub trait Course: Send + Sync + 'static {
    /// Writes what the start means for the node, in the transaction that begins the first attempt of the first step.
    ///
    /// # Errors
    /// When the database cannot be asked.
    async fn begun(&self, _conn: &mut PgConnection, _workflow: &WorkflowRow) -> Result<(), StoreError> {
        Ok(())
    }

    /// Writes what the end means for the node, in the transaction that ends the workflow.
    ///
    /// # Errors
    /// When the database cannot be asked.
    async fn ended(
        &self,
        app: &Arc<App>,
        conn: &mut PgConnection,
        workflow: &WorkflowRow,
        memory: &Value,
        end: &End,
    ) -> Result<(), StoreError>;

    /// Brings the node into a safe state after a cancel. Called again until it says so.
    ///
    /// # Errors
    /// [`Stop`] when something is in the way; the engine tries again for a while, then ends with what is left behind.
    async fn tidy(&self, ctx: &mut StepContext) -> Result<Tidied, Stop>;

    /// What lies about when the workflow is abandoned now, in words; `None` when nothing does.
    fn left_behind(&self, workflow: &WorkflowRow, intents: &[IntentRow]) -> Option<String>;
}
