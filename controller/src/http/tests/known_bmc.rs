//! BMCs that Helix knows already: enrolled again, swapped, moved, with another certificate, removed.

use helix_api::node::{NodeDetail, Removed};
use serde_json::json;

use super::stage::Stage;
use super::*;

async fn enrolled(db: sqlx::PgPool, addresses: &[&str]) -> (Stage, NodeDetail) {
    let stage = Stage::new(db, addresses).await;
    let mut line = stage.line(addresses[0]);
    line["name"] = json!("gpu-1");
    line["rack"] = json!("r01");
    let item = stage.enrol_one(line).await;
    assert_eq!(item.state, "done", "{item:?}");
    let node = stage.node("gpu-1").await;
    (stage, node)
}

async fn edit(stage: &Stage, version: i64, edit: Value) -> Answered {
    let request = Api::request(Method::PATCH, "/api/v1/nodes/gpu-1", &stage.api.operator)
        .header("content-type", "application/json")
        .header("if-match", format!("\"{version}\""));
    stage.api.send(request.body(Body::from(edit.to_string())).unwrap()).await
}

#[sqlx::test(migrations = "../migrations")]
async fn enrolling_again_updates_place_and_labels_and_nothing_else(db: sqlx::PgPool) {
    let (stage, before) = enrolled(db, &["127.32.0.1"]).await;
    let mut line = stage.line("127.32.0.1");
    line["name"] = json!("other-name");
    line["rack"] = json!("r02");
    line["labels"] = json!({ "tenant": "green" });
    line["boot_network"] = json!({ "vlan": 7 });
    let accepted = stage.enrol(json!({ "lines": [line], "credential": "idrac" })).await;
    assert_eq!((accepted.new_bmcs, accepted.known_bmcs), (0, 1));
    let (_, items) = stage.finished(&accepted.bulk.unwrap().id).await;
    assert_eq!(items[0].message.as_deref(), Some("known already: updated"));
    let after = stage.node("gpu-1").await;
    assert_eq!((after.node.rack.as_deref(), after.node.labels["tenant"].as_str()), (Some("r02"), "green"));
    assert_eq!((after.boot_network, after.node.id), (None, before.node.id));
    let again = stage.enrol_one(stage.line("127.32.0.1")).await;
    assert_eq!(again.message.as_deref(), Some("known already: nothing to change"));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_same_tag_at_a_new_address_offers_to_move_the_node(db: sqlx::PgPool) {
    let (stage, node) = enrolled(db, &["127.32.1.1", "127.32.1.2"]).await;
    let tag = node.node.service_tag.clone();
    stage.fleet.control().faults("127.32.1.2", |faults| faults.duplicate_tag = Some(tag.clone())).unwrap();
    let item = stage.enrol_one(stage.line("127.32.1.2")).await;
    assert_eq!(item.code.as_deref(), Some("node_known_elsewhere"));
    let here = stage.at("127.32.1.1");
    assert_eq!(item.message, Some(format!("service tag {tag} is gpu-1 already, whose BMC is {here}")));
    let there = stage.at("127.32.1.2");
    assert_eq!(item.next, Some(format!("If its BMC moved: helixctl node edit gpu-1 --address {there}")));
    let moved = edit(&stage, node.node.version, json!({ "address": there })).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", String::from_utf8_lossy(&moved.bytes));
    assert_eq!(moved.json::<NodeDetail>().node.bmc.address, there);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_is_not_moved_to_the_bmc_of_another_machine(db: sqlx::PgPool) {
    let (stage, node) = enrolled(db, &["127.32.2.1", "127.32.2.2"]).await;
    let refused = edit(&stage, node.node.version, json!({ "address": stage.at("127.32.2.2") })).await.problem();
    assert_eq!((refused.status, refused.code.as_str()), (409, "other_service_tag"));
    assert!(refused.title.contains(&stage.tag("127.32.2.2")), "{}", refused.title);
    assert_eq!(stage.node("gpu-1").await.node.bmc.address, stage.at("127.32.2.1"));
}

#[sqlx::test(migrations = "../migrations")]
async fn another_machine_at_a_known_address_stops_contact(db: sqlx::PgPool) {
    let (stage, node) = enrolled(db, &["127.32.3.1"]).await;
    stage.fleet.control().faults("127.32.3.1", |faults| faults.duplicate_tag = Some("ZZZ9999".into())).unwrap();
    let item = stage.enrol_one(stage.line("127.32.3.1")).await;
    assert_eq!(item.code.as_deref(), Some("board_swapped"));
    assert!(item.message.unwrap().starts_with("board or chassis swapped? "));
    let after = stage.node("gpu-1").await;
    let stopped = after.node.bmc.stopped.unwrap();
    assert_eq!((stopped.code.as_str(), after.node.service_tag), ("board_swapped", node.node.service_tag));
    assert_eq!(stopped.next[0], "helixctl node remove gpu-1 --no-contact");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_certificate_stops_contact_until_a_person_trusts_it(db: sqlx::PgPool) {
    let (stage, node) = enrolled(db, &["127.32.4.1"]).await;
    let old = node.node.bmc.certificate_sha256.clone().unwrap();
    stage.fleet.control().act("127.32.4.1", "new_certificate", &Value::Null).unwrap();
    let item = stage.enrol_one(stage.line("127.32.4.1")).await;
    assert_eq!(item.code.as_deref(), Some("certificate_changed"));
    let message = item.message.unwrap();
    assert!(message.starts_with("certificate changed: it shows ") && message.contains(&old), "{message}");
    assert_eq!(item.next.as_deref(), Some("If it is right: helixctl node trust gpu-1 --fingerprint SHA256"));
    assert_eq!(stage.node("gpu-1").await.node.bmc.stopped.unwrap().code, "certificate_changed");
    let path = "/api/v1/nodes/gpu-1/trust";
    let wrong = stage.api.post(path, &json!({ "fingerprint": "ab".repeat(32) })).await.problem();
    assert_eq!((wrong.status, wrong.code.as_str()), (409, "fingerprint_differs"));
    let seen = wrong.detail.unwrap().replace("It shows ", "").replace('.', "");
    let operator = stage.api.call(Method::POST, path, &stage.api.operator, &json!({ "fingerprint": seen })).await;
    assert_eq!(operator.status, StatusCode::FORBIDDEN);
    let trusted = stage.api.post(path, &json!({ "fingerprint": seen, "reason": "renewed by hand" })).await;
    let trusted: NodeDetail = trusted.json();
    assert_eq!(trusted.node.bmc.certificate_sha256, Some(seen.clone()));
    assert_eq!(trusted.node.bmc.stopped, None);
    let detail: Value = sqlx::query_scalar("select detail from audit where action = 'node.trust'")
        .fetch_one(&stage.api.app().db)
        .await
        .unwrap();
    assert_eq!(detail, json!({ "before": old, "after": seen, "reason": "renewed by hand" }));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_edit_over_a_newer_version_is_refused(db: sqlx::PgPool) {
    let (stage, node) = enrolled(db, &["127.32.5.1"]).await;
    let version = node.node.version;
    let done = edit(&stage, version, json!({ "rack": null, "position": 9, "labels": { "a": "b" } })).await;
    let done: NodeDetail = done.json();
    assert_eq!((done.node.rack, done.node.position), (None, Some(9)));
    let late = edit(&stage, version, json!({ "rack": "r09" })).await.problem();
    assert_eq!((late.status, late.code.as_str()), (412, "edit_conflict"));
    let path = "/api/v1/nodes/gpu-1";
    let blind = stage.api.call(Method::PATCH, path, &stage.api.operator, &json!({ "rack": "r09" })).await.problem();
    assert_eq!((blind.status, blind.code.as_str()), (428, "if_match_required"));
    let state = edit(&stage, done.node.version, json!({ "state": "provisioning" })).await.problem();
    assert_eq!((state.code.as_str(), state.field.as_deref()), ("state_not_settable", Some("state")));
    let held = edit(&stage, done.node.version, json!({ "state": "maintenance", "reason": "DIMM swap" })).await;
    assert_eq!(held.json::<NodeDetail>().node.state_reason.as_deref(), Some("DIMM swap"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_person_may_try_a_bmc_again(db: sqlx::PgPool) {
    let (stage, _) = enrolled(db, &["127.32.6.1"]).await;
    stage.fleet.control().faults("127.32.6.1", |faults| faults.dead = true).unwrap();
    let path = "/api/v1/nodes/gpu-1/contact";
    let dead: NodeDetail = stage.api.post(path, &json!({})).await.json();
    assert_eq!((dead.node.bmc.failures, dead.node.bmc.contact), (1, helix_inventory::words::Contact::NoContact));
    stage.fleet.control().faults("127.32.6.1", |faults| faults.dead = false).unwrap();
    let back: NodeDetail = stage.api.post(path, &json!({})).await.json();
    assert_eq!((back.node.bmc.failures, back.node.bmc.contact), (0, helix_inventory::words::Contact::Fresh));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_removed_node_is_gone_and_its_history_stays_under_its_tag(db: sqlx::PgPool) {
    let (stage, node) = enrolled(db, &["127.32.7.1"]).await;
    let operator =
        stage.api.call(Method::DELETE, "/api/v1/nodes/gpu-1", &stage.api.operator, &Value::Null).await.problem();
    assert_eq!(operator.code, "not_allowed");
    let removed = stage.api.call(Method::DELETE, "/api/v1/nodes/gpu-1", &stage.api.admin, &Value::Null).await;
    let removed: Removed = removed.json();
    assert_eq!((removed.service_tag.as_str(), removed.left_behind.len()), (node.node.service_tag.as_str(), 0));
    let counters = stage.fleet.control().counters("127.32.7.1").unwrap();
    assert_eq!((counters.logouts, counters.ejects, counters.resets), (counters.logins, 0, 0));
    assert_eq!(stage.api.get("/api/v1/nodes/gpu-1").await.status, StatusCode::NOT_FOUND);
    let history: Value = sqlx::query_scalar("select history from removed_nodes where service_tag = $1")
        .bind(&removed.service_tag)
        .fetch_one(&stage.api.app().db)
        .await
        .unwrap();
    assert_eq!(history["events"][0]["code"], "enrolled");
    let again = stage.enrol_one(stage.line("127.32.7.1")).await;
    assert_eq!(again.state, "done", "a removed machine may come back");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dead_bmc_needs_no_contact_which_says_what_stays_behind(db: sqlx::PgPool) {
    let (stage, _) = enrolled(db, &["127.32.8.1"]).await;
    stage.fleet.control().faults("127.32.8.1", |faults| faults.dead = true).unwrap();
    let refused = stage.api.call(Method::DELETE, "/api/v1/nodes/gpu-1", &stage.api.admin, &Value::Null).await.problem();
    assert_eq!((refused.status, refused.code.as_str()), (502, "bmc_unreachable"));
    assert_eq!(refused.next[0], "If it is dead: helixctl node remove gpu-1 --no-contact");
    let path = "/api/v1/nodes/gpu-1?no_contact=true";
    let removed: Removed = stage.api.call(Method::DELETE, path, &stage.api.admin, &Value::Null).await.json();
    assert!(removed.left_behind[0].contains("Helix's session (it ends by itself after 30 min)"), "{removed:?}");
}
