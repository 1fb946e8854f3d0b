//! One deployment as the controller sees it: claim, instructions, reports, end.
//!
//! The token dies at the claim; the session it gave carries everything after. A write is begun once: the same order again is answered
//! with the present state, another order is refused. While the controller is away this waits and tries again, for the machine has
//! nothing else to do. What the steps are is [`super::write`]'s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use helix_api::deploy::{Act, ClaimRequest, ClaimResponse, DeployReport, Phase, WriteOrder};
use helix_api::machine::MachineFacts;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::failure::Failure;
use super::host::DeployHost;
use super::progress::{Progress, State};
use super::write::{self, Acknowledge};
use crate::controller::{CallError, Controller};

/// While bytes move a report is sent this often (CONTRACT of the deploy protocol).
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// Pause after a call that failed; it doubles up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// A controller that restarts is back within half a minute; longer pauses would only delay the node.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A controller that has nothing to say holds the call for up to 25 s. One that answers sooner than this is ending; asking it again at
/// once would be a loop without a pause.
const SOONEST_WAIT: Duration = Duration::from_secs(1);

/// Claims are tried this often while the controller does not answer; then the caller looks at the network again.
const CLAIM_ATTEMPTS: u32 = 6;

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    PowerOff,
    Reboot,
}

/// Waiting is scaled in simulations; a real machine uses 1.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    time_scale: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { time_scale: 1.0 }
    }
}

impl Pace {
    /// Waits are divided by `time_scale`.
    pub fn scaled(time_scale: f64) -> Self {
        Self { time_scale: time_scale.max(1.0) }
    }

    /// A wait as it really lasts. Never below 20 ms, so that a large scale does not turn polling into spinning.
    pub fn wait(&self, nominal: Duration) -> Duration {
        nominal.div_f64(self.time_scale).max(Duration::from_millis(20))
    }
}

/// Who claims.
#[derive(Debug, Clone)]
pub struct Claimant {
    pub token: SecretString,
    pub machine: MachineFacts,
    pub boot_id: String,
    pub clock: DateTime<Utc>,
    pub simulated: bool,
}

/// Claims this attempt.
///
/// # Errors
/// A refusal at once; no answer after a handful of attempts.
pub async fn claim(controller: &Controller, claimant: &Claimant, pace: Pace) -> Result<ClaimResponse, CallError> {
    let request = ClaimRequest {
        token: claimant.token.expose_secret().to_owned(),
        machine: claimant.machine.clone(),
        boot_id: claimant.boot_id.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: claimant.clock,
        simulated: claimant.simulated,
    };
    let mut pause = SHORTEST_PAUSE;
    for attempt in 1.. {
        match controller.claim(&request).await {
            Ok(claimed) => return Ok(claimed),
            Err(error) if error.transient() && attempt < CLAIM_ATTEMPTS => {
                tracing::warn!(attempt, "{error}");
                tokio::time::sleep(pace.wait(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Err(CallError::Unreachable("no attempt was made".into()))
}

/// What the reporter has delivered: the version of the state, or that the session is over.
type Delivered = watch::Receiver<Result<u64, String>>;

/// Follows the instructions of a claimed session to its end. `message` is a line for the first report.
///
/// # Errors
/// When the controller says that the session is over.
pub async fn follow<H: DeployHost>(
    host: Arc<H>,
    controller: Controller,
    session: &str,
    message: Option<String>,
    pace: Pace,
) -> Result<Ending, CallError> {
    let progress = Arc::new(Progress::default());
    progress.update(|state| state.message = message);
    let (delivered_to, delivered) = watch::channel(Ok(0));
    let reporter = Reporter {
        controller: controller.clone(),
        session: session.to_owned(),
        progress: Arc::clone(&progress),
        delivered: delivered_to,
        pace,
    };
    let reporting = AbortOnDrop(tokio::spawn(reporter.run()));
    let mut writing: Option<(String, AbortOnDrop<()>)> = None;
    let mut after = 0;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let asked = Instant::now();
        let instruction = match controller.next(session, after).await {
            Ok(instruction) => instruction,
            Err(error) if error.transient() => {
                tracing::warn!("{error}");
                tokio::time::sleep(pace.wait(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            Err(error) => return Err(error),
        };
        pause = SHORTEST_PAUSE;
        after = after.max(instruction.seq);
        match instruction.act {
            Act::Wait => {
                if asked.elapsed() < SOONEST_WAIT {
                    tokio::time::sleep(pace.wait(SOONEST_WAIT)).await;
                }
            }
            Act::Write(order) => match &writing {
                None => {
                    tracing::info!(write_id = order.write_id, image = order.image.name, "write order");
                    let id = order.write_id.clone();
                    let task = start(Arc::clone(&host), *order, Arc::clone(&progress), delivered.clone());
                    writing = Some((id, AbortOnDrop(task)));
                }
                Some((id, _)) if *id == order.write_id => {
                    // A repeated order is answered with where the first one is.
                    progress.update(|_| {});
                }
                Some((id, _)) => {
                    tracing::warn!(write_id = order.write_id, begun = id, "a second write order is refused");
                    let line = format!("write order {} was refused: {id} was begun on this boot", order.write_id);
                    progress.update(|state| state.message = Some(line));
                }
            },
            Act::PowerOff => {
                drop(writing);
                drop(reporting);
                return Ok(Ending::PowerOff);
            }
            Act::Reboot => {
                drop(writing);
                drop(reporting);
                return Ok(Ending::Reboot);
            }
            Act::Abort { reason } => {
                abort(&reason, &mut writing, &progress);
                // An ended attempt answers at once, each time; what may still come is the power-off.
                tokio::time::sleep(pace.wait(LONGEST_PAUSE)).await;
            }
        }
    }
}

/// Stops a write that is under way and says so; what was finished stays finished.
fn abort(reason: &str, writing: &mut Option<(String, AbortOnDrop<()>)>, progress: &Progress) {
    if let Some((_, task)) = writing {
        task.0.abort();
    }
    if matches!(progress.state().phase, Phase::Written | Phase::Failed) {
        return;
    }
    tracing::warn!(reason, "the controller stopped this deployment");
    let failure = Failure::Aborted(reason.to_owned());
    progress.update(|state| {
        state.phase = Phase::Failed;
        state.error = Some(failure.wire());
    });
}

fn start<H: DeployHost>(
    host: Arc<H>,
    order: WriteOrder,
    progress: Arc<Progress>,
    delivered: Delivered,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let gate = Gate { progress: Arc::clone(&progress), delivered };
        // The outcome is in the progress, from where the reporter takes it.
        if write::carry_out(host.as_ref(), &gate, &order, &progress).await.is_ok() {
            tracing::info!("written; waiting for the controller");
        }
    })
}

/// Waits until the reporter has delivered what is known now.
struct Gate {
    progress: Arc<Progress>,
    delivered: Delivered,
}

impl Acknowledge for Gate {
    async fn acknowledged(&self) -> Result<(), Failure> {
        let wanted = self.progress.state().version;
        let mut delivered = self.delivered.clone();
        let outcome = delivered.wait_for(|so_far| so_far.as_ref().map_or(true, |version| *version >= wanted)).await;
        match outcome {
            Ok(so_far) => so_far.as_ref().map(|_| ()).map_err(|reason| Failure::Aborted(reason.clone())),
            Err(_) => Err(Failure::Internal { part: "the reporter" }),
        }
    }
}

/// Sends the state whenever it changed, and every two seconds while bytes move.
struct Reporter {
    controller: Controller,
    session: String,
    progress: Arc<Progress>,
    delivered: watch::Sender<Result<u64, String>>,
    pace: Pace,
}

impl Reporter {
    async fn run(self) {
        let mut sent: Option<(u64, u64)> = None;
        let mut rate = Rate::default();
        let mut pause = SHORTEST_PAUSE;
        loop {
            let state = self.progress.state();
            let now = (state.version, state.bytes_done);
            if sent != Some(now) {
                let report = report(&state, rate.over(&state));
                match self.controller.deploy_report(&self.session, &report).await {
                    Ok(()) => {
                        pause = SHORTEST_PAUSE;
                        sent = Some(now);
                        self.delivered.send_modify(|delivered| *delivered = Ok(state.version));
                    }
                    Err(error) if error.transient() => {
                        tracing::warn!("the report was not delivered: {error}");
                        tokio::time::sleep(self.pace.wait(pause)).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                    Err(error) => {
                        // The instruction loop sees the same refusal and ends the session.
                        tracing::error!("the report was refused: {error}");
                        self.delivered.send_modify(|delivered| *delivered = Err(error.to_string()));
                        return;
                    }
                }
            }
            // Either something changed, or it is time to look whether bytes moved.
            tokio::select! {
                () = self.progress.changed() => {}
                () = tokio::time::sleep(self.pace.wait(REPORT_EVERY)) => {}
            }
        }
    }
}

/// Bytes a second since the last report of the same phase.
#[derive(Debug, Default)]
struct Rate {
    last: Option<(Phase, u64, Instant)>,
}

impl Rate {
    fn over(&mut self, state: &State) -> u64 {
        let now = Instant::now();
        let rate = match self.last {
            Some((phase, bytes, then)) if phase == state.phase && state.bytes_done > bytes => {
                let millis = u64::try_from(now.duration_since(then).as_millis()).unwrap_or(u64::MAX).max(1);
                (state.bytes_done - bytes).saturating_mul(1000) / millis
            }
            _ => 0,
        };
        self.last = Some((state.phase, state.bytes_done, now));
        rate
    }
}

/// The wire form. The list of disks goes out while a decision about disks is made or has failed, not with every report of progress.
fn report(state: &State, bytes_per_second: u64) -> DeployReport {
    let about_disks = matches!(state.phase, Phase::InspectingDisks | Phase::DiskChosen | Phase::Failed);
    DeployReport {
        write_id: state.write_id.clone(),
        phase: state.phase,
        disk: state.disk.clone(),
        bytes_done: state.bytes_done,
        bytes_total: state.bytes_total,
        bytes_per_second,
        digest: state.digest.clone(),
        disks: if about_disks { state.disks.clone() } else { Vec::new() },
        error: state.error.clone(),
        message: state.message.clone(),
    }
}

/// A task that ends with its owner. What blocks (a write to a disk) ends at its next await only.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
