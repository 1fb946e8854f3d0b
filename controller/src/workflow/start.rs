//! Starting a workflow: one row, its steps, and the index that keeps a node to one at a time.

use helix_inventory::id::{IdKind, PublicId};
use helix_inventory::plan::{Plan, WorkflowKind};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::steps;
use crate::store::workflows::{self, Inserted, NewRow, WorkflowRow};

/// Public ids drawn before giving up: at a million workflows one in a thousand is taken, so five never all are.
const DRAWS: usize = 5;

/// What is to be started.
#[derive(Debug, Clone)]
pub struct NewWorkflow {
    pub kind: WorkflowKind,
    pub node_id: Uuid,
    /// As it was confirmed.
    pub plan: Plan,
    pub bulk_id: Option<Uuid>,
    /// User or token that asked for it.
    pub created_by: String,
}

/// Why a workflow could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The node has a workflow that is not finished.
    #[error("start a workflow: the node has {public_id}, which is not finished")]
    Busy { public_id: String },
    /// The plan says itself that it cannot run.
    #[error("start a workflow: {message}")]
    Refused { code: String, message: String, next: String },
    #[error("start a workflow")]
    Store(#[from] StoreError),
}

impl StartError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Busy { .. } => "node_busy",
            Self::Refused { code, .. } => code,
            Self::Store(error) => error.code(),
        }
    }
}

/// Adds a workflow, in the caller's transaction or one of its own: row and steps become visible together, and the engine
/// takes it up as soon as they are.
///
/// Both kinds count as mutating: an inspection reads the BMC with both hands, and a node that is being provisioned must
/// not have its state turned over by one.
///
/// # Errors
/// [`StartError::Busy`] with what is in the way, [`StartError::Refused`] when the plan is not runnable.
pub async fn start(conn: &mut PgConnection, new: NewWorkflow) -> Result<WorkflowRow, StartError> {
    if let Some(refusal) = new.plan.refusals.first() {
        return Err(StartError::Refused {
            code: refusal.code.clone(),
            message: refusal.message.clone(),
            next: refusal.next.clone(),
        });
    }
    let id = Uuid::now_v7();
    let plan = serde_json::to_value(&new.plan).map_err(|error| StoreError::unreadable("the plan", error))?;
    let mut tx = conn.begin().await.map_err(StoreError::from)?;
    for _ in 0..DRAWS {
        let public_id = PublicId::random(IdKind::Workflow, &mut rand::rng());
        let row = NewRow {
            id,
            public_id: public_id.as_str(),
            kind: new.kind.as_str(),
            node_id: new.node_id,
            bulk_id: new.bulk_id,
            mutating: true,
            plan: &plan,
            created_by: &new.created_by,
        };
        match workflows::insert(&mut tx, &row).await? {
            Inserted::Yes => {
                let kinds: Vec<_> = new.plan.steps.iter().map(|step| step.kind.as_str().to_owned()).collect();
                let titles: Vec<_> = new.plan.steps.iter().map(|step| step.title.clone()).collect();
                steps::insert_all(&mut tx, id, &kinds, &titles).await?;
                let row = workflows::get(&mut tx, id).await?;
                tx.commit().await.map_err(StoreError::from)?;
                return row.ok_or(StartError::Store(StoreError::NotFound { what: "workflow" }));
            }
            Inserted::IdTaken => {}
            Inserted::NodeBusy => {
                let open = workflows::open_of_node(&mut tx, new.node_id).await?;
                return Err(StartError::Busy { public_id: open.map(|open| open.public_id).unwrap_or_default() });
            }
        }
    }
    Err(StartError::Store(StoreError::NotFound { what: "free workflow id" }))
}
