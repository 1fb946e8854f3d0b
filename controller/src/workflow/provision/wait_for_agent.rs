//! `Wait for agent`: the new operating system calls, with the token of this run.
//!
//! The clock restarts with every sign of progress in POST. A word of the system that was there before means that the host
//! booted the wrong device.

use async_trait::async_trait;
use helix_inventory::plan::StepKind;
use serde_json::json;

use super::agent::{self, Word};
use super::boot_deploy_ramdisk::{at_prompt, stuck_in_post};
use super::host::{self, Host, Place};
use super::power;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::workflow::step::{Budget, Sight, Step};

/// From the end of POST to the agent's first report: boot, cloud-init with its network waits (two minutes each when a link
/// is dead), fetching 10 MB of agent; about 3 min, five times that.
const FIRST_REPORT: Limit = Limit::minutes(15, "boot, cloud-init and the fetch of the agent take about 3 min");

/// From the join to the first report: the agent reports right after.
const AFTER_JOIN: Limit = Limit::minutes(5, "the agent reports within seconds after it joined");

pub(super) struct WaitForAgent;

#[async_trait]
impl Step for WaitForAgent {
    fn kind(&self) -> StepKind {
        StepKind::WaitForAgent
    }

    fn budget(&self) -> Budget {
        Budget { attempts: 3, whole: Limit::minutes(180, "POST of the slowest model with every limit reached, twice") }
    }

    fn retry_from(&self) -> StepKind {
        StepKind::WaitForAgent
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let name = ctx.node.name.clone();
        let Some(on) = ctx.happened_ever(EffectKind::PowerOn).cloned() else {
            return Ok(Outcome::NeedsHuman(Trouble::new(
                "never_switched_on",
                format!("{name} was never switched on."),
            ))
            .into());
        };
        match agent::since(ctx, &on).await? {
            Word::New(_) => return Ok(Sight::Reached),
            Word::Joined => return Ok(Outcome::Wait(joined(&name)).into()),
            Word::Other(system) => return Ok(Outcome::NeedsHuman(wrong_system(&name, &system)).into()),
            Word::None => {}
        }
        let host = Host::look(ctx).await?;
        let post = host::post_limit(ctx.node.model.as_deref());
        let outcome = match host.place().await? {
            Place::Off if ctx.since(on.committed_at) < power::POWER_COMES.after => Outcome::Wait(power::coming(&name)),
            Place::Off => Outcome::NeedsHuman(went_off(&name)),
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
                let limit =
                    if told { FIRST_REPORT } else { Limit { after: FIRST_REPORT.after + post.after, ..FIRST_REPORT } };
                Outcome::Wait(Wait {
                    waits_for: format!("the agent on {name} to report"),
                    mark: "up".to_owned(),
                    look_again: host::LOOK,
                    limit,
                    then: "a person is asked".to_owned(),
                    otherwise: Box::new(Outcome::NeedsHuman(never_reported(&name))),
                    progress: Some(json!({ "phase": "booting" })),
                })
            }
        };
        Ok(outcome.into())
    }

    async fn verify(&self, ctx: &mut StepContext) -> Result<Outcome, Stop> {
        ctx.event("info", "agent_online", "The agent of the new system reports").await?;
        Ok(Outcome::done("the agent reports"))
    }
}

fn joined(name: &str) -> Wait {
    Wait {
        waits_for: format!("the first report of the agent on {name}, which has joined"),
        mark: "joined".to_owned(),
        look_again: host::LOOK,
        limit: AFTER_JOIN,
        then: "a person is asked".to_owned(),
        otherwise: Box::new(Outcome::NeedsHuman(
            Trouble::new("agent_silent", format!("The agent on {name} joined and has not reported since."))
                .next(format!("On the node: systemctl status helix-agent; journalctl -u helix-agent   ({name})")),
        )),
        progress: None,
    }
}

fn wrong_system(name: &str, system: &str) -> Trouble {
    Trouble::new(
        "booted_wrong_device",
        format!("{name} booted the wrong device: {system} reports, which is not what was just written."),
    )
    .why("Another disk holds an older system and comes first in the boot order.")
    .next("Correct the boot order, or remove the old system with --wipe-conflicting in a new run; then retry.")
}

fn went_off(name: &str) -> Trouble {
    Trouble::new("host_went_off", format!("{name} was switched on and is off again, before its agent reported."))
        .why("Somebody switched it off, or the firmware or the new system did.")
        .next(format!("helixctl node power on {name}"))
        .next("Then retry, and look at the virtual console meanwhile.")
}

fn never_reported(name: &str) -> Trouble {
    Trouble::new("agent_never_reported", format!("{name} was booted from its disk and its agent never reported."))
        .why("The image is on the disk and was read back without a fault; what is missing is a word of the new system.")
        .next("Look at the virtual console: does the system start, has it an address?")
        .next("In the system: cloud-init status --long; systemctl status helix-agent; the node must reach agents.advertise.")
        .next("Retry waits once more; skip goes on without a sign of life.")
}
