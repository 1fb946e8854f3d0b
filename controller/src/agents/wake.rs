//! Wakes long polls when a ramdisk's instruction changed, on whichever replica it was changed.
//!
//! Postgres notifies `helix_deploy` with the session's id; it is a hint, and every long poll also looks by itself.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::app::App;
use crate::chain::Chain;

/// Hints kept for a slow waiter; one that falls further behind looks anyway.
const HINTS: usize = 256;
/// Waits before listening again when the database went away.
const RECONNECT: Duration = Duration::from_secs(1);

/// The broadcast of sessions whose instruction changed.
#[derive(Debug, Clone)]
pub(crate) struct Wake {
    hints: broadcast::Sender<Uuid>,
}

impl Wake {
    /// Starts to listen, until the controller stops.
    pub(crate) fn spawn(app: &Arc<App>) -> Self {
        let (hints, _) = broadcast::channel(HINTS);
        let wake = Self { hints };
        let (task, sender) = (Arc::clone(app), wake.hints.clone());
        app.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = task.shutdown.cancelled() => return,
                    error = listen(&task, &sender) => {
                        tracing::warn!(error = %Chain(&error), "hints for ramdisks are not heard; they look by themselves");
                    }
                }
                tokio::select! {
                    () = task.shutdown.cancelled() => return,
                    () = tokio::time::sleep(RECONNECT) => {}
                }
            }
        });
        wake
    }

    /// From now on, what changes.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Uuid> {
        self.hints.subscribe()
    }
}

/// Waits until the session is named, or something was missed, in which case looking is right too.
pub(crate) async fn named(hints: &mut broadcast::Receiver<Uuid>, session: Uuid) {
    loop {
        match hints.recv().await {
            Ok(id) if id != session => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The sender lives as long as the router; without it there is nothing to hear.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn listen(app: &App, hints: &broadcast::Sender<Uuid>) -> sqlx::Error {
    let heard = async {
        let mut listener = PgListener::connect_with(&app.db).await?;
        listener.listen("helix_deploy").await?;
        loop {
            let heard = listener.recv().await?;
            if let Ok(id) = Uuid::parse_str(heard.payload()) {
                // Nobody waits: nobody needs to hear it.
                hints.send(id).ok();
            }
        }
    };
    match heard.await {
        Ok(never) => never,
        Err(error) => error,
    }
}
