//! `Insert deploy media`: eject whatever is in the slot, insert this attempt's own URL, wait until the host can see it.
//!
//! On Dell `Inserted` turns true at once and the host sees the drive up to a minute later (quirk 68); a boot before that
//! starts the local disk. Every attempt has a URL of its own, so that a stale slot is never taken for the new one
//! (quirk 6).

use std::time::Duration;

use async_trait::async_trait;
use helix_inventory::plan::StepKind;
use redfish_client::{MediaSlot, MediaState};
use serde_json::json;

use super::deploy::{self, MEDIA, Medium};
use crate::bmc::{Bmc, BmcError};
use crate::media;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::workflow::step::{Budget, Part, Sight, Step};

/// Pause between eject and insert: the iDRAC lets the old share go meanwhile.
const AFTER_EJECT: Duration = Duration::from_secs(5);

/// How long the old medium may stay in the slot after it was ejected (quirk 6).
const EJECTS: Limit = Limit::seconds(60, "an ejected medium shows as inserted for some seconds");

/// How long the host may take to see the drive: measured 55 to 60 s; three times that.
const ATTACHES: Limit = Limit::seconds(180, "the host sees the drive up to a minute after the medium is inserted");

/// How often the slot is looked at.
const LOOK: Duration = Duration::from_secs(5);

pub(super) struct InsertDeployMedia;

#[async_trait]
impl Step for InsertDeployMedia {
    fn kind(&self) -> StepKind {
        StepKind::InsertDeployMedia
    }

    fn effects(&self) -> &'static [Part] {
        const PARTS: &[Part] = &[Part::at_need(EffectKind::EjectMedia), Part::usual(EffectKind::InsertMedia)];
        PARTS
    }

    fn budget(&self) -> Budget {
        Budget { attempts: 4, whole: Limit::minutes(60, "four attempts of 5 min each with back-off between") }
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let slot = Slot::look(ctx).await?;
        if let Some(medium) = own(ctx)
            && slot.state.inserted
            && medium.is(slot.state.image.as_deref())
        {
            return Ok(match slot.state.attached {
                Some(false) => Outcome::Wait(attaching(ctx, &medium)).into(),
                _ => Sight::Reached,
            });
        }
        let ejected = ctx.happened(EffectKind::EjectMedia).map(|intent| ctx.since(intent.committed_at));
        Ok(match ejected {
            Some(_) if slot.state.inserted => Outcome::Wait(ejecting()).into(),
            Some(since) if since < AFTER_EJECT => Outcome::Wait(ejecting()).into(),
            _ => Sight::Missing,
        })
    }

    async fn act(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let slot = Slot::look(ctx).await?;
        if slot.state.inserted {
            return eject(ctx, &slot).await;
        }
        let medium = match own(ctx) {
            Some(medium) => medium,
            None => prepare(ctx).await?,
        };
        let before = json!({ "inserted": slot.state.inserted, "image": slot.state.image });
        let params = json!({ "url": medium.url });
        let (bmc, slot) = (slot.bmc, slot.slot);
        let act = async move { bmc.told(bmc.insert_media(&slot, &medium.url).await).await };
        ctx.effect::<(), BmcError>(EffectKind::InsertMedia, before, params, Box::pin(act)).await
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let slot = Slot::look(ctx).await?;
        let Some(medium) = own(ctx).filter(|medium| medium.is(slot.state.image.as_deref())) else {
            return Ok(Outcome::Wait(ejecting()));
        };
        Ok(match (slot.state.inserted, slot.state.attached) {
            (true, Some(false)) => Outcome::Wait(attaching(ctx, &medium)),
            (true, Some(true)) => Outcome::done("the host sees the deploy medium"),
            (true, None) => Outcome::done("the deploy medium is inserted"),
            (false, _) => Outcome::Wait(attaching(ctx, &medium)),
        })
    }
}

/// The slot and what is in it.
pub(super) struct Slot {
    pub(super) bmc: Bmc,
    pub(super) slot: MediaSlot,
    pub(super) state: MediaState,
}

impl Slot {
    pub(super) async fn look(ctx: &StepContext) -> Result<Self, Stop> {
        let bmc = ctx.app().bmcs.client(ctx.node.bmc_id).await?;
        let slot = bmc.told(bmc.media_slot().await).await?;
        let state = bmc.told(bmc.media_state(&slot).await).await?;
        Ok(Self { bmc, slot, state })
    }
}

/// Empties the slot.
pub(super) async fn eject(ctx: &mut StepContext, slot: &Slot) -> Result<(), Stop> {
    let before = json!({ "inserted": slot.state.inserted, "image": slot.state.image });
    let (bmc, slot) = (slot.bmc.clone(), slot.slot.clone());
    let act = async move { bmc.told(bmc.eject_media(&slot).await).await };
    ctx.effect::<(), BmcError>(EffectKind::EjectMedia, before, json!({}), Box::pin(act)).await
}

/// The medium that this attempt prepared.
fn own(ctx: &StepContext) -> Option<Medium> {
    ctx.recall::<Medium>(MEDIA).filter(|medium| medium.attempt == ctx.attempt.number)
}

/// Makes URL and session of this attempt; remembered before anything is told to the BMC.
async fn prepare(ctx: &mut StepContext) -> Result<Medium, Stop> {
    let attempt = media::deploy::Prepare {
        workflow_id: ctx.workflow.id,
        workflow_public_id: ctx.workflow.public_id.clone(),
        node_id: ctx.node.id,
        node_name: ctx.node.name.clone(),
        attempt: ctx.attempt.number,
        bmc_address: deploy::bmc_address(ctx).await?,
        boot_network: deploy::boot_network(ctx),
    };
    let app = ctx.app().clone();
    let mut tx = ctx.begin().await?;
    let prepared = media::deploy::prepare(&app, &mut tx, &attempt).await.map_err(deploy::stop)?;
    let medium = Medium { attempt: attempt.attempt, session_id: prepared.session_id, url: prepared.media_url };
    ctx.remember_in(&mut tx, MEDIA, &medium).await?;
    tx.commit().await?;
    Ok(medium)
}

fn ejecting() -> Wait {
    Wait {
        waits_for: "the slot for virtual media to be empty".to_owned(),
        mark: "ejecting".to_owned(),
        look_again: LOOK,
        limit: EJECTS,
        then: "a new attempt".to_owned(),
        otherwise: Box::new(Outcome::Retry(
            Trouble::new(
                "media_not_ejected",
                "The slot for virtual media still shows the old medium after it was ejected.",
            )
            .next("Eject the medium on the iDRAC; when that fails too: racadm remoteimage -d, or reset the iDRAC."),
        )),
        progress: None,
    }
}

fn attaching(ctx: &StepContext, medium: &Medium) -> Wait {
    Wait {
        waits_for: "the host to see the deploy medium".to_owned(),
        mark: "attaching".to_owned(),
        look_again: LOOK,
        limit: ATTACHES,
        then: "a new attempt with a new medium".to_owned(),
        otherwise: Box::new(Outcome::Retry(
            Trouble::new(
                "media_not_attached",
                format!("The BMC of {} inserted the deploy medium, and the host never saw it.", ctx.node.name),
            )
            .why(format!("The BMC was told {}; it must be able to read from there.", medium.url))
            .next("Check that the BMC can reach that address (media.advertise in helixd.toml), then retry."),
        )),
        progress: None,
    }
}
