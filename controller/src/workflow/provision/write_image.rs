//! `Write image`: the ramdisk is told once and owns the write; this step gives the order and follows the reports.
//!
//! The ramdisk refuses a second order once it began, so a repeated order is harmless. Its own words and codes are what an
//! admin sees; which of them a new attempt may mend, the ramdisk says itself.

use std::time::Duration;

use async_trait::async_trait;
use helix_api::deploy::{DeployError as RamdiskError, DeployReport, Phase};
use helix_inventory::plan::StepKind;
use serde_json::{Value, json};

use super::deploy::{self, DISK, WRITE_ORDERED};
use crate::media;
use crate::store::deploy_sessions::DeploySessionRow;
use crate::workflow::context::StepContext;
use crate::workflow::effect::{ActError, EffectKind};
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::workflow::step::{Budget, Part, Sight, Step};

/// Longest silence while it writes: the ramdisk reports every 2 s; discarding a large drive is one silent call of up to
/// two minutes.
const SILENCE: Limit = Limit::minutes(5, "the ramdisk reports every 2 s; discarding a drive is silent for up to 2 min");

/// News wakes the step; this is for reports that only carry bytes.
const LOOK: Duration = Duration::from_secs(4);

/// Failures of the ramdisk before it touched any disk.
const UNTOUCHED: &[&str] = &[
    "disk_none_matches",
    "disk_ambiguous",
    "disk_too_small",
    "disk_sector_size",
    "disk_busy",
    "provision_disk_conflict",
    "image_unreachable",
    "deploy_aborted",
    "deploy_wrong_machine",
];

pub(super) struct WriteImage;

#[async_trait]
impl Step for WriteImage {
    fn kind(&self) -> StepKind {
        StepKind::WriteImage
    }

    fn effects(&self) -> &'static [Part] {
        const PARTS: &[Part] = &[Part::usual(EffectKind::OrderWrite)];
        PARTS
    }

    fn budget(&self) -> Budget {
        Budget {
            attempts: 3,
            whole: Limit::minutes(360, "three writes of 100 GB over 1 Gbit/s with reading back, and their boots"),
        }
    }

    fn retry_from(&self) -> StepKind {
        // The ramdisk takes one order a boot: a new attempt is a new boot.
        StepKind::PowerOff
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let mut conn = ctx.db().acquire().await?;
        let session = deploy::session(ctx, &mut conn).await?;
        drop(conn);
        let Some((_, session)) = session.filter(|(_, session)| session.closed_at.is_none()) else {
            return Ok(
                Outcome::Retry(Trouble::new("deploy_session_closed", "The ramdisk of this attempt is gone.")).into()
            );
        };
        let report = deploy::report(&session);
        if let Some(error) = report.as_ref().and_then(|report| report.error.clone()) {
            return self.failed(ctx, &error, report.as_ref()).await.map(Into::into);
        }
        if session.write_id.is_none() {
            return Ok(Sight::Missing);
        }
        let report = report.filter(|report| report.write_id == session.write_id);
        self.follow(ctx, &session, report).await
    }

    async fn act(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let Some(spec) = ctx.plan.spec.clone() else {
            return Err(Outcome::Failed(Trouble::new("plan_without_image", "The plan names no image.")).into());
        };
        let mut conn = ctx.db().acquire().await?;
        let Some((medium, _)) = deploy::session(ctx, &mut conn).await? else {
            return Err(Outcome::Retry(Trouble::new("deploy_session_missing", "There is no ramdisk to write.")).into());
        };
        let network = deploy::boot_network(ctx);
        let input = media::deploy::OrderInput {
            session_id: medium.session_id,
            workflow_id: ctx.workflow.id,
            node_id: ctx.node.id,
            node_name: &ctx.node.name,
            bmc_address: deploy::bmc_address(ctx).await?,
            boot_network: network.as_ref(),
            spec: &spec,
            disk: &spec.disk,
            wipe_conflicting: spec.wipe_conflicting,
        };
        let app = ctx.app().clone();
        let order = media::deploy::build_order(&app, &mut conn, &input).await.map_err(deploy::stop)?;
        drop(conn);
        // From here on the disk may hold anything.
        ctx.remember(WRITE_ORDERED, true).await?;
        let params = json!({ "write_id": order.write_id, "session_id": medium.session_id });
        let act = async move {
            let mut conn = app.db.acquire().await.map_err(|error| OrderError(deploy_store(error)))?;
            media::deploy::order_write(&app, &mut conn, medium.session_id, &order).await.map_err(OrderError)
        };
        ctx.effect(EffectKind::OrderWrite, json!({}), params, Box::pin(act)).await?;
        let message = format!("Told to write {} to {}", spec.image, spec.disk.in_words());
        ctx.event("info", "image_write_ordered", &message).await
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let mut conn = ctx.db().acquire().await?;
        let session = deploy::session(ctx, &mut conn).await?;
        drop(conn);
        let report = session.as_ref().and_then(|(_, session)| deploy::report(session));
        match report.filter(|report| report.phase == Phase::Written) {
            Some(report) => {
                let digest = report.digest.clone().unwrap_or_default();
                let short: String = digest.chars().take(12).collect();
                let line = format!("written to {} and read back (sha256 {short}…)", disk_words(&report));
                ctx.event("info", "image_written", &format!("Image {line}")).await?;
                Ok(Outcome::done(line))
            }
            None => Ok(Outcome::Wait(waiting(&ctx.node.name, "order", None))),
        }
    }
}

impl WriteImage {
    async fn follow(
        &self,
        ctx: &mut StepContext,
        session: &DeploySessionRow,
        report: Option<DeployReport>,
    ) -> Result<Sight, Stop> {
        let Some(report) = report else {
            let silent = format!("seq:{}", session.seq);
            return Ok(Outcome::Wait(waiting(&ctx.node.name, &silent, None)).into());
        };
        if report.phase == Phase::Written {
            return Ok(Sight::Reached);
        }
        if let Some(disk) = &report.disk {
            let known = ctx.recall::<Value>(DISK);
            let disk = serde_json::to_value(disk).unwrap_or_default();
            if known.as_ref() != Some(&disk) {
                ctx.remember(DISK, &disk).await?;
                ctx.event("info", "disk_chosen", &format!("Disk chosen: {}", disk_words(&report))).await?;
            }
        }
        let mark = format!("{}:{}", phase_word(report.phase), report.bytes_done);
        let name = ctx.node.name.clone();
        let mut wait = waiting(&name, &mark, Some(&report));
        wait.progress = Some(json!({
            "phase": phase_word(report.phase),
            "bytes_done": report.bytes_done,
            "bytes_total": report.bytes_total,
            "bytes_per_second": report.bytes_per_second,
            "message": report.message,
        }));
        Ok(Outcome::Wait(wait).into())
    }

    async fn failed(
        &self,
        ctx: &mut StepContext,
        error: &RamdiskError,
        report: Option<&DeployReport>,
    ) -> Result<Outcome, Stop> {
        if UNTOUCHED.contains(&error.code.as_str()) && ctx.recall::<bool>(WRITE_ORDERED) == Some(true) {
            // Only this attempt's order is taken back; one of an earlier attempt that wrote stays true.
            let wrote_before = ctx.recall::<Value>(DISK).is_some() && ctx.attempt.number > 1;
            if !wrote_before {
                ctx.remember(WRITE_ORDERED, false).await?;
            }
        }
        let name = &ctx.node.name;
        let workflow = &ctx.workflow.public_id;
        let mut trouble = Trouble::new(error.code.clone(), format!("{name}: {}", error.message));
        match error.code.as_str() {
            "disk_ambiguous" | "disk_none_matches" | "disk_too_small" => {
                for disk in report.map(|report| report.disks.as_slice()).unwrap_or_default() {
                    if let Some(serial) = &disk.serial {
                        let size = disk.size_bytes >> 30;
                        let model = disk.model.as_deref().unwrap_or("unknown model");
                        trouble = trouble.next(format!(
                            "helixctl workflow retry {workflow} --disk-serial {serial}   ({}, {model}, {size} GiB)",
                            disk.name
                        ));
                    }
                }
            }
            "provision_disk_conflict" => {
                trouble = trouble
                    .why("Two disks with the same file system, or two that can boot, and the firmware chooses one of them.")
                    .next(format!("helixctl workflow retry {workflow} --wipe-conflicting"));
            }
            "image_checksum_mismatch" | "image_truncated" | "image_size_mismatch" => {
                trouble = trouble
                    .why("What arrived is not what was imported: the file in the image store or the way to the node is damaged.")
                    .next("helixctl image list");
            }
            "image_unreachable" => {
                trouble = trouble
                    .why("The node must reach the address of the media listener (media.advertise).")
                    .next("helixd check-config");
            }
            _ => {}
        }
        Ok(if error.retryable { Outcome::Retry(trouble) } else { Outcome::NeedsHuman(trouble) })
    }
}

fn waiting(name: &str, mark: &str, report: Option<&DeployReport>) -> Wait {
    let what = match report.map(|report| report.phase) {
        None | Some(Phase::Claimed | Phase::InspectingDisks) => "to choose the disk",
        Some(Phase::DiskChosen | Phase::Wiping) => "to clear the disk",
        Some(Phase::Writing) => "to write the image",
        Some(Phase::Verifying) => "to read the image back",
        Some(Phase::Growing | Phase::Seeding | Phase::BootEntry) => "to prepare the new system",
        Some(Phase::Written | Phase::Failed) => "to finish",
    };
    let silent = Trouble::new("ramdisk_silent", format!("The ramdisk on {name} has been silent for 5 min."))
        .why("It crashed, lost its network, or a disk hangs.")
        .next("Look at the virtual console; then retry, which starts the node again.");
    Wait {
        waits_for: format!("the ramdisk on {name} {what}"),
        mark: mark.to_owned(),
        look_again: LOOK,
        limit: SILENCE,
        then: "the node is switched off and the step starts over".to_owned(),
        otherwise: Box::new(Outcome::Retry(silent)),
        progress: None,
    }
}

fn phase_word(phase: Phase) -> String {
    match serde_json::to_value(phase) {
        Ok(Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}

fn disk_words(report: &DeployReport) -> String {
    let Some(disk) = &report.disk else { return "the disk".to_owned() };
    let model = disk.model.as_deref().unwrap_or("unknown model");
    let serial = disk.serial.as_deref().unwrap_or("none");
    format!("{} ({model}, serial {serial}, {} GiB)", disk.name, disk.size_bytes >> 30)
}

fn deploy_store(error: sqlx::Error) -> media::deploy::DeployError {
    media::deploy::DeployError::Store(error.into())
}

/// An order is a row in our own database: it is given or it is not, and looking at the row tells.
pub(super) struct OrderError(pub(super) media::deploy::DeployError);

impl ActError for OrderError {
    fn outcome_unknown(&self) -> bool {
        matches!(self.0, media::deploy::DeployError::Store(_))
    }

    fn into_stop(self) -> Stop {
        deploy::stop(self.0)
    }
}
