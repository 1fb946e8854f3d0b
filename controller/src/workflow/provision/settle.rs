//! How each effect of `provision` is settled after a crash or a time-out: by looking, and a BMC is compared with itself.

use std::time::Duration;

use async_trait::async_trait;
use redfish_client::ResetType;
use serde_json::{Value, json};
use uuid::Uuid;

use super::host::Host;
use super::insert_deploy_media::Slot;
use super::power::{FORCED_OFF, POWER_COMES, SOFT_OFF};
use crate::store::deploy_sessions;
use crate::store::intents::IntentRow;
use crate::workflow::context::{StepContext, unclear};
use crate::workflow::effect::{Effect, EffectKind, Settled};
use crate::workflow::outcome::Stop;
use crate::workflow::registry::Registry;

/// How late a medium may show up after an insert without an answer: the call's own limit, and it was seen to attach a
/// minute after the error.
const INSERT_SHOWS: Duration = Duration::from_secs(90);

/// Adds all effects.
pub(super) fn register(registry: &mut Registry) {
    registry.add_effect(PowerOff);
    registry.add_effect(PowerOn);
    registry.add_effect(EjectMedia);
    registry.add_effect(InsertMedia);
    registry.add_effect(SetBoot);
    registry.add_effect(OrderWrite);
    registry.add_effect(OrderPowerOff);
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Power off: the power state tells. A request to the operating system is given once; whether it was heard shows in its
/// 90 s, after which the step cuts the power anyway.
struct PowerOff;

#[async_trait]
impl Effect for PowerOff {
    fn kind(&self) -> EffectKind {
        EffectKind::PowerOff
    }

    async fn settle(&self, ctx: &mut StepContext, intent: &IntentRow) -> Result<Settled, Stop> {
        let host = Host::look(ctx).await?;
        let since = ctx.since(intent.committed_at);
        if host.is_off() {
            return Ok(Settled::Done(host.before()));
        }
        if text(&intent.params, "reset_type") == Some(ResetType::GracefulShutdown.as_str()) {
            return Ok(if since < SOFT_OFF {
                Settled::Unclear(unclear(self.kind()))
            } else {
                Settled::Done(host.before())
            });
        }
        Ok(if since < FORCED_OFF.after {
            Settled::Unclear(unclear(self.kind()))
        } else {
            Settled::NotDone(host.before())
        })
    }
}

/// Power on: power, reset time or boot progress differ from what they were, or the ramdisk or agent called. A host that is
/// off, and was all the time, did not get the order: the BMC shows it within seconds.
struct PowerOn;

#[async_trait]
impl Effect for PowerOn {
    fn kind(&self) -> EffectKind {
        EffectKind::PowerOn
    }

    async fn settle(&self, ctx: &mut StepContext, intent: &IntentRow) -> Result<Settled, Stop> {
        let host = Host::look(ctx).await?;
        if !host.is_off() || host.differs_from(&intent.before) {
            return Ok(Settled::Done(host.before()));
        }
        let mut conn = ctx.db().acquire().await?;
        let session = deploy_sessions::latest(&mut conn, ctx.workflow.id).await?;
        if session.is_some_and(|session| session.claimed_at.is_some_and(|at| at > intent.committed_at)) {
            return Ok(Settled::Done(json!({ "ramdisk": "called" })));
        }
        let early = ctx.since(intent.committed_at) < POWER_COMES.after;
        Ok(if early { Settled::Unclear(unclear(self.kind())) } else { Settled::NotDone(host.before()) })
    }
}

/// Eject: the slot is empty or it is not; ejecting again is harmless while the host is off.
struct EjectMedia;

#[async_trait]
impl Effect for EjectMedia {
    fn kind(&self) -> EffectKind {
        EffectKind::EjectMedia
    }

    async fn settle(&self, ctx: &mut StepContext, _intent: &IntentRow) -> Result<Settled, Stop> {
        let slot = Slot::look(ctx).await?;
        let seen = json!({ "inserted": slot.state.inserted, "image": slot.state.image });
        Ok(if slot.state.inserted { Settled::NotDone(seen) } else { Settled::Done(seen) })
    }
}

/// Insert: the slot shows our own URL, which nobody else has.
struct InsertMedia;

#[async_trait]
impl Effect for InsertMedia {
    fn kind(&self) -> EffectKind {
        EffectKind::InsertMedia
    }

    async fn settle(&self, ctx: &mut StepContext, intent: &IntentRow) -> Result<Settled, Stop> {
        let slot = Slot::look(ctx).await?;
        let url = text(&intent.params, "url").unwrap_or_default();
        let own = url.find("/media/").map_or(url, |at| &url[at..]);
        let ours = slot.state.inserted && slot.state.image.as_deref().is_some_and(|image| image.ends_with(own));
        let seen = json!({ "inserted": slot.state.inserted, "image": slot.state.image });
        if ours {
            return Ok(Settled::Done(seen));
        }
        let late = !slot.state.inserted && ctx.since(intent.committed_at) < INSERT_SHOWS;
        Ok(if late { Settled::Unclear(unclear(self.kind())) } else { Settled::NotDone(seen) })
    }
}

/// Boot override: read it. After a reset it is spent, and setting it again is harmless.
struct SetBoot;

#[async_trait]
impl Effect for SetBoot {
    fn kind(&self) -> EffectKind {
        EffectKind::SetBoot
    }

    async fn settle(&self, ctx: &mut StepContext, intent: &IntentRow) -> Result<Settled, Stop> {
        let bmc = ctx.app().bmcs.client(ctx.node.bmc_id).await?;
        let shown = bmc.told(bmc.boot_override().await).await?;
        let wanted = text(&intent.params, "target").unwrap_or("None");
        let is = shown.target.as_deref().unwrap_or("None") == wanted;
        let seen = json!({ "target": shown.target, "enabled": shown.enabled });
        // Which kind of override it became must be known too: the step reads it when it sets it, so it sets it again.
        Ok(if is && wanted == "None" { Settled::Done(seen) } else { Settled::NotDone(seen) })
    }
}

/// The order to write: the session names the order. What became of it, the ramdisk says with phase and digest.
struct OrderWrite;

#[async_trait]
impl Effect for OrderWrite {
    fn kind(&self) -> EffectKind {
        EffectKind::OrderWrite
    }

    async fn settle(&self, ctx: &mut StepContext, intent: &IntentRow) -> Result<Settled, Stop> {
        let session = of_intent(ctx, intent).await?;
        let wanted = text(&intent.params, "write_id");
        let given = session.as_ref().is_some_and(|session| session.write_id.as_deref() == wanted && wanted.is_some());
        let seen = json!({ "phase": session.and_then(|session| session.phase) });
        Ok(if given { Settled::Done(seen) } else { Settled::NotDone(seen) })
    }
}

/// The order to power off: the session's instruction.
struct OrderPowerOff;

#[async_trait]
impl Effect for OrderPowerOff {
    fn kind(&self) -> EffectKind {
        EffectKind::OrderPowerOff
    }

    async fn settle(&self, ctx: &mut StepContext, intent: &IntentRow) -> Result<Settled, Stop> {
        let session = of_intent(ctx, intent).await?;
        let given = session.is_some_and(|session| text(&session.instruction, "act") == Some("power_off"));
        Ok(if given { Settled::Done(json!({})) } else { Settled::NotDone(json!({})) })
    }
}

async fn of_intent(ctx: &StepContext, intent: &IntentRow) -> Result<Option<deploy_sessions::DeploySessionRow>, Stop> {
    let Some(id) = text(&intent.params, "session_id").and_then(|id| Uuid::parse_str(id).ok()) else { return Ok(None) };
    let mut conn = ctx.db().acquire().await?;
    Ok(deploy_sessions::find(&mut conn, id).await?)
}
