//! Whether the controller can work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Answer;
use super::problem::Refused;
use crate::app::App;

/// Whether the controller is up and reaches its database. Open to everybody, says nothing else.
#[utoipa::path(get, path = "/api/v1/healthz", tag = "access", security(()),
    responses((status = 200, body = Value), (status = 503, body = helix_api::problem::Problem)))]
pub(crate) async fn healthz(State(app): State<Arc<App>>) -> Answer<Json<Value>> {
    if app.shutdown.is_cancelled() {
        return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The controller is stopping."));
    }
    crate::store::users::any(&app.db).await?;
    Ok(Json(json!({ "status": "ok" })))
}
