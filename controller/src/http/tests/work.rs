//! Work on selections: inspections, power, plans; and their bulk actions.

use helix_api::bulk::Bulk;
use helix_api::workflow::{PlanSet, WorkflowDetail, WorkflowSummary};
use serde_json::json;

use super::stage::Stage;
use super::*;

async fn enrolled(db: sqlx::PgPool, addresses: &[&str]) -> Stage {
    let stage = Stage::new(db, addresses).await;
    let lines: Vec<Value> = addresses
        .iter()
        .enumerate()
        .map(|(place, address)| {
            json!({ "line": place + 2, "address": stage.at(address), "name": format!("gpu-{}", place + 1) })
        })
        .collect();
    let accepted = stage.enrol(json!({ "lines": lines, "credential": "idrac" })).await;
    let (bulk, items) = stage.finished(&accepted.bulk.unwrap().id).await;
    assert_eq!(bulk.counts.done as usize, addresses.len(), "{items:?}");
    stage
}

async fn power(stage: &Stage, action: &str) -> (Bulk, Vec<helix_api::bulk::BulkItem>) {
    let request = json!({ "selection": { "forms": ["gpu-1"] }, "action": action });
    let answer = stage.api.call(Method::POST, "/api/v1/power", &stage.api.operator, &request).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", String::from_utf8_lossy(&answer.bytes));
    stage.finished(&answer.json::<Bulk>().id).await
}

#[sqlx::test(migrations = "../migrations")]
async fn power_is_switched_once_and_what_is_there_already_is_left_alone(db: sqlx::PgPool) {
    let stage = enrolled(db, &["127.33.0.1"]).await;
    let resets = || stage.fleet.control().counters("127.33.0.1").unwrap().resets;
    let (bulk, items) = power(&stage, "on").await;
    assert_eq!((bulk.title.as_str(), bulk.counts.done), ("Power on 1 node", 1), "{items:?}");
    let was_off = resets();
    let (_, items) = power(&stage, "on").await;
    assert_eq!((items[0].message.as_deref(), resets()), (Some("is on already"), was_off));
    let (_, items) = power(&stage, "force_off").await;
    assert_eq!((items[0].state.as_str(), resets()), ("done", was_off + 1), "{items:?}");
    assert_eq!(stage.node("gpu-1").await.node.power, helix_inventory::words::Power::Off);
    let (_, items) = power(&stage, "cycle").await;
    assert_eq!((items[0].state.as_str(), items[0].code.as_deref()), ("refused", Some("power_is_off")));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_restart_that_may_have_happened_is_not_repeated(db: sqlx::PgPool) {
    let stage = enrolled(db, &["127.33.1.1"]).await;
    power(&stage, "on").await;
    let resets = stage.fleet.control().counters("127.33.1.1").unwrap().resets;
    // A controller died between the note and the answer: the item has what was read, and the BMC shows no newer reset.
    let bmc = stage
        .api
        .app()
        .bmcs
        .client(sqlx::query_scalar("select id from bmcs").fetch_one(&stage.api.app().db).await.unwrap());
    let seen = bmc.await.unwrap().state().await.unwrap().last_reset_time;
    let bulk = Uuid::now_v7();
    sqlx::query(
        "insert into bulks (id, public_id, kind, title, created_by) values ($1, 'bk-AAAAAA', 'power', 't', 'olaf')",
    )
    .bind(bulk)
    .execute(&stage.api.app().db)
    .await
    .unwrap();
    let input = json!({ "action": "force_restart", "before": { "power": "on", "last_reset_time": seen } });
    sqlx::query(
        "insert into bulk_items (bulk_id, position, label, input, node_id, state, claimed_by, claimed_until)
         values ($1, 1, 'gpu-1', $2, (select id from nodes), 'running', gen_random_uuid(), now() - interval '1 second')",
    )
    .bind(bulk)
    .bind(input)
    .execute(&stage.api.app().db)
    .await
    .unwrap();
    let (_, items) = stage.finished("bk-AAAAAA").await;
    assert_eq!((items[0].state.as_str(), items[0].code.as_deref()), ("failed", Some("power_outcome_unknown")));
    assert!(items[0].message.as_ref().unwrap().contains("does not reset a host twice"), "{items:?}");
    assert_eq!(stage.fleet.control().counters("127.33.1.1").unwrap().resets, resets);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_inspection_is_a_bulk_action_that_ends_with_its_workflows(db: sqlx::PgPool) {
    let stage = enrolled(db, &["127.33.2.1", "127.33.2.2"]).await;
    let request = json!({ "selection": { "forms": ["gpu-[1-9]"] } });
    let answer = stage.api.call(Method::POST, "/api/v1/inspections", &stage.api.operator, &request).await;
    let bulk: Bulk = answer.json();
    assert_eq!((bulk.title.as_str(), bulk.counts.total), ("Inspect 2 nodes", 2));
    let (bulk, items) = stage.finished(&bulk.id).await;
    assert_eq!(bulk.counts.done, 2, "{items:?}");
    let page: helix_api::page::Page<WorkflowSummary> = stage.api.get("/api/v1/workflows?node=gpu-1").await.json();
    assert_eq!((page.total, page.items[0].step_title.as_str()), (1, "Read hardware"));
    let detail: WorkflowDetail = stage.api.get(&format!("/api/v1/workflows/{}", page.items[0].id)).await.json();
    assert_eq!((detail.bulk, detail.step_list.len()), (Some(bulk.id.clone()), 1));
    let over = stage.api.post(&format!("/api/v1/workflows/{}/cancel", page.items[0].id), &json!({})).await.problem();
    assert_eq!((over.status, over.code.as_str()), (409, "workflow_finished"));
    let done = stage.api.post(&format!("/api/v1/bulks/{}/cancel", bulk.id), &json!({})).await.problem();
    assert_eq!(done.code, "bulk_finished");
    let none =
        stage.api.post("/api/v1/inspections", &json!({ "selection": { "forms": ["gpu-[5-9]"] } })).await.problem();
    assert_eq!((none.status, none.code.as_str()), (404, "selection_matches_nothing"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_plan_says_what_speaks_against_it_and_is_not_run_then(db: sqlx::PgPool) {
    let stage = enrolled(db, &["127.33.3.1"]).await;
    let selection = json!({ "forms": ["gpu-1"] });
    let unknown = json!({ "selection": selection, "image": "debian-12" });
    let path = "/api/v1/provision-plans";
    assert_eq!(stage.api.post(path, &unknown).await.problem().code, "image_unknown");
    let set: PlanSet = stage.api.post(path, &json!({ "selection": selection })).await.json();
    let codes: Vec<&str> = set.nodes[0].plan.refusals.iter().map(|refusal| refusal.code.as_str()).collect();
    assert!(codes.contains(&"hardware_unknown") && codes.contains(&"image_not_given"), "{codes:?}");
    assert_eq!(set.nodes[0].media_url, "http://127.0.0.1:8080/media/…/helix.iso");
    let run = |plan: &str| json!({ "plan": plan });
    let refused = stage.api.post("/api/v1/provisions", &run(&set.id)).await.problem();
    assert_eq!((refused.status, refused.code.as_str()), (409, "plan_refused"));
    stage.api.app().clock.shift(chrono::TimeDelta::minutes(16));
    let expired = stage.api.post("/api/v1/provisions", &run(&set.id)).await.problem();
    assert_eq!(expired.code, "plan_expired");
    assert!(expired.title.contains("was made 16 min ago"), "{}", expired.title);
    assert_eq!(stage.api.post("/api/v1/provisions", &run("pl-000000")).await.problem().code, "plan_unknown");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_plan_is_run_exactly_once_as_it_was_shown(db: sqlx::PgPool) {
    let stage = enrolled(db, &["127.33.4.1"]).await;
    let spec = json!({ "image": "debian-12", "image_sha256": "aa".repeat(32) });
    let plan = json!({
        "kind": "provision", "facts_digest": "was", "refusals": [], "warnings": [], "spec": spec,
        "steps": [{ "kind": "check_plan", "title": "Check the plan again", "effect": "reads", "destructive": false }],
    });
    let nodes = json!([{
        "node": "gpu-1", "service_tag": stage.tag("127.33.4.1"), "plan": plan, "facts_age_seconds": 4,
        "media_url": "", "agent_urls": [],
    }]);
    sqlx::query(
        "insert into plans (id, public_id, created_by, expires_at, kind, request, nodes)
         values (gen_random_uuid(), 'pl-3MZK0T', 'olaf', now() + interval '15 minutes', 'provision', '{}', $1)",
    )
    .bind(nodes)
    .execute(&stage.api.app().db)
    .await
    .unwrap();
    let run = json!({ "plan": "PL-3MZKOT" });
    let bulk: Bulk = stage.api.call(Method::POST, "/api/v1/provisions", &stage.api.operator, &run).await.json();
    assert_eq!(bulk.title, "Provision 1 node with debian-12");
    let stored: Value = sqlx::query_scalar("select plan from workflows").fetch_one(&stage.api.app().db).await.unwrap();
    assert_eq!((&stored["facts_digest"], &stored["spec"]["image_sha256"]), (&json!("was"), &spec["image_sha256"]));
    let again = stage.api.post("/api/v1/provisions", &run).await.problem();
    assert_eq!((again.status, again.code.as_str()), (409, "plan_used"));
    let busy = stage.api.call(Method::DELETE, "/api/v1/nodes/gpu-1", &stage.api.admin, &Value::Null).await;
    assert!(busy.status == StatusCode::CONFLICT || busy.status == StatusCode::OK, "{}", busy.status);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_at_work_is_refused_in_bulk_and_kept_from_removal(db: sqlx::PgPool) {
    let stage = enrolled(db, &["127.33.5.1"]).await;
    sqlx::query(
        "insert into workflows (id, public_id, kind, node_id, mutating, plan, state, created_by, due_at)
         values (gen_random_uuid(), 'wf-7Q2M4K', 'provision', (select id from nodes), true,
             '{\"kind\":\"provision\",\"steps\":[],\"facts_digest\":\"\",\"refusals\":[],\"warnings\":[]}',
             'needs_human', 'olaf', now() + interval '1 day')",
    )
    .execute(&stage.api.app().db)
    .await
    .unwrap();
    let (_, items) = power(&stage, "force_off").await;
    assert_eq!((items[0].state.as_str(), items[0].code.as_deref()), ("refused", Some("node_busy")));
    assert!(items[0].message.as_ref().unwrap().starts_with("wf-7Q2M4K (provision) is under way on gpu-1"), "{items:?}");
    let refused = stage.api.call(Method::DELETE, "/api/v1/nodes/gpu-1", &stage.api.admin, &Value::Null).await.problem();
    assert_eq!((refused.status, refused.code.as_str()), (409, "node_busy"));
    assert_eq!(refused.next[0], "helixctl node remove gpu-1 --cancel-first");
    let set: PlanSet =
        stage.api.post("/api/v1/provision-plans", &json!({ "selection": { "forms": ["gpu-1"] } })).await.json();
    assert!(set.nodes[0].plan.refusals.iter().any(|refusal| refusal.code == "node_busy"));
}
