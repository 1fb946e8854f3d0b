//! `Power off`: asks the operating system first, 90 s, then cuts the power.
//!
//! A ramdisk of an earlier attempt listens to nobody and has nothing to lose: it is cut at once.

use async_trait::async_trait;
use helix_inventory::plan::StepKind;
use redfish_client::ResetType;

use super::deploy;
use super::host::Host;
use super::power;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop};
use crate::workflow::step::{Budget, Part, Sight, Step};

pub(super) struct PowerOff;

#[async_trait]
impl Step for PowerOff {
    fn kind(&self) -> StepKind {
        StepKind::PowerOff
    }

    fn effects(&self) -> &'static [Part] {
        const PARTS: &[Part] = &[Part::usual(EffectKind::PowerOff)];
        PARTS
    }

    fn budget(&self) -> Budget {
        Budget {
            attempts: 4,
            whole: Limit::minutes(60, "four attempts of 3 min each, with back-off and a BMC reset between"),
        }
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let host = Host::look(ctx).await?;
        if host.is_off() {
            return Ok(Sight::Reached);
        }
        if power::ordered_off(ctx, ResetType::ForceOff).is_some() {
            return Ok(Outcome::Wait(power::going(&ctx.node.name, true)).into());
        }
        match power::ordered_off(ctx, ResetType::GracefulShutdown) {
            Some(since) if since < power::SOFT_OFF => Ok(Outcome::Wait(power::going(&ctx.node.name, false)).into()),
            _ => Ok(Sight::Missing),
        }
    }

    async fn act(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let host = Host::look(ctx).await?;
        let asked = power::ordered_off(ctx, ResetType::GracefulShutdown).is_some();
        let reset = if asked || ramdisk_runs(ctx).await? { ResetType::ForceOff } else { ResetType::GracefulShutdown };
        match power::off(ctx, &host, reset).await {
            // A BMC that cannot ask, or an operating system that refuses to be asked, leaves only the cut.
            Err(Stop::Outcome(outcome)) if !asked && reset == ResetType::GracefulShutdown && refused(&outcome) => {
                power::off(ctx, &host, ResetType::ForceOff).await
            }
            other => other,
        }
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let host = Host::look(ctx).await?;
        let forced = power::ordered_off(ctx, ResetType::ForceOff).is_some();
        if !host.is_off() {
            return Ok(Outcome::Wait(power::going(&ctx.node.name, forced)));
        }
        let line = match (forced, power::ordered_off(ctx, ResetType::GracefulShutdown).is_some()) {
            (true, _) => "the power was cut",
            (false, true) => "the operating system shut down",
            (false, false) => "was off already",
        };
        if line != "was off already" {
            ctx.event("info", "power_off", &format!("Switched off: {line}")).await?;
        }
        Ok(Outcome::done(line))
    }
}

fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::NeedsHuman(trouble)
        if trouble.code == "bmc_not_supported" || trouble.code == "bmc_refused")
}

/// Whether a ramdisk of this workflow is what runs on the host.
async fn ramdisk_runs(ctx: &StepContext) -> Result<bool, Stop> {
    let mut conn = ctx.db().acquire().await?;
    let session = deploy::session(ctx, &mut conn).await?;
    Ok(session.is_some_and(|(_, session)| session.claimed_at.is_some()))
}
