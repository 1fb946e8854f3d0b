//! One request of a client, from headers to answer: faults that act on every request, authentication, then the resource.
//! Reading is [`crate::resource`] plus [`query`]; writing is [`write`]; nothing here knows a machine from inside.

mod authentication;
mod query;
mod write;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use serde_json::Value;

use crate::machine::Bmc;
use crate::message::Failure;
use crate::resource::{self, View};

/// Longest request body that is read; Redfish bodies are small and uploads are not simulated.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A successful answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Option<Value>,
    headers: Vec<(HeaderName, String)>,
}

impl Answer {
    fn json(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body), headers: Vec::new() }
    }

    fn success() -> Self {
        Self::json(crate::message::success())
    }

    fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, ..Self::default() }
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn location(self, path: impl Into<String>) -> Self {
        self.header(LOCATION, path)
    }
}

/// What a handler of a write gets.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path segments after `/redfish/v1`, percent-decoded.
    pub(crate) path: Vec<String>,
    /// The body, an empty object when there is none.
    pub(crate) body: serde_json::Map<String, Value>,
    pub(crate) origin: IpAddr,
    pub(crate) has_authorization: bool,
}

/// Answers one request.
pub async fn answer(bmc: &Arc<Bmc>, origin: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (slow, not_redfish) = {
        let mut state = bmc.state();
        state.kept.counters.requests += 1;
        state.live.dirty = true;
        let faults = &state.kept.faults;
        let logs = faults.slow_logs.filter(|_| request.uri().path().contains("/LogServices"));
        (faults.slow.unwrap_or(0).max(logs.unwrap_or(0)), faults.not_redfish)
    };
    let delay = bmc.shared.latency + std::time::Duration::from_millis(slow);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if not_redfish {
        return html(&request);
    }
    let head = request.method() == Method::HEAD;
    let outcome = route(bmc, origin, request).await;
    let mut response = match outcome {
        Ok(answer) => render(answer),
        Err(failure) => refuse(&failure),
    };
    if head {
        *response.body_mut() = Full::new(Bytes::new());
    }
    response
}

async fn route(bmc: &Arc<Bmc>, origin: IpAddr, request: Request<Incoming>) -> Result<Answer, Failure> {
    let (parts, body) = request.into_parts();
    let decoded = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
    let path = decoded.trim_end_matches('/').to_owned();
    if path == "/redfish" {
        return Ok(Answer::json(serde_json::json!({"v1": "/redfish/v1/"})));
    }
    let Some(rest) = path.strip_prefix("/redfish/v1") else { return Err(Failure::not_found(&path)) };
    let segments: Vec<String> = rest.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let reads = matches!(parts.method, Method::GET | Method::HEAD);

    let open = match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["odata"] | ["$metadata"] => reads,
        ["SessionService", "Sessions"] | ["Sessions"] | ["SessionService", "Sessions", "Members"] => {
            parts.method == Method::POST
        }
        _ => false,
    };
    if !open {
        authentication::check(bmc, origin, &parts.headers)?;
        let state = bmc.state();
        if state.live.is_not_ready() {
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "SWC0700"));
        }
        if state.kept.faults.sys518 {
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "SYS518"));
        }
        if state.kept.faults.swc0700_400 {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "SWC0700"));
        }
    }
    if reads {
        return read(bmc, &segments, &path, parts.uri.query());
    }
    let has_authorization = parts.headers.contains_key(AUTHORIZATION);
    let bytes = Limited::new(body, MAX_BODY_BYTES)
        .collect()
        .await
        .map_err(|_| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "SYS446"))?
        .to_bytes();
    let body = if bytes.iter().all(u8::is_ascii_whitespace) {
        serde_json::Map::new()
    } else {
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(body)) => body,
            _ => return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS405")),
        }
    };
    write::handle(bmc, Call { method: parts.method, path: segments, body, origin, has_authorization }).await
}

fn read(bmc: &Arc<Bmc>, segments: &[String], path: &str, query: Option<&str>) -> Result<Answer, Failure> {
    let query = query::Query::parse(query.unwrap_or(""))?;
    let mut state = bmc.state();
    if query.expands() && state.kept.faults.expand_refused {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS417").arg("$expand"));
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let ["$metadata"] = segments.as_slice() {
        let mut answer = Answer::json(Value::String(resource::root::METADATA.to_owned()));
        answer.headers.push((CONTENT_TYPE, "application/xml".to_owned()));
        return Ok(answer);
    }
    let sessions = state.live.logins.sessions().to_vec();
    let view = View::new(bmc, &state, &sessions);
    let Some(document) = resource::get(&view, &segments) else {
        return Err(if resource::is_action(&view, &segments) {
            Failure::not_allowed("POST")
        } else {
            Failure::not_found(path)
        });
    };
    let document = query.apply(&view, document, path)?;
    let etag = document.get("@odata.etag").and_then(Value::as_str).map(str::to_owned);
    drop(state);
    let mut answer = Answer::json(document);
    if let Some(etag) = etag {
        answer = answer.header(ETAG, etag);
    }
    Ok(answer)
}

fn render(answer: Answer) -> Response<Full<Bytes>> {
    let xml = answer.headers.iter().any(|(name, value)| name == CONTENT_TYPE && value == "application/xml");
    let bytes = match &answer.body {
        None => Bytes::new(),
        Some(Value::String(text)) if xml => Bytes::from(text.clone()),
        Some(body) => Bytes::from(body.to_string()),
    };
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(http::header::SERVER, HeaderValue::from_static("Apache"));
    if answer.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;odata.metadata=minimal;charset=utf-8"));
    }
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

fn refuse(failure: &Failure) -> Response<Full<Bytes>> {
    let mut answer = Answer::json(failure.body()).with_status(failure.status);
    if failure.status == StatusCode::UNAUTHORIZED {
        answer = answer.header(WWW_AUTHENTICATE, "Basic realm=\"RedfishService\"");
    }
    if let Some(allow) = failure.allow {
        answer = answer.header(ALLOW, allow);
    }
    render(answer)
}

/// What another appliance's web server says to a Redfish client.
fn html(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let found = request.uri().path() == "/";
    let page = "<!DOCTYPE html><html><head><title>Rack PDU</title></head><body><h1>Rack PDU</h1></body></html>\n";
    let mut response = Response::new(Full::new(Bytes::from_static(page.as_bytes())));
    *response.status_mut() = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
