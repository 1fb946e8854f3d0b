//! `inspect`: reads a node over Redfish and keeps what it is. One step, no effect on the host.
//!
//! ```text
//! Read hardware
//! ```
//!
//! Writes nothing to the BMC but login and logout. Six commits a node at most: claim, begin, two for the login, the
//! hardware, the end.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use helix_inventory::diff::{self, Change, ChangeKind};
use helix_inventory::hardware::Hardware;
use helix_inventory::lifecycle::may_follow;
use helix_inventory::plan::{StepKind, WorkflowKind};
use helix_inventory::words::Lifecycle;
use serde_json::Value;
use sqlx::PgConnection;

use super::context::StepContext;
use super::course::{Course, End, Tidied};
use super::outcome::{Limit, Outcome, Stop, Trouble};
use super::registry::Registry;
use super::step::{Budget, Sight, Step};
use crate::app::App;
use crate::bmc::{Bmc, collect};
use crate::store::bmcs::About;
use crate::store::intents::IntentRow;
use crate::store::workflows::WorkflowRow;
use crate::store::{StoreError, bmcs, hardware, node_state};

/// Adds the workflow to the registry.
pub(super) fn register(registry: &mut Registry) {
    registry.add_step(ReadHardware);
    registry.set_course(WorkflowKind::Inspect, Inspect);
}

/// Changes told one by one; more than that in one reading is a rebuilt machine, and the history has them all.
const CHANGES_TOLD: usize = 20;

/// Reads everything and keeps it.
struct ReadHardware;

#[async_trait]
impl Step for ReadHardware {
    fn kind(&self) -> StepKind {
        StepKind::ReadHardware
    }

    fn budget(&self) -> Budget {
        Budget {
            // With back-off from 5 s doubling: about a minute and a half, which a busy iDRAC needs to come round (quirk 24).
            attempts: 5,
            whole: Limit::minutes(45, "an iDRAC is back 16 min after a reset, and a reading takes a minute"),
        }
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let bmc = ctx.app().bmcs.client(ctx.node.bmc_id).await?;
        let snapshot = bmc.told(bmc.collect().await).await?;
        let found = collect::hardware(&snapshot, ctx.now());
        same_machine(ctx, &bmc, found.system.service_tag.as_deref()).await?;
        let power = snapshot.system.power_state.as_ref().map_or("unknown", super::power_word);
        keep(ctx, &found, power).await?;
        let line = format!(
            "{}{} requests in {:.1} s",
            found.gpu_summary().map(|gpus| format!("{gpus}; ")).unwrap_or_default(),
            found.cost.requests,
            snapshot.duration.as_secs_f64()
        );
        Ok(Outcome::done(line).into())
    }
}

/// Stops contact when another machine answers at the address.
pub(super) async fn same_machine(ctx: &StepContext, bmc: &Bmc, seen: Option<&str>) -> Result<(), Stop> {
    let node = &ctx.node;
    let Some(seen) = seen else {
        return Err(Outcome::Retry(Trouble::new(
            "service_tag_missing",
            format!("The BMC of {} shows no service tag; nothing was changed.", node.name),
        ))
        .into());
    };
    if seen.eq_ignore_ascii_case(&node.service_tag) {
        return Ok(());
    }
    let reason = format!(
        "the machine at {}:{} says that its service tag is {seen}, and {} is {}. Was the board or the chassis swapped?",
        node.bmc_host, node.bmc_port, node.name, node.service_tag
    );
    let mut tx = ctx.begin().await?;
    bmcs::stop(&mut tx, bmc.id(), "board_swapped", &reason).await?;
    ctx.event_in(&mut tx, "critical", "bmc_board_swapped", &format!("Contact stopped: {reason}")).await?;
    tx.commit().await?;
    let trouble = Trouble::new("bmc_board_swapped", format!("Contact stopped: {reason}"))
        .next(format!("helixctl node retire {}", node.name))
        .next("Then enrol the address again; the other machine is a node of its own.");
    Err(Outcome::NeedsHuman(trouble).into())
}

/// Keeps a reading and what changed since the last, in one transaction.
async fn keep(ctx: &StepContext, found: &Hardware, power: &str) -> Result<(), Stop> {
    let mut conn = ctx.db().acquire().await?;
    let before = hardware::get(&mut conn, ctx.node.id).await?;
    drop(conn);
    let changes = before.map(|before| diff::diff(&before, found)).unwrap_or_default();
    let mut tx = ctx.begin().await?;
    hardware::store(&mut tx, ctx.node.id, found, &changes).await?;
    let (health, why) = health(found);
    node_state::set_identity(
        &mut tx,
        ctx.node.id,
        &node_state::Identity {
            manufacturer: found.system.manufacturer.as_deref(),
            model: found.system.model.as_deref(),
            power,
            health,
            health_reason: why.as_deref(),
        },
    )
    .await?;
    let about = About {
        service_tag: found.system.service_tag.as_deref(),
        vendor: found.bmc.vendor.as_deref(),
        product: found.bmc.product.as_deref(),
        firmware_version: found.bmc.firmware_version.as_deref(),
        redfish_version: found.bmc.redfish_version.as_deref(),
    };
    bmcs::set_about(&mut tx, ctx.node.bmc_id, &about).await?;
    for change in changes.iter().take(CHANGES_TOLD) {
        ctx.event_in(&mut tx, severity(change), "hardware_changed", &change.summary).await?;
    }
    if changes.len() > CHANGES_TOLD {
        let more = format!("{} more changes of the hardware", changes.len() - CHANGES_TOLD);
        ctx.event_in(&mut tx, "warning", "hardware_changed", &more).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What is gone matters more than what came.
fn severity(change: &Change) -> &'static str {
    match change.kind {
        ChangeKind::Gone => "critical",
        ChangeKind::Swapped => "warning",
        ChangeKind::Added | ChangeKind::Changed => "info",
    }
}

/// The BMC's own verdict, which a person reads with what it says beside it.
fn health(found: &Hardware) -> (&'static str, Option<String>) {
    match found.system.health.as_deref() {
        Some("OK") => ("ok", None),
        Some("Warning") => ("degraded", Some("the BMC reports Warning for the whole system".to_owned())),
        Some("Critical") => ("failed", Some("the BMC reports Critical for the whole system".to_owned())),
        _ => ("unknown", None),
    }
}

/// The course of an inspection.
struct Inspect;

#[async_trait]
impl Course for Inspect {
    async fn begun(&self, conn: &mut PgConnection, workflow: &WorkflowRow) -> Result<(), StoreError> {
        // A node that is in service stays so while it is read: the table has no such transition, and nothing is written.
        node_state::set_state(conn, workflow.node_id, Lifecycle::Inspecting, None, true).await?;
        Ok(())
    }

    async fn ended(
        &self,
        _app: &Arc<App>,
        conn: &mut PgConnection,
        workflow: &WorkflowRow,
        _memory: &Value,
        end: &End,
    ) -> Result<(), StoreError> {
        let Some(node) = node_state::brief(&mut *conn, workflow.node_id).await? else { return Ok(()) };
        if node.state != Lifecycle::Inspecting.as_str() {
            return Ok(());
        }
        let previous = node.previous_state.and_then(|state| Lifecycle::from_str(&state).ok());
        let previous = previous.unwrap_or(Lifecycle::Enrolled);
        let to = match end {
            End::Succeeded if previous == Lifecycle::Enrolled => Lifecycle::Ready,
            _ if may_follow(Lifecycle::Inspecting, previous) => previous,
            _ => Lifecycle::Ready,
        };
        let reason = match end {
            End::Failed(trouble) => Some(trouble.message.as_str()),
            _ => None,
        };
        node_state::set_state(conn, workflow.node_id, to, reason, false).await?;
        Ok(())
    }

    async fn tidy(&self, _ctx: &mut StepContext) -> Result<Tidied, Stop> {
        Ok(Tidied::Safe(String::new()))
    }

    fn left_behind(&self, _workflow: &WorkflowRow, _intents: &[IntentRow]) -> Option<String> {
        None
    }
}
