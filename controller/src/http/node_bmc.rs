//! A node's BMC and a person: trust its new certificate, try it again.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use helix_api::node::TrustRequest;
use redfish_client::{BmcAddress, Client, Fingerprint, Pin};
use serde_json::json;

use super::actor::{Admin, Operator};
use super::body::Body;
use super::problem::Refused;
use super::{Answer, nodes as node_pages, selection};
use crate::app::App;
use crate::enrol::failure::{Ended, Failure};
use crate::enrol::identify::{self, Target};
use crate::store::events::{self, NewEvent};
use crate::store::nodes::{self, NodeRow};
use crate::store::{StoreError, bmcs};

/// A pin as it is kept.
pub(super) fn pin(bytes: Option<&[u8]>) -> Option<Fingerprint> {
    bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Fingerprint)
}

/// What ended the work on a BMC, as a refusal that names the node.
pub(super) fn refused(node: &str, ended: Ended) -> Refused {
    match ended {
        Ended::Store(error) => error.into(),
        Ended::Failed(failure) => {
            // The BMC, not the client, is at fault.
            let refused = Refused::new(
                StatusCode::BAD_GATEWAY,
                &failure.code,
                format!("The BMC of {node} could not be used: {}. Nothing was changed.", failure.message),
            );
            match failure.next {
                Some(next) => refused.next(next),
                None => refused,
            }
        }
    }
}

fn target<'a>(row: &'a NodeRow, expected: Option<Fingerprint>) -> Target<'a> {
    Target {
        bmc: row.bmc_id,
        address: BmcAddress::new(&row.bmc_host, u16::try_from(row.bmc_port).unwrap_or_default()),
        pinned: pin(row.certificate_sha256.as_deref()),
        expected,
        credential: row.credential.as_deref().unwrap_or("NAME"),
    }
}

/// Accepts the BMC's new certificate, when it is the one that a person names. The old one and the reason are audited.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/trust", tag = "nodes", request_body = TrustRequest,
    params(("node" = String, Path)),
    responses((status = 200, body = helix_api::node::NodeDetail), (status = "4XX", body = helix_api::problem::Problem),
        (status = 502, body = helix_api::problem::Problem)))]
pub(crate) async fn trust(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    Body(request): Body<TrustRequest>,
) -> Answer<Response> {
    let given: Fingerprint = request.fingerprint.parse().map_err(|_| {
        Refused::unprocessable(
            "fingerprint_invalid",
            format!("\"{}\" is no SHA-256 fingerprint: 64 hexadecimal digits are expected.", request.fingerprint),
        )
        .field("fingerprint")
    })?;
    let names = selection::one(&app.db, &node).await?;
    let row = nodes::get(&app.db, names.id).await?.ok_or(StoreError::NotFound { what: "node" })?;
    let tls =
        app.bmcs.tls().map_err(|error| refused(&row.name, Failure::new(error.code(), error.to_string()).into()))?;
    let at = target(&row, None);
    let begun = Instant::now();
    let seen = Client::probe(tls, &at.address, Pin::Unknown)
        .await
        .map_err(|error| refused(&row.name, Failure::redfish(&error, &at.address, begun.elapsed()).into()))?
        .fingerprint;
    if seen != given {
        return Err(Refused::conflict(
            "fingerprint_differs",
            format!(
                "The BMC of {} shows another certificate than the one that you named. Nothing was changed.",
                row.name
            ),
        )
        .because(format!("It shows {seen}."))
        .next("Compare with what the BMC itself says (racadm sslcertview, or its console) before you trust it."));
    }
    let mut tx = app.db.begin().await?;
    let before = bmcs::trust(&mut tx, row.bmc_id, &given.0).await?;
    let detail = json!({
        "before": before.map(hex::encode), "after": given.to_string(), "reason": request.reason,
    });
    actor.record(&mut *tx, "node.trust", ("node", row.id.to_string(), &row.name), detail).await?;
    let message = format!("{} trusted the BMC's new certificate {given}.", actor.name);
    let event = NewEvent {
        node_id: row.id,
        source: "helix",
        severity: "warning",
        code: Some("certificate_trusted"),
        message: &message,
        workflow_id: None,
    };
    events::insert(&mut tx, &event).await?;
    tx.commit().await?;
    app.bmcs.forget(row.bmc_id).await;
    try_contact(&app, row.id).await?;
    node_pages::answer(&app, row.id).await
}

/// Tries the BMC again at once: a person's decision that clears refused logins and the pause after failures. What it
/// answered stands in the node.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/contact", tag = "nodes", params(("node" = String, Path)),
    responses((status = 200, body = helix_api::node::NodeDetail), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn contact(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
) -> Answer<Response> {
    let names = selection::one(&app.db, &node).await?;
    let row = nodes::get(&app.db, names.id).await?.ok_or(StoreError::NotFound { what: "node" })?;
    let mut tx = app.db.begin().await?;
    bmcs::retry_contact(&mut tx, row.bmc_id).await?;
    let detail = json!({ "stopped": row.stopped_code, "failures": row.failures });
    actor.record(&mut *tx, "node.contact", ("node", row.id.to_string(), &row.name), detail).await?;
    tx.commit().await?;
    app.bmcs.forget(row.bmc_id).await;
    try_contact(&app, row.id).await?;
    node_pages::answer(&app, row.id).await
}

/// One try; its outcome is in the row, and the machine behind the address is compared.
async fn try_contact(app: &Arc<App>, id: uuid::Uuid) -> Answer<()> {
    let Some(row) = nodes::get(&app.db, id).await? else { return Ok(()) };
    match identify::identify(app, &target(&row, None)).await {
        Ok(identity) if identity.service_tag.as_str() == row.service_tag => {
            let mut conn = app.db.acquire().await?;
            bmcs::set_about(&mut conn, row.bmc_id, &identify::about(&identity)).await?;
            crate::store::node_state::set_power(&mut conn, row.id, identity.power).await?;
            Ok(())
        }
        Ok(identity) => {
            let reason = format!(
                "board or chassis swapped? The BMC now says service tag {}, and {} is {}",
                identity.service_tag, row.name, row.service_tag
            );
            let mut conn = app.db.acquire().await?;
            bmcs::stop(&mut conn, row.bmc_id, "board_swapped", &reason).await?;
            app.bmcs.forget(row.bmc_id).await;
            Ok(())
        }
        Err(Ended::Store(error)) => Err(error.into()),
        Err(Ended::Failed(failure)) => {
            tracing::info!(node = row.name, why = failure.message, "contact was tried and failed");
            let mut conn = app.db.acquire().await?;
            // A probe that fails is not noted by the pool.
            if failure.code == "bmc_unreachable" || failure.code == "not_redfish" {
                bmcs::failed(&mut conn, row.bmc_id, &failure.message, REST_SECONDS).await?;
            }
            Ok(())
        }
    }
}

/// Rest after a try by hand that failed: a person may try again at once, workflows wait this long.
const REST_SECONDS: f64 = 10.0;
