//! A repeated POST is answered again and does nothing twice.

use serde_json::json;

use super::*;

async fn post(api: &Api, key: &str, body: &Value) -> Answered {
    let request = Api::request(Method::POST, "/api/v1/nodes/resolve", &api.operator)
        .header("content-type", "application/json")
        .header("idempotency-key", key);
    api.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[sqlx::test(migrations = "../migrations")]
async fn a_repeat_gets_the_first_answer_and_another_body_is_refused(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    seed::node(api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    let body = json!({ "forms": ["r01u05"] });
    let first = post(&api, "key-1", &body).await;
    assert_eq!(first.status, StatusCode::OK);
    // Were it done again, it would find nothing.
    sqlx::query("delete from nodes").execute(&api.app().db).await.unwrap();
    let second = post(&api, "key-1", &body).await;
    assert_eq!((second.status, second.json::<Value>()), (StatusCode::OK, first.json()));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    let other = post(&api, "key-1", &json!({ "forms": ["r01u06"] })).await.problem();
    assert_eq!((other.status, other.code.as_str()), (422, "idempotency_key_reused"));
    assert_eq!(post(&api, "key-2", &body).await.problem().code, "selection_unknown");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refusal_is_repeated_as_a_refusal(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let body = json!({ "forms": ["r01u05"] });
    let first = post(&api, "key-1", &body).await.problem();
    let second = post(&api, "key-1", &body).await.problem();
    assert_eq!((first.code, first.title), (second.code, second.title));
}

#[sqlx::test(migrations = "../migrations")]
async fn while_the_first_is_at_work_a_repeat_is_told_so(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let body = json!({ "forms": ["r01u05"] });
    post(&api, "key-1", &body).await;
    sqlx::query("update idempotency_keys set status = null, response = null, created_at = $1")
        .bind(api.app().clock.now())
        .execute(&api.app().db)
        .await
        .unwrap();
    assert_eq!(post(&api, "key-1", &body).await.problem().code, "request_at_work");
    api.app().clock.shift(chrono::TimeDelta::minutes(11));
    assert_eq!(post(&api, "key-1", &body).await.problem().code, "selection_unknown", "the first one died");
}
