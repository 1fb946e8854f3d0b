//! Switching the host on and off: the two effects that several steps share.

use std::time::Duration;

use redfish_client::ResetType;
use serde_json::{Value, json};

use super::host::Host;
use crate::bmc::BmcError;
use crate::store::node_state;
use crate::workflow::context::StepContext;
use crate::workflow::effect::EffectKind;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};

/// How long an operating system may take to shut down before it is cut: systemd's own limit for a stuck unit.
pub(super) const SOFT_OFF: Duration = Duration::from_secs(90);

/// How long the power may take to go after it was cut (quirk 44: 30 s are exceeded).
pub(super) const FORCED_OFF: Limit = Limit::seconds(90, "power off takes up to 70 s on some iDRACs");

/// How long the power may take to come: the BMC shows it within seconds; firmware that lost the order never does
/// (quirk 45).
pub(super) const POWER_COMES: Limit = Limit::seconds(60, "a BMC shows the power within seconds of the order");

/// iDRAC10 refuses to switch on for about a minute after it switched off (quirk 43).
const REFUSES_ON: Limit = Limit::seconds(120, "an iDRAC10 refuses to switch on for a minute after switching off");

/// Pause between two tries while it refuses.
const REFUSED_AGAIN: Duration = Duration::from_secs(10);

/// Switches the host on.
pub(super) async fn on(ctx: &mut StepContext, host: &Host) -> Result<(), Stop> {
    let mut before = host.before();
    let mut conn = ctx.db().acquire().await?;
    let agent = node_state::agent(&mut conn, ctx.node.id).await?;
    drop(conn);
    // What the agent said last, so that a word of the old system is told from one of the new.
    if let (Value::Object(map), Some(agent)) = (&mut before, agent) {
        map.insert("agent_joined_at".to_owned(), json!(agent.joined_at));
        map.insert("agent_report_at".to_owned(), json!(agent.report_at));
        map.insert("agent_boot_id".to_owned(), json!(agent.boot_id));
    }
    let bmc = host.bmc.clone();
    let params = json!({ "reset_type": ResetType::On.as_str() });
    let act = async move { bmc.told(bmc.reset(ResetType::On).await).await.map(|_| ()) };
    match ctx.effect::<(), BmcError>(EffectKind::PowerOn, before, params, Box::pin(act)).await {
        Err(Stop::Outcome(outcome)) => match *outcome {
            Outcome::Retry(trouble) => Err(Outcome::Wait(Wait {
                waits_for: "the BMC to take the order to switch the host on".to_owned(),
                mark: "power_on_refused".to_owned(),
                look_again: REFUSED_AGAIN,
                limit: REFUSES_ON,
                then: "a new attempt of the step".to_owned(),
                otherwise: Box::new(Outcome::Retry(trouble)),
                progress: None,
            })
            .into()),
            other => Err(other.into()),
        },
        other => other,
    }
}

/// Switches the host off: asks the operating system, or cuts the power.
pub(super) async fn off(ctx: &mut StepContext, host: &Host, reset: ResetType) -> Result<(), Stop> {
    let bmc = host.bmc.clone();
    let params = json!({ "reset_type": reset.as_str() });
    let act = async move { bmc.told(bmc.reset(reset).await).await.map(|_| ()) };
    ctx.effect::<(), BmcError>(EffectKind::PowerOff, host.before(), params, Box::pin(act)).await
}

/// When this attempt gave the order of that type, as time since.
pub(super) fn ordered_off(ctx: &StepContext, reset: ResetType) -> Option<Duration> {
    let intent = ctx.intents.iter().rev().find(|intent| {
        intent.attempt_id == ctx.attempt.id
            && intent.effect == EffectKind::PowerOff.as_str()
            && intent.outcome.as_deref() == Some("done")
            && intent.params.get("reset_type").and_then(Value::as_str) == Some(reset.as_str())
    })?;
    Some(ctx.since(intent.committed_at))
}

/// The wait for the power to go.
pub(super) fn going(name: &str, forced: bool) -> Wait {
    let (waits_for, then) = if forced {
        (format!("the power of {name} to go; it was cut"), "a new attempt")
    } else {
        (format!("the operating system of {name} to shut down"), "after 90 s the power is cut")
    };
    Wait {
        waits_for,
        mark: if forced { "forced_off" } else { "soft_off" }.to_owned(),
        look_again: super::host::LOOK,
        // Asking softly ends by itself: the step cuts the power before this limit is reached.
        limit: if forced { FORCED_OFF } else { Limit { after: SOFT_OFF * 2, ..FORCED_OFF } },
        then: then.to_owned(),
        otherwise: Box::new(Outcome::Retry(power_stuck(name))),
        progress: None,
    }
}

fn power_stuck(name: &str) -> Trouble {
    Trouble::new("power_stuck", format!("{name} is still on although its power was cut through the BMC."))
        .why("The BMC took the order and the power state did not follow.")
        .next("Reset the BMC (iDRAC: racadm racreset), or pull and plug the power cords, then retry.")
}

/// The wait for the power to come.
pub(super) fn coming(name: &str) -> Wait {
    Wait {
        waits_for: format!("the power of {name} to come"),
        mark: "power_comes".to_owned(),
        look_again: super::host::LOOK,
        limit: POWER_COMES,
        then: "a new attempt".to_owned(),
        otherwise: Box::new(Outcome::Retry(did_not_come(name))),
        progress: None,
    }
}

/// The power did not come.
pub(super) fn did_not_come(name: &str) -> Trouble {
    Trouble::new("power_did_not_come", format!("{name} was told to switch on and is off."))
        .why("The BMC took the order and nothing happened; some iDRAC firmware loses it (5.10.10.05 on an R650).")
        .next("Switch the node on through the iDRAC and look what it says; reset the iDRAC if it says nothing, then retry.")
}
