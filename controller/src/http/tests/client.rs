//! The typed client against the real listener, over TLS.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use helix_api::access::LoginRequest;
use helix_api::client::{ApiError, Client, Feed, NodeQuery, Trust};
use helix_api::select::Selection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Config;
use crate::listener::Bound;

/// No step of these tests takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API on a socket.
struct Served {
    api: Api,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Served {
    async fn new(db: sqlx::PgPool) -> Self {
        let api = Api::new(db).await;
        let mut config = Config::default();
        for listen in [&mut config.api.listen, &mut config.agents.listen, &mut config.media.listen] {
            *listen = "127.0.0.1:0".parse().unwrap();
        }
        let bound = Bound::bind(&config).await.unwrap();
        let address = bound.api.address;
        let stop = CancellationToken::new();
        let tls = api.app().ca.api_tls(None).unwrap();
        tokio::spawn(bound.api.serve(Some(tls), api.router.clone(), 100, stop.clone()));
        Self { api, address, stop }
    }

    async fn fingerprint(&self) -> String {
        Client::probe(&self.address.to_string()).await.unwrap()
    }

    /// A client of whoever listens at `address`, signed in as the admin.
    async fn client_at(&self, address: SocketAddr) -> Client {
        let trust = Trust::Pinned(self.fingerprint().await);
        Client::new(&address.to_string(), trust, Some(self.api.admin.clone())).unwrap()
    }

    async fn client(&self) -> Client {
        self.client_at(self.address).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_fingerprint_that_a_probe_shows_is_the_one_that_is_trusted(db: sqlx::PgPool) {
    let served = Served::new(db).await;
    let seen = served.fingerprint().await;
    assert_eq!(served.client().await.whoami().await.unwrap().name, "ada");
    let wrong = "ab".repeat(32);
    let client = Client::new(&served.address.to_string(), Trust::Pinned(wrong.clone()), None).unwrap();
    let refused = client.healthz().await.unwrap_err();
    let ApiError::Tls { fingerprint, expected, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((fingerprint.as_deref(), expected.as_deref()), (Some(seen.as_str()), Some(wrong.as_str())));
    assert_eq!(refused.code(), "controller_certificate");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_site_that_gives_the_authority_needs_no_fingerprint(db: sqlx::PgPool) {
    let served = Served::new(db).await;
    let authority = served.api.app().ca.certificate_pem().to_owned();
    let client = Client::new(&served.address.to_string(), Trust::Ca(authority), None).unwrap();
    client.healthz().await.unwrap();
    assert_eq!(client.server_version().as_deref(), Some(env!("CARGO_PKG_VERSION")));
}

#[sqlx::test(migrations = "../migrations")]
async fn who_does_not_answer_and_who_does_not_speak_tls_are_told_apart(db: sqlx::PgPool) {
    let served = Served::new(db).await;
    let trust = || Trust::Pinned("ab".repeat(32));
    let nobody = Client::new("127.0.0.1:1", trust(), None).unwrap().healthz().await.unwrap_err();
    assert_eq!((nobody.code(), nobody.transient()), ("controller_unreachable", true));
    assert!(nobody.to_string().contains("refused"), "{nobody}");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = plain.accept().await {
            let mut hello = [0; 1024];
            assert_ne!(stream.read(&mut hello).await.unwrap(), 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });
    let plain = Client::new(&address.to_string(), trust(), None).unwrap().healthz().await.unwrap_err();
    assert!(matches!(plain, ApiError::Tls { fingerprint: None, .. }), "{plain:?}");
    drop(served);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refusal_arrives_with_its_code_and_way_out(db: sqlx::PgPool) {
    let served = Served::new(db).await;
    let client = served.client().await;
    let request = LoginRequest { user: "nobody".into(), password: "not this one".into(), token_name: None };
    let refused = client.login(&request).await.err().unwrap();
    assert_eq!((refused.code(), refused.status()), ("login_refused", Some(401)));
    seed::node(served.api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    let missing = client.resolve(&Selection::one("r01u06")).await.unwrap_err();
    let problem = missing.problem().unwrap();
    assert_eq!(
        (problem.code.as_str(), problem.detail.as_deref()),
        ("selection_unknown", Some("Did you mean \"r01u05\"?"))
    );
    assert!(problem.request_id.is_some());
    let query = NodeQuery { select: vec!["r[01-02]u[05,06]".into()], ..NodeQuery::default() };
    assert_eq!(client.all_nodes(&query).await.unwrap().len(), 1);
    let raw = client.raw("get", "/api/v1/nodes?limit=1", None).await.unwrap();
    assert_eq!(raw["items"][0]["name"], "r01u05");
}

/// Passes bytes on until it is told to cut every connection.
async fn cable(to: SocketAddr) -> (SocketAddr, watch::Sender<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, cuts) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ended = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _cut = cuts.changed() => {}
                }
            });
        }
    });
    (address, cut)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_feed_that_is_cut_says_so_and_misses_nothing(db: sqlx::PgPool) {
    let served = Served::new(db).await;
    let (address, cut) = cable(served.address).await;
    let client = served.client_at(address).await;
    let mut feed = client.changes(&["node"], None);
    let mut next = async || tokio::time::timeout(PATIENCE, feed.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(next().await, Feed::Connected);
    let first = seed::node(served.api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    let Feed::Change { event, .. } = next().await else { panic!("a change was expected") };
    assert_eq!((event.topic.as_str(), event.id), ("node", first.to_string()));
    cut.send(1).unwrap();
    let second = seed::node(served.api.app(), "r01u06", "AAA2222", "10.0.0.2").await;
    let mut lost = false;
    loop {
        match next().await {
            Feed::Lost { .. } => lost = true,
            Feed::Change { event, .. } if event.id == second.to_string() => break,
            Feed::Gap => panic!("nothing was dropped"),
            _ => {}
        }
    }
    assert!(lost, "the loss was told");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_feed_without_a_sign_in_ends_with_the_refusal(db: sqlx::PgPool) {
    let served = Served::new(db).await;
    let client = served.client().await.with_token("hlx_nobody");
    let mut feed = client.changes(&[], None);
    let refused = feed.next().await.unwrap().unwrap_err();
    assert_eq!(refused.code(), "not_signed_in");
    assert!(feed.next().await.is_none());
}

#[sqlx::test(migrations = "../migrations")]
async fn an_upload_tells_how_far_it_is_and_how_it_ended(db: sqlx::PgPool) {
    let served = Served::new(db).await;
    let file = served.api.test.folder.path().join("zeros.img");
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    let seen: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let told = Arc::clone(&seen);
    let client = served.client().await;
    let image = client
        .upload_image("zeros", None, &file, move |sent, total| told.lock().unwrap().push((sent, total)))
        .await
        .unwrap();
    assert_eq!((image.name.as_str(), image.source.as_deref()), ("zeros", Some("zeros.img")));
    let seen = seen.lock().unwrap().clone();
    assert_eq!((seen.first(), seen.last()), (Some(&(0, 1 << 20)), Some(&(1 << 20, 1 << 20))));
    let missing = client.upload_image("none", None, &file.with_extension("no"), |_, _| {}).await.unwrap_err();
    assert_eq!(missing.code(), "file_unreadable");
}
