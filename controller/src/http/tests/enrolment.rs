//! From a list of BMCs to nodes, and every way in which a line can fail.

use helix_api::bulk::BulkItem;
use helix_api::enrol::EnrolAccepted;
use helix_inventory::words::{Contact, Lifecycle};
use serde_json::json;

use super::stage::Stage;

/// Code, message and way out of an item that failed.
fn failed(item: &BulkItem) -> (&str, &str, &str) {
    assert_eq!(item.state, "failed", "{item:?}");
    assert_eq!(item.node, None, "a line that fails makes no node");
    (
        item.code.as_deref().unwrap_or_default(),
        item.message.as_deref().unwrap_or_default(),
        item.next.as_deref().unwrap_or_default(),
    )
}

#[sqlx::test(migrations = "../migrations")]
async fn a_list_becomes_nodes_and_nothing_is_written_to_a_bmc(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.0.1", "127.31.0.2"]).await;
    let request = json!({
        "source": "fleet.csv", "credential": "idrac",
        "lines": [
            { "line": 2, "address": stage.at("127.31.0.1"), "rack": "r07", "position": 5, "labels": { "tenant": "red" } },
            { "line": 3, "address": stage.at("127.31.0.2") },
            { "line": 4, "address": "10.0.2.300" },
            { "line": 5, "address": stage.at("127.31.0.1") },
        ],
    });
    let accepted = stage.enrol(request).await;
    assert_eq!((accepted.new_bmcs, accepted.known_bmcs), (2, 0));
    let told: Vec<_> = accepted.refused.iter().map(|line| (line.line, line.message.clone())).collect();
    assert_eq!(told[0], (4, "10.0.2.300 is not an IP address".to_owned()));
    assert!(told[1].0 == 5 && told[1].1.starts_with("same BMC as line 2"), "{told:?}");
    let bulk = accepted.bulk.unwrap();
    assert_eq!(bulk.title, "Enrol 2 BMCs from fleet.csv");
    let (bulk, items) = stage.finished(&bulk.id).await;
    assert_eq!((bulk.counts.done, bulk.counts.refused, bulk.counts.total), (2, 2, 4));
    assert_eq!(items[2].code.as_deref(), Some("address_invalid"), "refused lines stay in the bulk action");
    let named = stage.node("r07u05").await;
    assert_eq!((named.node.state, named.node.bmc.contact), (Lifecycle::Enrolled, Contact::Fresh));
    assert_eq!(named.node.service_tag, stage.tag("127.31.0.1"));
    assert_eq!(named.node.model.as_deref(), Some("PowerEdge XE9680"));
    assert_eq!(named.node.labels["tenant"], "red");
    assert_eq!(named.node.bmc.certificate_sha256.as_ref().map(String::len), Some(64));
    let by_tag = stage.node(&stage.tag("127.31.0.2").to_ascii_lowercase()).await;
    assert_eq!(by_tag.node.name, stage.tag("127.31.0.2").to_ascii_lowercase());
    let counters = stage.fleet.control().counters("127.31.0.1").unwrap();
    assert_eq!((counters.logins, counters.writes, counters.resets), (1, 0, 0));
    let audited: i64 = sqlx::query_scalar("select count(*) from audit where action = 'node.enrol' and actor = 'olaf'")
        .fetch_one(&stage.api.app().db)
        .await
        .unwrap();
    assert_eq!(audited, 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dry_run_contacts_nothing_and_keeps_nothing(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.1.1"]).await;
    let lines = json!([stage.line("127.31.1.1"), { "line": 3, "address": "bmc_1" }]);
    let dry = stage.enrol(json!({ "lines": lines, "credential": "idrac", "dry_run": true })).await;
    assert_eq!((dry.bulk, dry.new_bmcs, dry.refused.len()), (None, 1, 1));
    assert_eq!(stage.fleet.control().counters("127.31.1.1").unwrap().requests, 0);
    let bulks: i64 = sqlx::query_scalar("select count(*) from bulks").fetch_one(&stage.api.app().db).await.unwrap();
    assert_eq!(bulks, 0);
    let none: EnrolAccepted = stage.enrol(json!({ "lines": lines, "credential": "idrac-r09", "dry_run": true })).await;
    assert_eq!(none.refused[0].message, "there is no credential \"idrac-r09\"");
    let empty = stage.api.post("/api/v1/enrolments", &json!({ "lines": [] })).await.problem();
    assert_eq!(empty.code, "enrolment_empty");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_bmc_that_does_not_answer_says_how_long_was_waited(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.2.1", "127.31.2.2"]).await;
    stage.fleet.control().faults("127.31.2.1", |faults| faults.black_hole = true).unwrap();
    stage.fleet.control().faults("127.31.2.2", |faults| faults.not_redfish = true).unwrap();
    let request = json!({ "credential": "idrac", "lines": [
        { "line": 2, "address": stage.at("127.31.2.1") },
        { "line": 3, "address": stage.at("127.31.2.2") },
        { "line": 4, "address": "127.31.2.3:1" },
        { "line": 5, "address": "no-such-bmc.invalid" },
    ] });
    let accepted = stage.enrol(request).await;
    let (_, items) = stage.finished(&accepted.bulk.unwrap().id).await;
    let port = stage.fleet.port();
    assert_eq!(failed(&items[0]).0, "bmc_unreachable");
    assert_eq!(failed(&items[0]).1, format!("no answer on {port} in 10 s"));
    assert_eq!(failed(&items[1]).0, "not_redfish");
    assert!(failed(&items[1]).1.starts_with("not a Redfish service: "), "{:?}", items[1]);
    assert_eq!(
        failed(&items[2]),
        (
            "bmc_unreachable",
            "nothing listens on 1 (refused at once)",
            "Check the address and whether the BMC's web server is enabled.",
        )
    );
    assert_eq!(failed(&items[3]).1, "the name no-such-bmc.invalid is not known");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_password_stops_after_two_tries_also_across_a_restart(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.3.1"]).await;
    stage.credential("idrac", "wrong").await;
    let item = stage.enrol_one(stage.line("127.31.3.1")).await;
    let wrong = (
        "wrong_password",
        "wrong password: stopped after 2 tries (iDRAC would lock out this controller's address)",
        "helixctl credential set idrac",
    );
    assert_eq!(failed(&item), wrong);
    let refused = || stage.fleet.control().counters("127.31.3.1").unwrap().logins_refused;
    assert_eq!(refused(), 2);
    // A controller that died in the middle of the line, and its successor that takes the line up again.
    sqlx::query("update bulks set finished_at = null").execute(&stage.api.app().db).await.unwrap();
    sqlx::query(
        "update bulk_items set state = 'running', finished_at = null, claimed_by = gen_random_uuid(),
             claimed_until = now() - interval '1 second'",
    )
    .execute(&stage.api.app().db)
    .await
    .unwrap();
    let bulk: String = sqlx::query_scalar("select public_id from bulks").fetch_one(&stage.api.app().db).await.unwrap();
    let (_, items) = stage.finished(&bulk).await;
    assert_eq!(failed(&items[0]), wrong);
    assert_eq!(refused(), 2, "the count survives");
    stage.credential("idrac", "calvin").await;
    let item = stage.enrol_one(stage.line("127.31.3.1")).await;
    assert_eq!((item.state.as_str(), refused()), ("done", 2));
    assert_eq!(stage.fleet.control().counters("127.31.3.1").unwrap().lockouts, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_person_who_asks_again_after_the_window_gets_two_more_tries(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.4.1"]).await;
    stage.credential("idrac", "wrong").await;
    failed(&stage.enrol_one(stage.line("127.31.4.1")).await);
    stage.fleet.control().faults("127.31.4.1", |faults| faults.password = Some("wrong".into())).unwrap();
    sqlx::query("update bmcs set refused_at = refused_at - interval '1 hour'")
        .execute(&stage.api.app().db)
        .await
        .unwrap();
    let item = stage.enrol_one(stage.line("127.31.4.1")).await;
    assert_eq!(item.state, "done", "{item:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn with_a_list_of_fingerprints_only_listed_certificates_are_trusted(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.5.1", "127.31.5.2"]).await;
    let lines = json!([
        { "line": 2, "address": stage.at("127.31.5.1") }, { "line": 3, "address": stage.at("127.31.5.2") },
    ]);
    let wrong = "ab".repeat(32);
    let mut listed = serde_json::Map::new();
    listed.insert(stage.at("127.31.5.1"), json!(wrong));
    let accepted = stage.enrol(json!({ "lines": lines, "credential": "idrac", "fingerprints": listed })).await;
    let (_, items) = stage.finished(&accepted.bulk.unwrap().id).await;
    let (code, message, _) = failed(&items[0]);
    assert_eq!(code, "certificate_changed");
    assert!(message.ends_with(&format!("instead of {wrong}, which was given for it")), "{message}");
    assert_eq!(failed(&items[1]).0, "certificate_not_listed");
    assert_eq!(stage.fleet.control().counters("127.31.5.1").unwrap().logins, 0, "no password was sent");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_name_that_is_taken_is_refused_before_anything_is_contacted(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.6.1", "127.31.6.2"]).await;
    let mut line = stage.line("127.31.6.1");
    line["name"] = json!("gpu-1");
    assert_eq!(stage.enrol_one(line).await.state, "done");
    let mut other = stage.line("127.31.6.2");
    other["name"] = json!("gpu-1");
    let refused = stage.enrol(json!({ "lines": [other], "credential": "idrac" })).await;
    assert_eq!((refused.bulk, refused.refused[0].code.as_str()), (None, "name_taken"));
    assert_eq!(stage.fleet.control().counters("127.31.6.2").unwrap().requests, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn with_inspect_the_line_ends_when_the_hardware_is_read(db: sqlx::PgPool) {
    let stage = Stage::new(db, &["127.31.7.1"]).await;
    let request = json!({ "lines": [stage.line("127.31.7.1")], "credential": "idrac", "inspect": true });
    let accepted = stage.enrol(request).await;
    let (bulk, items) = stage.finished(&accepted.bulk.unwrap().id).await;
    assert_eq!((bulk.counts.done, items[0].workflow_state.as_deref()), (1, Some("succeeded")), "{items:?}");
    let node = stage.node(items[0].node.as_ref().unwrap()).await;
    assert_eq!(node.node.state, Lifecycle::Ready);
    assert_eq!(node.node.gpu.count, 8);
    assert_eq!(node.hardware.unwrap().gpus.len(), 8);
    assert_eq!(stage.fleet.control().counters("127.31.7.1").unwrap().writes, 0);
}
