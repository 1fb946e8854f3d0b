//! The ramdisk's three calls: claim, next, report.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use chrono::{TimeDelta, Utc};
use helix_api::deploy::{Act, ClaimRequest, ClaimResponse, DeployError, DeployReport, Instruction, Phase};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::reply::{Body, Refused, body};
use super::{Agents, identity, wake};
use crate::access::token;
use crate::media::instruction;
use crate::store::agents::{self as nodes, NodeIdentity};
use crate::store::deploy_sessions::{self, Claim, DeploySessionRow};
use crate::store::events::{self, NewEvent};
use crate::store::workflows;

/// A long poll ends by then: below the 30 s after which proxies and clients give a silent request up. Not scaled: it
/// belongs to the connection.
const LONG_POLL: Duration = Duration::from_secs(25);
/// A long poll looks by itself this often, for hints can get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A clock that is off by more than this is said: TLS and logs care for seconds, cron and certificates for minutes.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// `POST /agent/v1/deploy/claim`
pub(super) async fn claim(
    State(shared): State<Arc<Agents>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    request: Body<ClaimRequest>,
) -> Result<Json<ClaimResponse>, Refused> {
    shared.refusals.check(remote.ip())?;
    let request = body(request)?;
    let app = &shared.app;
    let now = app.clock.now();
    let digest = token::digest(&request.token);
    let (secret, secret_digest) = token::generate().map_err(|error| Refused::internal("to make a session", &error))?;
    let machine = serde_json::to_value(&request.machine).unwrap_or(Value::Null);
    let offset = request.clock - now;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a clock offset stay far below 2^52")]
    let claim = Claim {
        now,
        session_sha256: &secret_digest,
        boot_id: &request.boot_id,
        agent_version: &request.agent_version,
        machine: &machine,
        clock_offset_seconds: offset.num_milliseconds() as f64 / 1000.0,
        remote_address: &remote.ip().to_string(),
    };
    let mut tx = app.db.begin().await?;
    let Some(session) = deploy_sessions::claim(&mut tx, &digest, &claim).await? else {
        shared.refusals.count(remote.ip());
        let refused = dead_token(&mut tx, &digest, remote).await?;
        tx.commit().await?;
        return Err(refused);
    };
    let node = node_of(&mut tx, &session).await?;
    let say = Say { session: &session, node: &node };
    if let Some(other) = identity::other_tag(&node, &request.machine) {
        let message = format!(
            "The deploy medium of {} ({}) was started on another machine, which calls itself {other} (from {}). The token is \
             dead; nothing was written.",
            node.name,
            node.service_tag,
            remote.ip()
        );
        // The session ends here: the workflow sees a ramdisk that failed, not one that never called.
        let report = failed_report("deploy_wrong_machine", &message);
        deploy_sessions::note_report(&mut tx, session.id, "failed", &report, now).await?;
        say.event(&mut tx, "critical", "deploy_wrong_machine", &message).await?;
        workflows::wake(&mut tx, session.workflow_id).await?;
        tx.commit().await?;
        return Err(Refused::new(StatusCode::CONFLICT, "deploy_wrong_machine", message)
            .next("Check which chassis the BMC address belongs to, and that no medium was moved by hand."));
    }
    let called = format!(
        "The deploy ramdisk of {} called from {} (attempt {}, agent {}).",
        node.name,
        remote.ip(),
        session.attempt,
        request.agent_version
    );
    say.event(&mut tx, "info", "ramdisk_called", &called).await?;
    if offset.abs() > CLOCK_TOLERANCE {
        let message = format!(
            "The clock of {} was {} {} Helix's; the ramdisk sets it.",
            node.name,
            in_words(offset.abs()),
            if offset > TimeDelta::zero() { "ahead of" } else { "behind" }
        );
        say.event(&mut tx, "warning", "clock_offset", &message).await?;
    }
    if request.simulated {
        nodes::mark_simulated(&mut tx, node.id, now).await?;
    }
    let workflow = nodes::workflow_public_id(&mut tx, session.workflow_id).await?.unwrap_or_default();
    workflows::wake(&mut tx, session.workflow_id).await?;
    tx.commit().await?;
    Ok(Json(ClaimResponse {
        session: secret.expose_secret().to_owned(),
        workflow,
        attempt: u32::try_from(session.attempt).unwrap_or_default(),
        node_name: node.name,
        service_tag: node.service_tag,
        // The machine's clock is set from this: real time, not a test's.
        now: Utc::now(),
    }))
}

/// Says why a token was not taken.
async fn dead_token(conn: &mut PgConnection, digest: &[u8], remote: SocketAddr) -> Result<Refused, Refused> {
    let Some(session) = deploy_sessions::of_token(conn, digest).await? else {
        return Ok(Refused::new(
            StatusCode::UNAUTHORIZED,
            "deploy_token_unknown",
            "this deploy token is not known here",
        )
        .next("The medium is from another controller or a node that was removed: start the provisioning again."));
    };
    let node = node_of(conn, &session).await?;
    let why = match session.claimed_at {
        Some(at) => format!(
            "it was used at {} from {}",
            at.format("%H:%M:%S UTC"),
            session.remote_address.as_deref().unwrap_or("?")
        ),
        None => "its attempt is over".to_owned(),
    };
    let message = format!("The deploy token of {} (attempt {}) is dead: {why}.", node.name, session.attempt);
    let event = format!("{message} {} tried it again.", remote.ip());
    Say { session: &session, node: &node }.event(conn, "warning", "deploy_token_used", &event).await?;
    Ok(Refused::new(StatusCode::CONFLICT, "deploy_token_used", message)
        .next("A token serves one start of the medium. Start the attempt again: helixctl workflow retry."))
}

#[derive(Debug, Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
}

/// `GET /agent/v1/deploy/next?after=<seq>`
pub(super) async fn next(
    State(shared): State<Arc<Agents>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Result<Json<Instruction>, Refused> {
    let digest = bearer(&shared, &headers, remote)?;
    let until = Instant::now() + LONG_POLL;
    // Before the first look, so that nothing is missed between the two.
    let mut hints = shared.wake.subscribe();
    loop {
        let session = session(&shared, &digest, remote).await?;
        let seq = u64::try_from(session.seq).unwrap_or_default();
        if session.closed_at.is_some() {
            let reason = "this attempt was ended by the controller".to_owned();
            return Ok(Json(Instruction { seq, act: Act::Abort { reason } }));
        }
        if seq > after || Instant::now() >= until || shared.app.shutdown.is_cancelled() {
            let act = if seq > after {
                instruction::open(&shared.app.secrets, session.id, &session.instruction)
                    .map_err(|error| Refused::internal("to read the instruction", &error))?
            } else {
                Act::Wait
            };
            return Ok(Json(Instruction { seq, act }));
        }
        tokio::select! {
            () = wake::named(&mut hints, session.id) => {}
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK_AGAIN)) => {}
            () = shared.app.shutdown.cancelled() => {}
        }
    }
}

/// `POST /agent/v1/deploy/report`
pub(super) async fn report(
    State(shared): State<Arc<Agents>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Body<DeployReport>,
) -> Result<Json<Value>, Refused> {
    let digest = bearer(&shared, &headers, remote)?;
    let report = body(request)?;
    let session = session(&shared, &digest, remote).await?;
    let before: Option<DeployReport> = session.report.clone().and_then(|value| serde_json::from_value(value).ok());
    let phase = phase_word(report.phase);
    let phase_changed = session.phase.as_deref() != Some(phase);
    let failed_anew =
        report.error.is_some() && before.as_ref().and_then(|before| before.error.as_ref()) != report.error.as_ref();
    let said_anew = report.message.is_some()
        && before.as_ref().and_then(|before| before.message.as_ref()) != report.message.as_ref();
    let merged = serde_json::to_value(merge(before, report.clone())).unwrap_or(Value::Null);
    let mut tx = shared.app.db.begin().await?;
    if !deploy_sessions::note_report(&mut tx, session.id, phase, &merged, shared.app.clock.now()).await? {
        return Err(closed());
    }
    let node = node_of(&mut tx, &session).await?;
    let say = Say { session: &session, node: &node };
    if let Some(error) = report.error.as_ref().filter(|_| failed_anew) {
        say.event(
            &mut tx,
            "warning",
            &error.code,
            &format!("The deploy ramdisk of {} stopped: {}", node.name, error.message),
        )
        .await?;
    }
    if let Some(message) = report.message.as_ref().filter(|_| said_anew) {
        say.event(&mut tx, "info", "ramdisk_said", &format!("The deploy ramdisk of {} says: {message}", node.name))
            .await?;
    }
    if phase_changed || failed_anew || said_anew {
        workflows::wake(&mut tx, session.workflow_id).await?;
    }
    tx.commit().await?;
    Ok(Json(json!({})))
}

/// What was learned once is kept when a later report leaves it out: the disk, the digest, the disks seen.
fn merge(before: Option<DeployReport>, mut report: DeployReport) -> DeployReport {
    if let Some(before) = before.filter(|before| before.write_id == report.write_id || before.write_id.is_none()) {
        report.disk = report.disk.or(before.disk);
        report.digest = report.digest.or(before.digest);
        if report.disks.is_empty() {
            report.disks = before.disks;
        }
        if report.phase == before.phase {
            report.error = report.error.or(before.error);
        }
    }
    report
}

fn failed_report(code: &str, message: &str) -> Value {
    let report = DeployReport {
        write_id: None,
        phase: Phase::Failed,
        disk: None,
        bytes_done: 0,
        bytes_total: 0,
        bytes_per_second: 0,
        digest: None,
        disks: Vec::new(),
        error: Some(DeployError { code: code.to_owned(), message: message.to_owned(), retryable: false }),
        message: None,
    };
    serde_json::to_value(report).unwrap_or(Value::Null)
}

fn bearer(shared: &Agents, headers: &HeaderMap, remote: SocketAddr) -> Result<[u8; 32], Refused> {
    shared.refusals.check(remote.ip())?;
    let secret = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    secret.map(|secret| token::digest(secret.trim())).ok_or_else(|| {
        Refused::new(
            StatusCode::UNAUTHORIZED,
            "deploy_session_required",
            "this call needs the session that a claim gives",
        )
    })
}

async fn session(shared: &Agents, digest: &[u8], remote: SocketAddr) -> Result<DeploySessionRow, Refused> {
    let mut conn = shared.app.db.acquire().await?;
    match deploy_sessions::of_secret(&mut conn, digest).await? {
        Some(session) => Ok(session),
        None => {
            shared.refusals.count(remote.ip());
            Err(Refused::new(
                StatusCode::UNAUTHORIZED,
                "deploy_session_unknown",
                "this deploy session is not known here",
            ))
        }
    }
}

fn closed() -> Refused {
    Refused::new(StatusCode::CONFLICT, "deploy_session_closed", "this attempt was ended by the controller")
}

async fn node_of(conn: &mut PgConnection, session: &DeploySessionRow) -> Result<NodeIdentity, Refused> {
    nodes::node(conn, session.node_id)
        .await?
        .ok_or_else(|| Refused::new(StatusCode::CONFLICT, "node_removed", "the node of this session was removed"))
}

/// Events of a session.
struct Say<'a> {
    session: &'a DeploySessionRow,
    node: &'a NodeIdentity,
}

impl Say<'_> {
    async fn event(&self, conn: &mut PgConnection, severity: &str, code: &str, message: &str) -> Result<(), Refused> {
        let event = NewEvent {
            node_id: self.node.id,
            source: "agent",
            severity,
            code: Some(code),
            message,
            workflow_id: Some(self.session.workflow_id),
        };
        Ok(events::insert(conn, &event).await?)
    }
}

/// The phase as the row spells it.
fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Claimed => "claimed",
        Phase::InspectingDisks => "inspecting_disks",
        Phase::DiskChosen => "disk_chosen",
        Phase::Wiping => "wiping",
        Phase::Writing => "writing",
        Phase::Verifying => "verifying",
        Phase::Growing => "growing",
        Phase::Seeding => "seeding",
        Phase::BootEntry => "boot_entry",
        Phase::Written => "written",
        Phase::Failed => "failed",
    }
}

/// A time span for people: `9 years 364 days`, `2 min 5 s`.
fn in_words(span: TimeDelta) -> String {
    let (days, seconds) = (span.num_days(), span.num_seconds());
    match (days / 365, days % 365) {
        (0, 0) if seconds < 60 => format!("{seconds} s"),
        (0, 0) if seconds < 3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        (0, 0) => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        (0, days) => format!("{days} days"),
        (years, days) => format!("{years} years {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_said_in_units_that_people_use() {
        assert_eq!(in_words(TimeDelta::seconds(7)), "7 s");
        assert_eq!(in_words(TimeDelta::seconds(125)), "2 min 5 s");
        assert_eq!(in_words(TimeDelta::hours(3)), "3 h 0 min");
        assert_eq!(in_words(TimeDelta::days(3649)), "9 years 364 days");
    }

    #[test]
    fn every_phase_is_spelt_as_on_the_wire() {
        let phases = [
            Phase::Claimed,
            Phase::InspectingDisks,
            Phase::DiskChosen,
            Phase::Wiping,
            Phase::Writing,
            Phase::Verifying,
            Phase::Growing,
            Phase::Seeding,
            Phase::BootEntry,
            Phase::Written,
            Phase::Failed,
        ];
        for phase in phases {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase_word(phase));
        }
    }
}
