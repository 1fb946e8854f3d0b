//! The parts of a node that workflows read and write: state, power, what is installed.
//!
//! Which state may follow which is asked of the vocabulary's table before a write; a transition that it forbids changes
//! nothing and says so.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use helix_inventory::lifecycle;
use helix_inventory::words::Lifecycle;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// A node as a step needs it, with the address of its BMC.
#[derive(Debug, Clone)]
pub struct NodeBrief {
    pub id: Uuid,
    pub name: String,
    pub service_tag: String,
    pub bmc_id: Uuid,
    pub bmc_host: String,
    pub bmc_port: i32,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub state: String,
    pub previous_state: Option<String>,
    pub power: String,
    pub boot_network: Option<Value>,
}

/// One node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn brief(conn: &mut PgConnection, node: Uuid) -> Result<Option<NodeBrief>, StoreError> {
    let row = sqlx::query_as!(
        NodeBrief,
        "select n.id, n.name, n.service_tag, n.bmc_id, b.host as bmc_host, b.port as bmc_port, n.manufacturer, n.model,
             n.state, n.previous_state, n.power, n.boot_network
         from nodes n join bmcs b on b.id = n.bmc_id where n.id = $1",
        node
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Moves a node to another state. `keep_previous` notes the state it comes from, to give it back later. Answers whether
/// the transition is one that the vocabulary allows (and so was made).
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_state(
    conn: &mut PgConnection,
    node: Uuid,
    to: Lifecycle,
    reason: Option<&str>,
    keep_previous: bool,
) -> Result<bool, StoreError> {
    let from = sqlx::query_scalar!("select state from nodes where id = $1 for update", node)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(from) = from.and_then(|state| Lifecycle::from_str(&state).ok()) else { return Ok(false) };
    if !lifecycle::may_follow(from, to) {
        return Ok(false);
    }
    let previous = (keep_previous && from != to).then(|| from.as_str());
    sqlx::query!(
        "update nodes
         set state = $2, state_reason = $3, state_since = case when state = $2 then state_since else now() end,
             previous_state = case when $4::boolean then coalesce($5, previous_state) else null end,
             version = version + 1, updated_at = now()
         where id = $1",
        node,
        to.as_str(),
        reason,
        keep_previous,
        previous
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Notes the power state as the BMC showed it just now.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_power(conn: &mut PgConnection, node: Uuid, power: &str) -> Result<(), StoreError> {
    sqlx::query!("update nodes set power = $2, power_seen_at = now(), updated_at = now() where id = $1", node, power)
        .execute(conn)
        .await?;
    Ok(())
}

/// What the BMC says of a node.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub manufacturer: Option<&'a str>,
    pub model: Option<&'a str>,
    pub power: &'a str,
    pub health: &'a str,
    pub health_reason: Option<&'a str>,
}

/// Notes what the BMC says of a node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_identity(conn: &mut PgConnection, node: Uuid, seen: &Identity<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "update nodes set manufacturer = coalesce($2, manufacturer), model = coalesce($3, model), power = $4,
             power_seen_at = now(), health = $5, health_reason = $6, version = version + 1, updated_at = now()
         where id = $1",
        node,
        seen.manufacturer,
        seen.model,
        seen.power,
        seen.health,
        seen.health_reason
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes what is installed now, or that nothing is.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_image(
    conn: &mut PgConnection,
    node: Uuid,
    image: Option<(&str, &str)>,
    spec: Option<&Value>,
) -> Result<(), StoreError> {
    let (name, sha256) = image.unzip();
    sqlx::query!(
        "update nodes set image_name = $2, image_sha256 = $3, provision_spec = coalesce($4, provision_spec),
             installed_at = case when $2::text is null then null else now() end, version = version + 1, updated_at = now()
         where id = $1",
        node,
        name,
        sha256,
        spec
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the agent of a node said last.
#[derive(Debug, Clone)]
pub struct AgentSeen {
    pub joined_at: DateTime<Utc>,
    pub boot_id: Option<String>,
    pub os_name: Option<String>,
    pub kernel: Option<String>,
    pub report: Option<Value>,
    pub report_at: Option<DateTime<Utc>>,
    pub simulated: bool,
}

/// The agent of a node, if one ever joined.
///
/// # Errors
/// When the database cannot be asked.
pub async fn agent(conn: &mut PgConnection, node: Uuid) -> Result<Option<AgentSeen>, StoreError> {
    let row = sqlx::query_as!(
        AgentSeen,
        "select joined_at, boot_id, os_name, kernel, report, report_at, simulated
         from agents where node_id = $1 and revoked_at is null",
        node
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}
