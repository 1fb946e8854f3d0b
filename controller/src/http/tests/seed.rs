//! Rows that tests begin with.

use super::*;
use crate::store::{nodes, tokens, users};

/// A signed-in user with a role.
pub(crate) async fn token(app: &App, name: &str, role: &str) -> String {
    let user = Uuid::now_v7();
    assert!(users::insert(&app.db, user, name, "no password works", role, false).await.unwrap());
    let (secret, digest) = token::generate().unwrap();
    let expires = app.clock.now() + chrono::TimeDelta::days(1);
    tokens::insert(&app.db, Uuid::now_v7(), user, "test", &digest, expires).await.unwrap();
    secret.expose_secret().to_owned()
}

/// A node `name` behind a BMC at `host`, in state ready.
pub(crate) async fn node(app: &App, name: &str, tag: &str, host: &str) -> Uuid {
    let bmc = Uuid::now_v7();
    sqlx::query("insert into bmcs (id, host, port, contact_at) values ($1, $2, 443, now())")
        .bind(bmc)
        .bind(host)
        .execute(&app.db)
        .await
        .unwrap();
    let node = Uuid::now_v7();
    let labels = serde_json::json!({ "tenant": "blue" });
    let new = nodes::NewNode {
        id: node,
        service_tag: tag,
        name,
        bmc_id: bmc,
        rack: Some("r01"),
        position: Some(5),
        labels: &labels,
        boot_network: None,
        manufacturer: Some("Dell Inc."),
        model: Some("PowerEdge XE9680"),
        power: "on",
    };
    nodes::insert(&app.db, &new).await.unwrap();
    sqlx::query("update nodes set state = 'ready' where id = $1").bind(node).execute(&app.db).await.unwrap();
    node
}
