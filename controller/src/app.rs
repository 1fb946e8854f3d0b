//! What every part of the controller shares: configuration, database, clock, secrets, pools, shutdown.
//!
//! Built once by `serve`, in order, and handed round as `Arc<App>`. It starts nothing itself.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::access::ca::Ca;
use crate::access::secrets::Secrets;
use crate::bmc::BmcPool;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::advertise::Advertise;
use crate::media::ImageStore;
use crate::workflow::CrashPoint;

/// Called at every crash point of the engine. The shipped binary sets none; the crash test's own main sets one that
/// kills the process.
pub type CrashHook = Arc<dyn Fn(&CrashPoint) + Send + Sync>;

/// What every part of the controller shares.
pub struct App {
    /// The configuration in force.
    pub config: Config,
    /// Postgres.
    pub db: sqlx::PgPool,
    /// Time and scaled waits.
    pub clock: Clock,
    /// This controller, stable per data folder: leases and BMC sessions carry it.
    pub instance: Uuid,
    /// Seals what must not lie in the database in clear.
    pub secrets: Secrets,
    /// Helix's own certificate authority.
    pub ca: Ca,
    /// Clients of BMCs, one session each.
    pub bmcs: BmcPool,
    /// OS images.
    pub images: ImageStore,
    /// Under which addresses BMCs, nodes and people reach this controller.
    pub advertise: Advertise,
    /// The feed of changes, as a hint that there is something to read.
    pub changes: Changes,
    /// Cancelled when the controller should stop taking work.
    pub shutdown: CancellationToken,
    /// Everything spawned goes here, so that a stop waits for it.
    pub tasks: TaskTracker,
    /// See [`CrashHook`].
    pub crash_hook: Option<CrashHook>,
}

impl App {
    /// Runs the crash hook, when there is one.
    pub fn crash_point(&self, point: &CrashPoint) {
        if let Some(hook) = &self.crash_hook {
            hook(point);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! An `App` for unit tests: a throw-away data folder, the test's own database, waits sixty times shorter.

    use super::*;

    /// The app and the folder it lives in; the folder goes when this is dropped.
    pub(crate) struct TestApp {
        pub(crate) app: Arc<App>,
        pub(crate) folder: tempfile::TempDir,
    }

    /// An app over this database. Images, secrets and CA are real and lie in a temporary folder.
    pub(crate) async fn app(db: sqlx::PgPool) -> TestApp {
        app_with(db, |_| {}).await
    }

    /// The same, with settings of the test's own.
    pub(crate) async fn app_with(db: sqlx::PgPool, set: impl FnOnce(&mut Config)) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().to_owned(), time_scale: 60.0, ..Config::default() };
        config.api.listen = "127.0.0.1:8443".parse().unwrap();
        config.agents.listen = "127.0.0.1:8444".parse().unwrap();
        config.media.listen = "127.0.0.1:8080".parse().unwrap();
        set(&mut config);
        let clock = Clock::new(config.time_scale);
        let instance = Uuid::now_v7();
        let secrets = Secrets::open_or_create(&folder.path().join("secret.key")).unwrap();
        let advertise = Advertise::from_config(&config);
        let ca = Ca::open_or_create(&folder.path().join("ca"), &secrets, &advertise.certificate_names(), clock.now())
            .unwrap();
        let app = App {
            bmcs: BmcPool::new(db.clone(), secrets.clone(), clock.clone(), instance),
            images: ImageStore::open(&config).unwrap(),
            changes: Changes::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            crash_hook: None,
            config,
            db,
            clock,
            instance,
            secrets,
            ca,
            advertise,
        };
        TestApp { app: Arc::new(app), folder }
    }
}
