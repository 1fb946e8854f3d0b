//! Nodes: lists, selections, one node, and what a person changes on it.

use reqwest::Method;

use super::call::BMC_CALL_TIMEOUT;
use super::{ApiError, Client};
use crate::node::{HardwareChange, Node, NodeDetail, NodeEdit, NodeEvent, Removed, TrustRequest};
use crate::page::Page;
use crate::select::Selection;

/// Which nodes a list shows, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeQuery {
    /// Names, ranges, tags, addresses; joined. Empty means every node.
    pub select: Vec<String>,
    pub except: Vec<String>,
    /// Lifecycle state as the API spells it, e.g. `in_service`.
    pub state: Option<String>,
    pub model: Option<String>,
    pub rack: Option<String>,
    /// `name`, `rack`, `model`, `state`, `power`, `service_tag`; with `-` in front from the end.
    pub sort: Option<String>,
    /// Items a page, 1 to 5,000; 500 when not given.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// How a node is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveOptions {
    /// Cancel the workflow under way first.
    pub cancel_first: bool,
    /// Do not talk to the BMC: for one that is dead. The answer says what stays behind.
    pub no_contact: bool,
}

impl Client {
    /// One page of nodes.
    ///
    /// # Errors
    /// 422 `selection_range`, 404 `selection_unknown`; as every call.
    pub async fn nodes(&self, query: &NodeQuery) -> Result<Page<Node>, ApiError> {
        let mut call = self.get(&["nodes"]);
        for form in &query.select {
            call = call.query("select", form);
        }
        for form in &query.except {
            call = call.query("except", form);
        }
        call.query_opt("state", query.state.as_ref())
            .query_opt("model", query.model.as_ref())
            .query_opt("rack", query.rack.as_ref())
            .query_opt("sort", query.sort.as_ref())
            .query_opt("limit", query.limit.map(|limit| limit.to_string()))
            .query_opt("cursor", query.cursor.as_ref())
            .answer()
            .await
    }

    /// Every node of a query, page after page.
    ///
    /// # Errors
    /// As [`Client::nodes`].
    pub async fn all_nodes(&self, query: &NodeQuery) -> Result<Vec<Node>, ApiError> {
        let mut query = query.clone();
        let mut nodes = Vec::new();
        loop {
            let page = self.nodes(&query).await?;
            nodes.extend(page.items);
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(nodes);
            }
        }
    }

    /// The nodes that a selection names, in name order.
    ///
    /// # Errors
    /// 404 `selection_unknown` for a plain name that no node has, 409 `node_ambiguous`; as every call.
    pub async fn resolve(&self, selection: &Selection) -> Result<Page<Node>, ApiError> {
        self.post(&["nodes", "resolve"]).json(selection)?.answer().await
    }

    /// One node by id, name, service tag or BMC address.
    ///
    /// # Errors
    /// 404 `node_unknown`, 409 `node_ambiguous`; as every call.
    pub async fn node(&self, node: &str) -> Result<NodeDetail, ApiError> {
        self.get(&["nodes", node]).answer().await
    }

    /// Edits a node that nobody else changed since `version`.
    ///
    /// # Errors
    /// 412 `edit_conflict`; as every call.
    pub async fn edit_node(&self, node: &str, version: i64, edit: &NodeEdit) -> Result<NodeDetail, ApiError> {
        self.call(Method::PATCH, &["nodes", node])
            .header("if-match", format!("\"{version}\""))
            .timeout(BMC_CALL_TIMEOUT)
            .json(edit)?
            .answer()
            .await
    }

    /// Removes a node from Helix; its power and disks are not touched.
    ///
    /// # Errors
    /// 409 `node_busy` while a workflow runs, 502 `bmc_unreachable` when the BMC does not answer; as every call.
    pub async fn remove_node(&self, node: &str, options: RemoveOptions) -> Result<Removed, ApiError> {
        self.call(Method::DELETE, &["nodes", node])
            .query("cancel_first", options.cancel_first.to_string())
            .query("no_contact", options.no_contact.to_string())
            .timeout(BMC_CALL_TIMEOUT)
            .answer()
            .await
    }

    /// Accepts the BMC's new certificate.
    ///
    /// # Errors
    /// 409 `fingerprint_differs` when the BMC shows another one; as every call.
    pub async fn trust_node(&self, node: &str, request: &TrustRequest) -> Result<NodeDetail, ApiError> {
        self.post(&["nodes", node, "trust"]).timeout(BMC_CALL_TIMEOUT).json(request)?.answer().await
    }

    /// Tries the BMC again at once: clears refused logins and the breaker. A person's decision.
    ///
    /// # Errors
    /// As every call; what the BMC answered stands in the node.
    pub async fn contact_node(&self, node: &str) -> Result<NodeDetail, ApiError> {
        self.post(&["nodes", node, "contact"]).timeout(BMC_CALL_TIMEOUT).answer().await
    }

    /// Events of a node, newest first; `before` is the id of the last one seen.
    ///
    /// # Errors
    /// As every call.
    pub async fn node_events(
        &self,
        node: &str,
        limit: Option<u32>,
        before: Option<i64>,
    ) -> Result<Page<NodeEvent>, ApiError> {
        self.get(&["nodes", node, "events"])
            .query_opt("limit", limit.map(|limit| limit.to_string()))
            .query_opt("before", before.map(|before| before.to_string()))
            .answer()
            .await
    }

    /// What changed between collections of a node's hardware, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn hardware_history(&self, node: &str) -> Result<Page<HardwareChange>, ApiError> {
        self.get(&["nodes", node, "hardware", "history"]).answer().await
    }
}
