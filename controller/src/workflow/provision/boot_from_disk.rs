//! `Boot from disk`: power on in the normal order, and look whether the power really came (quirk 45).

use async_trait::async_trait;
use helix_inventory::plan::StepKind;
use redfish_client::BootTarget;
use serde_json::json;

use super::deploy::BOOT_CONTINUOUS;
use super::host::Host;
use super::power;
use crate::bmc::BmcError;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop};
use crate::workflow::step::{Budget, Part, Sight, Step};

pub(super) struct BootFromDisk;

#[async_trait]
impl Step for BootFromDisk {
    fn kind(&self) -> StepKind {
        StepKind::BootFromDisk
    }

    fn effects(&self) -> &'static [Part] {
        const PARTS: &[Part] = &[Part::at_need(EffectKind::SetBoot), Part::usual(EffectKind::PowerOn)];
        PARTS
    }

    fn budget(&self) -> Budget {
        Budget { attempts: 3, whole: Limit::minutes(30, "three attempts of 3 min each with back-off between") }
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let Some(on) = ctx.happened(EffectKind::PowerOn).cloned() else { return Ok(Sight::Missing) };
        let host = Host::look(ctx).await?;
        Ok(match (host.is_off(), ctx.since(on.committed_at) < power::POWER_COMES.after) {
            (false, _) => Sight::Reached,
            (true, true) => Outcome::Wait(power::coming(&ctx.node.name)).into(),
            (true, false) => Outcome::Retry(power::did_not_come(&ctx.node.name)).into(),
        })
    }

    async fn act(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let host = Host::look(ctx).await?;
        let shown = host.bmc.told(host.bmc.boot_override().await).await?;
        let lasting = ctx.recall::<bool>(BOOT_CONTINUOUS) == Some(true);
        // What is left of our own override, spent or not, must not decide this boot.
        let ours = shown.is_once(BootTarget::Cd) || shown.is_continuous(BootTarget::Cd);
        if (lasting || ours) && ctx.happened(EffectKind::SetBoot).is_none() {
            let bmc = host.bmc.clone();
            let target = if lasting { BootTarget::Hdd } else { BootTarget::None };
            let before = json!({ "target": shown.target, "enabled": shown.enabled });
            let params = json!({ "target": target.as_str() });
            let act = async move {
                let set = if lasting {
                    bmc.set_boot_continuous(BootTarget::Hdd).await
                } else {
                    bmc.clear_boot_override().await
                };
                bmc.told(set).await.map(|_| ())
            };
            ctx.effect::<(), BmcError>(EffectKind::SetBoot, before, params, Box::pin(act)).await?;
        }
        power::on(ctx, &host).await
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let host = Host::look(ctx).await?;
        if host.is_off() {
            return Ok(Outcome::Wait(power::coming(&ctx.node.name)));
        }
        Ok(Outcome::done("the power is on"))
    }
}
