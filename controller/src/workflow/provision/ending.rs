//! What an end of `provision` means for the node, and how a cancel is tidied up.
//!
//! Cancelled before the write: the state of before. After it began: ready, powered off, no operating system, and why.
//! Succeeded: in service, with what is installed.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use helix_inventory::lifecycle::may_follow;
use helix_inventory::plan::Plan;
use helix_inventory::words::Lifecycle;
use redfish_client::ResetType;
use serde_json::Value;
use sqlx::PgConnection;

use super::deploy::{BOOT_CONTINUOUS, WRITE_ORDERED};
use super::host::Host;
use super::insert_deploy_media::{Slot, eject};
use super::power;
use crate::app::App;
use crate::media;
use crate::store::intents::IntentRow;
use crate::store::workflows::WorkflowRow;
use crate::store::{StoreError, node_state};
use crate::workflow::context::StepContext;
use crate::workflow::course::{Course, End, Tidied};
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::Stop;

pub(super) struct Provision;

#[async_trait]
impl Course for Provision {
    async fn ended(
        &self,
        app: &Arc<App>,
        conn: &mut PgConnection,
        workflow: &WorkflowRow,
        memory: &Value,
        end: &End,
    ) -> Result<(), StoreError> {
        match media::deploy::end(app, &mut *conn, workflow.id).await {
            Ok(()) => {}
            Err(media::deploy::DeployError::Store(error)) => return Err(error),
            Err(error) => tracing::warn!(workflow = %workflow.public_id, %error, "end what a workflow handed out"),
        }
        let plan = serde_json::from_value::<Plan>(workflow.plan.clone()).ok();
        let spec = plan.and_then(|plan| plan.spec);
        match end {
            End::Succeeded => {
                // A skipped validation leaves the node provisioning: the table wants the state in between.
                node_state::set_state(&mut *conn, workflow.node_id, Lifecycle::Validating, None, true).await?;
                node_state::set_state(&mut *conn, workflow.node_id, Lifecycle::InService, None, false).await?;
                if let Some(spec) = &spec {
                    let value = serde_json::to_value(spec).unwrap_or_default();
                    let image = Some((spec.image.as_str(), spec.image_sha256.as_str()));
                    node_state::set_image(conn, workflow.node_id, image, Some(&value)).await?;
                }
                Ok(())
            }
            End::Failed(trouble) => give_back(conn, workflow, memory, &trouble.message).await,
            End::Cancelled { reason } => {
                let reason = reason.clone().unwrap_or_else(|| format!("{} was cancelled", workflow.public_id));
                give_back(conn, workflow, memory, &reason).await
            }
        }
    }

    async fn tidy(&self, ctx: &mut StepContext) -> Result<Tidied, Stop> {
        let inserted = happened(&ctx.intents, EffectKind::InsertMedia);
        let (Some(inserted), on) = (inserted, happened(&ctx.intents, EffectKind::PowerOn)) else {
            let off = happened(&ctx.intents, EffectKind::PowerOff).is_some();
            let words = if off { "the host is powered off; nothing else was changed" } else { "nothing was changed" };
            return Ok(Tidied::Safe(words.to_owned()));
        };
        let host = Host::look(ctx).await?;
        // Whatever we started is a ramdisk or a system that nobody uses yet.
        if on.is_some_and(|on| on > inserted) && !host.is_off() {
            if power::ordered_off(ctx, ResetType::ForceOff).is_none() {
                power::off(ctx, &host, ResetType::ForceOff).await?;
            }
            return Ok(Tidied::Wait(power::going(&ctx.node.name, true)));
        }
        let slot = Slot::look(ctx).await?;
        if slot.state.inserted && happened(&ctx.intents, EffectKind::EjectMedia) < Some(inserted) {
            eject(ctx, &slot).await?;
        }
        if ctx.recall::<bool>(BOOT_CONTINUOUS) == Some(true) {
            // Setting it is idempotent and the host is off: no intent is needed to know how it ended.
            host.bmc.told(host.bmc.clear_boot_override().await).await?;
        }
        Ok(Tidied::Safe("the host is powered off and the deploy medium is out".to_owned()))
    }

    fn left_behind(&self, _workflow: &WorkflowRow, intents: &[IntentRow]) -> Option<String> {
        let mut left = Vec::new();
        let inserted = happened(intents, EffectKind::InsertMedia);
        if inserted.is_some() && happened(intents, EffectKind::EjectMedia) < inserted {
            left.push("the deploy medium is inserted (its URL and its token are dead)".to_owned());
        }
        let (on, off) = (happened(intents, EffectKind::PowerOn), happened(intents, EffectKind::PowerOff));
        match (on, off) {
            (Some(on), Some(off)) if on < off => left.push("the host is powered off".to_owned()),
            (Some(_), _) => left.push("the host is on".to_owned()),
            (None, Some(_)) => left.push("the host is powered off".to_owned()),
            (None, None) => {}
        }
        if happened(intents, EffectKind::OrderWrite).is_some() {
            left.push("the ramdisk may still be writing".to_owned());
        }
        for intent in intents.iter().filter(|intent| intent.settled_at.is_none()) {
            let what = EffectKind::parse(&intent.effect).map_or(intent.effect.as_str(), |kind| kind.in_words());
            left.push(format!("it is not known whether the order to {what} was carried out"));
        }
        (!left.is_empty()).then(|| left.join("; "))
    }
}

/// Place of the newest effect of a kind that happened.
fn happened(intents: &[IntentRow], kind: EffectKind) -> Option<usize> {
    intents.iter().rposition(|intent| intent.effect == kind.as_str() && intent.outcome.as_deref() == Some("done"))
}

/// Gives the node back: as it was when nothing was written, else ready without an operating system.
async fn give_back(
    conn: &mut PgConnection,
    workflow: &WorkflowRow,
    memory: &Value,
    reason: &str,
) -> Result<(), StoreError> {
    let Some(node) = node_state::brief(&mut *conn, workflow.node_id).await? else { return Ok(()) };
    let taken = [Lifecycle::Provisioning.as_str(), Lifecycle::Validating.as_str()].contains(&node.state.as_str());
    if !taken {
        return Ok(());
    }
    let wrote = memory.get(WRITE_ORDERED).and_then(Value::as_bool) == Some(true);
    if wrote {
        let reason = format!("no operating system: {reason}");
        node_state::set_state(&mut *conn, workflow.node_id, Lifecycle::Ready, Some(&reason), false).await?;
        return node_state::set_image(conn, workflow.node_id, None, None).await;
    }
    let now = Lifecycle::from_str(&node.state).unwrap_or(Lifecycle::Provisioning);
    let previous = node.previous_state.and_then(|state| Lifecycle::from_str(&state).ok());
    let to = previous.filter(|previous| may_follow(now, *previous)).unwrap_or(Lifecycle::Ready);
    node_state::set_state(conn, workflow.node_id, to, Some(reason), false).await?;
    Ok(())
}
