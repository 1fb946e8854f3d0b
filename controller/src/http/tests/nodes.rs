//! Lists, selections, one node, its history.

use helix_api::node::{Node, NodeDetail};
use helix_api::page::Page;
use helix_inventory::words::{Contact, Lifecycle};
use serde_json::json;

use super::*;

async fn rack(api: &Api) {
    for (place, tag) in [("r01u01", "AAA1111"), ("r01u02", "AAA2222"), ("r01u03", "AAA3333"), ("r02u01", "BBB1111")] {
        let host = format!("10.0.0.{}", tag[3..4].parse::<u8>().unwrap() + if tag.starts_with('B') { 10 } else { 0 });
        seed::node(api.app(), place, tag, &host).await;
    }
}

fn names(page: &Page<Node>) -> Vec<&str> {
    page.items.iter().map(|node| node.name.as_str()).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_list_comes_in_pages_that_join_without_gap_or_double(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    rack(&api).await;
    for (sort, expected) in [
        ("name", ["r01u01", "r01u02", "r01u03", "r02u01"]),
        ("-name", ["r02u01", "r01u03", "r01u02", "r01u01"]),
        ("model", ["r01u01", "r01u02", "r01u03", "r02u01"]),
        ("-service_tag", ["r02u01", "r01u03", "r01u02", "r01u01"]),
    ] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: Page<Node> = api.get(&format!("/api/v1/nodes?limit=3&sort={sort}&cursor={cursor}")).await.json();
            assert_eq!(page.total, 4);
            seen.extend(page.items.into_iter().map(|node| node.name));
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert_eq!(seen, expected, "sorted by {sort}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn nodes_are_selected_by_name_range_tag_and_address(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    rack(&api).await;
    let list = |query: &str| format!("/api/v1/nodes?{query}");
    let page: Page<Node> = api.get(&list("select=r01u%5B01-09%5D&except=aaa2222")).await.json();
    assert_eq!(names(&page), ["r01u01", "r01u03"], "holes in a range are skipped");
    let page: Page<Node> = api.get(&list("select=10.0.0.11,AAA1111,10.0.0.2:443")).await.json();
    assert_eq!(names(&page), ["r01u01", "r01u02", "r02u01"]);
    let page: Page<Node> = api.get(&list("rack=r01&state=ready&model=xe9680")).await.json();
    assert_eq!(page.total, 4);
    let page: Page<Node> = api.get(&list("state=in_service")).await.json();
    assert_eq!(page.total, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_name_outside_a_range_must_exist(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    rack(&api).await;
    let unknown = api.get("/api/v1/nodes?select=r01u04").await.problem();
    assert_eq!((unknown.status, unknown.code.as_str()), (404, "selection_unknown"));
    assert_eq!(unknown.detail.as_deref(), Some("Did you mean \"r01u01\"?"));
    let range = api.post("/api/v1/nodes/resolve", &json!({ "forms": ["r[9-3]"] })).await.problem();
    assert_eq!((range.status, range.code.as_str()), (422, "selection_range"));
    let empty = api.post("/api/v1/nodes/resolve", &json!({})).await.problem();
    assert_eq!(empty.code, "selection_empty");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_fits_two_nodes_is_refused_with_both(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    seed::node(api.app(), "aaa1111", "CCC1111", "10.0.0.1").await;
    seed::node(api.app(), "r01u02", "AAA1111", "10.0.0.2").await;
    let ambiguous = api.get("/api/v1/nodes/AAA1111").await.problem();
    assert_eq!((ambiguous.status, ambiguous.code.as_str()), (409, "node_ambiguous"));
    assert_eq!(ambiguous.candidates.len(), 2);
    assert!(ambiguous.candidates[1].contains("r01u02 (tag AAA1111, BMC 10.0.0.2)"), "{:?}", ambiguous.candidates);
    let by_address: NodeDetail = api.get("/api/v1/nodes/10.0.0.2").await.json();
    assert_eq!(by_address.node.name, "r01u02");
}

#[sqlx::test(migrations = "../migrations")]
async fn one_node_shows_state_contact_and_its_etag(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let id = seed::node(api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    let answer = api.get(&format!("/api/v1/nodes/{id}")).await;
    assert_eq!(answer.headers["etag"], "\"1\"");
    let detail: NodeDetail = answer.json();
    assert_eq!(detail.node.state, Lifecycle::Ready);
    assert_eq!(detail.node.bmc.contact, Contact::Fresh);
    assert_eq!(detail.node.labels["tenant"], "blue");
    assert!(detail.node.agent.is_none() && detail.hardware.is_none() && detail.report.is_none());
    api.app().clock.shift(chrono::TimeDelta::seconds(61));
    let detail: NodeDetail = api.get("/api/v1/nodes/r01u05").await.json();
    assert_eq!(detail.node.bmc.contact, Contact::Stale);
    let unknown = api.get("/api/v1/nodes/r01u06").await.problem();
    assert_eq!((unknown.status, unknown.code.as_str()), (404, "node_unknown"));
    assert_eq!(unknown.detail.as_deref(), Some("Did you mean \"r01u05\"?"));
}

#[sqlx::test(migrations = "../migrations")]
async fn events_come_newest_first_and_go_on_where_a_page_ended(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let id = seed::node(api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    for number in 1..=5 {
        sqlx::query("insert into node_events (node_id, source, severity, message) values ($1, 'helix', 'info', $2)")
            .bind(id)
            .bind(format!("event {number}"))
            .execute(&api.app().db)
            .await
            .unwrap();
    }
    let page: Page<helix_api::node::NodeEvent> = api.get("/api/v1/nodes/r01u05/events?limit=3").await.json();
    assert_eq!((page.total, page.items[0].message.as_str()), (5, "event 5"));
    let before = page.next.unwrap();
    let page: Page<helix_api::node::NodeEvent> =
        api.get(&format!("/api/v1/nodes/r01u05/events?limit=3&before={before}")).await.json();
    let rest: Vec<_> = page.items.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(rest, ["event 2", "event 1"]);
}
