//! The API with the bulk runner and the engine at work, and a simulated fleet of iDRACs.

use std::time::Duration;

use helix_api::bulk::{Bulk, BulkItem};
use helix_api::enrol::EnrolAccepted;
use helix_api::node::NodeDetail;
use helix_api::page::Page;
use redfish_sim::{Fleet, FleetHandle};
use serde_json::json;

use super::*;

/// No step of these tests takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) api: Api,
    pub(crate) fleet: FleetHandle,
    loops: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for task in &self.loops {
            task.abort();
        }
    }
}

impl Stage {
    /// With BMCs at these addresses and a credential `idrac` that works on them.
    pub(crate) async fn new(db: sqlx::PgPool, addresses: &[&str]) -> Self {
        let api = Api::new(db).await;
        let mut fleet = Fleet::builder().seed(7).time_scale(200);
        for address in addresses {
            fleet = fleet.bmc(address, "XE9680");
        }
        let fleet = fleet.start().await.unwrap();
        let app = api.app();
        let loops = vec![
            tokio::spawn(crate::changes::run(Arc::clone(app))),
            tokio::spawn(crate::bulk::run(Arc::clone(app))),
            tokio::spawn(crate::workflow::run(Arc::clone(app))),
        ];
        let stage = Self { api, fleet, loops };
        stage.credential("idrac", "calvin").await;
        stage
    }

    pub(crate) async fn credential(&self, name: &str, password: &str) {
        let set = json!({ "username": "root", "password": password });
        let path = format!("/api/v1/credentials/{name}");
        assert_eq!(self.api.call(Method::PUT, &path, &self.api.admin, &set).await.status, StatusCode::OK);
    }

    /// An address with the fleet's port.
    pub(crate) fn at(&self, address: &str) -> String {
        format!("{address}:{}", self.fleet.port())
    }

    pub(crate) async fn enrol(&self, request: Value) -> EnrolAccepted {
        let answer = self.api.call(Method::POST, "/api/v1/enrolments", &self.api.operator, &request).await;
        assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.bytes));
        answer.json()
    }

    /// Enrols one address to its end.
    pub(crate) async fn enrol_one(&self, line: Value) -> BulkItem {
        let accepted = self.enrol(json!({ "lines": [line], "credential": "idrac" })).await;
        assert_eq!(accepted.refused, []);
        self.finished(&accepted.bulk.unwrap().id).await.1.remove(0)
    }

    /// The line of an address.
    pub(crate) fn line(&self, address: &str) -> Value {
        json!({ "line": 2, "address": self.at(address) })
    }

    /// Waits until a bulk action is over.
    pub(crate) async fn finished(&self, bulk: &str) -> (Bulk, Vec<BulkItem>) {
        let wait = async {
            loop {
                let now: Bulk = self.api.get(&format!("/api/v1/bulks/{bulk}")).await.json();
                if now.finished_at.is_some() {
                    let items: Page<BulkItem> = self.api.get(&format!("/api/v1/bulks/{bulk}/items")).await.json();
                    return (now, items.items);
                }
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{bulk} did not end"))
    }

    pub(crate) async fn node(&self, name: &str) -> NodeDetail {
        self.api.get(&format!("/api/v1/nodes/{name}")).await.json()
    }

    pub(crate) fn tag(&self, address: &str) -> String {
        self.fleet.control().service_tag(address).unwrap()
    }
}
