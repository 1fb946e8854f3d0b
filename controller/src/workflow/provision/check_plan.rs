//! `Check the plan again`: a plan is run as confirmed or not at all.
//!
//! Reads identity, power, boot mode and Secure Boot of the node, compares the facts with the plan's digest, and looks for
//! jobs of others on the BMC. Nothing is touched before it is done. A foreign job is waited for, never cleared.

use std::time::Duration;

use async_trait::async_trait;
use helix_inventory::plan::StepKind;
use helix_inventory::words::Lifecycle;
use redfish_client::dell::job::Job;

use crate::bmc::Bmc;
use crate::media;
use crate::store::{hardware, node_state};
use crate::workflow::context::StepContext;
use crate::workflow::inspect::same_machine;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::workflow::step::{Budget, Sight, Step};

/// A foreign job makes no progress for this long: a BIOS job waits for its reboot, which somebody else must make.
const FOREIGN_JOB: Limit = Limit::minutes(60, "a firmware job with its reboots takes up to 45 min");

/// How often a foreign job is looked at.
const JOB_LOOK: Duration = Duration::from_secs(30);

/// Changes named when the facts moved.
const NAMED: i64 = 5;

pub(super) struct CheckPlan;

#[async_trait]
impl Step for CheckPlan {
    fn kind(&self) -> StepKind {
        StepKind::CheckPlan
    }

    fn budget(&self) -> Budget {
        Budget {
            attempts: 5,
            whole: Limit::minutes(180, "foreign jobs may follow one another; after 3 h a person is told"),
        }
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let bmc = ctx.app().bmcs.client(ctx.node.bmc_id).await?;
        let system = bmc.told(bmc.system().await).await?;
        same_machine(ctx, &bmc, system.identity()).await?;
        let dell = bmc.told(bmc.root().await).await?.is_dell();
        if dell {
            let attribute = bmc.told(bmc.bios().await).await?.boot_mode().map(str::to_owned);
            let shown = system.boot.as_ref().and_then(|boot| boot.override_mode.clone());
            if matches!(attribute.or(shown).as_deref(), Some("Bios" | "Legacy")) {
                return Ok(Outcome::Failed(legacy(&ctx.node.name)).into());
            }
        }
        let secure = bmc.told(bmc.secure_boot().await).await?;
        if secure.and_then(|secure| secure.is_on()) == Some(true) {
            return Ok(Outcome::Failed(secure_boot(&ctx.node.name)).into());
        }
        moved(ctx).await?;
        if dell && let Some(job) = foreign_job(&bmc).await? {
            return Ok(Outcome::Wait(for_job(ctx, &job)).into());
        }
        ready_to_deploy(ctx).await?;
        Ok(Sight::Reached)
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let spec = ctx.plan.spec.clone().unwrap_or_default();
        let reason = format!("{}: writing {}", ctx.workflow.public_id, spec.image);
        let mut tx = ctx.begin().await?;
        let may = node_state::set_state(&mut tx, ctx.node.id, Lifecycle::Provisioning, Some(&reason), true).await?;
        if !may {
            let trouble = Trouble::new(
                "provision_state",
                format!(
                    "{} is {} now and cannot be provisioned from there. Nothing was touched.",
                    ctx.node.name, ctx.node.state
                ),
            );
            return Ok(Outcome::Failed(trouble.next(format!("helixctl node show {}", ctx.node.name))));
        }
        let message = format!("{} starts: {} onto {}", ctx.workflow.public_id, spec.image, spec.disk.in_words());
        ctx.event_in(&mut tx, "info", "provision_started", &message).await?;
        tx.commit().await?;
        Ok(Outcome::done("the facts are the planned ones"))
    }
}

fn legacy(name: &str) -> Trouble {
    Trouble::new(
        "boot_mode_legacy",
        format!(
            "{name} boots in legacy BIOS mode now (BIOS attribute BootMode = Bios); Helix installs UEFI only. Nothing was \
             touched."
        ),
    )
    .next(
        "Set BootMode to Uefi on the iDRAC (Configuration, BIOS Settings, Boot Settings). That is a BIOS job and a reboot, \
         up to 15 min. Then plan again.",
    )
}

fn secure_boot(name: &str) -> Trouble {
    Trouble::new(
        "secure_boot_enabled",
        format!(
            "Secure Boot is enabled on {name} now (BIOS attribute SecureBoot = Enabled); the deploy medium is not signed \
             yet and would not start. Nothing was touched."
        ),
    )
    .next(
        "Set SecureBoot to Disabled on the iDRAC (Configuration, BIOS Settings, System Security). That is a BIOS job and a \
         reboot, up to 15 min. Then plan again.",
    )
}

/// Stops when the facts that the plan rests on are others now, and says what moved.
async fn moved(ctx: &StepContext) -> Result<(), Stop> {
    let mut conn = ctx.db().acquire().await?;
    let found = hardware::get(&mut conn, ctx.node.id).await?;
    let now = found.map(|found| found.provision_digest()).unwrap_or_default();
    if now == ctx.plan.facts_digest {
        return Ok(());
    }
    let recent = hardware::changes(&mut conn, ctx.node.id, None, NAMED).await?;
    let said: Vec<_> = recent.iter().map(|change| change.summary.as_str()).collect();
    let what = if said.is_empty() { "boot settings or drives".to_owned() } else { said.join("; ") };
    let name = &ctx.node.name;
    Err(Outcome::Failed(
        Trouble::new(
            "facts_moved",
            format!("{name} is not what the plan was made for any more ({what}). Nothing was touched."),
        )
        .next(format!("helixctl node provision {name} --dry-run")),
    )
    .into())
}

/// A job of somebody else that is not finished.
async fn foreign_job(bmc: &Bmc) -> Result<Option<Job>, Stop> {
    // Helix submits no jobs in this workflow, so whatever is there is foreign.
    let jobs = bmc.told(bmc.jobs().await).await?;
    Ok(jobs.into_iter().find(|job| !job.is_finished()))
}

fn for_job(ctx: &StepContext, job: &Job) -> Wait {
    let id = job.id.as_deref().unwrap_or("without an id");
    let name = job.name.as_deref().unwrap_or("no name");
    let state = job.job_state.as_deref().unwrap_or("unknown");
    let node = &ctx.node.name;
    let trouble = Trouble::new(
        "foreign_job",
        format!("The job {id} ({name}) on the BMC of {node} is {state} and makes no progress. Nothing was touched."),
    )
    .why("A job of somebody else would run at the next boot and use up the boot override. Helix never clears it.")
    .next("Finish or delete the job on the iDRAC (Maintenance, Job Queue), then retry.");
    Wait {
        waits_for: format!("the job {id} ({name}) on the BMC, which is somebody else's, to end; it is {state}"),
        mark: format!("job:{id}:{state}:{}", job.percent_complete.unwrap_or_default()),
        look_again: JOB_LOOK,
        limit: FOREIGN_JOB,
        then: "a person is asked; Helix never clears a job that is not its own".to_owned(),
        otherwise: Box::new(Outcome::NeedsHuman(trouble)),
        progress: None,
    }
}

/// What would stop the run later, with the host already off, is found out here.
async fn ready_to_deploy(ctx: &StepContext) -> Result<(), Stop> {
    if let Some(refusal) = media::refusal(ctx.app()).await {
        let trouble = Trouble::new(refusal.code, refusal.message).next(refusal.next);
        return Err(Outcome::NeedsHuman(trouble).into());
    }
    let Some(spec) = &ctx.plan.spec else {
        let trouble = Trouble::new("plan_without_image", "The plan names no image. Nothing was touched.");
        return Err(Outcome::Failed(trouble).into());
    };
    let mut conn = ctx.db().acquire().await?;
    match media::deploy::planned_image(&mut conn, spec).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = crate::chain::Chain(&error).to_string();
            let trouble = Trouble::new(error.code(), format!("{text}. Nothing was touched."));
            Err(Outcome::Failed(trouble.next("helixctl image list")).into())
        }
    }
}
