//! Tells who watches that the feed of changes grew.
//!
//! One listener per controller turns Postgres notifications into a broadcast of the feed's end. It is a hint: who
//! watches reads `store::changes` from its own cursor, and loses nothing when a hint is lost or comes late.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::broadcast;

use crate::app::App;
use crate::chain::Chain;
use crate::store;
use crate::store::changes::Cursor;

/// Hints kept for a slow watcher; a watcher that falls further behind reads from its cursor anyway.
const HINTS: usize = 64;
/// Looks at the feed without a notification this often: the longest that a lost one delays a page.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Looks again this soon when rows wait for an older transaction to end; such transactions last milliseconds.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// Notifications that come within this time are told as one: a page need not be drawn more than twenty times a second.
const GATHER: Duration = Duration::from_millis(50);
/// Waits before listening again when the database went away.
const RECONNECT: Duration = Duration::from_secs(1);
/// Changes are kept this long, for pages that were away over night; older clients read everything anew.
const KEEP: chrono::TimeDelta = chrono::TimeDelta::hours(24);
/// Old changes are dropped this often.
const PRUNE: Duration = Duration::from_secs(3600);

/// The broadcast of the feed's end.
#[derive(Debug, Clone)]
pub struct Changes {
    hints: broadcast::Sender<Cursor>,
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

impl Changes {
    /// A broadcast that nobody feeds yet.
    #[must_use]
    pub fn new() -> Self {
        Self { hints: broadcast::channel(HINTS).0 }
    }

    /// Hints from now on. `Lagged` means no more than "read from your cursor".
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Cursor> {
        self.hints.subscribe()
    }

    fn tell(&self, head: Cursor) {
        // Nobody watching is no error.
        drop(self.hints.send(head));
    }
}

/// Feeds the broadcast until the controller stops, over lost connections too.
pub async fn run(app: Arc<App>) {
    let watch = async {
        loop {
            if let Err(error) = listen(&app).await {
                tracing::warn!(error = %Chain(&error), "the feed of changes lost its connection; trying again");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    };
    let prune = async {
        loop {
            if let Err(error) = store::changes::prune(&app.db, app.clock.now() - KEEP).await {
                tracing::warn!(error = %Chain(&error), "old changes could not be dropped; trying again in an hour");
            }
            tokio::time::sleep(PRUNE).await;
        }
    };
    tokio::select! {
        () = app.shutdown.cancelled() => {}
        () = watch => {}
        () = prune => {}
    }
}

async fn listen(app: &App) -> Result<(), store::StoreError> {
    let mut listener = PgListener::connect_with(&app.db).await?;
    listener.listen("helix_changes").await?;
    let mut told = Cursor::default();
    loop {
        let (head, more) = store::changes::head(&app.db).await?;
        if head != told {
            told = head;
            app.changes.tell(head);
        }
        let wait = if more { LOOK_SOON } else { LOOK_AGAIN };
        match tokio::time::timeout(wait, listener.recv()).await {
            Ok(Ok(_notification)) => {
                // The rest of the burst.
                let until = tokio::time::Instant::now() + GATHER;
                while let Ok(received) = tokio::time::timeout_at(until, listener.recv()).await {
                    received?;
                }
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_no_notification) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_watcher_is_told_of_a_change_and_reads_it_from_its_cursor(db: sqlx::PgPool) {
        let test = testing::app(db).await;
        let app = Arc::clone(&test.app);
        let mut hints = app.changes.subscribe();
        app.tasks.spawn(run(Arc::clone(&app)));
        sqlx::query(
            "insert into bulks (id, public_id, kind, title, created_by) values ($1, 'bk-000001', 'enrol', '', '')",
        )
        .bind(uuid::Uuid::now_v7())
        .execute(&app.db)
        .await
        .unwrap();
        let head = tokio::time::timeout(Duration::from_secs(20), hints.recv()).await.unwrap().unwrap();
        let changes = store::changes::after(&app.db, Cursor::default(), 10).await.unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].topic, "bulk");
        assert_eq!(changes[0].cursor(), head);
        app.shutdown.cancel();
        app.tasks.close();
        app.tasks.wait().await;
        assert!(test.folder.path().join("secret.key").exists());
    }
}
