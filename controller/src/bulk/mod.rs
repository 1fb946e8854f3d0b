//! Bulk objects: one action over many nodes, resumable, with a result per node.

use std::sync::Arc;

use crate::app::App;

/// Drives bulk objects until the controller stops.
pub async fn run(app: Arc<App>) {
    app.shutdown.cancelled().await;
}
