//! The HTTP API under `/api/v1`.

use std::sync::Arc;

use crate::app::App;

/// Routes of the API listener.
pub fn router(app: Arc<App>) -> axum::Router {
    axum::Router::new().with_state(app)
}
