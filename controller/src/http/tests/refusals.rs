//! Every refusal is a problem document that says what is wrong and where.

use serde_json::json;

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn what_the_api_does_not_have_is_said_in_its_own_words(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let unknown = api.get("/api/v1/nodez").await.problem();
    assert_eq!(
        (unknown.code.as_str(), unknown.title.as_str()),
        ("route_unknown", "There is no /api/v1/nodez in this API.")
    );
    let method = api.call(Method::DELETE, "/api/v1/nodes", &api.admin, &Value::Null).await.problem();
    assert_eq!((method.status, method.code.as_str()), (405, "method_not_allowed"));
    let query = api.get("/api/v1/nodes?limt=3").await.problem();
    assert_eq!(query.detail.as_deref(), Some("Did you mean \"limit\"?"));
    let state = api.get("/api/v1/nodes?state=broken").await.problem();
    assert!(state.detail.unwrap().contains("in_service"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_that_is_wrong_names_the_place(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let wrong = api.post("/api/v1/nodes/resolve", &json!({ "forms": ["a", 7] })).await.problem();
    assert_eq!((wrong.status, wrong.field.as_deref()), (422, Some("forms[1]")));
    let unknown = api.post("/api/v1/nodes/resolve", &json!({ "form": ["a"] })).await.problem();
    assert!(unknown.title.contains("unknown field `form`"), "{}", unknown.title);
    let request = Api::request(Method::POST, "/api/v1/nodes/resolve", &api.admin).header("content-type", "text/plain");
    let text = api.send(request.body(Body::from("a")).unwrap()).await.problem();
    assert_eq!((text.status, text.code.as_str()), (415, "media_type_unsupported"));
}

#[sqlx::test(migrations = "../migrations")]
async fn every_answer_carries_version_request_id_and_what_browsers_need(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let request = Api::request(Method::GET, "/api/v1/nodes", &api.viewer).header("x-request-id", "my-own-7");
    let answer = api.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["x-request-id"], "my-own-7");
    assert_eq!(answer.headers["helix-version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let bad = Api::request(Method::GET, "/api/v1/nodes", &api.viewer).header("x-request-id", "a b<script>");
    let answer = api.send(bad.body(Body::empty()).unwrap()).await;
    assert_ne!(answer.headers["x-request-id"], "a b<script>");
}
