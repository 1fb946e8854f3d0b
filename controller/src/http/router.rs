//! Table of contents: every route of the API.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    access, bulks, credentials, description, enrolments, headers, health, idempotency, images, inspections, node_bmc,
    node_edit, node_history, node_removal, nodes, power, problem, provisions, request_id, sign_in, stream, workflows,
};
use crate::app::App;

/// Largest JSON body: an enrolment of 20,000 lines is about 6 MB.
pub(crate) const BODY_LIMIT: usize = 16 << 20;

/// The routes, with their descriptions.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(access::login))
        .routes(routes!(access::logout))
        .routes(routes!(access::whoami))
        .routes(routes!(access::change_password))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::set, credentials::delete))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::resolve))
        .routes(routes!(nodes::show, node_edit::edit, node_removal::remove))
        .routes(routes!(node_bmc::trust))
        .routes(routes!(node_bmc::contact))
        .routes(routes!(node_history::events))
        .routes(routes!(node_history::hardware))
        .routes(routes!(enrolments::create))
        .routes(routes!(inspections::create))
        .routes(routes!(power::create))
        .routes(routes!(provisions::plan))
        .routes(routes!(provisions::run))
        .routes(routes!(bulks::list))
        .routes(routes!(bulks::show))
        .routes(routes!(bulks::items))
        .routes(routes!(bulks::cancel))
        .routes(routes!(workflows::list))
        .routes(routes!(workflows::show))
        .routes(routes!(workflows::cancel))
        .routes(routes!(workflows::retry))
        .routes(routes!(workflows::skip))
        .routes(routes!(images::list, images::create))
        .routes(routes!(images::show, images::delete))
        .routes(routes!(stream::stream))
        .routes(routes!(description::show))
        .routes(routes!(health::healthz))
}

/// Routes of the API listener.
pub fn router(app: Arc<App>) -> Router {
    let (routes, _) = routes().split_for_parts();
    routes
        .fallback(|| async { StatusCode::NOT_FOUND })
        .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(Arc::clone(&app), idempotency::layer))
        .layer(from_fn_with_state(Arc::clone(&app), sign_in::layer))
        .layer(from_fn(problem::shape))
        .layer(from_fn(headers::layer))
        .layer(from_fn(request_id::layer))
        .with_state(app)
}
