//! `Validate`: the new system is the expected one. Validation suites join it later.

use async_trait::async_trait;
use helix_api::agent::AgentReport;
use helix_api::image::ImageFacts;
use helix_inventory::plan::StepKind;
use helix_inventory::words::Lifecycle;

use super::agent::{self, Word};
use crate::media;
use crate::store::node_state;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble};
use crate::workflow::step::{Budget, Sight, Step};

pub(super) struct Validate;

#[async_trait]
impl Step for Validate {
    fn kind(&self) -> StepKind {
        StepKind::Validate
    }

    fn budget(&self) -> Budget {
        Budget { attempts: 3, whole: Limit::minutes(30, "it compares what is known already") }
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let mut tx = ctx.begin().await?;
        node_state::set_state(&mut tx, ctx.node.id, Lifecycle::Validating, Some(&ctx.workflow.public_id), true).await?;
        tx.commit().await?;
        Ok(Sight::Reached)
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        let name = ctx.node.name.clone();
        let word = match ctx.happened_ever(EffectKind::PowerOn).cloned() {
            Some(on) => agent::since(ctx, &on).await?,
            None => Word::None,
        };
        let Word::New(report) = word else {
            let trouble =
                Trouble::new("agent_silent", format!("No report of the new system on {name} is there to validate."));
            return Ok(Outcome::NeedsHuman(trouble.next("Retry, or skip: the node then goes into service unchecked.")));
        };
        let facts = image_facts(ctx).await?;
        let faults = faults(ctx, &report, &facts);
        if !faults.is_empty() {
            let trouble =
                Trouble::new("validation_failed", format!("{name} is not as expected: {}.", faults.join("; ")));
            return Ok(Outcome::NeedsHuman(trouble.next(format!("helixctl node show {name}"))));
        }
        Ok(Outcome::done(format!("{}, kernel {}, new boot", report.os.name, report.os.kernel)))
    }
}

/// What the import found in the image; nothing when it is gone or could not be read.
async fn image_facts(ctx: &StepContext) -> Result<ImageFacts, Stop> {
    let Some(spec) = &ctx.plan.spec else { return Ok(ImageFacts::default()) };
    let mut conn = ctx.db().acquire().await?;
    let image = media::deploy::planned_image(&mut conn, spec).await.ok();
    Ok(image.and_then(|image| serde_json::from_value(image.facts).ok()).unwrap_or_default())
}

fn faults(ctx: &StepContext, report: &AgentReport, image: &ImageFacts) -> Vec<String> {
    let mut faults = Vec::new();
    let old = ctx.happened_ever(EffectKind::PowerOn).and_then(|on| on.before.get("agent_boot_id").cloned());
    if old.as_ref().and_then(|id| id.as_str()) == Some(report.boot_id.as_str()) {
        faults.push("it reports the boot id of before the installation".to_owned());
    }
    if let Some(expected) = &image.os_id
        && !report.os.id.is_empty()
        && report.os.id != *expected
    {
        faults.push(format!("its system is \"{}\" and the image holds \"{expected}\"", report.os.id));
    }
    if let (Some(expected), Some(found)) = (&image.os_version, &report.os.version)
        && expected != found
    {
        faults.push(format!("its system has version {found} and the image {expected}"));
    }
    if report.os.kernel.is_empty() {
        faults.push("it reports no kernel".to_owned());
    }
    if !report.machine.uefi {
        faults.push("it was not started by UEFI firmware".to_owned());
    }
    let tag = report.machine.service_tag.as_deref();
    if tag.is_some_and(|tag| !tag.eq_ignore_ascii_case(&ctx.node.service_tag)) {
        faults.push(format!("it says that its service tag is {}", tag.unwrap_or_default()));
    }
    faults
}
