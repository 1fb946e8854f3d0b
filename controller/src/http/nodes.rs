//! Nodes: lists, selections, one node.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use helix_api::node::{Node, NodeDetail};
use helix_api::page::Page;
use helix_api::select::Selection;
use helix_inventory::words::Lifecycle;
use uuid::Uuid;

use super::Answer;
use super::actor::Viewer;
use super::body::Body;
use super::params::Params;
use super::problem::Refused;
use super::{cursor, node_view, selection};
use crate::app::App;
use crate::store::StoreError;
use crate::store::nodes::{self, Filter, Order};

/// Items of a page unless asked otherwise: a screen of a wall, and one answer of about half a megabyte.
const PAGE: i64 = 500;
/// Items of a page at most: the largest fleet in one answer.
const LARGEST_PAGE: i64 = 5_000;
const SORTS: [&str; 6] = ["name", "rack", "model", "state", "power", "service_tag"];

/// Nodes of a selection or all, in pages.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes",
    params(
        ("select" = Option<String>, Query, description = "Names, ranges, service tags, BMC addresses; comma-joined or repeated"),
        ("except" = Option<String>, Query, description = "Taken away last"),
        ("state" = Option<String>, Query, description = "Lifecycle state"),
        ("model" = Option<String>, Query, description = "Part of the model's name"),
        ("rack" = Option<String>, Query),
        ("sort" = Option<String>, Query, description = "name, rack, model, state, power, service_tag; with - in front from the end"),
        ("limit" = Option<u32>, Query, description = "1 to 5000; 500 unless given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Node>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn list(_: Viewer, State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<Node>>> {
    params.only(&["select", "except", "state", "model", "rack", "sort", "limit", "cursor"])?;
    let wanted = Selection { forms: params.forms("select"), except: params.forms("except"), ..Selection::default() };
    let ids = chosen(&app, wanted).await?;
    if let Some(state) = params.one("state") {
        state.parse::<Lifecycle>().map_err(|error| {
            let known: Vec<&str> = Lifecycle::ALL.iter().map(|state| state.as_str()).collect();
            Refused::bad_request("query_bad_value", format!("{error}."))
                .because(format!("States: {}.", known.join(", ")))
                .field("state")
        })?;
    }
    let filter = Filter {
        ids: ids.as_deref(),
        state: params.one("state"),
        model: params.one("model"),
        rack: params.one("rack"),
    };
    let sort = params.one("sort").unwrap_or("name");
    let (descending, by) = sort.strip_prefix('-').map_or((false, sort), |by| (true, by));
    if !SORTS.contains(&by) {
        return Err(Refused::bad_request("query_bad_value", format!("Nodes cannot be sorted by \"{by}\"."))
            .because(format!("Known here: {}.", SORTS.join(", ")))
            .field("sort"));
    }
    let limit = params.number("limit", 1, LARGEST_PAGE)?.unwrap_or(PAGE);
    let after: Option<(String, String)> = params.one("cursor").map(cursor::read).transpose()?;
    let after = after.as_ref().map(|(key, name)| (key.as_str(), name.as_str()));
    let mut rows = nodes::page(&app.db, &filter, Order { by, descending, after }, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = match rows.last() {
        Some(last) if more => Some(cursor::write(&(&last.sort_key, &last.name))?),
        _ => None,
    };
    let total = nodes::count(&app.db, &filter).await?;
    let items = node_view::nodes(&app.db, &rows, app.clock.now()).await?;
    Ok(Json(Page { items, next, total: u64::try_from(total).unwrap_or_default() }))
}

async fn chosen(app: &App, mut wanted: Selection) -> Answer<Option<Vec<Uuid>>> {
    if wanted.forms.is_empty() && wanted.except.is_empty() {
        return Ok(None);
    }
    // A list without a selection shows everything; only an act must say so.
    wanted.all = wanted.forms.is_empty();
    let nodes = selection::resolve(&app.db, &wanted).await?;
    Ok(Some(nodes.into_iter().map(|node| node.id).collect()))
}

/// The nodes that a selection names, in name order.
#[utoipa::path(post, path = "/api/v1/nodes/resolve", tag = "nodes", request_body = Selection,
    responses((status = 200, body = Page<Node>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn resolve(
    _: Viewer,
    State(app): State<Arc<App>>,
    Body(wanted): Body<Selection>,
) -> Answer<Json<Page<Node>>> {
    let ids: Vec<Uuid> = selection::resolve(&app.db, &wanted).await?.into_iter().map(|node| node.id).collect();
    let filter = Filter { ids: Some(&ids), ..Filter::default() };
    let order = Order { by: "name", descending: false, after: None };
    let rows = nodes::page(&app.db, &filter, order, ids.len() as i64).await?;
    let items = node_view::nodes(&app.db, &rows, app.clock.now()).await?;
    let total = items.len() as u64;
    Ok(Json(Page { items, next: None, total }))
}

/// One node with everything known of it. The `ETag` goes back in `If-Match` when it is edited.
#[utoipa::path(get, path = "/api/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path, description = "Id, name, service tag or BMC address")),
    responses((status = 200, body = NodeDetail), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn show(_: Viewer, State(app): State<Arc<App>>, Path(node): Path<String>) -> Answer<Response> {
    let names = selection::one(&app.db, &node).await?;
    answer(&app, names.id).await
}

/// A node in full, with its ETag.
pub(crate) async fn answer(app: &App, id: Uuid) -> Answer<Response> {
    let detail = detail(app, id).await?;
    let mut headers = HeaderMap::new();
    if let Ok(tag) = format!("\"{}\"", detail.node.version).parse() {
        headers.insert(ETAG, tag);
    }
    Ok((headers, Json(detail)).into_response())
}

/// A node in full.
pub(crate) async fn detail(app: &App, id: Uuid) -> Answer<NodeDetail> {
    let row = nodes::get(&app.db, id).await?.ok_or(StoreError::NotFound { what: "node" })?;
    let node = node_view::nodes(&app.db, std::slice::from_ref(&row), app.clock.now())
        .await?
        .pop()
        .ok_or(StoreError::NotFound { what: "node" })?;
    let documents = nodes::documents(&app.db, id).await?;
    let unreadable = |what: &'static str| move |error: serde_json::Error| StoreError::unreadable(what, error);
    Ok(NodeDetail {
        node,
        boot_network: row.boot_network.map(serde_json::from_value).transpose().map_err(unreadable("a boot network"))?,
        hardware: documents
            .hardware
            .map(serde_json::from_value)
            .transpose()
            .map_err(unreadable("the hardware of a node"))?,
        report: documents
            .report
            .map(serde_json::from_value)
            .transpose()
            .map_err(unreadable("the report of an agent"))?,
    })
}
