//! Works on bulk actions until the controller stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::power;
use crate::app::App;
use crate::chain::Chain;
use crate::enrol;
use crate::store::StoreError;
use crate::store::bulks::{self, Claimed};

/// Looks for work without a hint this often: the longest that a lost one delays an item.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Workflows are followed at most this often: a page shows counts, not every step.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// Claims taken at once, so that several controllers share a large bulk action.
const CLAIMS: usize = 64;
/// Bulk actions are kept this long after their end, for "what did we do last month".
const KEEP: chrono::TimeDelta = chrono::TimeDelta::days(90);
/// Plans are kept a day past their end, so that "expired" can be told from "never was".
const KEEP_PLANS: chrono::TimeDelta = chrono::TimeDelta::days(1);
/// Old ones are dropped this often.
const PRUNE: Duration = Duration::from_secs(3600);

/// Works on bulk actions until the controller stops. Items under way are finished, none is begun after that.
pub async fn run(app: Arc<App>) {
    match bulks::take_back(&app.db, app.instance).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "took up the bulk items that an earlier run of this controller had begun"),
        Err(error) => tracing::warn!(error = %Chain(&error), "could not take back bulk items; their claims run out"),
    }
    let done = Arc::new(Notify::new());
    tokio::select! {
        () = app.shutdown.cancelled() => {}
        () = work(&app, &done) => {}
        () = follow(&app, &done) => {}
        () = keep_claims(&app) => {}
        () = prune(&app) => {}
    }
}

/// Takes items as long as there is room.
async fn work(app: &Arc<App>, done: &Arc<Notify>) {
    let room = usize::try_from(app.config.limits.collections).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
    let room = Arc::new(Semaphore::new(room));
    let mut hints = app.changes.subscribe();
    loop {
        let Ok(first) = Arc::clone(&room).acquire_owned().await else { return };
        let mut permits = vec![first];
        while permits.len() < CLAIMS {
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { break };
            permits.push(permit);
        }
        let lease = app.clock.scaled(app.config.limits.lease).as_secs_f64();
        let claimed = bulks::claim(&app.db, app.instance, lease, permits.len() as i64).await;
        let items = claimed.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "could not look for bulk items; trying again");
            Vec::new()
        });
        if items.is_empty() {
            drop(permits);
            tokio::select! {
                _hint = hints.recv() => {}
                () = done.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            continue;
        }
        for (item, permit) in items.into_iter().zip(permits) {
            app.tasks.spawn(one(Arc::clone(app), item, permit, Arc::clone(done)));
        }
    }
}

async fn one(app: Arc<App>, item: Claimed, permit: OwnedSemaphorePermit, done: Arc<Notify>) {
    if let Err(error) = Box::pin(carry_out(&app, &item)).await {
        match error {
            // Another controller has it; what this one wrote was rolled back.
            StoreError::Stale { .. } => {
                tracing::debug!(bulk = item.public_id, item = item.label, "a bulk item went to another controller");
            }
            error => tracing::warn!(
                bulk = item.public_id, item = item.label, error = %Chain(&error),
                "a bulk item was interrupted; it is taken up again when its claim runs out"
            ),
        }
    }
    drop(permit);
    done.notify_waiters();
}

async fn carry_out(app: &Arc<App>, item: &Claimed) -> Result<(), StoreError> {
    let outcome = match item.kind.as_str() {
        "enrol" => enrol::work(app, item).await?,
        _ => power::work(app, item).await?,
    };
    if let Some(outcome) = outcome {
        bulks::finish(&app.db, item.bulk_id, item.position, app.instance, &outcome).await?;
    }
    Ok(())
}

/// Brings items to the end of their workflows, and bulk actions to theirs.
async fn follow(app: &App, done: &Notify) {
    let mut hints = app.changes.subscribe();
    loop {
        let followed = async {
            bulks::follow_workflows(&app.db).await?;
            bulks::end_orphans(&app.db).await?;
            bulks::finish_complete(&app.db).await
        };
        if let Err(error) = followed.await {
            tracing::warn!(error = %Chain(&error), "could not bring bulk actions up to date; trying again");
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
        tokio::select! {
            _hint = hints.recv() => {}
            () = done.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn keep_claims(app: &App) {
    let lease = app.clock.scaled(app.config.limits.lease);
    loop {
        tokio::time::sleep(lease / 3).await;
        if let Err(error) = bulks::keep_claims(&app.db, app.instance, lease.as_secs_f64()).await {
            tracing::warn!(error = %Chain(&error), "could not keep the claims on bulk items");
        }
    }
}

async fn prune(app: &App) {
    loop {
        let now = app.clock.now();
        let pruned = async {
            bulks::prune(&app.db, now - KEEP).await?;
            crate::store::plans::prune(&app.db, now - KEEP_PLANS).await?;
            crate::store::idempotency::prune(&app.db, now - chrono::TimeDelta::days(1)).await
        };
        if let Err(error) = pruned.await {
            tracing::warn!(error = %Chain(&error), "could not drop what is old; trying again in an hour");
        }
        tokio::time::sleep(PRUNE).await;
    }
}
