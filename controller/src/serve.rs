//! Starts the controller, in order, and stops it, in the opposite order.
//!
//! Start: data folder, ports, keys, database, migrations, first admin, certificates; then the loops, then the listeners.
//! Stop (SIGTERM, SIGINT): no new work; running steps reach their safe point; BMC sessions are closed; listeners end;
//! Postgres last. A second signal shortens the waiting. What is cut off all the same is found again at the next start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use secrecy::ExposeSecret;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::ca::{Ca, CaError};
use crate::access::first_admin::{self, FirstAdminError};
use crate::access::given_certificate::{self, GivenCertificateError};
use crate::access::private_file::{self, PrivateFileError};
use crate::access::secrets::{Secrets, SecretsError};
use crate::app::{App, CrashHook};
use crate::bmc::BmcPool;
use crate::chain::Chain;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::advertise::Advertise;
use crate::data_folder::{DataFolder, DataFolderError};
use crate::database::{Database, DatabaseError, migrate};
use crate::listener::{Bound, ListenerError};
use crate::media::ImageStore;
use crate::store::{self, StoreError};
use crate::{agents, bulk, changes, http, media, workflow};

/// Closing sessions is one short request per BMC; a dead one is not waited for.
const CLOSE_SESSIONS: Duration = Duration::from_secs(10);
/// Says that it is alive, and looks after certificates and old keys, this often.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// Answers to repeated requests are kept for a day: a client that retries later starts anew.
const KEEP_ANSWERS: chrono::TimeDelta = chrono::TimeDelta::hours(24);
/// Descriptors that a controller needs beside its connections: files, database, BMCs.
const OTHER_DESCRIPTORS: u64 = 1024;

/// What to run with.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The configuration in force.
    pub config: Config,
}

/// What tests put into the controller. The shipped binary sets nothing.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Called at every crash point of the engine.
    pub crash: Option<CrashHook>,
}

/// What can keep the controller from running.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder cannot be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// A port cannot be used.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// The key file cannot be used.
    #[error("cannot use the key file of the data folder")]
    Secrets(#[from] SecretsError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A statement at the start failed.
    #[error("cannot prepare the start in the database")]
    Store(#[from] StoreError),
    /// The first admin cannot be made.
    #[error(transparent)]
    FirstAdmin(#[from] FirstAdminError),
    /// Certificates cannot be made.
    #[error("cannot use Helix's certificate authority")]
    Ca(#[from] CaError),
    /// The site's own certificate cannot be used.
    #[error("cannot use the certificate that was given for the API")]
    Certificate(#[from] GivenCertificateError),
    /// The list of listeners cannot be written.
    #[error("cannot write which addresses the listeners have")]
    Listeners(#[from] PrivateFileError),
    /// The image folder cannot be used.
    #[error("cannot open the image store")]
    Images(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] std::io::Error),
    /// A loop that should run as long as the controller has ended.
    #[error("{0} ended by itself; the controller stops so that it can be started whole")]
    LoopEnded(String),
}

impl ServeError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DataFolder(error) => error.code(),
            Self::Listener(error) => error.code(),
            Self::Secrets(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::FirstAdmin(error) => error.code(),
            Self::Ca(error) => error.code(),
            Self::Certificate(error) => error.code(),
            Self::Listeners(error) => error.code(),
            Self::Images(_) => "image_store",
            Self::Signals(_) => "signals",
            Self::LoopEnded(_) => "loop_ended",
        }
    }
}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub async fn run(options: ServeOptions, hooks: Hooks) -> Result<(), ServeError> {
    let mut signals = Signals::new()?;
    raise_descriptors(&options.config);
    let started = tokio::select! {
        started = start(options.config, hooks) => started?,
        name = signals.next() => {
            tracing::info!(signal = name, "told to stop while starting");
            return Ok(());
        }
    };
    started.until_stopped(signals).await
}

struct Started {
    app: Arc<App>,
    database: Database,
    folder: DataFolder,
    /// Loops that run as long as the controller; each gives back its name.
    loops: JoinSet<&'static str>,
    listeners: TaskTracker,
    stop_listeners: CancellationToken,
}

async fn start(mut config: Config, hooks: Hooks) -> Result<Started, ServeError> {
    let folder = DataFolder::take(&config.data_dir)?;
    config.data_dir = folder.path().to_owned();
    let given = given_certificate::load(&config.api)?;
    let bound = Bound::bind(&config).await?;
    let clock = Clock::new(config.time_scale);
    let secrets = Secrets::open_or_create(&folder.path().join("secret.key"))?;
    let instance = folder.instance()?;
    let database = Database::open(&config, folder.path()).await?;
    let db = database.pool.clone();
    let applied = migrate::migrate(&db).await?;
    if applied > 0 {
        tracing::info!(applied, schema = migrate::known(), "the database has this version's schema");
    }
    let site = store::site::id(&db).await?;
    let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    store::site::controller_started(&db, instance, &hostname, env!("CARGO_PKG_VERSION"), clock.now()).await?;
    let first_password = first_admin::ensure(&db, folder.path()).await?;
    let advertise = Advertise::new(&config, bound.api.address, bound.agents.address, bound.media.address);
    let ca = Ca::open_or_create(&folder.path().join("ca"), &secrets, &advertise.certificate_names(), clock.now())?;
    let images = ImageStore::open(&config).map_err(|error| ServeError::Images(error.into()))?;
    let app = Arc::new(App {
        bmcs: BmcPool::new(db.clone(), secrets.clone(), clock.clone(), instance),
        images,
        changes: Changes::new(),
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
        crash_hook: hooks.crash,
        config,
        db,
        clock,
        instance,
        secrets,
        ca,
        advertise,
    });
    media::start(&app).await;
    let mut loops = JoinSet::new();
    spawn(&mut loops, "the feed of changes", changes::run(Arc::clone(&app)));
    spawn(&mut loops, "the workflow engine", workflow::run(Arc::clone(&app)));
    spawn(&mut loops, "the driver of bulk work", bulk::run(Arc::clone(&app)));
    spawn(&mut loops, "housekeeping", housekeeping(Arc::clone(&app)));
    let api_certificate = given.as_ref().map_or_else(|| app.ca.api_certificate_sha256(), |given| given.sha256.clone());
    write_listeners(&app, &bound, &api_certificate)?;
    tracing::info!(
        %site, %instance, version = env!("CARGO_PKG_VERSION"),
        api = %bound.api.address, agents = %bound.agents.address, media = %bound.media.address,
        "helixd is running"
    );
    announce(&app, &api_certificate, first_password.as_ref().map(ExposeSecret::expose_secret));
    let stop_listeners = CancellationToken::new();
    let listeners = TaskTracker::new();
    let connections = app.config.limits.connections;
    let (api_tls, agents_tls) = (app.ca.api_tls(given.map(|given| given.certified))?, app.ca.agents_tls()?);
    listeners.spawn(bound.api.serve(
        Some(api_tls),
        http::router(Arc::clone(&app)),
        connections,
        stop_listeners.clone(),
    ));
    listeners.spawn(bound.agents.serve(
        Some(agents_tls),
        agents::router(Arc::clone(&app)),
        connections,
        stop_listeners.clone(),
    ));
    listeners.spawn(bound.media.serve(None, media::router(Arc::clone(&app)), connections, stop_listeners.clone()));
    Ok(Started { app, database, folder, loops, listeners, stop_listeners })
}

impl Started {
    async fn until_stopped(mut self, mut signals: Signals) -> Result<(), ServeError> {
        let result = tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping: running steps go on to their safe point");
                Ok(())
            }
            ended = self.loops.join_next() => Err(ServeError::LoopEnded(match ended {
                Some(Ok(name)) => name.to_owned(),
                Some(Err(error)) => error.to_string(),
                None => "every loop".to_owned(),
            })),
        };
        let app = self.app;
        app.shutdown.cancel();
        app.tasks.close();
        let quiet = async {
            while self.loops.join_next().await.is_some() {}
            app.tasks.wait().await;
        };
        tokio::select! {
            () = quiet => tracing::debug!("every step is at a safe point"),
            () = tokio::time::sleep(app.config.limits.stop) => {
                tracing::warn!(limit = ?app.config.limits.stop, "some steps did not reach a safe point in time; they are settled at the next start");
            }
            name = signals.next() => {
                tracing::warn!(signal = name, "told to stop twice; not waiting for running steps, they are settled at the next start");
            }
        }
        self.loops.shutdown().await;
        if tokio::time::timeout(CLOSE_SESSIONS, app.bmcs.close()).await.is_err() {
            tracing::warn!("some BMC sessions could not be closed in time; the next start deletes them");
        }
        self.stop_listeners.cancel();
        self.listeners.close();
        self.listeners.wait().await;
        let listeners = listeners_file(&app.config);
        if let Err(error) = std::fs::remove_file(&listeners) {
            tracing::debug!(path = %listeners.display(), %error, "cannot remove the list of listeners");
        }
        self.database.close().await;
        // Held until here: nobody else may start Postgres in this folder before ours has ended.
        drop(self.folder);
        tracing::info!("helixd has stopped");
        result
    }
}

fn spawn(loops: &mut JoinSet<&'static str>, name: &'static str, run: impl Future<Output = ()> + Send + 'static) {
    loops.spawn(async move {
        run.await;
        name
    });
}

/// What must be done now and then: say that this controller lives, renew certificates, forget old answers.
async fn housekeeping(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING) => {}
        }
        match app.ca.renew_due(app.clock.now()) {
            Ok(true) => tracing::info!("renewed the server certificates; their keys are the same"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = %Chain(&error), "cannot renew the server certificates; trying again in a minute")
            }
        }
        let done = async {
            store::site::controller_seen(&app.db, app.instance, app.clock.now()).await?;
            store::idempotency::prune(&app.db, app.clock.now() - KEEP_ANSWERS).await
        };
        if let Err(error) = done.await {
            tracing::warn!(error = %Chain(&error), "housekeeping failed; trying again in a minute");
        }
    }
}

/// Where the addresses of the listeners stand while the controller runs.
#[must_use]
pub fn listeners_file(config: &Config) -> PathBuf {
    config.data_dir.join("listeners.json")
}

/// Writes the addresses that the listeners really have, for scripts that let the system choose ports.
fn write_listeners(app: &App, bound: &Bound, api_certificate: &str) -> Result<(), PrivateFileError> {
    let listeners = serde_json::json!({
        "pid": std::process::id(),
        "api": bound.api.address,
        "agents": bound.agents.address,
        "media": bound.media.address,
        "api_url": app.advertise.api(),
        "api_certificate_sha256": api_certificate,
        "agents_key_sha256": app.ca.agents_key_sha256(),
        "ca_sha256": app.ca.fingerprint(),
    });
    private_file::write(&listeners_file(&app.config), format!("{listeners:#}\n").as_bytes())
}

/// Tells the person at the terminal how to log in. The first password goes to the terminal, not into the log.
fn announce(app: &App, api_certificate: &str, first_password: Option<&str>) {
    let mut text = format!(
        "helixd: API and dashboard at {}\nhelixd: SHA-256 of the API's certificate {api_certificate}\nhelixd: SHA-256 of Helix's own authority {}\n",
        app.advertise.api(),
        app.ca.fingerprint()
    );
    if let Some(password) = first_password {
        text.push_str(&format!(
            "helixd: first login: user {}, password {password} (also in {} until it is changed)\n",
            first_admin::NAME,
            first_admin::password_file(&app.config.data_dir).display()
        ));
    }
    eprint!("{text}");
}

/// The signals that stop the controller.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, ServeError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(ServeError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(ServeError::Signals)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Raises the limit on open files to what this user may have, and says so when that is less than the limits allow.
fn raise_descriptors(config: &Config) {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit on open files");
            return;
        }
    };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "cannot raise the limit on open files");
    }
    let wanted = u64::from(config.limits.connections) * 3 + OTHER_DESCRIPTORS;
    if hard < wanted {
        tracing::warn!(
            hard,
            wanted,
            "this user may open fewer files than limits.connections can need: raise LimitNOFILE, or lower limits.connections"
        );
    }
}
