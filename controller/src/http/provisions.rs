//! Provisioning a selection: a plan to look at, then exactly that plan to run.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::TimeDelta;
use helix_api::bulk::Bulk;
use helix_api::workflow::{NodePlan, PlanSet, ProvisionRequest, RunPlan};
use helix_inventory::hardware::Hardware;
use helix_inventory::id::{IdKind, PublicId};
use helix_inventory::plan::{self, NodeFacts, Plan, Refusal, WorkflowKind};
use helix_inventory::profile::ProvisionSpec;
use serde_json::json;
use uuid::Uuid;

use super::actor::{Actor, Operator};
use super::body::Body;
use super::inspections::{counted, start};
use super::problem::Refused;
use super::workflow_view::unknown_word;
use super::{Answer, bulks as bulk_pages, node_view, selection};
use crate::app::App;
use crate::bulk;
use crate::media;
use crate::store::images::{self, ImageRow};
use crate::store::nodes::{self, Filter, NodeRow, Order};
use crate::store::plans::{self, PlanRow};
use crate::store::{StoreError, bulks};
use crate::workflow::NewWorkflow;

/// A plan is confirmed within minutes or made anew: facts and people move on.
const PLAN_LIFE: TimeDelta = TimeDelta::minutes(15);
/// A name server of the site answers within a second, or the plan says that it does not.
const LOOKUP: Duration = Duration::from_secs(2);
/// Draws of a public id: see `bulk::create`.
const DRAWS: usize = 5;

/// Plans a provision run for each selected node. Nothing is changed; the plan can be run for 15 minutes.
#[utoipa::path(post, path = "/api/v1/provision-plans", tag = "provisioning", request_body = ProvisionRequest,
    responses((status = 200, body = PlanSet), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn plan(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Body(request): Body<ProvisionRequest>,
) -> Answer<Json<PlanSet>> {
    let chosen = selection::to_act_on(&app.db, &request.selection).await?;
    let ids: Vec<Uuid> = chosen.iter().map(|node| node.id).collect();
    let filter = Filter { ids: Some(&ids), ..Filter::default() };
    let order = Order { by: "name", descending: false, after: None };
    let rows = nodes::page(&app.db, &filter, order, ids.len() as i64).await?;
    let images = Images::of(&app, &request, &rows).await?;
    let not_here = media::refusal(&app).await;
    let now = app.clock.now();
    let mut planned = Vec::with_capacity(rows.len());
    for row in &rows {
        planned.push(one(&app, row, &request, &images, not_here.as_ref(), now).await?);
    }
    let set = keep(&app, &actor, &request, planned).await?;
    Ok(Json(set))
}

/// The images that a request may mean.
struct Images {
    given: Option<ImageRow>,
    by_name: HashMap<String, ImageRow>,
}

impl Images {
    async fn of(app: &App, request: &ProvisionRequest, rows: &[NodeRow]) -> Answer<Self> {
        let mut conn = app.db.acquire().await?;
        let Some(name) = &request.image else {
            let wanted: Vec<&String> = rows.iter().filter_map(|row| row.image_name.as_ref()).collect();
            let all = images::list(&mut conn).await?;
            let by_name = all.into_iter().filter(|image| wanted.contains(&&image.name));
            return Ok(Self { given: None, by_name: by_name.map(|image| (image.name.clone(), image)).collect() });
        };
        let image = images::find(&mut conn, name).await?.ok_or_else(|| {
            Refused::not_found("image_unknown", format!("There is no image \"{name}\"."))
                .field("image")
                .next("helixctl image list")
        })?;
        if image.state != "ready" {
            return Err(Refused::conflict(
                "image_not_ready",
                format!("The image {} is {} and cannot be written.", image.name, image.state),
            )
            .because(image.error_message.unwrap_or_else(|| "Its import has not ended yet.".to_owned()))
            .next(format!("helixctl image show {}", image.name)));
        }
        Ok(Self { given: Some(image), by_name: HashMap::new() })
    }

    fn for_node(&self, row: &NodeRow) -> Result<&ImageRow, Refusal> {
        if let Some(image) = &self.given {
            return Ok(image);
        }
        let refusal = |message: String| Refusal {
            code: "image_not_given".to_owned(),
            message,
            next: format!("helixctl node provision {} --image NAME", row.name),
        };
        let name = row
            .image_name
            .as_ref()
            .ok_or_else(|| refusal(format!("{} has no image yet, and none was given.", row.name)))?;
        self.by_name
            .get(name)
            .filter(|image| image.state == "ready")
            .ok_or_else(|| refusal(format!("The image {name} that {} runs is not in the store any more.", row.name)))
    }
}

async fn one(
    app: &App,
    row: &NodeRow,
    request: &ProvisionRequest,
    images: &Images,
    not_here: Option<&Refusal>,
    now: chrono::DateTime<chrono::Utc>,
) -> Answer<NodePlan> {
    let documents = nodes::documents(&app.db, row.id).await?;
    let hardware: Option<Hardware> = documents
        .hardware
        .map(serde_json::from_value)
        .transpose()
        .map_err(|error| StoreError::unreadable("the hardware of a node", error))?;
    let image = images.for_node(row);
    let spec = ProvisionSpec {
        image: image.as_ref().map(|image| image.name.clone()).unwrap_or_default(),
        image_sha256: image.as_ref().ok().and_then(|image| image.sha256.clone()).unwrap_or_default(),
        image_raw_size_bytes: image
            .as_ref()
            .ok()
            .and_then(|image| image.raw_size_bytes)
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
        disk: request.disk.clone(),
        wipe_conflicting: request.wipe_conflicting,
        ssh_keys: request.ssh_keys.clone(),
        user_data: request.user_data.clone(),
    };
    let facts = NodeFacts {
        name: &row.name,
        state: row.state.parse().map_err(|error| unknown_word("a node", error))?,
        power: row.power.parse().map_err(|error| unknown_word("a node", error))?,
        scheduler: false,
    };
    let mut plan = plan::provision(facts, hardware.as_ref(), &spec);
    plan.refusals.extend(image.err());
    plan.refusals.extend(not_here.cloned());
    refuse_stopped(row, &mut plan);
    refuse_busy(app, row, &mut plan).await?;
    let (media_url, agent_urls) = urls(app, row, &mut plan).await;
    Ok(NodePlan {
        node: row.name.clone(),
        service_tag: row.service_tag.clone(),
        plan,
        facts_age_seconds: hardware
            .and_then(|hardware| hardware.collected_at)
            .map(|at| (now - at).num_seconds().max(0)),
        media_url,
        agent_urls,
    })
}

fn refuse_stopped(row: &NodeRow, plan: &mut Plan) {
    if let Some(code) = &row.stopped_code {
        plan.refusals.push(Refusal {
            code: format!("bmc_{code}"),
            message: format!(
                "Helix does not talk to the BMC of {}: {}",
                row.name,
                row.stopped_reason.clone().unwrap_or_else(|| code.clone())
            ),
            next: format!("helixctl node show {}", row.name),
        });
    }
}

async fn refuse_busy(app: &App, row: &NodeRow, plan: &mut Plan) -> Answer<()> {
    let mut conn = app.db.acquire().await?;
    if let Some(open) = crate::store::workflows::open_of_node(&mut conn, row.id).await? {
        plan.refusals.push(Refusal {
            code: "node_busy".to_owned(),
            message: format!("{} ({}) is under way on {}.", open.public_id, open.kind, row.name),
            next: format!("helixctl workflow show {}", open.public_id),
        });
    }
    Ok(())
}

/// What BMC and node will dial, without the secret part; a missing route is a refusal.
async fn urls(app: &App, row: &NodeRow, plan: &mut Plan) -> (String, Vec<String>) {
    let address = match row.bmc_host.parse::<IpAddr>() {
        Ok(address) => Some(address),
        Err(_) => tokio::time::timeout(LOOKUP, tokio::net::lookup_host((row.bmc_host.as_str(), 443)))
            .await
            .ok()
            .and_then(Result::ok)
            .and_then(|mut found| found.next())
            .map(|found| found.ip()),
    };
    let Some(address) = address else {
        plan.refusals.push(Refusal {
            code: "bmc_name_unknown".to_owned(),
            message: format!("The name {} of the BMC of {} is not known to this controller.", row.bmc_host, row.name),
            next: format!("helixctl node edit {} --address IP", row.name),
        });
        return (String::new(), Vec::new());
    };
    let media = app.advertise.media_for(address);
    let agents = media::deploy::agents_urls(app, address);
    match (media, agents) {
        (Ok(media), Ok(agents)) => (format!("http://{media}/media/…/helix.iso"), agents),
        (Err(error), _) => {
            plan.refusals.push(no_route(row, error.code(), error.to_string()));
            (String::new(), Vec::new())
        }
        (_, Err(error)) => {
            plan.refusals.push(no_route(row, error.code(), error.to_string()));
            (String::new(), Vec::new())
        }
    }
}

fn no_route(row: &NodeRow, code: &str, message: String) -> Refusal {
    Refusal {
        code: code.to_owned(),
        message,
        next: format!(
            "Set media.advertise and agents.advertise for {} in helixd.toml; helixd check-config lists them.",
            node_view::address(&row.bmc_host, row.bmc_port)
        ),
    }
}

async fn keep(app: &App, actor: &Actor, request: &ProvisionRequest, nodes: Vec<NodePlan>) -> Answer<PlanSet> {
    let now = app.clock.now();
    let mut row = PlanRow {
        id: Uuid::now_v7(),
        public_id: String::new(),
        created_by: actor.name.clone(),
        created_at: now,
        expires_at: now + PLAN_LIFE,
        used_at: None,
        kind: WorkflowKind::Provision.as_str().to_owned(),
        // What was asked is kept without user data, which may hold secrets; the plans hold what is run.
        request: json!({ "selection": request.selection, "image": request.image }),
        nodes: serde_json::to_value(&nodes)?,
    };
    for draw in 1.. {
        row.public_id = PublicId::random(IdKind::Plan, &mut rand::rng()).to_string();
        match plans::insert(&app.db, &row).await {
            Ok(()) => break,
            Err(error) if error.constraint() == Some("plans_public_id_key") && draw < DRAWS => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(PlanSet { id: row.public_id, kind: WorkflowKind::Provision, expires_at: row.expires_at, nodes })
}

/// Runs exactly the plan that was shown. Nodes that it refuses are refused; each workflow checks its facts again before
/// the first effect.
#[utoipa::path(post, path = "/api/v1/provisions", tag = "provisioning", request_body = RunPlan,
    responses((status = 202, body = Bulk), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn run(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Body(request): Body<RunPlan>,
) -> Answer<(StatusCode, Json<Bulk>)> {
    let unknown = || {
        Refused::not_found("plan_unknown", format!("There is no plan \"{}\".", request.plan))
            .next("Make one: helixctl node provision SELECTION --image NAME --dry-run")
    };
    let public_id = PublicId::parse(IdKind::Plan, &request.plan).ok_or_else(unknown)?;
    let set = plans::by_public_id(&app.db, public_id.as_str()).await?.ok_or_else(unknown)?;
    let planned: Vec<NodePlan> =
        serde_json::from_value(set.nodes.clone()).map_err(|error| StoreError::unreadable("a plan", error))?;
    if set.used_at.is_some() {
        return Err(used(&set.public_id));
    }
    let now = app.clock.now();
    if set.expires_at <= now {
        return Err(Refused::conflict(
            "plan_expired",
            format!(
                "{} was made {} min ago; a plan is run within {} min. Nothing was changed.",
                set.public_id,
                (now - set.created_at).num_minutes(),
                PLAN_LIFE.num_minutes()
            ),
        )
        .next("Make it again and confirm what it says now."));
    }
    if let Some(refusal) = planned.iter().all(|node| !node.plan.is_runnable()).then(|| planned.first()).flatten() {
        let first = refusal.plan.refusals.first();
        let refused = Refused::conflict(
            "plan_refused",
            format!("{} can be run on none of its {}. Nothing was changed.", set.public_id, counted(planned.len())),
        );
        return Err(match first {
            Some(first) => refused.because(first.message.clone()).next(first.next.clone()),
            None => refused,
        });
    }
    let id = begin(&app, &actor, &set, planned).await?;
    Ok((StatusCode::ACCEPTED, Json(bulk_pages::by_id(&app.db, id).await?)))
}

fn used(public_id: &str) -> Refused {
    Refused::conflict("plan_used", format!("{public_id} was run already. Nothing was changed."))
        .next("Make a new plan; it says what the nodes are now.")
}

async fn begin(app: &App, actor: &Actor, set: &PlanRow, planned: Vec<NodePlan>) -> Answer<Uuid> {
    let image = planned.iter().find_map(|node| node.plan.spec.as_ref()).map(|spec| spec.image.clone());
    let title = format!("Provision {} with {}", counted(planned.len()), image.unwrap_or_default());
    let mut tx = app.db.begin().await?;
    if !plans::take(&mut *tx, set.id, app.clock.now()).await? {
        return Err(used(&set.public_id));
    }
    let made = bulk::create(&mut tx, "provision", &title, &actor.name, &json!({ "plan": set.public_id })).await?;
    let tags: Vec<String> = planned.iter().map(|node| node.service_tag.clone()).collect();
    let known: HashMap<String, nodes::Names> = nodes::by_any_name(&mut *tx, &[], &[], &tags, &[])
        .await?
        .into_iter()
        .map(|node| (node.service_tag.clone(), node))
        .collect();
    let mut items = Vec::with_capacity(planned.len());
    for (place, planned) in planned.into_iter().enumerate() {
        let Some(node) = known.get(&planned.service_tag) else {
            items.push(bulks::NewItem {
                position: i32::try_from(place + 1).unwrap_or(i32::MAX),
                label: planned.node.clone(),
                state: "refused".to_owned(),
                code: Some("node_removed".to_owned()),
                message: Some(format!("{} was removed since the plan was made", planned.node)),
                ..bulks::NewItem::default()
            });
            continue;
        };
        let new = NewWorkflow {
            kind: WorkflowKind::Provision,
            node_id: node.id,
            plan: planned.plan,
            bulk_id: Some(made.id),
            created_by: actor.name.clone(),
        };
        items.push(start(&mut tx, place, &node.name, new).await?);
    }
    bulks::insert_items(&mut *tx, made.id, &items).await?;
    let started = items.iter().filter(|item| item.state == "running").count();
    let detail = json!({ "plan": set.public_id, "nodes": items.len(), "started": started });
    actor.record(&mut *tx, "provision.create", ("bulk", made.id.to_string(), &made.public_id), detail).await?;
    tx.commit().await?;
    Ok(made.id)
}
