//! `Boot deploy ramdisk`: boot override once, power on, and the ramdisk must call with this attempt's own token.
//!
//! Only target and `Enabled` of the override are ever sent (quirk 15). What proves the boot is the claim: the BMC's word
//! for what it booted proves nothing. An old system that reports instead means that the host booted the wrong device.

use std::time::Duration;

use async_trait::async_trait;
use helix_inventory::plan::StepKind;
use redfish_client::BootTarget;
use serde_json::json;

use super::agent::{self, Word};
use super::deploy::{self, BOOT_CONTINUOUS, Medium};
use super::host::{self, Host, Place};
use super::power;
use crate::bmc::BmcError;
use crate::store::deploy_sessions::DeploySessionRow;
use crate::store::intents::IntentRow;
use crate::store::media_files;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::workflow::step::{Budget, Part, Sight, Step};

/// From the end of POST to the ramdisk's first call: the kernel and initrd are 25 MB at some 12 MB/s from virtual media,
/// links and DHCP take up to two minutes on switches that learn slowly; five times that.
const FIRST_CALL: Limit = Limit::minutes(10, "the ramdisk calls within 2 min after POST");

pub(super) struct BootDeployRamdisk;

#[async_trait]
impl Step for BootDeployRamdisk {
    fn kind(&self) -> StepKind {
        StepKind::BootDeployRamdisk
    }

    fn effects(&self) -> &'static [Part] {
        const PARTS: &[Part] = &[Part::usual(EffectKind::SetBoot), Part::usual(EffectKind::PowerOn)];
        PARTS
    }

    fn budget(&self) -> Budget {
        Budget { attempts: 2, whole: Limit::minutes(180, "two boots of the slowest model with every limit reached") }
    }

    fn retry_from(&self) -> StepKind {
        // The token may be spent and the host may run anything: from the top.
        StepKind::PowerOff
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let mut conn = ctx.db().acquire().await?;
        let session = deploy::session(ctx, &mut conn).await?;
        drop(conn);
        let Some((medium, session)) = session else {
            return Ok(Outcome::Retry(Trouble::new("deploy_session_missing", "There is no deploy medium yet.")).into());
        };
        if let Some(outcome) = claimed(&ctx.node.name, &session) {
            return Ok(outcome);
        }
        let Some(on) = ctx.happened(EffectKind::PowerOn).cloned() else { return Ok(Sight::Missing) };
        self.watch(ctx, &on, &medium).await.map(Into::into)
    }

    async fn act(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let host = Host::look(ctx).await?;
        if ctx.happened(EffectKind::SetBoot).is_none() {
            set_boot(ctx, &host).await?;
        }
        // Off and set and on is the one order in which nothing else can use the override up.
        power::on(ctx, &host).await
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let mut conn = ctx.db().acquire().await?;
        let session = deploy::session(ctx, &mut conn).await?;
        drop(conn);
        let claimed = session.and_then(|(_, session)| session.claimed_at.map(|_| session));
        let Some(session) = claimed else {
            return Ok(Outcome::Wait(power::coming(&ctx.node.name)));
        };
        let offset = session.clock_offset_seconds.unwrap_or_default();
        let clock = if offset.abs() > 60.0 {
            format!("; its clock was {} off and was set", away(offset))
        } else {
            String::new()
        };
        let from = session.remote_address.unwrap_or_default();
        Ok(Outcome::done(format!("the ramdisk called from {from} with this attempt's token{clock}")))
    }
}

impl BootDeployRamdisk {
    /// The host was switched on: where is it?
    async fn watch(&self, ctx: &mut StepContext, on: &IntentRow, medium: &Medium) -> Result<Outcome, Stop> {
        let name = ctx.node.name.clone();
        if let Word::Other(system) = agent::since(ctx, on).await? {
            return Ok(Outcome::Retry(wrong_device(&name, &system)));
        }
        let host = Host::look(ctx).await?;
        let post = host::post_limit(ctx.node.model.as_deref());
        Ok(match host.place().await? {
            Place::Off if ctx.since(on.committed_at) < power::POWER_COMES.after => Outcome::Wait(power::coming(&name)),
            Place::Off => Outcome::Retry(power::did_not_come(&name)),
            Place::Prompt(prompt) => Outcome::NeedsHuman(at_prompt(&name, &prompt)),
            Place::Post(progress) => Outcome::Wait(Wait {
                waits_for: format!("{name} to get through POST"),
                mark: format!("post:{progress}"),
                look_again: host::LOOK,
                limit: post,
                then: "a person is asked".to_owned(),
                otherwise: Box::new(Outcome::NeedsHuman(stuck_in_post(&name, &progress, post))),
                progress: Some(json!({ "phase": "post", "boot_progress": progress })),
            }),
            Place::Up => {
                let told = !matches!(host.state.boot_progress.as_deref(), None | Some("None"));
                // A BMC that tells nothing of POST gets the time for POST on top.
                let limit =
                    if told { FIRST_CALL } else { Limit { after: FIRST_CALL.after + post.after, ..FIRST_CALL } };
                Outcome::Wait(Wait {
                    waits_for: format!("the deploy ramdisk on {name} to call this controller"),
                    mark: "up".to_owned(),
                    look_again: host::LOOK,
                    limit,
                    then: "a person is asked".to_owned(),
                    otherwise: Box::new(Outcome::NeedsHuman(never_called(ctx, medium).await?)),
                    progress: Some(json!({ "phase": "booting" })),
                })
            }
        })
    }
}

/// What the session says, once the ramdisk called: reached, or the wrong machine.
fn claimed(name: &str, session: &DeploySessionRow) -> Option<Sight> {
    let failure = deploy::report(session).and_then(|report| report.error);
    if let Some(error) = failure.filter(|error| error.code == "deploy_wrong_machine") {
        let trouble = Trouble::new(
            error.code,
            format!("The deploy medium of {name} was started by another machine: {}", error.message),
        )
        .why("The BMC at this address switches another machine than the one that the node stands for.")
        .next("Check the node's BMC address and the cabling, then retry.");
        return Some(Outcome::NeedsHuman(trouble).into());
    }
    session.claimed_at.map(|_| Sight::Reached)
}

/// Sets the override, in the way that the BMC knows.
async fn set_boot(ctx: &mut StepContext, host: &Host) -> Result<(), Stop> {
    let before = host.bmc.told(host.bmc.boot_override().await).await?;
    let bmc = host.bmc.clone();
    let params = json!({ "target": BootTarget::Cd.as_str() });
    let before = json!({ "target": before.target, "enabled": before.enabled });
    let act = async move {
        let set = bmc.told(bmc.set_boot_once(BootTarget::Cd).await).await?;
        if set.is_once(BootTarget::Cd) || set.is_continuous(BootTarget::Cd) {
            return Ok(set);
        }
        // Some services take the order and know lasting overrides only.
        bmc.told(bmc.set_boot_continuous(BootTarget::Cd).await).await
    };
    let set = ctx.effect::<_, BmcError>(EffectKind::SetBoot, before, params, Box::pin(act)).await?;
    if set.is_continuous(BootTarget::Cd) {
        ctx.remember(BOOT_CONTINUOUS, true).await?;
    } else if !set.is_once(BootTarget::Cd) {
        let shown = set.target.unwrap_or_default();
        return Err(Outcome::Retry(
            Trouble::new(
                "boot_override_not_taken",
                format!("The BMC of {} was told to boot from the CD once and shows \"{shown}\".", ctx.node.name),
            )
            .next("Look at the boot settings on the BMC, then retry."),
        )
        .into());
    }
    Ok(())
}

pub(super) fn wrong_device(name: &str, system: &str) -> Trouble {
    Trouble::new(
        "booted_wrong_device",
        format!("{name} booted the wrong device: {system} reports instead of the deploy ramdisk."),
    )
    .why("The boot override was used up or ignored, or the host did not see the virtual drive when it left POST.")
    .next("Look at the boot order and at the virtual CD in the BIOS settings of the node, then retry.")
}

pub(super) fn at_prompt(name: &str, prompt: &str) -> Trouble {
    Trouble::new(
        "host_at_prompt",
        format!("{name} stands at a prompt of its firmware ({prompt}) and waits for somebody to press a key."),
    )
    .next("Open the virtual console on the iDRAC, see what it asks, and answer it; then retry.")
}

pub(super) fn stuck_in_post(name: &str, progress: &str, limit: Limit) -> Trouble {
    Trouble::new(
        "post_stuck",
        format!("{name} is in POST ({progress}) and made no progress for {} min.", limit.after.as_secs() / 60),
    )
    .why(format!("The limit for this model is derived so: {}.", limit.reason))
    .next("Look at the virtual console and the iDRAC's Lifecycle log, then retry.")
}

/// POST is over and nobody called: what to check, beginning with whether the medium was read at all.
async fn never_called(ctx: &StepContext, medium: &Medium) -> Result<Trouble, Stop> {
    let mut conn = ctx.db().acquire().await?;
    let served = media_files::of_workflow(&mut conn, ctx.workflow.id).await?;
    let iso = served.iter().find(|file| file.url == medium.url);
    let bytes = iso.map(|file| file.bytes_served).unwrap_or_default();
    let name = &ctx.node.name;
    let megabytes = bytes / 1_000_000;
    let (why, first) = if bytes == 0 {
        (
            "Not one byte of the deploy medium was read: the BMC cannot reach the media address.".to_owned(),
            format!("From the BMC's network, reach {} (media.advertise in helixd.toml).", medium.url),
        )
    } else if megabytes < READ_AT_LEAST {
        (
            format!("Only {megabytes} MB of the deploy medium were read: the host did not start from it."),
            "Look at the virtual console: which device did the host boot?".to_owned(),
        )
    } else {
        (
            format!(
                "{megabytes} MB of the deploy medium were read: the ramdisk started and does not reach this controller."
            ),
            "Look at the virtual console: the ramdisk shows its MAC addresses, links and DHCP results there."
                .to_owned(),
        )
    };
    Ok(Trouble::new("ramdisk_never_called", format!("The deploy ramdisk on {name} never called this controller."))
        .why(why)
        .next(first)
        .next("Check that the node's network reaches agents.advertise (helixd check-config), and DHCP or boot_ip of the node.")
        .next(format!("helixctl node edit {name} --boot-mac MAC --boot-ip ADDRESS/LEN --boot-gateway ADDRESS")))
}

/// A ramdisk that starts reads its kernel and initrd in full, some 25 MB; a firmware that only looks reads far less.
const READ_AT_LEAST: i64 = 10;

fn away(seconds: f64) -> String {
    let seconds = seconds.abs();
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let days = time.as_secs() / 86_400;
    match days {
        0 => format!("{} min", time.as_secs() / 60),
        1..=364 => format!("{days} days"),
        _ => format!("{} years, {} days", days / 365, days % 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_ten_years_off_is_said_in_years() {
        assert_eq!(away(-315_400_000.0), "10 years, 0 days");
        assert_eq!(away(7200.0), "120 min");
    }
}
