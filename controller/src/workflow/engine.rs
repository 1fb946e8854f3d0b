//! The engine: claims due workflows, keeps their leases alive, and drives a bounded number at once.
//!
//! Rows in Postgres are the truth; `LISTEN helix_work` is a hint that shortens the wait. There is no queue in memory, no
//! leader and no clock but the database's. Work of one bulk shares a lane, and lanes take turns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::crash::CrashPoint;
use super::registry::Registry;
use super::settings::{SHORTEST_LEASE, Settings};
use crate::app::App;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::leases::{self, Lease};

/// Heartbeats in one lease: one may be late and one may be lost.
const HEARTBEATS: u32 = 3;

/// Pause after the database could not be asked.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

struct Held {
    lease: Lease,
    /// Last time the database said that it is ours.
    sure_at: Instant,
    lost: CancellationToken,
}

/// The engine of one process.
pub struct Engine {
    pub(super) app: Arc<App>,
    pub(super) db: PgPool,
    pub(super) clock: Clock,
    instance: Uuid,
    pub(super) registry: Registry,
    pub(super) settings: Settings,
    pub(super) shutdown: CancellationToken,
    held: Mutex<HashMap<Uuid, Held>>,
    places: Arc<Semaphore>,
    news: Notify,
    drivers: TaskTracker,
}

impl Engine {
    /// An engine that is not running yet.
    #[must_use]
    pub fn new(app: Arc<App>, registry: Registry, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            db: app.db.clone(),
            clock: app.clock.clone(),
            instance: app.instance,
            shutdown: app.shutdown.clone(),
            places: Arc::new(Semaphore::new(settings.at_once)),
            app,
            registry,
            settings,
            held: Mutex::default(),
            news: Notify::new(),
            drivers: TaskTracker::new(),
        })
    }

    /// Runs until the shutdown; returns when every driver is at a safe point.
    pub async fn run(self: Arc<Self>) {
        self.take_back().await;
        let listener = tokio::spawn(self.clone().listen());
        let alive = CancellationToken::new();
        let heart = tokio::spawn(self.clone().heart(alive.clone()));
        while !self.shutdown.is_cancelled() {
            let pause = match self.clone().round().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "look for due work");
                    DATABASE_PAUSE
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = self.news.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.drivers.close();
        self.drivers.wait().await;
        alive.cancel();
        listener.abort();
        if let Err(error) = heart.await {
            tracing::warn!(%error, "heartbeat task");
        }
    }

    async fn take_back(&self) {
        let done = async {
            let mut conn = self.db.acquire().await?;
            leases::take_back(&mut conn, self.instance).await
        };
        match done.await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "took own leases back after a restart"),
            Err(error) => tracing::warn!(%error, "take own leases back"),
        }
    }

    /// One look at the table: takes what is due and there is room for. Answers how long nothing will be due.
    async fn round(self: Arc<Self>) -> Result<Duration, StoreError> {
        let poll = self.clock.scaled(self.settings.poll);
        let mut conn = self.db.acquire().await?;
        let lanes = leases::lanes(&mut conn).await?;
        let bulk_lanes = lanes.iter().filter(|lane| !lane.is_nil()).count();
        let mut more = false;
        for lane in &lanes {
            let free = self.places.available_permits();
            let room = if lane.is_nil() { free } else { free.saturating_sub(self.settings.kept_for_single) };
            // Lanes of bulks share what is free: each gets its part in every round, whatever its length.
            let share = if lane.is_nil() { room } else { room.div_ceil(bulk_lanes.max(1)) };
            if share == 0 {
                continue;
            }
            let limit = i64::try_from(share).unwrap_or(i64::MAX);
            let claimed = leases::claim(&mut conn, self.instance, *lane, limit, self.lease_seconds()).await?;
            more |= claimed.len() == share;
            for lease in claimed {
                self.clone().start(lease);
            }
        }
        if more && self.places.available_permits() > self.settings.kept_for_single {
            return Ok(Duration::ZERO);
        }
        if self.places.available_permits() == 0 {
            // A driver that ends rings; asking the table before that is idle work.
            return Ok(poll);
        }
        let next = leases::next_due_in(&mut conn, &lanes, poll.as_secs_f64()).await?;
        // A due row that could not be taken (held, or no room) must not turn this into a spin.
        Ok(Duration::from_secs_f64(next).max(poll / 20))
    }

    fn start(self: Arc<Self>, lease: Lease) {
        // Without a place the lease simply runs out; the claim was sized so that this does not happen.
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let lost = CancellationToken::new();
        let held = Held { lease, sure_at: Instant::now(), lost: lost.clone() };
        self.held().insert(lease.workflow, held);
        let drivers = self.drivers.clone();
        drivers.spawn(self.driver(lease, lost, place));
    }

    async fn driver(self: Arc<Self>, lease: Lease, lost: CancellationToken, place: OwnedSemaphorePermit) {
        let work = tokio::spawn(self.clone().drive(lease));
        let abort = work.abort_handle();
        tokio::select! {
            () = lost.cancelled() => {
                // Whatever it was about to do to a BMC is not done.
                abort.abort();
                tracing::warn!(workflow = %lease.workflow, epoch = lease.epoch, "lease lost: driver stopped");
            }
            ended = work => {
                if let Err(error) = ended {
                    tracing::error!(workflow = %lease.workflow, %error, "driver");
                }
            }
        }
        let mut held = self.held();
        if held.get(&lease.workflow).is_some_and(|held| held.lease.epoch == lease.epoch) {
            held.remove(&lease.workflow);
        }
        drop(held);
        drop(place);
        self.news.notify_one();
    }

    /// Prolongs all leases of this process in one statement, three times in a lease.
    async fn heart(self: Arc<Self>, stop: CancellationToken) {
        let beat = Duration::from_secs_f64(self.lease_seconds()) / HEARTBEATS;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(beat) => {}
            }
            let leases: Vec<_> = self.held().values().map(|held| held.lease).collect();
            if leases.is_empty() {
                continue;
            }
            let asked_at = Instant::now();
            let answer = async {
                let mut conn = self.db.acquire().await?;
                leases::heartbeat(&mut conn, self.instance, &leases, self.lease_seconds()).await
            };
            match tokio::time::timeout(beat, answer).await {
                Ok(Ok(alive)) => self.mark(&leases, &alive, asked_at),
                Ok(Err(error)) => tracing::warn!(%error, "heartbeat"),
                Err(_) => tracing::warn!("heartbeat: no answer from the database"),
            }
            self.drop_expired();
        }
    }

    fn mark(&self, asked: &[Lease], alive: &[Uuid], at: Instant) {
        let mut held = self.held();
        for lease in asked {
            let Some(entry) = held.get_mut(&lease.workflow).filter(|entry| entry.lease.epoch == lease.epoch) else {
                continue;
            };
            if alive.contains(&lease.workflow) {
                entry.sure_at = at;
            } else {
                entry.lost.cancel();
            }
        }
    }

    /// A lease that the database has not confirmed for its whole length may be somebody else's by now.
    fn drop_expired(&self) {
        let length = Duration::from_secs_f64(self.lease_seconds());
        for entry in self.held().values() {
            if entry.sure_at.elapsed() >= length {
                entry.lost.cancel();
            }
        }
    }

    /// Waits for notifications. When the connection breaks the polling goes on and this starts anew.
    async fn listen(self: Arc<Self>) {
        loop {
            match self.listen_once().await {
                Ok(()) => {}
                Err(error) => tracing::debug!(%error, "listen for work"),
            }
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
    }

    async fn listen_once(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.db).await?;
        listener.listen("helix_work").await?;
        while listener.try_recv().await?.is_some() {
            self.news.notify_one();
        }
        Ok(())
    }

    /// Length of a lease in real seconds.
    fn lease_seconds(&self) -> f64 {
        self.clock.scaled(self.settings.lease).max(SHORTEST_LEASE).as_secs_f64()
    }

    pub(super) fn crash_point(&self, point: &CrashPoint) {
        self.app.crash_point(point);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Held>> {
        // A panic while the map is held leaves it whole: entries are inserted and removed in one call each.
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
