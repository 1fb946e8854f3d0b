//! A small client that is not ours: plain HTTPS with whatever credentials a test wants, no retries, no pins.

use std::time::{Duration, Instant};

use redfish_sim::FleetHandle;
use reqwest::Method;
use serde_json::Value;

pub(crate) const SYSTEM: &str = "/redfish/v1/Systems/System.Embedded.1";
pub(crate) const MANAGER: &str = "/redfish/v1/Managers/iDRAC.Embedded.1";
/// Nothing in these tests takes longer, but for a machine that is busy with other builds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    user: Option<(String, String)>,
    token: Option<String>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn parts(self) -> (u16, Value) {
        (self.status, self.body)
    }

    /// Dell's message ids in the answer, without their registry.
    pub(crate) fn ids(&self) -> Vec<String> {
        let info = self.body["error"]["@Message.ExtendedInfo"].as_array().cloned().unwrap_or_default();
        info.iter()
            .filter_map(|entry| entry["MessageId"].as_str())
            .map(|id| id.rsplit('.').next().unwrap_or(id).to_owned())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl Client {
    pub(crate) fn anonymous(fleet: &FleetHandle, address: &str) -> Self {
        let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
        Self { http, base: format!("https://{address}:{}", fleet.port()), user: None, token: None }
    }

    pub(crate) fn basic(fleet: &FleetHandle, address: &str) -> Self {
        Self::anonymous(fleet, address).with_password("calvin")
    }

    pub(crate) fn with_password(mut self, password: &str) -> Self {
        self.user = Some(("root".to_owned(), password.to_owned()));
        self
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.user = None;
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(token) = &self.token {
            request = request.header("X-Auth-Token", token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.json().await.unwrap_or(Value::Null);
        Ok(Answer { status, headers, body })
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.try_send(method, path, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Tries to log in.
    pub(crate) async fn login(&self, password: &str) -> Answer {
        let body = serde_json::json!({"UserName": "root", "Password": password});
        self.post("/redfish/v1/SessionService/Sessions", body).await
    }

    pub(crate) async fn reset(&self, kind: &str) -> Answer {
        self.post(&format!("{SYSTEM}/Actions/ComputerSystem.Reset"), serde_json::json!({"ResetType": kind})).await
    }

    /// Reads a resource until it is as wanted.
    pub(crate) async fn until(&self, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            // A BMC that is away for a moment is waited for like any other condition.
            let body = self.try_send(Method::GET, path, None).await.map_or(Value::Null, |answer| answer.body);
            if wanted(&body) {
                return body;
            }
            assert!(began.elapsed() < PATIENCE, "waited for {what}; the last answer was {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn until_power(&self, state: &str) -> Value {
        self.until(SYSTEM, state, |body| body["PowerState"] == state).await
    }

    pub(crate) async fn until_progress(&self, state: &str) -> Value {
        self.until(SYSTEM, state, |body| body["BootProgress"]["LastState"] == state).await
    }
}
