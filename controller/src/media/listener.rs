//! The media listener: `/media/<random>/<file>` and nothing else.
//!
//! Made for what reads it: iDRACs (HEAD, then ranges; no redirects, no chunks, a fixed length; facts: boot media, D3.5)
//! and the deploy ramdisk. The random part of a URL is its only key: 128 bits, dead with its attempt. It lists no
//! directory and tells a dead URL from one that never was to nobody.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::file;
use super::iso::DeployIso;
use super::range::{self, Wanted};
use super::served::{self, Served};
use super::url::block_context;
use crate::app::App;
use crate::store::media_files::{self, MediaFileRow};

/// How long a ramdisk waits for its turn when many fetch images: below the time-out of its request (30 s), so that it
/// hears "later" instead of nothing.
const WAIT_FOR_TURN: Duration = Duration::from_secs(20);
/// When to come back after "later", seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

struct Listener {
    app: Arc<App>,
    served: Arc<Served>,
    image_streams: Arc<Semaphore>,
}

/// Routes of the media listener.
pub fn router(app: Arc<App>) -> Router {
    let served = Arc::new(Served::default());
    served::spawn(&app, &served);
    let streams = usize::try_from(app.config.limits.image_streams).unwrap_or(1).max(1);
    let listener = Listener { served, image_streams: Arc::new(Semaphore::new(streams)), app };
    Router::new().route("/media/{random}/{file}", get(serve).head(serve)).with_state(Arc::new(listener))
}

/// Where bytes of a URL come from.
enum Source {
    Iso { iso: DeployIso, block: Bytes },
    Image { key: String, size: u64 },
    Agent { path: std::path::PathBuf, size: u64 },
}

impl Source {
    async fn of(app: &App, random: &str, row: MediaFileRow) -> Result<Option<Self>, String> {
        match row.kind.as_str() {
            "iso" => {
                let Some(sealed) = row.block_sealed else { return Ok(None) };
                let block = app.secrets.open(&sealed, &block_context(random)).map_err(|error| error.to_string())?;
                let iso = DeployIso::open(app.config.media.deploy_iso.as_deref()).await.map_err(|e| e.to_string())?;
                Ok(Some(Self::Iso { iso, block: Bytes::copy_from_slice(&block) }))
            }
            "image" => {
                let (Some(key), Some(size)) = (row.object_key, row.size_bytes) else { return Ok(None) };
                Ok(Some(Self::Image { key, size: u64::try_from(size).unwrap_or(0) }))
            }
            _ => {
                let Some(path) = app.config.media.agent_binary.clone() else { return Ok(None) };
                let found = tokio::fs::metadata(&path).await;
                let size = found.map_err(|error| format!("{}: {error}", path.display()))?.len();
                Ok(Some(Self::Agent { path, size }))
            }
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Iso { iso, .. } => iso.size(),
            Self::Image { size, .. } | Self::Agent { size, .. } => *size,
        }
    }

    async fn read(&self, app: &App, range: Range<u64>) -> Result<BoxStream<'static, io::Result<Bytes>>, String> {
        match self {
            Self::Iso { iso, block } => iso.read(range, block.clone()).await.map_err(|error| error.to_string()),
            Self::Image { key, .. } => app.images.read(key, range).await.map_err(|error| error.in_words()),
            Self::Agent { path, .. } => {
                file::read(path, range).await.map(StreamExt::boxed).map_err(|error| error.to_string())
            }
        }
    }
}

async fn serve(
    State(listener): State<Arc<Listener>>,
    Path((random, file_name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response<Body> {
    let app = &listener.app;
    let row = async {
        let mut conn = app.db.acquire().await.map_err(crate::store::StoreError::from)?;
        media_files::live(&mut conn, &random, &file_name, app.clock.now()).await
    };
    let row = match row.await {
        Ok(Some(row)) => row,
        Ok(None) => return empty(StatusCode::NOT_FOUND),
        Err(error) => {
            tracing::error!(error = %error, "a media request could not be looked up");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    listener.served.request(&random);
    let source = match Source::of(app, &random, row).await {
        Ok(Some(source)) => source,
        Ok(None) => return empty(StatusCode::NOT_FOUND),
        Err(error) => return broken(&file_name, &error),
    };
    let size = source.size();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, range) = match range::parse(asked, size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Beyond => {
            let mut answer = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            insert(&mut answer, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return answer;
        }
    };
    let turn = match (&source, &method) {
        (Source::Image { .. }, &Method::GET) => match listener.turn().await {
            Some(turn) => Some(turn),
            None => {
                let mut answer = empty(StatusCode::SERVICE_UNAVAILABLE);
                answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                return answer;
            }
        },
        _ => None,
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        match source.read(app, range.clone()).await {
            Ok(stream) => counted(stream, Arc::clone(&listener.served), random, turn),
            Err(error) => return broken(&file_name, &error),
        }
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let kind =
        if matches!(source, Source::Iso { .. }) { "application/x-iso9660-image" } else { "application/octet-stream" };
    insert(&mut answer, header::CONTENT_TYPE, kind);
    insert(&mut answer, header::ACCEPT_RANGES, "bytes");
    insert(&mut answer, header::CONTENT_LENGTH, &(range.end - range.start).to_string());
    // The block holds a token: no proxy keeps it.
    insert(&mut answer, header::CACHE_CONTROL, "no-store");
    if status == StatusCode::PARTIAL_CONTENT {
        insert(&mut answer, header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    answer
}

impl Listener {
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(WAIT_FOR_TURN, Arc::clone(&self.image_streams).acquire_owned()).await;
        turn.ok().and_then(Result::ok)
    }
}

/// Counts bytes as they leave, and holds the turn until the last one has.
fn counted(
    stream: BoxStream<'static, io::Result<Bytes>>,
    served: Arc<Served>,
    random: String,
    turn: Option<OwnedSemaphorePermit>,
) -> Body {
    Body::from_stream(stream.inspect(move |piece| {
        // Named here, so that it moves into the stream and is given back with it.
        let _held = &turn;
        if let Ok(piece) = piece {
            served.bytes(&random, piece.len() as u64);
        }
    }))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

fn broken(file_name: &str, why: &str) -> Response<Body> {
    tracing::error!(file = file_name, why, "a media file cannot be served");
    empty(StatusCode::INTERNAL_SERVER_ERROR)
}

fn insert(answer: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
