//! The agents listener: deploy ramdisks and installed agents.

use std::sync::Arc;

use crate::app::App;

/// Routes of the agents listener.
pub fn router(app: Arc<App>) -> axum::Router {
    axum::Router::new().with_state(app)
}
