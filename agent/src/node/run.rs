//! The agent's loop: join, report, renew.
//!
//! What it reads is given to it as a [`Subject`], so that real and simulated nodes run the same loop. A controller that is away costs
//! nothing but retries with growing pauses; a refused token or certificate is said with what to do, and tried again rarely, for a
//! person has to act.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use helix_api::agent::{AgentReport, JoinRequest, RenewRequest};
use helix_api::machine::MachineFacts;
use rand::RngExt;

use super::config::Config;
use super::credentials::{CredentialError, Credentials, Membership};
use super::report;
use crate::controller::{CallError, Controller};
use crate::deploy::failure::chain;
use crate::deploy::session::Pace;
use crate::machine;
use crate::machine::infiniband::Ports;
use crate::machine::root::Root;
use crate::machine::system;
use crate::source::Source;

/// First pause after a call that failed; it doubles up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);
/// A node is back within a minute of its controller.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// After a refusal only a person helps; five minutes keep the log readable and the node back soon after.
const REFUSED_PAUSE: Duration = Duration::from_secs(300);

/// Intervals the controller may ask for; outside it is a mistake that would flood the controller or look like silence.
const INTERVAL_SECONDS: std::ops::RangeInclusive<u32> = 1..=3600;

/// Intervals vary by this share, so that a thousand nodes started together do not report together.
const JITTER: f64 = 0.1;

/// What the loop reports about.
pub trait Subject: Send {
    /// Facts for the join.
    fn machine(&self) -> MachineFacts;
    /// The id of this boot.
    fn boot_id(&self) -> String;
    /// Whether readings are replayed or invented.
    fn simulated(&self) -> bool;
    /// One report.
    fn report(&mut self) -> impl Future<Output = AgentReport> + Send;
}

/// This machine.
pub struct ThisMachine {
    root: Root,
    source: Box<dyn Source>,
    ports: Ports,
}

impl ThisMachine {
    /// The machine with its GPU readings from `source`.
    pub fn new(source: Box<dyn Source>) -> Self {
        Self { root: Root::default(), source, ports: Ports::default() }
    }
}

impl Subject for ThisMachine {
    fn machine(&self) -> MachineFacts {
        machine::facts(&self.root)
    }

    fn boot_id(&self) -> String {
        system::boot_id(&self.root)
    }

    fn simulated(&self) -> bool {
        self.source.simulated()
    }

    async fn report(&mut self) -> AgentReport {
        report::collect(&self.root, self.source.as_mut(), &mut self.ports).await
    }
}

/// Where the agent joins and keeps what it got.
#[derive(Debug, Clone)]
pub struct Home {
    pub controller_urls: Vec<String>,
    pub controller_key_sha256: String,
    pub token_file: PathBuf,
    pub credentials: Credentials,
}

impl From<&Config> for Home {
    fn from(config: &Config) -> Self {
        Self {
            controller_urls: config.controller_urls.clone(),
            controller_key_sha256: config.controller_key_sha256.clone(),
            token_file: config.token_file.clone(),
            credentials: Credentials::at(&config.state_dir),
        }
    }
}

/// Why one turn of the loop failed.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    #[error(
        "this node has not joined and its token cannot be read from {path}; provision the node again or put a new join token there"
    )]
    NoToken {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl TurnError {
    fn pause(&self, transient: Duration) -> Duration {
        match self {
            Self::Call(error) if error.transient() => transient,
            _ => REFUSED_PAUSE,
        }
    }
}

/// Joins when needed, then reports until the process ends.
///
/// Pauses after failures go by `pace`; the interval of reports is the controller's and is kept as it is.
pub async fn forever(home: &Home, subject: &mut impl Subject, pace: Pace) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let Err(error) = member(home, subject, &mut pause).await;
        let wait = pace.wait(error.pause(pause));
        tracing::warn!("{}; next try in {:.0} s", chain(&error), wait.as_secs_f64());
        tokio::time::sleep(jittered(wait)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Reports as a member until something fails.
async fn member(
    home: &Home,
    subject: &mut impl Subject,
    pause: &mut Duration,
) -> Result<std::convert::Infallible, TurnError> {
    let membership = match home.credentials.membership() {
        Some(membership) => membership,
        None => join(home, subject).await?,
    };
    let mut interval = membership.report_interval_seconds;
    let connect = || -> Result<Controller, TurnError> {
        let identity = home.credentials.identity()?;
        Ok(Controller::new(&home.controller_urls, &home.controller_key_sha256, Some(&identity))?)
    };
    let mut controller = connect()?;
    loop {
        if home.credentials.due(Utc::now())? {
            renew(home, &controller).await?;
            controller = connect()?;
        }
        let answer = controller.report(&subject.report().await).await?;
        *pause = SHORTEST_PAUSE;
        interval = if INTERVAL_SECONDS.contains(&answer.report_interval_seconds) {
            answer.report_interval_seconds
        } else {
            interval
        };
        tokio::time::sleep(jittered(Duration::from_secs(interval.max(*INTERVAL_SECONDS.start()).into()))).await;
    }
}

async fn join(home: &Home, subject: &impl Subject) -> Result<Membership, TurnError> {
    let token = std::fs::read_to_string(&home.token_file)
        .map_err(|source| TurnError::NoToken { path: home.token_file.clone(), source })?;
    let controller = Controller::new(&home.controller_urls, &home.controller_key_sha256, None)?;
    let request = JoinRequest {
        token: token.trim().to_owned(),
        csr_pem: home.credentials.request()?,
        machine: subject.machine(),
        boot_id: subject.boot_id(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        simulated: subject.simulated(),
    };
    let joined = controller.join(&request).await?;
    let membership = Membership {
        node_id: joined.node_id,
        node_name: joined.node_name,
        report_interval_seconds: joined.report_interval_seconds,
    };
    home.credentials.store(&joined.certificate_pem, &joined.ca_pem, &membership)?;
    // The token is spent; leaving it would only look like a secret that leaked.
    if let Err(error) = std::fs::remove_file(&home.token_file) {
        tracing::warn!(path = %home.token_file.display(), %error, "the spent join token could not be removed");
    }
    tracing::info!(node = membership.node_name, "joined");
    Ok(membership)
}

async fn renew(home: &Home, controller: &Controller) -> Result<(), TurnError> {
    let renewed = controller.renew(&RenewRequest { csr_pem: home.credentials.request()? }).await?;
    home.credentials.renewed(&renewed.certificate_pem, &renewed.ca_pem)?;
    tracing::info!("certificate renewed");
    Ok(())
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(1.0 - JITTER..1.0 + JITTER))
}
