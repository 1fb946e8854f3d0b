//! Nodes with all that a list or a page of one shows: one statement joins BMC, hardware, agent and the open workflow.
//!
//! What the engine writes (state, power, image) is in `node_state`; here stand enrolment, edits by people, and removal.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::store::StoreError;

/// One node, joined.
#[derive(Debug, Clone)]
pub struct NodeRow {
    pub id: Uuid,
    pub service_tag: String,
    pub name: String,
    pub rack: Option<String>,
    pub position: Option<i32>,
    pub labels: Value,
    pub boot_network: Option<Value>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub state: String,
    pub state_reason: Option<String>,
    pub state_since: DateTime<Utc>,
    pub health: String,
    pub health_reason: Option<String>,
    pub power: String,
    pub power_watts: Option<f64>,
    pub power_seen_at: Option<DateTime<Utc>>,
    pub image_name: Option<String>,
    pub image_sha256: Option<String>,
    pub installed_at: Option<DateTime<Utc>>,
    pub simulated: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub bmc_id: Uuid,
    pub bmc_host: String,
    pub bmc_port: i32,
    pub bmc_vendor: Option<String>,
    pub bmc_product: Option<String>,
    pub bmc_firmware_version: Option<String>,
    pub certificate_sha256: Option<Vec<u8>>,
    pub contact_at: Option<DateTime<Utc>>,
    pub failures: i32,
    pub failure: Option<String>,
    pub next_try_at: Option<DateTime<Utc>>,
    pub stopped_code: Option<String>,
    pub stopped_reason: Option<String>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub credential: Option<String>,
    pub gpu_count: Option<i32>,
    pub gpu_summary: Option<String>,
    pub joined_at: Option<DateTime<Utc>>,
    pub report_at: Option<DateTime<Utc>>,
    pub boot_id: Option<String>,
    pub agent_version: Option<String>,
    pub agent_simulated: Option<bool>,
    pub os_name: Option<String>,
    pub kernel: Option<String>,
    /// State of the GPU driver and number of GPUs as the agent's newest report has them.
    pub gpu_driver: Option<Value>,
    pub agent_gpus: Option<i32>,
    pub workflow_id: Option<Uuid>,
    /// What the list is sorted by, for the cursor.
    pub sort_key: String,
}

/// What a list shows. Absent means not asked.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    pub ids: Option<&'a [Uuid]>,
    pub state: Option<&'a str>,
    pub model: Option<&'a str>,
    pub rack: Option<&'a str>,
}

/// Order of a list: a column and its direction, and the last row of the page before.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// `name`, `rack`, `model`, `state`, `power`, `service_tag`.
    pub by: &'a str,
    pub descending: bool,
    /// Sort key and name of the last row seen.
    pub after: Option<(&'a str, &'a str)>,
}

/// One page of nodes.
///
/// # Errors
/// When the database cannot be asked.
pub async fn page(
    db: impl PgExecutor<'_>,
    filter: &Filter<'_>,
    order: Order<'_>,
    limit: i64,
) -> Result<Vec<NodeRow>, StoreError> {
    let (after_key, after_name) = order.after.unzip();
    let rows = sqlx::query_as!(
        NodeRow,
        r#"with keyed as (
             select n.*, case $5
                 when 'rack' then coalesce(n.rack, '') || ' ' || coalesce(lpad(n.position::text, 3, '0'), '')
                 when 'model' then coalesce(n.model, '')
                 when 'state' then n.state
                 when 'power' then coalesce(lpad(round(n.power_watts)::bigint::text, 9, '0'), '')
                 when 'service_tag' then n.service_tag
                 else n.name end collate "C" as sort_key
             from nodes n
             where ($1::uuid[] is null or n.id = any($1)) and ($2::text is null or n.state = $2)
                 and ($3::text is null or n.model ilike '%' || $3 || '%') and ($4::text is null or n.rack = $4)
         )
         select n.id as "id!", n.service_tag as "service_tag!", n.name as "name!", n.rack, n.position, n.labels as "labels!",
             n.boot_network, n.manufacturer, n.model, n.state as "state!", n.state_reason, n.state_since as "state_since!",
             n.health as "health!", n.health_reason, n.power as "power!", n.power_watts, n.power_seen_at, n.image_name,
             n.image_sha256, n.installed_at, n.simulated as "simulated!", n.version as "version!",
             n.created_at as "created_at!", n.updated_at as "updated_at!", b.id as "bmc_id!", b.host as "bmc_host!",
             b.port as "bmc_port!", b.vendor as bmc_vendor, b.product as bmc_product,
             b.firmware_version as bmc_firmware_version, b.certificate_sha256, b.contact_at, b.failures as "failures!",
             b.failure, b.next_try_at, b.stopped_code, b.stopped_reason, b.stopped_at, c.name as "credential?",
             h.gpu_count as "gpu_count?", h.gpu_summary as "gpu_summary?", a.joined_at as "joined_at?",
             a.report_at as "report_at?", a.boot_id as "boot_id?", a.agent_version as "agent_version?",
             a.simulated as "agent_simulated?", a.os_name as "os_name?", a.kernel as "kernel?",
             a.report -> 'gpu_driver' as gpu_driver, jsonb_array_length(a.report -> 'gpus') as agent_gpus,
             (select w.id from workflows w where w.node_id = n.id
                  and w.state in ('queued', 'running', 'waiting', 'needs_human')
                  order by w.mutating desc, w.created_at desc limit 1) as workflow_id,
             n.sort_key as "sort_key!"
         from keyed n
         join bmcs b on b.id = n.bmc_id
         left join credentials c on c.id = b.credential_id
         left join hardware h on h.node_id = n.id
         left join agents a on a.node_id = n.id and a.revoked_at is null
         where $7::text is null
             or (not $6 and (n.sort_key, n.name collate "C") > ($7, $8))
             or ($6 and (n.sort_key, n.name collate "C") < ($7, $8))
         order by case when $6 then n.sort_key end desc, case when $6 then n.name collate "C" end desc,
             n.sort_key, n.name collate "C"
         limit $9"#,
        filter.ids,
        filter.state,
        filter.model,
        filter.rack,
        order.by,
        order.descending,
        after_key,
        after_name,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// How many nodes a filter matches.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count(db: impl PgExecutor<'_>, filter: &Filter<'_>) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from nodes n
         where ($1::uuid[] is null or n.id = any($1)) and ($2::text is null or n.state = $2)
             and ($3::text is null or n.model ilike '%' || $3 || '%') and ($4::text is null or n.rack = $4)"#,
        filter.ids,
        filter.state,
        filter.model,
        filter.rack
    )
    .fetch_one(db)
    .await?;
    Ok(count)
}

/// One node, joined.
///
/// # Errors
/// When the database cannot be asked.
pub async fn get(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<NodeRow>, StoreError> {
    let ids = [id];
    let filter = Filter { ids: Some(&ids), ..Filter::default() };
    let order = Order { by: "name", descending: false, after: None };
    Ok(page(db, &filter, order, 1).await?.pop())
}

/// By what names a node goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub id: Uuid,
    pub name: String,
    pub service_tag: String,
    pub host: String,
    pub port: i32,
}

/// Nodes that go by any of these: ids, names, service tags (upper case), hosts (lower case). In name order.
///
/// # Errors
/// When the database cannot be asked.
pub async fn by_any_name(
    db: impl PgExecutor<'_>,
    ids: &[Uuid],
    names: &[String],
    tags: &[String],
    hosts: &[String],
) -> Result<Vec<Names>, StoreError> {
    let rows = sqlx::query_as!(
        Names,
        r#"select n.id, n.name, n.service_tag, b.host, b.port from nodes n join bmcs b on b.id = n.bmc_id
         where n.id = any($1) or n.name = any($2) or n.service_tag = any($3) or b.host = any($4)
         order by n.name collate "C""#,
        ids,
        names,
        tags,
        hosts
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// Every node by its names, in name order.
///
/// # Errors
/// When the database cannot be asked.
pub async fn all_names(db: impl PgExecutor<'_>) -> Result<Vec<Names>, StoreError> {
    let rows = sqlx::query_as!(
        Names,
        r#"select n.id, n.name, n.service_tag, b.host, b.port from nodes n join bmcs b on b.id = n.bmc_id
         order by n.name collate "C""#
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// The node behind a BMC, or with a service tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: Uuid,
    pub name: String,
    pub service_tag: String,
    pub bmc_id: Uuid,
    pub host: String,
    pub port: i32,
    pub state: String,
}

/// The node behind a BMC.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_bmc(db: impl PgExecutor<'_>, bmc: Uuid) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query_as!(
        Known,
        "select n.id, n.name, n.service_tag, n.bmc_id, b.host, b.port, n.state
         from nodes n join bmcs b on b.id = n.bmc_id where n.bmc_id = $1",
        bmc
    )
    .fetch_optional(db)
    .await?;
    Ok(row)
}

/// The node with a service tag.
///
/// # Errors
/// When the database cannot be asked.
pub async fn by_tag(db: impl PgExecutor<'_>, tag: &str) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query_as!(
        Known,
        "select n.id, n.name, n.service_tag, n.bmc_id, b.host, b.port, n.state
         from nodes n join bmcs b on b.id = n.bmc_id where n.service_tag = $1",
        tag
    )
    .fetch_optional(db)
    .await?;
    Ok(row)
}

/// BMC addresses that belong to nodes already: host and port of those asked for.
///
/// # Errors
/// When the database cannot be asked.
pub async fn known_addresses(db: impl PgExecutor<'_>, hosts: &[String]) -> Result<Vec<(String, i32)>, StoreError> {
    let rows =
        sqlx::query!("select b.host, b.port from bmcs b join nodes n on n.bmc_id = b.id where b.host = any($1)", hosts)
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|row| (row.host, row.port)).collect())
}

/// A node to be made.
#[derive(Debug, Clone)]
pub struct NewNode<'a> {
    pub id: Uuid,
    pub service_tag: &'a str,
    pub name: &'a str,
    pub bmc_id: Uuid,
    pub rack: Option<&'a str>,
    pub position: Option<i32>,
    pub labels: &'a Value,
    pub boot_network: Option<&'a Value>,
    pub manufacturer: Option<&'a str>,
    pub model: Option<&'a str>,
    pub power: &'a str,
}

/// Adds a node in state `enrolled`.
///
/// # Errors
/// [`StoreError::Conflict`] with `nodes_name_key`, `nodes_service_tag_key` or `nodes_bmc_id_key`; when the database fails.
pub async fn insert(db: impl PgExecutor<'_>, new: &NewNode<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into nodes (id, service_tag, name, bmc_id, rack, position, labels, boot_network, manufacturer, model,
             state, power, power_seen_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'enrolled', $11, case when $11 = 'unknown' then null else now() end)",
        new.id,
        new.service_tag,
        new.name,
        new.bmc_id,
        new.rack,
        new.position,
        new.labels,
        new.boot_network,
        new.manufacturer,
        new.model,
        new.power
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What an enrolment of a known node changes; absent stays.
#[derive(Debug, Clone, Default)]
pub struct ReEnrolled<'a> {
    pub rack: Option<&'a str>,
    pub position: Option<i32>,
    pub labels: Option<&'a Value>,
}

/// Enrolling a known node again: rack, position and labels, nothing else. Writes only when something differs, and says
/// whether it did.
///
/// # Errors
/// When the database cannot be asked.
pub async fn enrolled_again(db: impl PgExecutor<'_>, id: Uuid, again: &ReEnrolled<'_>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update nodes set rack = coalesce($2, rack), position = coalesce($3, position), labels = coalesce($4, labels),
             version = version + 1, updated_at = now()
         where id = $1 and (coalesce($2, rack) is distinct from rack or coalesce($3, position) is distinct from position
             or coalesce($4, labels) is distinct from labels)",
        id,
        again.rack,
        again.position,
        again.labels
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// All that a person may edit, as it shall be.
#[derive(Debug, Clone)]
pub struct Edited<'a> {
    pub name: &'a str,
    pub rack: Option<&'a str>,
    pub position: Option<i32>,
    pub labels: &'a Value,
    pub boot_network: Option<&'a Value>,
    pub bmc_id: Uuid,
    pub state: &'a str,
    pub state_reason: Option<&'a str>,
}

/// Writes an edit over the version that it was made from; answers the new version.
///
/// # Errors
/// [`StoreError::Stale`] when somebody was faster, [`StoreError::Conflict`] with `nodes_name_key` or `nodes_bmc_id_key`.
pub async fn edit(db: impl PgExecutor<'_>, id: Uuid, version: i64, edited: &Edited<'_>) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        "update nodes set name = $3, rack = $4, position = $5, labels = $6, boot_network = $7, bmc_id = $8,
             state_since = case when state = $9 then state_since else now() end, state = $9, state_reason = $10,
             version = version + 1, updated_at = now()
         where id = $1 and version = $2 returning version",
        id,
        version,
        edited.name,
        edited.rack,
        edited.position,
        edited.labels,
        edited.boot_network,
        edited.bmc_id,
        edited.state,
        edited.state_reason
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| row.version).ok_or(StoreError::Stale { what: "node" })
}

/// Removes a node and its BMC; what hangs on the node goes with it. Its history is kept under its tag.
///
/// # Errors
/// When the database cannot be asked.
pub async fn remove(conn: &mut PgConnection, id: Uuid, removed_by: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into removed_nodes (service_tag, name, removed_by, history)
         select n.service_tag, n.name, $2, jsonb_build_object(
             'enrolled_at', n.created_at, 'model', n.model, 'rack', n.rack, 'position', n.position, 'state', n.state,
             'image', n.image_name, 'bmc', b.host || ':' || b.port,
             'hardware', (select h.document from hardware h where h.node_id = n.id),
             'hardware_changes', (select jsonb_agg(to_jsonb(c) - 'node_id' order by c.id) from hardware_changes c
                 where c.node_id = n.id),
             'events', (select jsonb_agg(to_jsonb(e) - 'node_id' order by e.id) from node_events e where e.node_id = n.id),
             'workflows', (select jsonb_agg(jsonb_build_object('id', w.public_id, 'kind', w.kind, 'state', w.state,
                 'created_by', w.created_by, 'created_at', w.created_at, 'finished_at', w.finished_at,
                 'error_code', w.error_code, 'error_message', w.error_message) order by w.created_at)
                 from workflows w where w.node_id = n.id))
         from nodes n join bmcs b on b.id = n.bmc_id where n.id = $1",
        id,
        removed_by
    )
    .execute(&mut *conn)
    .await?;
    let bmc = sqlx::query_scalar!("delete from nodes where id = $1 returning bmc_id", id)
        .fetch_optional(&mut *conn)
        .await?
        .ok_or(StoreError::NotFound { what: "node" })?;
    sqlx::query!("delete from bmcs where id = $1", bmc).execute(&mut *conn).await?;
    Ok(())
}

/// Deletes a BMC that no node has, e.g. one that only a failed enrolment knew.
///
/// # Errors
/// When the database cannot be asked.
pub async fn forget_bmc(db: impl PgExecutor<'_>, bmc: Uuid) -> Result<(), StoreError> {
    sqlx::query!("delete from bmcs b where b.id = $1 and not exists (select from nodes n where n.bmc_id = b.id)", bmc)
        .execute(db)
        .await?;
    Ok(())
}

/// Gives a BMC another credential; `true` when it had a different one. What the old one was refused for does not count
/// against the new one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_credential(db: impl PgExecutor<'_>, bmc: Uuid, credential: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update bmcs set credential_id = $2, refused_logins = 0, refused_at = null, refused_credential_version = null,
             stopped_reason = case when stopped_code = 'wrong_password' then null else stopped_reason end,
             stopped_at = case when stopped_code = 'wrong_password' then null else stopped_at end,
             stopped_code = case when stopped_code = 'wrong_password' then null else stopped_code end,
             version = version + 1
         where id = $1 and credential_id is distinct from $2",
        bmc,
        credential
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many nodes' BMCs use each credential.
///
/// # Errors
/// When the database cannot be asked.
pub async fn credential_use(db: impl PgExecutor<'_>) -> Result<Vec<(Uuid, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"select b.credential_id as "credential_id!", count(*) as "count!" from bmcs b join nodes n on n.bmc_id = b.id
         where b.credential_id is not null group by b.credential_id"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.credential_id, row.count)).collect())
}

/// BMCs that no node has let go of a credential, so that it can be deleted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn release_credential(db: impl PgExecutor<'_>, credential: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs b set credential_id = null
         where b.credential_id = $1 and not exists (select from nodes n where n.bmc_id = b.id)",
        credential
    )
    .execute(db)
    .await?;
    Ok(())
}

/// BMCs that stopped on a wrong password of a credential: they may be tried again, for it has changed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn resume_after_credential_change(db: impl PgExecutor<'_>, credential: Uuid) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update bmcs set stopped_code = null, stopped_reason = null, stopped_at = null, refused_logins = 0,
             refused_at = null, next_try_at = null, version = version + 1
         where credential_id = $1 and (stopped_code = 'wrong_password' or refused_logins > 0)",
        credential
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// The large documents of one node.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    pub hardware: Option<Value>,
    /// Newest report of the agent.
    pub report: Option<Value>,
}

/// Hardware and report of one node, as they lie.
///
/// # Errors
/// When the database cannot be asked.
pub async fn documents(db: impl PgExecutor<'_>, id: Uuid) -> Result<Documents, StoreError> {
    let row = sqlx::query_as!(
        Documents,
        r#"select (select document from hardware where node_id = $1) as hardware,
             (select report from agents where node_id = $1 and revoked_at is null) as report"#,
        id
    )
    .fetch_one(db)
    .await?;
    Ok(row)
}

/// One event of a node.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub source: String,
    pub severity: String,
    pub code: Option<String>,
    pub message: String,
    /// Public id.
    pub workflow: Option<String>,
}

/// Events of a node with the public ids of their workflows, newest first; `before` is the last id of the page before.
///
/// # Errors
/// When the database cannot be asked.
pub async fn events(
    db: impl PgExecutor<'_>,
    id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"select e.id, e.at, e.source, e.severity, e.code, e.message, w.public_id as "workflow?"
         from node_events e left join workflows w on w.id = e.workflow_id
         where e.node_id = $1 and ($2::bigint is null or e.id < $2) order by e.id desc limit $3"#,
        id,
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// One change between two collections.
#[derive(Debug, Clone)]
pub struct HardwareChangeRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub section: String,
    pub part: String,
    pub kind: String,
    pub summary: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What changed between collections of a node's hardware, newest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn hardware_changes(
    db: impl PgExecutor<'_>,
    id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<HardwareChangeRow>, StoreError> {
    let rows = sqlx::query_as!(
        HardwareChangeRow,
        r#"select id, at, section, part, kind, summary, before, after from hardware_changes
         where node_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3"#,
        id,
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// How many events, and how many hardware changes, a node has.
///
/// # Errors
/// When the database cannot be asked.
pub async fn history_size(db: impl PgExecutor<'_>, id: Uuid) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query!(
        r#"select (select count(*) from node_events where node_id = $1) as "events!",
             (select count(*) from hardware_changes where node_id = $1) as "changes!""#,
        id
    )
    .fetch_one(db)
    .await?;
    Ok((row.events, row.changes))
}

/// BMCs that log in with a credential.
///
/// # Errors
/// When the database cannot be asked.
pub async fn bmcs_of_credential(db: impl PgExecutor<'_>, credential: Uuid) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!("select id from bmcs where credential_id = $1", credential).fetch_all(db).await?)
}
