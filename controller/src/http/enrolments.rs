//! Enrolment: a list of BMCs becomes a bulk action.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use helix_api::enrol::{EnrolAccepted, EnrolRequest};
use serde_json::json;

use super::actor::Operator;
use super::body::Body;
use super::problem::Refused;
use super::{Answer, bulks};
use crate::app::App;
use crate::enrol;

/// Lines of one enrolment: four times the largest fleet.
const LINES: usize = 20_000;

/// Enrols BMCs. Lines are checked at once; the good ones become a bulk action, the others are named with what is wrong.
/// With `dry_run` nothing is contacted and nothing kept.
#[utoipa::path(post, path = "/api/v1/enrolments", tag = "enrolment", request_body = EnrolRequest,
    responses((status = 202, body = EnrolAccepted), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn create(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Body(request): Body<EnrolRequest>,
) -> Answer<(StatusCode, Json<EnrolAccepted>)> {
    if request.lines.is_empty() {
        return Err(Refused::unprocessable("enrolment_empty", "There is no line to enrol.").field("lines"));
    }
    if request.lines.len() > LINES {
        return Err(Refused::unprocessable(
            "enrolment_too_large",
            format!("{} lines are too many for one enrolment: at most {LINES}.", request.lines.len()),
        )
        .field("lines"));
    }
    let mut tx = app.db.begin().await?;
    let accepted = enrol::accept(&mut tx, &request, &actor.name).await?;
    if let Some(made) = &accepted.bulk {
        let detail = json!({
            "source": request.source, "new": accepted.new_bmcs, "known": accepted.known_bmcs,
            "refused": accepted.refused.len(), "inspect": request.inspect,
        });
        actor.record(&mut *tx, "enrolment.create", ("bulk", made.id.to_string(), &made.public_id), detail).await?;
    }
    tx.commit().await?;
    let bulk = match accepted.bulk {
        Some(made) => Some(bulks::by_id(&app.db, made.id).await?),
        None => None,
    };
    let status = if bulk.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let answer = EnrolAccepted {
        bulk,
        refused: accepted.refused,
        new_bmcs: u32::try_from(accepted.new_bmcs).unwrap_or(u32::MAX),
        known_bmcs: u32::try_from(accepted.known_bmcs).unwrap_or(u32::MAX),
    };
    Ok((status, Json(answer)))
}
