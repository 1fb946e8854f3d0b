//! `Eject media`: the ramdisk is told to switch itself off, and only then is the medium taken away.
//!
//! A medium that is ejected under a running ramdisk takes its file system along (quirk 12).

use async_trait::async_trait;
use helix_api::deploy::Act;
use helix_inventory::plan::StepKind;
use redfish_client::ResetType;
use serde_json::json;

use super::deploy;
use super::host::{self, Host};
use super::insert_deploy_media::{Slot, eject};
use super::power;
use super::write_image::OrderError;
use crate::media;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::workflow::step::{Budget, Part, Sight, Step};

/// How long the ramdisk may take to switch itself off: it syncs, unmounts and calls the kernel.
const SWITCHES_OFF: Limit =
    Limit::seconds(120, "the ramdisk asks for orders at least every 25 s, syncs and powers off");

/// How long the slot may show the medium after it was ejected.
const EJECTS: Limit = Limit::seconds(60, "an ejected medium shows as inserted for some seconds (quirk 6)");

pub(super) struct EjectMedia;

#[async_trait]
impl Step for EjectMedia {
    fn kind(&self) -> StepKind {
        StepKind::EjectMedia
    }

    fn effects(&self) -> &'static [Part] {
        const PARTS: &[Part] = &[
            Part::usual(EffectKind::OrderPowerOff),
            Part::at_need(EffectKind::PowerOff),
            Part::usual(EffectKind::EjectMedia),
        ];
        PARTS
    }

    fn budget(&self) -> Budget {
        Budget { attempts: 4, whole: Limit::minutes(45, "four attempts of 4 min each with back-off between") }
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let host = Host::look(ctx).await?;
        if !host.is_off() {
            if power::ordered_off(ctx, ResetType::ForceOff).is_some() {
                return Ok(Outcome::Wait(power::going(&ctx.node.name, true)).into());
            }
            let told = ctx.happened(EffectKind::OrderPowerOff).map(|intent| ctx.since(intent.committed_at));
            return Ok(match told {
                Some(since) if since < SWITCHES_OFF.after => Outcome::Wait(switching_off(&ctx.node.name)).into(),
                _ => Sight::Missing,
            });
        }
        let slot = Slot::look(ctx).await?;
        Ok(match (slot.state.inserted, ctx.happened(EffectKind::EjectMedia).is_some()) {
            (false, _) => Sight::Reached,
            (true, true) => Outcome::Wait(ejecting(&ctx.node.name)).into(),
            (true, false) => Sight::Missing,
        })
    }

    async fn act(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let host = Host::look(ctx).await?;
        if !host.is_off() {
            let session = {
                let mut conn = ctx.db().acquire().await?;
                deploy::session(ctx, &mut conn).await?
            };
            let open = session.filter(|(_, session)| session.closed_at.is_none());
            return match open {
                Some((medium, _)) if ctx.happened(EffectKind::OrderPowerOff).is_none() => {
                    let app = ctx.app().clone();
                    let params = json!({ "session_id": medium.session_id });
                    let act = async move {
                        let mut conn = app
                            .db
                            .acquire()
                            .await
                            .map_err(|error| OrderError(media::deploy::DeployError::Store(error.into())))?;
                        media::deploy::order(&app, &mut conn, medium.session_id, Act::PowerOff)
                            .await
                            .map_err(OrderError)
                    };
                    ctx.effect(EffectKind::OrderPowerOff, json!({}), params, Box::pin(act)).await
                }
                // It did not obey, or is not there to be asked; the image is written and synced.
                _ => power::off(ctx, &host, ResetType::ForceOff).await,
            };
        }
        let slot = Slot::look(ctx).await?;
        if slot.state.inserted { eject(ctx, &slot).await } else { Ok(()) }
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let host = Host::look(ctx).await?;
        if !host.is_off() {
            let forced = power::ordered_off(ctx, ResetType::ForceOff).is_some();
            let name = &ctx.node.name;
            return Ok(Outcome::Wait(if forced { power::going(name, true) } else { switching_off(name) }));
        }
        let slot = Slot::look(ctx).await?;
        if slot.state.inserted {
            return Ok(Outcome::Wait(ejecting(&ctx.node.name)));
        }
        let app = ctx.app().clone();
        let mut tx = ctx.begin().await?;
        media::deploy::close(&app, &mut tx, ctx.workflow.id).await.map_err(deploy::stop)?;
        tx.commit().await?;
        Ok(Outcome::done("the ramdisk is off and the medium is out"))
    }
}

fn switching_off(name: &str) -> Wait {
    Wait {
        waits_for: format!("the ramdisk on {name} to switch itself off"),
        mark: "ramdisk_off".to_owned(),
        look_again: host::LOOK,
        // The step cuts the power before this limit is reached.
        limit: Limit { after: SWITCHES_OFF.after * 2, ..SWITCHES_OFF },
        then: "after 2 min the power is cut; the image is on the disk already".to_owned(),
        otherwise: Box::new(Outcome::Retry(Trouble::new(
            "ramdisk_stays_on",
            format!("The ramdisk on {name} did not switch itself off."),
        ))),
        progress: None,
    }
}

fn ejecting(name: &str) -> Wait {
    Wait {
        waits_for: "the slot for virtual media to be empty".to_owned(),
        mark: "ejecting".to_owned(),
        look_again: host::LOOK,
        limit: EJECTS,
        then: "a new attempt".to_owned(),
        otherwise: Box::new(Outcome::Retry(
            Trouble::new("media_not_ejected", format!("The deploy medium stays in the virtual drive of {name}.")).next(
                "Eject it on the iDRAC, then retry; or skip the step: the medium holds no secret that still works.",
            ),
        )),
        progress: None,
    }
}
