//! A controller for tests: the agents listener with its own key and certificate authority, and a media server beside it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use chrono::{TimeDelta, Utc};
use helix_agent::controller::Controller;
use helix_api::agent::{AgentReport, JoinRequest, JoinResponse, RenewRequest, RenewResponse, ReportResponse};
use helix_api::deploy::{Act, ClaimRequest, ClaimResponse, DeployBlock, DeployReport, Instruction, Phase};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How a file is served.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) bytes: Arc<Vec<u8>>,
    /// Cut each answer off after this many bytes.
    pub(crate) break_after: Option<usize>,
}

/// Everything that happened, for assertions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) claims: Vec<ClaimRequest>,
    pub(crate) deploy_reports: Vec<DeployReport>,
    pub(crate) joins: Vec<JoinRequest>,
    pub(crate) agent_reports: Vec<(AgentReport, Vec<u8>)>,
    pub(crate) renewals: usize,
    pub(crate) media_requests: Vec<(String, Option<String>)>,
}

struct Inner {
    tokens: HashMap<&'static str, bool>,
    service_tag: Option<String>,
    act: Act,
    seq: u64,
    certificate_seconds: i64,
    files: HashMap<String, Served>,
    seen: Seen,
}

/// The running controller.
#[derive(Clone)]
pub(crate) struct TestController {
    inner: Arc<Mutex<Inner>>,
    changed: watch::Sender<u64>,
    ca_pem: String,
    ca_key: Arc<String>,
    pub(crate) url: String,
    pub(crate) media_url: String,
    pub(crate) key_sha256: String,
}

/// Certificate that the client showed.
#[derive(Clone)]
struct Peer(Option<Vec<u8>>);

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // A client that refuses this server's key breaks off here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(
            stream
                .io()
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|certificate| certificate.to_vec()),
        )
    }
}

impl TestController {
    /// A controller with the deploy token `deploy-token` and the join token `join-token`.
    pub(crate) async fn start() -> Self {
        crate::tls_provider();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();

        // The listener's certificate expired long ago and names nobody: it is known by its key only.
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1999, 1, 1);
        params.not_after = rcgen::date_time_ymd(2000, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let key_sha256 = helix_agent::pin::key_sha256(certificate.der()).unwrap();

        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca_certificate.der().clone()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build().unwrap();
        let tls = rustls::ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from(certificate.der().to_vec())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let media = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let controller = Self {
            inner: Arc::new(Mutex::new(Inner {
                tokens: HashMap::from([("deploy-token", false), ("join-token", false)]),
                service_tag: None,
                act: Act::Wait,
                seq: 0,
                certificate_seconds: 90 * 86_400,
                files: HashMap::new(),
                seen: Seen::default(),
            })),
            changed: watch::channel(0).0,
            ca_pem: ca_certificate.pem(),
            ca_key: Arc::new(ca_key.serialize_pem()),
            url: format!("https://{}", tcp.local_addr().unwrap()),
            media_url: format!("http://{}/media", media.local_addr().unwrap()),
            key_sha256,
        };
        let agents = Router::new()
            .route("/agent/v1/deploy/claim", post(claim))
            .route("/agent/v1/deploy/next", get(next))
            .route("/agent/v1/deploy/report", post(deploy_report))
            .route("/agent/v1/join", post(join))
            .route("/agent/v1/report", post(agent_report))
            .route("/agent/v1/renew", post(renew))
            .with_state(controller.clone());
        let listener = TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(tls)) };
        tokio::spawn(async move { axum::serve(listener, agents.into_make_service_with_connect_info::<Peer>()).await });
        let files = Router::new().route("/media/{*path}", get(file)).with_state(controller.clone());
        tokio::spawn(async move { axum::serve(media, files).await });
        controller
    }

    /// A client as the ramdisk has it.
    pub(crate) fn client(&self) -> Controller {
        Controller::new(std::slice::from_ref(&self.url), &self.key_sha256, None).unwrap()
    }

    /// The block of a medium for this controller.
    pub(crate) fn block(&self) -> DeployBlock {
        DeployBlock {
            controller_urls: vec![self.url.clone()],
            controller_key_sha256: self.key_sha256.clone(),
            token: "deploy-token".into(),
            workflow: "wf-7Q2M4K".into(),
            node_name: "r01u05".into(),
            network: None,
        }
    }

    /// The node that the deploy token is for.
    pub(crate) fn expect_service_tag(&self, tag: &str) {
        self.inner.lock().unwrap().service_tag = Some(tag.to_owned());
    }

    /// Certificates signed from now on live this long.
    pub(crate) fn certificates_live(&self, seconds: i64) {
        self.inner.lock().unwrap().certificate_seconds = seconds;
    }

    /// Gives an instruction.
    pub(crate) fn instruct(&self, act: Act) {
        let mut inner = self.inner.lock().unwrap();
        inner.act = act;
        inner.seq += 1;
        self.changed.send_replace(inner.seq);
    }

    /// Serves a file; its URL.
    pub(crate) fn serve(&self, path: &str, bytes: Vec<u8>, break_after: Option<usize>) -> String {
        self.inner.lock().unwrap().files.insert(path.to_owned(), Served { bytes: Arc::new(bytes), break_after });
        format!("{}/{path}", self.media_url)
    }

    /// What happened so far.
    pub(crate) fn seen(&self) -> Seen {
        self.inner.lock().unwrap().seen.clone()
    }

    /// Waits until what happened fulfils a condition.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Seen) -> bool) -> Seen {
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                let seen = self.seen();
                if condition(&seen) {
                    return seen;
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), wait).await {
            Ok(seen) => seen,
            Err(_) => panic!("waited in vain for {what}; reports: {:?}", self.seen().deploy_reports),
        }
    }

    /// Waits for the end of a deployment.
    pub(crate) async fn end(&self) -> DeployReport {
        let ended = |report: &DeployReport| matches!(report.phase, Phase::Written | Phase::Failed);
        let seen = self.until("the end of the deployment", |seen| seen.deploy_reports.last().is_some_and(ended)).await;
        seen.deploy_reports.last().unwrap().clone()
    }

    fn note(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.lock().unwrap());
        self.changed.send_modify(|_| {});
    }

    fn take_token(&self, token: &str, kind: &str) -> Result<(), Box<Response>> {
        let mut inner = self.inner.lock().unwrap();
        match inner.tokens.get_mut(token) {
            None => Err(Box::new(problem(StatusCode::UNAUTHORIZED, &format!("{kind}_token_unknown"), "no such token"))),
            Some(true) => {
                Err(Box::new(problem(StatusCode::CONFLICT, &format!("{kind}_token_used"), "the token was used before")))
            }
            Some(used) => {
                *used = true;
                Ok(())
            }
        }
    }

    fn sign(&self, csr_pem: &str) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let seconds = self.inner.lock().unwrap().certificate_seconds;
        let at = |offset: TimeDelta| {
            let then = Utc::now() + offset;
            x509_parser::time::ASN1Time::from_timestamp(then.timestamp()).unwrap().to_datetime()
        };
        request.params.not_before = at(TimeDelta::hours(-24));
        request.params.not_after = at(TimeDelta::seconds(seconds));
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, KeyPair::from_pem(&self.ca_key).unwrap()).unwrap();
        request.signed_by(&issuer).unwrap().pem()
    }
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    (status, Json(json!({"code": code, "detail": detail, "title": status.to_string()}))).into_response()
}

async fn claim(State(controller): State<TestController>, Json(request): Json<ClaimRequest>) -> Response {
    let expected = controller.inner.lock().unwrap().service_tag.clone();
    if let Some(expected) = expected
        && request.machine.service_tag.as_ref() != Some(&expected)
    {
        let detail = format!("the token is for {expected}, the machine says {:?}", request.machine.service_tag);
        return problem(StatusCode::CONFLICT, "deploy_wrong_machine", &detail);
    }
    if let Err(refusal) = controller.take_token(&request.token, "deploy") {
        return *refusal;
    }
    controller.note(|inner| inner.seen.claims.push(request));
    Json(ClaimResponse {
        session: "session".into(),
        workflow: "wf-7Q2M4K".into(),
        attempt: 1,
        node_name: "r01u05".into(),
        service_tag: "HLX0001".into(),
        now: Utc::now(),
    })
    .into_response()
}

fn in_session(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer session")
}

async fn next(
    State(controller): State<TestController>,
    Query(query): Query<HashMap<String, u64>>,
    headers: HeaderMap,
) -> Response {
    if !in_session(&headers) {
        return problem(StatusCode::UNAUTHORIZED, "deploy_session_unknown", "no such session");
    }
    let after = query["after"];
    let mut changed = controller.changed.subscribe();
    let newer = async {
        while controller.inner.lock().unwrap().seq <= after {
            changed.changed().await.unwrap();
        }
    };
    let act = match tokio::time::timeout(Duration::from_secs(5), newer).await {
        Ok(()) => controller.inner.lock().unwrap().act.clone(),
        Err(_) => Act::Wait,
    };
    let seq = controller.inner.lock().unwrap().seq;
    Json(Instruction { seq, act }).into_response()
}

async fn deploy_report(
    State(controller): State<TestController>,
    headers: HeaderMap,
    Json(report): Json<DeployReport>,
) -> Response {
    if !in_session(&headers) {
        return problem(StatusCode::UNAUTHORIZED, "deploy_session_unknown", "no such session");
    }
    controller.note(|inner| inner.seen.deploy_reports.push(report));
    Json(json!({})).into_response()
}

async fn join(State(controller): State<TestController>, Json(request): Json<JoinRequest>) -> Response {
    if let Err(refusal) = controller.take_token(&request.token, "join") {
        return *refusal;
    }
    let certificate_pem = controller.sign(&request.csr_pem);
    controller.note(|inner| inner.seen.joins.push(request));
    Json(JoinResponse {
        certificate_pem,
        ca_pem: controller.ca_pem,
        node_id: "0199".into(),
        node_name: "r01u05".into(),
        report_interval_seconds: 1,
    })
    .into_response()
}

async fn agent_report(
    State(controller): State<TestController>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(report): Json<AgentReport>,
) -> Response {
    let Some(certificate) = peer.0 else {
        return problem(StatusCode::UNAUTHORIZED, "client_certificate_missing", "reports need a client certificate");
    };
    controller.note(|inner| inner.seen.agent_reports.push((report, certificate)));
    Json(ReportResponse { report_interval_seconds: 1 }).into_response()
}

async fn renew(
    State(controller): State<TestController>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<RenewRequest>,
) -> Response {
    if peer.0.is_none() {
        return problem(StatusCode::UNAUTHORIZED, "client_certificate_missing", "renewal needs a client certificate");
    }
    controller.note(|inner| inner.seen.renewals += 1);
    Json(RenewResponse { certificate_pem: controller.sign(&request.csr_pem), ca_pem: controller.ca_pem })
        .into_response()
}

/// Whole files, single ranges, HEAD; cut off when the file is served so.
async fn file(State(controller): State<TestController>, Path(path): Path<String>, request: Request) -> Response {
    let range = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if request.method() != axum::http::Method::HEAD {
        controller.note(|inner| inner.seen.media_requests.push((path.clone(), range.clone())));
    }
    let Some(served) = controller.inner.lock().unwrap().files.get(&path).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let size = served.bytes.len();
    let (from, until) = match range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
        Some((from, until)) => (from.parse().unwrap(), until.parse().map_or(size, |last: usize| last + 1)),
        None => (0, size),
    };
    let body = served.bytes[from..until.min(size)].to_vec();
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let length = body.len();
    let body = match served.break_after {
        Some(after) if after < length => {
            // In packets, for a server that breaks off drops what it has not sent yet.
            let mut packets: Vec<_> =
                body[..after].chunks(64 << 10).map(|packet| Ok(bytes::Bytes::from(packet.to_vec()))).collect();
            packets.push(Err(std::io::Error::other("the cable was pulled")));
            Body::from_stream(futures::stream::iter(packets))
        }
        _ => Body::from(body),
    };
    Response::builder().status(status).header(header::CONTENT_LENGTH, length).body(body).unwrap()
}
