//! What the agent of the node says, told apart into the old system's word and the new one's.

use helix_api::agent::AgentReport;
use serde_json::{Value, json};

use crate::store::intents::IntentRow;
use crate::store::node_state::{self, AgentSeen};
use crate::workflow::context::StepContext;
use crate::workflow::outcome::Stop;

/// Whose word it is.
pub(super) enum Word {
    /// Nothing since the host was switched on.
    None,
    /// A system that was installed before reports: the host booted something else than it was told.
    Other(String),
    /// The agent of this installation joined, and has not reported yet.
    Joined,
    /// The agent of this installation reports.
    New(Box<AgentReport>),
}

/// The agent's word since the host was switched on by `on`.
pub(super) async fn since(ctx: &StepContext, on: &IntentRow) -> Result<Word, Stop> {
    let mut conn = ctx.db().acquire().await?;
    let Some(agent) = node_state::agent(&mut conn, ctx.node.id).await? else { return Ok(Word::None) };
    let report = agent.report.clone().and_then(|report| serde_json::from_value::<AgentReport>(report).ok());
    let instance = ctx.workflow.id.to_string();
    let ours =
        report.as_ref().and_then(|report| report.os.instance_id.clone()).is_some_and(|id| id.contains(&instance));
    let joined_since = differs(&on.before, "agent_joined_at", &json!(agent.joined_at));
    let reported_since = agent.report_at.is_some() && differs(&on.before, "agent_report_at", &json!(agent.report_at));
    Ok(match report {
        // An image without cloud-init's files shows no instance: then the join with this run's token tells.
        Some(report) if ours || (joined_since && report.os.instance_id.is_none()) => Word::New(Box::new(report)),
        Some(_) if reported_since && !joined_since => Word::Other(system(&agent)),
        Some(report) if reported_since && joined_since => Word::New(Box::new(report)),
        None if joined_since => Word::Joined,
        _ => Word::None,
    })
}

fn differs(before: &Value, key: &str, now: &Value) -> bool {
    before.get(key).unwrap_or(&Value::Null) != now
}

fn system(agent: &AgentSeen) -> String {
    agent.os_name.clone().unwrap_or_else(|| "the system that was installed before".to_owned())
}
