//! What a person changes on a node: name, place, labels, address, credential, boot network, state.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use helix_api::node::NodeEdit;
use helix_inventory::lifecycle;
use helix_inventory::words::Lifecycle;
use redfish_client::BmcAddress;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::actor::{Actor, Operator};
use super::body::{self, Body};
use super::problem::Refused;
use super::{Answer, node_bmc, nodes as node_pages, selection};
use crate::app::App;
use crate::enrol::identify::{self, Target};
use crate::enrol::line;
use crate::store::events::{self, NewEvent};
use crate::store::nodes::{self, Edited, NodeRow};
use crate::store::{StoreError, bmcs, credentials};

/// States that a person may set; all others belong to workflows.
const SETTABLE: [Lifecycle; 5] =
    [Lifecycle::Ready, Lifecycle::InService, Lifecycle::Maintenance, Lifecycle::Quarantined, Lifecycle::Retired];

/// Edits a node. `If-Match` names the version that the edit was made from. A new address is taken when the same service tag
/// answers there.
#[utoipa::path(patch, path = "/api/v1/nodes/{node}", tag = "nodes", request_body = NodeEdit,
    params(("node" = String, Path), ("If-Match" = String, Header, description = "ETag of the node as it was read")),
    responses((status = 200, body = helix_api::node::NodeDetail), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn edit(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    headers: HeaderMap,
    Body(given): Body<Value>,
) -> Answer<Response> {
    let edit: NodeEdit = body::parse(&serde_json::to_vec(&given)?)?;
    let names = selection::one(&app.db, &node).await?;
    let row = nodes::get(&app.db, names.id).await?.ok_or(StoreError::NotFound { what: "node" })?;
    let version = if_match(&headers, &row)?;
    let wish = Wish::of(&row, &edit, given.as_object())?;
    free_to(&row, &wish)?;
    let credential = match &edit.credential {
        Some(name) => Some(credentials::by_name(&app.db, name).await?.ok_or_else(|| {
            Refused::unprocessable("credential_unknown", format!("There is no credential \"{name}\"."))
                .field("credential")
                .next(format!("helixctl credential set {name}"))
        })?),
        None => None,
    };
    let bmc = match &edit.address {
        Some(text) => moved(&app, &row, text, credential.as_ref().map(|found| found.id)).await?,
        None => row.bmc_id,
    };
    write(&app, &actor, &row, version, &wish, bmc, credential.as_ref().map(|found| (found.id, found.name.as_str())))
        .await?;
    if bmc != row.bmc_id || credential.is_some() {
        app.bmcs.forget(row.bmc_id).await;
    }
    node_pages::answer(&app, row.id).await
}

fn if_match(headers: &HeaderMap, row: &NodeRow) -> Answer<i64> {
    let Some(given) = headers.get(IF_MATCH).and_then(|value| value.to_str().ok()) else {
        return Err(Refused::new(
            StatusCode::PRECONDITION_REQUIRED,
            "if_match_required",
            "An edit must say which version it was made from.",
        )
        .next("Send the node's ETag in If-Match, or * for whatever it is now."));
    };
    let given = given.trim().trim_start_matches("W/").trim_matches('"');
    if given == "*" || given.parse() == Ok(row.version) {
        return Ok(row.version);
    }
    Err(conflict(row))
}

fn conflict(row: &NodeRow) -> Refused {
    Refused::new(
        StatusCode::PRECONDITION_FAILED,
        "edit_conflict",
        format!("{} was changed meanwhile (it is at version {}). Nothing was changed.", row.name, row.version),
    )
    .next(format!("Look at it again and repeat: helixctl node show {}", row.name))
}

/// The node as it shall be, its BMC aside.
struct Wish {
    name: String,
    rack: Option<String>,
    position: Option<i32>,
    labels: Value,
    boot_network: Option<Value>,
    state: String,
    state_reason: Option<String>,
}

impl Wish {
    /// An absent field stays, `null` and an empty text clear.
    fn of(row: &NodeRow, edit: &NodeEdit, given: Option<&Map<String, Value>>) -> Answer<Self> {
        let cleared = |field: &str| given.and_then(|given| given.get(field)).is_some_and(Value::is_null);
        let wrong = |field: &'static str| {
            move |(code, why): line::Wrong| Refused::unprocessable(code, format!("{why}.")).field(field)
        };
        let name = match &edit.name {
            Some(name) => line::name(name).map_err(wrong("name"))?,
            None => row.name.clone(),
        };
        let rack = match edit.rack.as_deref() {
            Some("") => None,
            Some(rack) => Some(line::rack(rack).map_err(wrong("rack"))?),
            None if cleared("rack") => None,
            None => row.rack.clone(),
        };
        let position = match edit.position {
            Some(number) => Some(line::position(number).map_err(wrong("position"))?),
            None if cleared("position") => None,
            None => row.position,
        };
        let labels = match &edit.labels {
            Some(labels) => json!(line::labels(labels).map_err(wrong("labels"))?),
            None => row.labels.clone(),
        };
        let boot_network = match &edit.boot_network {
            Some(network) => Some(serde_json::to_value(line::boot_network(network).map_err(wrong("boot_network"))?)?),
            None if cleared("boot_network") => None,
            None => row.boot_network.clone(),
        };
        let state_reason = match (&edit.reason, edit.state) {
            (Some(reason), _) => Some(reason.clone()),
            (None, Some(_)) => None,
            (None, None) => row.state_reason.clone(),
        };
        let state = match edit.state {
            Some(state) => settable(row, state)?.to_string(),
            None => row.state.clone(),
        };
        Ok(Self { name, rack, position, labels, boot_network, state, state_reason })
    }
}

fn settable(row: &NodeRow, to: Lifecycle) -> Answer<Lifecycle> {
    let from: Lifecycle = row.state.parse().map_err(|error| super::workflow_view::unknown_word("a node", error))?;
    if from == to {
        return Ok(to);
    }
    if !SETTABLE.contains(&to) {
        let words: Vec<&str> = SETTABLE.iter().map(|state| state.as_str()).collect();
        return Err(Refused::unprocessable(
            "state_not_settable",
            format!("\"{to}\" is set by workflows, not by people."),
        )
        .because(format!("People may set: {}.", words.join(", ")))
        .field("state"));
    }
    if !lifecycle::may_follow(from, to) {
        return Err(Refused::conflict(
            "state_not_allowed",
            format!("{} is {} and cannot become {} from there.", row.name, from.word(), to.word()),
        )
        .field("state"));
    }
    Ok(to)
}

/// Name and state are at work while a workflow is; address and credential are often what it waits for.
fn free_to(row: &NodeRow, wish: &Wish) -> Answer<()> {
    if row.workflow_id.is_some() && (wish.name != row.name || wish.state != row.state) {
        return Err(Refused::conflict(
            "node_busy",
            format!("A workflow is under way on {}: its name and state cannot be changed meanwhile.", row.name),
        )
        .next(format!("helixctl workflow list --node {}", row.name)));
    }
    Ok(())
}

/// The BMC at a new address, when the same machine answers there.
async fn moved(app: &Arc<App>, row: &NodeRow, text: &str, credential: Option<Uuid>) -> Answer<Uuid> {
    let address =
        line::address(text).map_err(|(code, why)| Refused::unprocessable(code, format!("{why}.")).field("address"))?;
    if address == BmcAddress::new(&row.bmc_host, u16::try_from(row.bmc_port).unwrap_or_default()) {
        return Ok(row.bmc_id);
    }
    let mut conn = app.db.acquire().await?;
    let old = bmcs::get(&mut conn, row.bmc_id).await?.ok_or(StoreError::NotFound { what: "BMC" })?;
    let new = bmcs::NewBmc {
        id: Uuid::now_v7(),
        host: address.host(),
        port: i32::from(address.port()),
        credential_id: credential.or(old.credential_id),
        certificate_sha256: None,
        service_tag: None,
    };
    let id = bmcs::ensure(&mut conn, &new).await?;
    if let Some(other) = nodes::of_bmc(&mut *conn, id).await? {
        return Err(Refused::conflict("address_taken", format!("{text} is the BMC of {} already.", other.name))
            .field("address"));
    }
    if let Some(credential) = new.credential_id {
        nodes::set_credential(&mut *conn, id, credential).await?;
    }
    let there = bmcs::get(&mut conn, id).await?.ok_or(StoreError::NotFound { what: "BMC" })?;
    drop(conn);
    let target = Target {
        bmc: id,
        address,
        pinned: node_bmc::pin(there.certificate_sha256.as_deref()),
        expected: None,
        credential: row.credential.as_deref().unwrap_or("NAME"),
    };
    let identity = identify::identify(app, &target).await.map_err(|ended| node_bmc::refused(&row.name, ended))?;
    if identity.service_tag.as_str() != row.service_tag {
        app.bmcs.forget(id).await;
        nodes::forget_bmc(&app.db, id).await?;
        return Err(Refused::conflict(
            "other_service_tag",
            format!(
                "{text} is not the BMC of {}: it says service tag {}, and the node is {}. Nothing was changed.",
                row.name, identity.service_tag, row.service_tag
            ),
        )
        .field("address"));
    }
    Ok(id)
}

async fn write(
    app: &App,
    actor: &Actor,
    row: &NodeRow,
    version: i64,
    wish: &Wish,
    bmc: Uuid,
    credential: Option<(Uuid, &str)>,
) -> Answer<()> {
    let edited = Edited {
        name: &wish.name,
        rack: wish.rack.as_deref(),
        position: wish.position,
        labels: &wish.labels,
        boot_network: wish.boot_network.as_ref(),
        bmc_id: bmc,
        state: &wish.state,
        state_reason: wish.state_reason.as_deref(),
    };
    let mut tx = app.db.begin().await?;
    nodes::edit(&mut *tx, row.id, version, &edited).await.map_err(|error| match (&error, error.constraint()) {
        (StoreError::Stale { .. }, _) => conflict(row),
        (_, Some("nodes_name_key")) => {
            Refused::conflict("name_taken", format!("The name {} is taken by another node.", wish.name)).field("name")
        }
        _ => error.into(),
    })?;
    if let Some((id, _)) = credential {
        nodes::set_credential(&mut *tx, bmc, id).await?;
    }
    if bmc != row.bmc_id {
        nodes::forget_bmc(&mut *tx, row.bmc_id).await?;
    }
    let before = json!({
        "name": row.name, "rack": row.rack, "position": row.position, "labels": row.labels, "state": row.state,
        "boot_network": row.boot_network, "credential": row.credential,
        "address": super::node_view::address(&row.bmc_host, row.bmc_port),
    });
    let after = json!({
        "name": wish.name, "rack": wish.rack, "position": wish.position, "labels": wish.labels, "state": wish.state,
        "boot_network": wish.boot_network, "credential": credential.map(|(_, name)| name), "reason": wish.state_reason,
        "bmc_changed": bmc != row.bmc_id,
    });
    let detail = json!({ "before": before, "after": after });
    actor.record(&mut *tx, "node.edit", ("node", row.id.to_string(), &wish.name), detail).await?;
    if wish.state != row.state {
        let why = wish.state_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("{} set the state to {}{why}", actor.name, wish.state);
        let event = NewEvent {
            node_id: row.id,
            source: "helix",
            severity: "info",
            code: Some("state_set"),
            message: &message,
            workflow_id: None,
        };
        events::insert(&mut tx, &event).await?;
    }
    tx.commit().await?;
    Ok(())
}
