//! The committed description is the one that the code makes.

use super::*;

/// Where the document is committed, beside the wire types.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api/openapi.json");

/// `HELIX_WRITE_OPENAPI=1` writes it anew.
#[test]
fn the_committed_document_is_the_generated_one() {
    if std::env::var_os("HELIX_WRITE_OPENAPI").is_some() {
        std::fs::write(COMMITTED, super::super::openapi()).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == super::super::openapi(),
        "{COMMITTED} is out of date: helixd openapi > controller/api/openapi.json"
    );
}

#[test]
fn every_operation_says_what_it_does_and_how_it_refuses() {
    let document: Value = serde_json::from_str(&super::super::openapi()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["tags"].is_array(), "{method} {path} has no tag");
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn anybody_may_read_the_description_and_the_health(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let document = api.send(Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(document.json::<Value>()["info"]["title"], "Helix");
    let health = api.send(Request::get("/api/v1/healthz").body(Body::empty()).unwrap()).await;
    assert_eq!(health.json::<Value>()["status"], "ok");
}
