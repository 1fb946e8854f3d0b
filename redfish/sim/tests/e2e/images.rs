//! An image server for tests: HEAD, Content-Length and ranges, and a switch that takes the ranges away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// More than the two pieces an iDRAC probes.
const IMAGE_BYTES: usize = 300_000;

pub(crate) struct Images {
    pub(crate) address: SocketAddr,
    without_ranges: Arc<AtomicBool>,
}

impl Images {
    pub(crate) async fn start() -> Self {
        let without_ranges = Arc::new(AtomicBool::new(false));
        let router = Router::new()
            .route("/media/{secret}/{file}", axum::routing::get(serve))
            .with_state(Arc::clone(&without_ranges));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, without_ranges }
    }

    pub(crate) fn url(&self, secret: &str) -> String {
        format!("http://{}/media/{secret}/helix.iso", self.address)
    }

    pub(crate) fn take_ranges_away(&self) {
        self.without_ranges.store(true, Ordering::SeqCst);
    }
}

async fn serve(
    State(without_ranges): State<Arc<AtomicBool>>,
    axum::extract::Path((secret, _file)): axum::extract::Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if secret == "missing" {
        return StatusCode::NOT_FOUND.into_response();
    }
    let image = vec![7_u8; IMAGE_BYTES];
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes="))
        .and_then(|value| value.split_once('-'))
        .and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    match range {
        Some((from, to)) if !without_ranges.load(Ordering::SeqCst) => {
            let piece = image[from..=to.min(IMAGE_BYTES - 1)].to_vec();
            let shown = format!("bytes {from}-{to}/{IMAGE_BYTES}");
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, shown)], piece).into_response()
        }
        _ => image.into_response(),
    }
}
