//! The listeners as a client sees them.

use std::time::Instant;

use axum::Extension;
use axum::routing::get;
use chrono::{TimeDelta, Utc};
use helix_inventory::id::NodeId;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use super::*;
use crate::access::ca::{Ca, node_of};
use crate::access::secrets::Secrets;
use crate::config::advertise::CertificateNames;

struct Running {
    address: SocketAddr,
    ca: Ca,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    /// A listener with agents' TLS over these routes.
    async fn agents(routes: Router) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open_or_create(&folder.path().join("secret.key")).unwrap();
        let needed = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let names = CertificateNames { needed, local: Vec::new() };
        let ca = Ca::open_or_create(&folder.path().join("ca"), &secrets, &names, Utc::now()).unwrap();
        let socket = Socket::bind("agents", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = socket.address;
        let stop = CancellationToken::new();
        let task = tokio::spawn(socket.serve(Some(ca.agents_tls().unwrap()), routes, 8, stop.clone()));
        Self { address, ca, stop, task, _folder: folder }
    }

    fn client(&self, identity: Option<(String, KeyPair)>) -> reqwest::Client {
        // A second call finds it installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let root = reqwest::Certificate::from_pem(self.ca.certificate_pem().as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().tls_certs_only([root]);
        if let Some((certificate, key)) = identity {
            let pem = format!("{certificate}{}", key.serialize_pem());
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }

    fn url(&self) -> String {
        format!("https://{}/who", self.address)
    }
}

fn who() -> Router {
    Router::new().route(
        "/who",
        get(
            |ConnectInfo(peer): ConnectInfo<SocketAddr>,
             Extension(PeerCertificate(certificate)): Extension<PeerCertificate>| async move {
                match certificate {
                    Some(certificate) => format!("{} {}", peer.ip(), node_of(&certificate).unwrap()),
                    None => format!("{} nobody", peer.ip()),
                }
            },
        ),
    )
}

fn agent(ca: &Ca, node: NodeId) -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    (ca.sign(&csr, node, Utc::now() + TimeDelta::days(1)).unwrap(), key)
}

#[tokio::test]
async fn an_agent_is_known_by_its_certificate_and_a_ramdisk_may_come_without() {
    let running = Running::agents(who()).await;
    let node = NodeId(Uuid::now_v7());
    let known = running.client(Some(agent(&running.ca, node))).get(running.url()).send().await.unwrap();
    assert_eq!(known.text().await.unwrap(), format!("127.0.0.1 {node}"));
    let unknown = running.client(None).get(running.url()).send().await.unwrap();
    assert_eq!(unknown.text().await.unwrap(), "127.0.0.1 nobody");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let running = Running::agents(who()).await;
    let other = Running::agents(who()).await;
    let client = running.client(Some(agent(&other.ca, NodeId(Uuid::now_v7()))));
    assert!(client.get(running.url()).send().await.is_err());
}

#[tokio::test]
async fn an_answer_under_way_is_finished_and_new_ones_are_refused_when_it_stops() {
    let (asked, mut is_asked) = tokio::sync::mpsc::channel(1);
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go);
    let routes = Router::new().route(
        "/who",
        get(move || async move {
            asked.send(()).await.unwrap();
            wait.notified().await;
            "finished"
        }),
    );
    let running = Running::agents(routes).await;
    let client = running.client(None);
    let answer = tokio::spawn(client.get(running.url()).send());
    is_asked.recv().await.unwrap();
    running.stop.cancel();
    go.notify_one();
    assert_eq!(answer.await.unwrap().unwrap().text().await.unwrap(), "finished");
    running.task.await.unwrap();
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn plain_http_serves_media_to_a_client_that_speaks_1_1() {
    let socket = Socket::bind("media", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = socket.address;
    let stop = CancellationToken::new();
    let task = tokio::spawn(socket.serve(None, who(), 8, stop.clone()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("127.0.0.1 nobody"), "{text}");
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_stop() {
    let socket = Socket::bind("media", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = socket.address;
    let stop = CancellationToken::new();
    let task = tokio::spawn(socket.serve(None, who(), 8, stop.clone()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    let began = Instant::now();
    stop.cancel();
    task.await.unwrap();
    assert!(began.elapsed() < DRAIN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_setting_that_names_it() {
    let taken = Socket::bind("api", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = Socket::bind("api", taken.address).await.unwrap_err();
    assert!(error.to_string().contains("api.listen"), "{error}");
}
