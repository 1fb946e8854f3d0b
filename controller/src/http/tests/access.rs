//! Signing in, roles, throttling, credentials.

use serde_json::json;

use super::*;
use crate::access::password;
use crate::store::users;

const PASSWORD: &str = "correct horse battery";

async fn user(api: &Api, name: &str) -> Uuid {
    let id = Uuid::now_v7();
    let hash = password::hash(&PASSWORD.into()).await.unwrap();
    users::insert(&api.app().db, id, name, &hash, "operator", true).await.unwrap();
    id
}

async fn login(api: &Api, user: &str, password: &str) -> Answered {
    let request = Request::post("/api/v1/login").header("content-type", "application/json");
    let body = json!({ "user": user, "password": password, "token_name": "helixctl on a laptop" });
    api.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[sqlx::test(migrations = "../migrations")]
async fn who_signs_in_gets_a_token_that_works_until_they_sign_out(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    user(&api, "ops").await;
    let answer = login(&api, "ops", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::OK);
    let signed: helix_api::access::LoginResponse = answer.json();
    assert!(signed.user.must_change_password);
    let who = api.call(Method::GET, "/api/v1/whoami", &signed.token, &Value::Null).await;
    let who: helix_api::access::WhoAmI = who.json();
    assert_eq!((who.name.as_str(), who.role.as_str()), ("ops", "operator"));
    let out = api.call(Method::POST, "/api/v1/logout", &signed.token, &json!({})).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let after = api.call(Method::GET, "/api/v1/whoami", &signed.token, &Value::Null).await;
    assert_eq!((after.status, after.problem().code.as_str()), (StatusCode::UNAUTHORIZED, "not_signed_in"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_password_and_an_unknown_user_are_answered_alike(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    user(&api, "ops").await;
    let wrong = login(&api, "ops", "not this one at all").await.problem();
    let unknown = login(&api, "nobody", PASSWORD).await.problem();
    assert_eq!((wrong.status, wrong.code.as_str()), (401, "login_refused"));
    assert_eq!((wrong.code, wrong.title, wrong.next), (unknown.code, unknown.title, unknown.next));
}

#[sqlx::test(migrations = "../migrations")]
async fn after_five_wrong_passwords_even_the_right_one_waits(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    user(&api, "ops").await;
    for _ in 0..5 {
        assert_eq!(login(&api, "ops", "not this one at all").await.status, StatusCode::UNAUTHORIZED);
    }
    let locked = login(&api, "ops", PASSWORD).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    let problem = locked.problem();
    assert_eq!(problem.code, "login_locked");
    assert!(problem.next[0].starts_with("Try again in 1"), "{problem:?}");
    api.app().clock.shift(chrono::TimeDelta::seconds(16));
    assert_eq!(login(&api, "ops", PASSWORD).await.status, StatusCode::OK);
}

#[sqlx::test(migrations = "../migrations")]
async fn everything_but_the_open_routes_wants_a_token(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let paths = super::super::description::document().paths.paths;
    let mut closed = 0;
    for (path, _) in paths {
        let open = matches!(path.as_str(), "/api/v1/login" | "/api/v1/openapi.json" | "/api/v1/healthz");
        let answer = api.send(Request::get(&path).body(Body::empty()).unwrap()).await;
        if open {
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        } else {
            assert_eq!(answer.problem().code, "not_signed_in", "{path}");
            closed += 1;
        }
    }
    assert!(closed > 10, "only {closed} routes were looked at");
    let nowhere = api.send(Request::get("/api/v1/nowhere").body(Body::empty()).unwrap()).await;
    assert_eq!(nowhere.problem().code, "not_signed_in");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_expired_token_and_one_of_a_disabled_user_do_not_work(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    sqlx::query("update users set disabled_at = now() where name = 'vera'").execute(&api.app().db).await.unwrap();
    assert_eq!(api.get("/api/v1/nodes").await.status, StatusCode::UNAUTHORIZED);
    api.app().clock.shift(chrono::TimeDelta::days(2));
    let late = api.call(Method::GET, "/api/v1/nodes", &api.admin, &Value::Null).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_role_that_is_not_enough_is_named(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let set = json!({ "username": "root", "password": "calvin" });
    let refused = api.call(Method::PUT, "/api/v1/credentials/idrac", &api.operator, &set).await.problem();
    assert_eq!((refused.status, refused.code.as_str()), (403, "not_allowed"));
    assert!(refused.title.contains("needs the role admin"), "{}", refused.title);
    assert_eq!(refused.detail.as_deref(), Some("olaf is operator."));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_password_is_changed_with_the_old_one_and_ends_other_sign_ins(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    user(&api, "ops").await;
    let one: helix_api::access::LoginResponse = login(&api, "ops", PASSWORD).await.json();
    let two: helix_api::access::LoginResponse = login(&api, "ops", PASSWORD).await.json();
    let change = |old: &str, new: &str| json!({ "old": old, "new": new });
    let path = "/api/v1/password";
    let wrong = api.call(Method::POST, path, &one.token, &change("wrong wrong wrong", "a new long password")).await;
    assert_eq!(wrong.problem().code, "password_wrong");
    let short = api.call(Method::POST, path, &one.token, &change(PASSWORD, "short")).await;
    assert_eq!(short.problem().code, "password_length");
    let done = api.call(Method::POST, path, &one.token, &change(PASSWORD, "a new long password")).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    let whoami = |token: String| async move { token };
    let kept = whoami(one.token).await;
    assert_eq!(api.call(Method::GET, "/api/v1/whoami", &kept, &Value::Null).await.status, StatusCode::OK);
    let ended = whoami(two.token).await;
    assert_eq!(api.call(Method::GET, "/api/v1/whoami", &ended, &Value::Null).await.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_credential_is_sealed_at_rest_and_its_password_never_comes_back(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let set = json!({ "username": "root", "password": "calvin-is-secret" });
    let made = api.call(Method::PUT, "/api/v1/credentials/idrac-r01", &api.admin, &set).await;
    assert_eq!(made.status, StatusCode::OK);
    assert!(!String::from_utf8_lossy(&made.bytes).contains("calvin"));
    let list = api.get("/api/v1/credentials").await;
    assert!(!String::from_utf8_lossy(&list.bytes).contains("calvin"));
    let sealed: Vec<u8> =
        sqlx::query_scalar("select secret_sealed from credentials").fetch_one(&api.app().db).await.unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("calvin"));
    let audit: Vec<Value> =
        sqlx::query_scalar("select to_jsonb(audit) from audit").fetch_all(&api.app().db).await.unwrap();
    assert!(audit.iter().any(|line| line["action"] == "credential.create" && line["actor"] == "ada"));
    assert!(!serde_json::to_string(&audit).unwrap().contains("calvin"));
    let again: helix_api::access::Credential =
        api.call(Method::PUT, "/api/v1/credentials/idrac-r01", &api.admin, &set).await.json();
    assert_eq!(again.version, 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_new_password_lets_a_stopped_bmc_be_tried_again(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let set = json!({ "username": "root", "password": "wrong" });
    api.call(Method::PUT, "/api/v1/credentials/idrac", &api.admin, &set).await;
    seed::node(api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    sqlx::query(
        "update bmcs set credential_id = (select id from credentials), refused_logins = 2, stopped_code = 'wrong_password',
         stopped_reason = 'refused twice', stopped_at = now()",
    )
    .execute(&api.app().db)
    .await
    .unwrap();
    let stopped: helix_api::node::NodeDetail = api.get("/api/v1/nodes/r01u05").await.json();
    let why = stopped.node.bmc.stopped.unwrap();
    assert_eq!((why.code.as_str(), why.next[0].as_str()), ("wrong_password", "helixctl credential set idrac"));
    api.call(Method::PUT, "/api/v1/credentials/idrac", &api.admin, &set).await;
    let mended: helix_api::node::NodeDetail = api.get("/api/v1/nodes/r01u05").await.json();
    assert_eq!(mended.node.bmc.stopped, None);
    let used = api.call(Method::DELETE, "/api/v1/credentials/idrac", &api.admin, &Value::Null).await.problem();
    assert_eq!(used.code, "credential_in_use");
}
