//! A BMC made of JSON documents, with behaviour bolted on per test. HTTPS on loopback; every request is kept.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use redfish_client::{BmcAddress, Client, ClientBuilder, Credentials, Limits, Tls};
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) use crate::documents::{collection, documents};

pub(crate) const SYSTEM: &str = "/redfish/v1/Systems/System.Embedded.1";
pub(crate) const MANAGER: &str = "/redfish/v1/Managers/iDRAC.Embedded.1";
pub(crate) const CHASSIS: &str = "/redfish/v1/Chassis/System.Embedded.1";
pub(crate) const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// A request as the BMC saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) if_match: Option<String>,
    pub(crate) accept_encoding: Option<String>,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) delay: Duration,
    pub(crate) hang_up: bool,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, body.to_string().into())
    }

    pub(crate) fn bytes(status: u16, body: Bytes) -> Self {
        Self { status, headers: Vec::new(), body, delay: Duration::ZERO, hang_up: false }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::bytes(status, Bytes::new())
    }

    /// An error as an iDRAC words it.
    pub(crate) fn error(status: u16, id: &str) -> Self {
        Self::json(
            status,
            &json!({"error": {"code": "Base.1.12.GeneralError", "message": "See ExtendedInfo.", "@Message.ExtendedInfo": [
                {"MessageId": "Base.1.12.GeneralError"},
                {"MessageId": id, "Message": format!("what {id} says"), "MessageArgs": [], "Resolution": format!("what {id} advises")},
            ]}}),
        )
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn hang_up(mut self) -> Self {
        self.hang_up = true;
        self
    }
}

/// State that behaviours may change.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) documents: BTreeMap<String, Value>,
    pub(crate) seen: Vec<Seen>,
    /// Tokens that are good.
    pub(crate) tokens: Vec<String>,
    pub(crate) password: String,
    /// Members of collections come whole when asked for.
    pub(crate) expands: bool,
    /// Lets whoever asks read everything.
    pub(crate) open: bool,
    /// Connections open now, and ever.
    pub(crate) connections: (usize, usize),
}

type Behaviour = dyn Fn(&mut State, &Seen) -> Option<Reply> + Send + Sync;

/// A running BMC.
pub(crate) struct Bmc {
    pub(crate) address: BmcAddress,
    pub(crate) state: Arc<Mutex<State>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a BMC shows at the handshake.
pub(crate) struct Identity {
    pub(crate) certificate: rcgen::Certificate,
    /// What it signs with: of the certificate, unless a test steals one.
    pub(crate) key: rcgen::KeyPair,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

pub(crate) fn identity() -> Identity {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["idrac-HLX0001".to_owned()]).unwrap();
    Identity { certificate: cert, key: signing_key, versions: rustls::ALL_VERSIONS }
}

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn acceptor(identity: &Identity) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    let key = ring::sign::any_supported_type(&key).unwrap();
    let shown = Shows(Arc::new(CertifiedKey::new(vec![identity.certificate.der().clone()], key)));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(identity.versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    TlsAcceptor::from(Arc::new(config))
}

impl Bmc {
    /// An iDRAC9 7.x with one CPU, one GPU and one session to give, and nothing odd about it.
    pub(crate) async fn idrac() -> Self {
        Self::with(documents(), |_, _| None).await
    }

    /// The same with a behaviour that answers first where it wants to.
    pub(crate) async fn odd(behaviour: impl Fn(&mut State, &Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::with(documents(), behaviour).await
    }

    pub(crate) async fn with(
        documents: BTreeMap<String, Value>,
        behaviour: impl Fn(&mut State, &Seen) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::showing(documents, behaviour, &identity(), 0).await
    }

    pub(crate) async fn showing(
        documents: BTreeMap<String, Value>,
        behaviour: impl Fn(&mut State, &Seen) -> Option<Reply> + Send + Sync + 'static,
        identity: &Identity,
        port: u16,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = acceptor(identity);
        let state =
            Arc::new(Mutex::new(State { documents, password: "calvin".to_owned(), expands: true, ..State::default() }));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let served = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (tls, state, behaviour) = (tls.clone(), Arc::clone(&served), Arc::clone(&behaviour));
                connections.spawn(async move {
                    let Ok(stream) = tls.accept(tcp).await else { return };
                    let counted = Arc::clone(&state);
                    {
                        let mut state = counted.lock().unwrap();
                        state.connections.0 += 1;
                        state.connections.1 += 1;
                    }
                    let service =
                        service_fn(move |request| answer(request, Arc::clone(&state), Arc::clone(&behaviour)));
                    let connection =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    drop(connection.await);
                    counted.lock().unwrap().connections.0 -= 1;
                });
            }
        });
        Self { address: BmcAddress::new("127.0.0.1", port), state, accepting }
    }

    /// Stops it and frees its port.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        drop((&mut self.accepting).await);
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        self.builder_with(&Tls::new(8).unwrap())
    }

    pub(crate) fn builder_with(&self, tls: &Tls) -> ClientBuilder {
        let credentials = Credentials { user: "root".to_owned(), password: "calvin".to_owned().into() };
        Client::builder(tls, self.address.clone()).credentials(credentials).limits(Limits::default().scaled(200.0))
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build()
    }

    pub(crate) fn edit(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// How often a request came.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.is(method, path)).count()
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
    behaviour: Arc<Behaviour>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut seen = Seen {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().map(str::to_owned),
        token: header("x-auth-token"),
        authorization: header("authorization"),
        if_match: header("if-match"),
        accept_encoding: header("accept-encoding"),
        body: Value::Null,
    };
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    seen.body = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        behaviour(&mut state, &seen).unwrap_or_else(|| plain(&mut state, &seen))
    };
    tokio::time::sleep(reply.delay).await;
    if reply.hang_up {
        return Err(std::io::Error::other("hangs up"));
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body)).map_err(std::io::Error::other)
}

/// What the BMC answers when nothing odd is asked of it.
pub(crate) fn plain(state: &mut State, seen: &Seen) -> Reply {
    let path = seen.path.trim_end_matches('/');
    if seen.is("POST", SESSIONS) {
        if seen.body["Password"] != state.password.as_str() {
            return Reply::error(401, "IDRAC.2.9.SYS415");
        }
        let number = state.tokens.len() + 1;
        state.tokens.push(format!("token-{number}"));
        return Reply::json(201, &json!({"Id": number.to_string()}))
            .header("X-Auth-Token", &format!("token-{number}"))
            .header("Location", &format!("{SESSIONS}/{number}"));
    }
    let known = seen.token.as_ref().is_some_and(|token| state.tokens.contains(token));
    if !known && !state.open && path != "/redfish/v1" {
        return Reply::error(401, "IDRAC.2.9.SYS416");
    }
    if seen.method == "DELETE" {
        if let Some(number) = path.strip_prefix(&format!("{SESSIONS}/")) {
            let token = format!("token-{number}");
            state.tokens.retain(|held| *held != token);
            return Reply::empty(200);
        }
        return if state.documents.remove(path).is_some() {
            Reply::empty(200)
        } else {
            Reply::error(404, "IDRAC.2.9.SYS403")
        };
    }
    if seen.method != "GET" {
        return Reply::empty(204);
    }
    let Some(document) = state.documents.get(path) else { return Reply::error(404, "IDRAC.2.9.SYS403") };
    let wants_members = seen.query.as_deref().is_some_and(|query| query.contains("$expand"));
    if wants_members && state.expands {
        return Reply::json(200, &expanded(&state.documents, document));
    }
    Reply::json(200, document)
}

/// One level of `$expand=*`: every bare link becomes what it points to.
pub(crate) fn expanded(documents: &BTreeMap<String, Value>, document: &Value) -> Value {
    match document {
        Value::Object(map) if map.len() == 1 => {
            let target = map.get("@odata.id").and_then(Value::as_str).and_then(|uri| documents.get(uri));
            target.unwrap_or(document).clone()
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), expanded(documents, value))).collect(),
        Value::Array(list) => list.iter().map(|value| expanded(documents, value)).collect(),
        other => other.clone(),
    }
}
