//! The agents listener as ramdisks and agents see it, and what it leaves for the workflow and the admin.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use chrono::{TimeDelta, Utc};
use helix_api::agent::{AgentReport, JoinRequest, JoinResponse, OsFacts, RenewRequest, RenewResponse};
use helix_api::deploy::{
    Act, ClaimRequest, ClaimResponse, DeployReport, DiskRule, ImageSource, Instruction, Phase, WriteOrder,
};
use helix_api::machine::{DiskFacts, MachineFacts};
use helix_api::problem::Problem;
use rustls_pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use uuid::Uuid;

use crate::access::token;
use crate::app::testing::{TestApp, app};
use crate::listener::PeerCertificate;
use crate::media::deploy;
use crate::media::fixture::{Rows, events, http, rows, serve, woken};
use crate::store::{agents, deploy_sessions, join_tokens};

struct Caller {
    server: String,
    bearer: Option<String>,
}

impl Caller {
    async fn new(test: &TestApp) -> Self {
        Self { server: serve(super::router(Arc::clone(&test.app))).await, bearer: None }
    }

    /// A caller that showed this certificate in its TLS handshake.
    async fn with_certificate(test: &TestApp, pem: &str) -> Self {
        let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let peer = PeerCertificate(Some(der.to_vec()));
        Self { server: serve(super::router(Arc::clone(&test.app)).layer(Extension(peer))).await, bearer: None }
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Problem> {
        let mut request = http().post(format!("http://{}/agent/v1/{path}", self.server)).json(body);
        if let Some(secret) = &self.bearer {
            request = request.bearer_auth(secret);
        }
        answer(request.send().await.unwrap()).await
    }

    async fn next(&self, after: u64) -> Result<Instruction, Problem> {
        let request = http().get(format!("http://{}/agent/v1/deploy/next?after={after}", self.server));
        answer(request.bearer_auth(self.bearer.as_deref().unwrap_or_default()).send().await.unwrap()).await
    }
}

async fn answer<T: DeserializeOwned>(answer: reqwest::Response) -> Result<T, Problem> {
    if answer.status().is_success() {
        return Ok(answer.json().await.unwrap());
    }
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Problem = answer.json().await.unwrap();
    assert_eq!(problem.status, status);
    Err(problem)
}

fn machine(tag: &str) -> MachineFacts {
    MachineFacts { service_tag: Some(tag.into()), uefi: true, ..MachineFacts::default() }
}

/// A session as `media::deploy::prepare` makes it, and its token.
async fn session(test: &TestApp, rows: Rows, attempt: i32) -> (Uuid, String) {
    let (secret, digest) = token::generate().unwrap();
    let id = Uuid::now_v7();
    let mut conn = test.app.db.acquire().await.unwrap();
    deploy_sessions::insert(&mut conn, id, rows.workflow, rows.node, attempt, &digest).await.unwrap();
    (id, secret.expose_secret().to_owned())
}

fn claim(token: &str, tag: &str) -> ClaimRequest {
    ClaimRequest {
        token: token.into(),
        machine: machine(tag),
        boot_id: "boot-1".into(),
        agent_version: "0.1.0".into(),
        clock: Utc::now(),
        simulated: false,
    }
}

async fn row(test: &TestApp, id: Uuid) -> deploy_sessions::DeploySessionRow {
    let mut conn = test.app.db.acquire().await.unwrap();
    deploy_sessions::find(&mut conn, id).await.unwrap().unwrap()
}

fn report(phase: Phase) -> DeployReport {
    DeployReport {
        write_id: None,
        phase,
        disk: None,
        bytes_done: 0,
        bytes_total: 0,
        bytes_per_second: 0,
        digest: None,
        disks: vec![],
        error: None,
        message: None,
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_ramdisk_claims_with_its_token_once(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (id, token) = session(&test, rows, 3).await;
    let caller = Caller::new(&test).await;
    assert!(!woken(&test.app.db, rows.workflow).await);
    let answer: ClaimResponse = caller.post("deploy/claim", &claim(&token, "hlx0001")).await.unwrap();
    assert_eq!((answer.attempt, answer.node_name.as_str(), answer.service_tag.as_str()), (3, "hlx0001", "HLX0001"));
    assert!(answer.workflow.starts_with("wf-"));
    assert!((answer.now - Utc::now()).abs() < TimeDelta::seconds(5));
    assert!(woken(&test.app.db, rows.workflow).await, "the workflow waits for this call");
    let session = row(&test, id).await;
    assert_eq!((session.phase.as_deref(), session.boot_id.as_deref()), (Some("claimed"), Some("boot-1")));
    assert!(session.claimed_at.is_some() && session.clock_offset_seconds.unwrap().abs() < 5.0);
    let again = caller.post::<ClaimResponse>("deploy/claim", &claim(&token, "HLX0001")).await.unwrap_err();
    assert_eq!((again.status, again.code.as_str()), (409, "deploy_token_used"));
    assert!(again.title.contains("hlx0001") && again.title.contains("127.0.0.1"), "{}", again.title);
    assert!(!again.next.is_empty());
    let unknown = caller.post::<ClaimResponse>("deploy/claim", &claim("hlx_other", "HLX0001")).await.unwrap_err();
    assert_eq!((unknown.status, unknown.code.as_str()), (401, "deploy_token_unknown"));
    let said = events(&test.app.db, rows.node).await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("info ramdisk_called") && said[1].starts_with("warning deploy_token_used"), "{said:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn of_many_claims_at_once_one_wins(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (_, token) = session(&test, rows, 1).await;
    let caller = Caller::new(&test).await;
    let request = claim(&token, "HLX0001");
    let claims = (0..8).map(|_| caller.post::<ClaimResponse>("deploy/claim", &request));
    let answers = futures::future::join_all(claims).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_medium_in_the_wrong_machine_ends_the_attempt_and_names_both(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (id, token) = session(&test, rows, 1).await;
    let caller = Caller::new(&test).await;
    let refused = caller.post::<ClaimResponse>("deploy/claim", &claim(&token, "HLX0002")).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (409, "deploy_wrong_machine"));
    assert!(refused.title.contains("HLX0001") && refused.title.contains("HLX0002"), "{}", refused.title);
    let session = row(&test, id).await;
    assert_eq!(session.phase.as_deref(), Some("failed"));
    let report: DeployReport = serde_json::from_value(session.report.unwrap()).unwrap();
    assert_eq!(report.error.unwrap().code, "deploy_wrong_machine");
    assert!(woken(&test.app.db, rows.workflow).await);
    assert!(events(&test.app.db, rows.node).await[0].starts_with("critical deploy_wrong_machine"));
    let dead = caller.post::<ClaimResponse>("deploy/claim", &claim(&token, "HLX0001")).await.unwrap_err();
    assert_eq!(dead.code, "deploy_token_used", "the token went astray: it is dead for everybody");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_clock_ten_years_off_is_stored_and_said(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (id, token) = session(&test, rows, 1).await;
    let caller = Caller::new(&test).await;
    let late = ClaimRequest { clock: Utc::now() - TimeDelta::days(3652), ..claim(&token, "HLX0001") };
    caller.post::<ClaimResponse>("deploy/claim", &late).await.unwrap();
    let offset = row(&test, id).await.clock_offset_seconds.unwrap();
    assert!((offset + 3652.0 * 86_400.0).abs() < 5.0, "{offset}");
    let said = events(&test.app.db, rows.node).await;
    assert!(said[1].contains("10 years 2 days behind"), "{said:?}");
}

fn order() -> WriteOrder {
    WriteOrder {
        write_id: "w1".into(),
        image: ImageSource {
            name: "debian-12".into(),
            url: "http://127.0.0.1/x".into(),
            compression: helix_api::deploy::Compression::Zstd,
            sha256: "aa".into(),
            size_bytes: 1,
            raw_sha256: "bb".into(),
            raw_size_bytes: 2,
            identifiers: vec![],
        },
        disk: DiskRule::default(),
        wipe_conflicting: false,
        seed: vec![],
        boot_entry: "Helix debian-12".into(),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_long_poll_hears_an_order_at_once_and_a_closed_session_ends_it(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (id, token) = session(&test, rows, 1).await;
    let mut caller = Caller::new(&test).await;
    let claimed: ClaimResponse = caller.post("deploy/claim", &claim(&token, "HLX0001")).await.unwrap();
    caller.bearer = Some(claimed.session);
    let caller = Arc::new(caller);

    let mut polling = tokio::spawn({
        let caller = Arc::clone(&caller);
        async move { (caller.next(0).await.unwrap(), std::time::Instant::now()) }
    });
    let mut conn = test.app.db.acquire().await.unwrap();
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut polling).await;
    assert!(early.is_err(), "there is nothing to say yet, so the call waits");
    let ordered = std::time::Instant::now();
    deploy::order_write(&test.app, &mut conn, id, &order()).await.unwrap();
    let (heard, at) = polling.await.unwrap();
    assert_eq!(heard, Instruction { seq: 1, act: Act::Write(Box::new(order())) });
    assert!(at.duration_since(ordered) < std::time::Duration::from_secs(4), "sooner than it would look by itself");
    assert_eq!(caller.next(0).await.unwrap().seq, 1, "asked again, it says the same");

    let polling = tokio::spawn({
        let caller = Arc::clone(&caller);
        async move { caller.next(1).await.unwrap() }
    });
    deploy::close(&test.app, &mut conn, rows.workflow).await.unwrap();
    assert!(matches!(polling.await.unwrap().act, Act::Abort { .. }));
    let late = caller.post::<serde_json::Value>("deploy/report", &report(Phase::Writing)).await.unwrap_err();
    assert_eq!((late.status, late.code.as_str()), (409, "deploy_session_closed"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_session_is_needed_and_a_wrong_one_is_refused(db: PgPool) {
    let test = app(db).await;
    let mut caller = Caller::new(&test).await;
    let without = caller.post::<serde_json::Value>("deploy/report", &report(Phase::Writing)).await.unwrap_err();
    assert_eq!((without.status, without.code.as_str()), (401, "deploy_session_required"));
    caller.bearer = Some("hlx_wrong".into());
    assert_eq!(caller.next(0).await.unwrap_err().code, "deploy_session_unknown");
    let nonsense = caller.post::<ClaimResponse>("deploy/claim", &serde_json::json!({"token": 5})).await.unwrap_err();
    assert_eq!(nonsense.code, "bad_request");
    let nowhere = caller.post::<ClaimResponse>("else", &()).await.unwrap_err();
    assert_eq!(nowhere.code, "no_such_route");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_without_end_is_cut_off(db: PgPool) {
    let test = app(db).await;
    let caller = Caller::new(&test).await;
    let huge = ClaimRequest { agent_version: "x".repeat(2 << 20), ..claim("hlx_x", "HLX0001") };
    let refused = caller.post::<ClaimResponse>("deploy/claim", &huge).await.unwrap_err();
    assert_eq!(refused.status, 413);
}

#[sqlx::test(migrations = "../migrations")]
async fn reports_are_merged_and_wake_the_workflow_when_something_changed(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (id, token) = session(&test, rows, 1).await;
    let mut caller = Caller::new(&test).await;
    let claimed: ClaimResponse = caller.post("deploy/claim", &claim(&token, "HLX0001")).await.unwrap();
    caller.bearer = Some(claimed.session);
    woken(&test.app.db, rows.workflow).await;
    let send = async |report: &DeployReport| {
        caller.post::<serde_json::Value>("deploy/report", report).await.unwrap();
        woken(&test.app.db, rows.workflow).await
    };
    let disk = DiskFacts { name: "nvme0n1".into(), serial: Some("S1".into()), ..DiskFacts::default() };
    let chosen = DeployReport { disk: Some(disk.clone()), ..report(Phase::DiskChosen) };
    assert!(send(&chosen).await);
    let writing = DeployReport { bytes_done: 10, bytes_total: 100, ..report(Phase::Writing) };
    assert!(send(&writing).await, "a new phase");
    assert!(!send(&DeployReport { bytes_done: 20, ..writing.clone() }).await, "bytes alone wake nobody");
    let session = row(&test, id).await;
    let stored: DeployReport = serde_json::from_value(session.report.unwrap()).unwrap();
    assert_eq!((stored.bytes_done, stored.disk), (20, Some(disk)), "the disk chosen is still known");
    let error = helix_api::deploy::DeployError {
        code: "image_checksum_mismatch".into(),
        message: "expected aa, got bb".into(),
        retryable: true,
    };
    assert!(send(&DeployReport { error: Some(error), ..report(Phase::Failed) }).await);
    assert_eq!(row(&test, id).await.phase.as_deref(), Some("failed"));
    let said = events(&test.app.db, rows.node).await;
    assert!(said.last().unwrap().starts_with("warning image_checksum_mismatch"), "{said:?}");
    let spoken = DeployReport { message: Some("clock was 9 years behind; set".into()), ..report(Phase::Failed) };
    send(&spoken).await;
    send(&spoken).await;
    let said = events(&test.app.db, rows.node).await;
    assert_eq!(said.iter().filter(|event| event.contains("9 years behind")).count(), 1, "said once");
}

fn csr() -> (rcgen::KeyPair, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "somebody-else");
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    (key, csr)
}

fn join(token: &str, csr_pem: &str, tag: &str) -> JoinRequest {
    JoinRequest {
        token: token.into(),
        csr_pem: csr_pem.into(),
        machine: machine(tag),
        boot_id: "boot-2".into(),
        agent_version: "0.1.0".into(),
        simulated: true,
    }
}

async fn join_token(test: &TestApp, rows: Rows) -> String {
    let mut conn = test.app.db.acquire().await.unwrap();
    let token = super::join_token(&test.app, &mut conn, rows.node, Some(rows.workflow)).await.unwrap();
    token.expose_secret().to_owned()
}

fn common_name(pem: &str) -> String {
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    certificate.subject().to_string()
}

#[sqlx::test(migrations = "../migrations")]
async fn an_agent_joins_once_and_its_name_is_ours_to_give(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let token = join_token(&test, rows).await;
    let caller = Caller::new(&test).await;
    let (_, request) = csr();
    woken(&test.app.db, rows.workflow).await;
    let joined: JoinResponse = caller.post("join", &join(&token, &request, "HLX0001")).await.unwrap();
    assert_eq!(joined.node_name, "hlx0001");
    assert_eq!(common_name(&joined.certificate_pem), format!("CN={}", rows.node), "not what the request asked for");
    assert_eq!(joined.ca_pem, test.app.ca.certificate_pem());
    assert!(woken(&test.app.db, rows.workflow).await);
    let simulated: bool = sqlx::query_scalar("select simulated from nodes where id = $1")
        .bind(rows.node)
        .fetch_one(&test.app.db)
        .await
        .unwrap();
    assert!(simulated, "a simulated node says so");
    caller
        .post::<JoinResponse>("join", &join(&token, &request, "HLX0001"))
        .await
        .expect("the answer was lost: same key");
    let (_, other) = csr();
    let refused = caller.post::<JoinResponse>("join", &join(&token, &other, "HLX0001")).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (409, "join_token_used"));
    let unknown = caller.post::<JoinResponse>("join", &join("hlx_no", &other, "HLX0001")).await.unwrap_err();
    assert_eq!((unknown.status, unknown.code.as_str()), (401, "join_token_unknown"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_disk_in_another_chassis_does_not_join_and_its_token_stays_good(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let token = join_token(&test, rows).await;
    let caller = Caller::new(&test).await;
    let (_, request) = csr();
    let refused = caller.post::<JoinResponse>("join", &join(&token, &request, "HLX0002")).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (409, "join_wrong_machine"));
    assert!(refused.title.contains("HLX0001") && refused.title.contains("HLX0002"), "{}", refused.title);
    let broken = caller.post::<JoinResponse>("join", &join(&token, "no request", "HLX0001")).await.unwrap_err();
    assert_eq!(broken.status, 422);
    caller.post::<JoinResponse>("join", &join(&token, &request, "HLX0001")).await.expect("the right machine joins");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_token_is_dead_when_its_workflow_is_over(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let token = join_token(&test, rows).await;
    let mut conn = test.app.db.acquire().await.unwrap();
    deploy::end(&test.app, &mut conn, rows.workflow).await.unwrap();
    let (_, request) = csr();
    let refused =
        Caller::new(&test).await.post::<JoinResponse>("join", &join(&token, &request, "HLX0001")).await.unwrap_err();
    assert_eq!(refused.code, "join_token_unknown");
    let digest = token::digest(&token);
    assert!(join_tokens::find(&mut conn, &digest).await.unwrap().unwrap().used_at.is_none());
}

fn agent_report(boot_id: &str) -> AgentReport {
    AgentReport {
        boot_id: boot_id.into(),
        agent_version: "0.1.0".into(),
        simulated: true,
        os: OsFacts { name: "Debian GNU/Linux 12".into(), kernel: "6.1.0-40-amd64".into(), ..OsFacts::default() },
        ..AgentReport::default()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_agent_reports_with_its_certificate_and_only_with_it(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (_, request) = csr();
    let token = join_token(&test, rows).await;
    let stranger = Caller::new(&test).await;
    let joined: JoinResponse = stranger.post("join", &join(&token, &request, "HLX0001")).await.unwrap();
    let without = stranger.post::<serde_json::Value>("report", &agent_report("b")).await.unwrap_err();
    assert_eq!((without.status, without.code.as_str()), (401, "certificate_required"));
    let agent = Caller::with_certificate(&test, &joined.certificate_pem).await;
    woken(&test.app.db, rows.workflow).await;
    agent.post::<serde_json::Value>("report", &agent_report("boot-2")).await.unwrap();
    assert!(woken(&test.app.db, rows.workflow).await, "the workflow waits for this report");
    agent.post::<serde_json::Value>("report", &agent_report("boot-3")).await.unwrap();
    let mut conn = test.app.db.acquire().await.unwrap();
    let row = agents::find(&mut conn, rows.node).await.unwrap().unwrap();
    assert_eq!((row.boot_id.as_deref(), row.kernel.as_deref()), (Some("boot-3"), Some("6.1.0-40-amd64")));
    let stored: AgentReport = serde_json::from_value(row.report.unwrap()).unwrap();
    assert_eq!(stored, agent_report("boot-3"));
    let said = events(&test.app.db, rows.node).await;
    assert!(said[1].starts_with("info agent_first_report") && said[2].starts_with("info node_booted"), "{said:?}");
    agents::revoke(&mut conn, rows.node, test.app.clock.now()).await.unwrap();
    let revoked = agent.post::<serde_json::Value>("report", &agent_report("boot-3")).await.unwrap_err();
    assert_eq!(revoked.code, "certificate_revoked");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_renewed_certificate_takes_over_at_its_first_use(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let (_, request) = csr();
    let token = join_token(&test, rows).await;
    let stranger = Caller::new(&test).await;
    let joined: JoinResponse = stranger.post("join", &join(&token, &request, "HLX0001")).await.unwrap();
    let old = Caller::with_certificate(&test, &joined.certificate_pem).await;
    let renew = RenewRequest { csr_pem: csr().1 };
    old.post::<RenewResponse>("renew", &renew).await.unwrap();
    // The answer was lost: the old certificate still renews.
    let renewed: RenewResponse = old.post("renew", &renew).await.unwrap();
    assert_eq!(common_name(&renewed.certificate_pem), format!("CN={}", rows.node));
    let new = Caller::with_certificate(&test, &renewed.certificate_pem).await;
    new.post::<serde_json::Value>("report", &agent_report("b")).await.unwrap();
    let refused = old.post::<serde_json::Value>("report", &agent_report("b")).await.unwrap_err();
    assert_eq!(refused.code, "certificate_unknown");
    test.app.clock.shift(TimeDelta::days(91));
    let expired = new.post::<serde_json::Value>("report", &agent_report("b")).await.unwrap_err();
    assert_eq!(expired.code, "certificate_expired");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_that_joins_anew_shuts_its_old_agent_out(db: PgPool) {
    let test = app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let stranger = Caller::new(&test).await;
    let first: JoinResponse =
        stranger.post("join", &join(&join_token(&test, rows).await, &csr().1, "HLX0001")).await.unwrap();
    let second: JoinResponse =
        stranger.post("join", &join(&join_token(&test, rows).await, &csr().1, "HLX0001")).await.unwrap();
    let old = Caller::with_certificate(&test, &first.certificate_pem).await;
    assert_eq!(
        old.post::<serde_json::Value>("report", &agent_report("b")).await.unwrap_err().code,
        "certificate_unknown"
    );
    let new = Caller::with_certificate(&test, &second.certificate_pem).await;
    new.post::<serde_json::Value>("report", &agent_report("b")).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn an_address_that_keeps_trying_dead_tokens_has_to_wait(db: PgPool) {
    let test = app(db).await;
    let caller = Caller::new(&test).await;
    let mut last = None;
    for _ in 0..61 {
        last = caller.post::<ClaimResponse>("deploy/claim", &claim("hlx_dead", "HLX0001")).await.err();
    }
    let last = last.unwrap();
    assert_eq!((last.status, last.code.as_str()), (429, "too_many_refusals"));
    assert!(last.title.contains(&IpAddr::from([127, 0, 0, 1]).to_string()), "{}", last.title);
}
