//! Nodes as the API shows them: joined rows in words, with contact computed from ages.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use helix_api::node::{AgentStatus, BmcStatus, ContactStopped, GpuSummary, InstalledImage, Node};
use helix_api::workflow::WorkflowSummary;
use helix_inventory::words::Contact;
use sqlx::PgPool;
use uuid::Uuid;

use super::Answer;
use super::workflow_view::{self, unknown_word};
use crate::store::nodes::NodeRow;
use crate::store::summaries;

/// A healthy BMC is read this often at rest; what is older than twice this is stale.
const BMC_INTERVAL: TimeDelta = TimeDelta::seconds(30);
/// Agents report every 15 s unless told otherwise.
const AGENT_INTERVAL: TimeDelta = TimeDelta::seconds(15);
/// An agent that missed this many reports is away: two may be lost on the way, twenty (5 min) are not.
const AGENT_GONE_AFTER: i32 = 20;
/// Port of a BMC that goes without saying.
const BMC_PORT: i32 = 443;

/// A BMC's address as people write it.
pub(crate) fn address(host: &str, port: i32) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == BMC_PORT { host } else { format!("{host}:{port}") }
}

/// How fresh a source is that is heard every `interval`.
fn freshness(seen: Option<DateTime<Utc>>, interval: TimeDelta, now: DateTime<Utc>) -> Contact {
    match seen {
        None => Contact::NoContact,
        Some(seen) if now - seen <= interval * 2 => Contact::Fresh,
        Some(_) => Contact::Stale,
    }
}

fn bmc_contact(row: &NodeRow, now: DateTime<Utc>) -> Contact {
    let breaker_open = row.next_try_at.is_some_and(|next| next > now);
    if row.stopped_code.is_some() || breaker_open {
        return Contact::NoContact;
    }
    freshness(row.contact_at, BMC_INTERVAL, now)
}

fn agent_contact(report_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Contact {
    match report_at {
        Some(seen) if now - seen > AGENT_INTERVAL * AGENT_GONE_AFTER => Contact::NoContact,
        seen => freshness(seen, AGENT_INTERVAL, now),
    }
}

/// The way out for a BMC that Helix does not talk to on purpose.
fn stopped(row: &NodeRow) -> Option<ContactStopped> {
    let code = row.stopped_code.clone()?;
    let name = &row.name;
    let next = match code.as_str() {
        "wrong_password" => vec![
            format!("helixctl credential set {}", row.credential.as_deref().unwrap_or("NAME")),
            format!("helixctl node edit {name} --credential OTHER"),
            format!("helixctl node contact {name}     tries the same password again"),
        ],
        "certificate_changed" => vec![
            "Compare the fingerprint with the one that the BMC itself shows.".to_owned(),
            format!("helixctl node trust {name} --fingerprint SHA256"),
        ],
        "board_swapped" => {
            vec![format!("helixctl node remove {name} --no-contact"), "Then enrol the address again.".to_owned()]
        }
        _ => vec![format!("helixctl node events {name}")],
    };
    Some(ContactStopped {
        code,
        reason: row.stopped_reason.clone().unwrap_or_default(),
        since: row.stopped_at.unwrap_or(row.updated_at),
        next,
    })
}

fn labels(row: &NodeRow) -> BTreeMap<String, String> {
    serde_json::from_value(row.labels.clone()).unwrap_or_default()
}

fn agent(row: &NodeRow, now: DateTime<Utc>) -> Option<AgentStatus> {
    let joined_at = row.joined_at?;
    let driver = row.gpu_driver.as_ref().and_then(|driver| driver.get("state")).and_then(|state| state.as_str());
    Some(AgentStatus {
        contact: agent_contact(row.report_at, now),
        report_at: row.report_at,
        joined_at,
        boot_id: row.boot_id.clone(),
        agent_version: row.agent_version.clone(),
        os_name: row.os_name.clone(),
        kernel: row.kernel.clone(),
        simulated: row.agent_simulated.unwrap_or_default(),
        gpu_driver: driver.map(str::to_owned),
    })
}

fn node(row: &NodeRow, workflow: Option<WorkflowSummary>, now: DateTime<Utc>) -> Answer<Node> {
    let agent = agent(row, now);
    let driver_loaded = agent.as_ref().is_some_and(|agent| agent.gpu_driver.as_deref() == Some("loaded"));
    let image = row.image_name.clone().map(|name| InstalledImage {
        name,
        sha256: row.image_sha256.clone().unwrap_or_default(),
        installed_at: row.installed_at,
    });
    Ok(Node {
        id: row.id.to_string(),
        name: row.name.clone(),
        service_tag: row.service_tag.clone(),
        model: row.model.clone(),
        manufacturer: row.manufacturer.clone(),
        rack: row.rack.clone(),
        position: row.position,
        labels: labels(row),
        simulated: row.simulated || agent.as_ref().is_some_and(|agent| agent.simulated),
        state: row.state.parse().map_err(|error| unknown_word("a node", error))?,
        state_reason: row.state_reason.clone(),
        state_since: row.state_since,
        health: row.health.parse().map_err(|error| unknown_word("a node", error))?,
        health_reason: row.health_reason.clone(),
        power: row.power.parse().map_err(|error| unknown_word("a node", error))?,
        power_watts: row.power_watts,
        power_seen_at: row.power_seen_at,
        gpu: GpuSummary {
            count: row.gpu_count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
            summary: row.gpu_summary.clone(),
            agent_count: row.agent_gpus.filter(|_| driver_loaded).and_then(|count| u32::try_from(count).ok()),
        },
        image,
        bmc: BmcStatus {
            address: address(&row.bmc_host, row.bmc_port),
            vendor: row.bmc_vendor.clone(),
            product: row.bmc_product.clone(),
            firmware_version: row.bmc_firmware_version.clone(),
            certificate_sha256: row.certificate_sha256.as_ref().map(hex::encode),
            credential: row.credential.clone(),
            contact: bmc_contact(row, now),
            contact_at: row.contact_at,
            failures: row.failures,
            failure: row.failure.clone(),
            next_try_at: row.next_try_at,
            stopped: stopped(row),
        },
        agent,
        workflow,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// Rows with their open workflows: one more statement for all of them.
pub(crate) async fn nodes(db: &PgPool, rows: &[NodeRow], now: DateTime<Utc>) -> Answer<Vec<Node>> {
    let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.workflow_id).collect();
    let mut workflows = HashMap::new();
    if !ids.is_empty() {
        let filter = summaries::Filter { ids: Some(&ids), ..summaries::Filter::default() };
        for row in summaries::list(db, filter, ids.len() as i64).await? {
            workflows.insert(row.id, workflow_view::summary(row)?);
        }
    }
    rows.iter().map(|row| node(row, row.workflow_id.and_then(|id| workflows.remove(&id)), now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_is_fresh_then_stale_then_gone() {
        let now = Utc::now();
        assert_eq!(agent_contact(Some(now - TimeDelta::seconds(30)), now), Contact::Fresh);
        assert_eq!(agent_contact(Some(now - TimeDelta::seconds(31)), now), Contact::Stale);
        assert_eq!(agent_contact(Some(now - TimeDelta::seconds(301)), now), Contact::NoContact);
        assert_eq!(agent_contact(None, now), Contact::NoContact);
        assert_eq!(freshness(Some(now - TimeDelta::seconds(61)), BMC_INTERVAL, now), Contact::Stale);
    }

    #[test]
    fn an_address_leaves_out_the_port_that_goes_without_saying() {
        assert_eq!(address("10.0.0.1", 443), "10.0.0.1");
        assert_eq!(address("10.0.0.1", 4443), "10.0.0.1:4443");
        assert_eq!(address("fd00::1", 4443), "[fd00::1]:4443");
    }
}
