//! BMCs: address, pinned certificate, refused logins, why contact was stopped, the breaker, our session.
//!
//! A BMC is `host:port`. Nothing here talks to one.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One BMC.
#[derive(Debug, Clone)]
pub struct BmcRow {
    pub id: Uuid,
    pub host: String,
    pub port: i32,
    pub credential_id: Option<Uuid>,
    pub certificate_sha256: Option<Vec<u8>>,
    pub certificate_pinned_at: Option<DateTime<Utc>>,
    pub service_tag: Option<String>,
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub firmware_version: Option<String>,
    pub redfish_version: Option<String>,
    pub capabilities: Value,
    pub refused_logins: i32,
    pub refused_at: Option<DateTime<Utc>>,
    pub refused_credential_version: Option<i64>,
    /// `wrong_password`, `certificate_changed`, `board_swapped`.
    pub stopped_code: Option<String>,
    pub stopped_reason: Option<String>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub contact_at: Option<DateTime<Utc>>,
    pub failures: i32,
    pub failure: Option<String>,
    pub failure_at: Option<DateTime<Utc>>,
    pub next_try_at: Option<DateTime<Utc>>,
    pub session_uri: Option<String>,
    pub session_instance: Option<Uuid>,
    pub version: i64,
    /// The database's clock when the row was read.
    pub now: DateTime<Utc>,
}

/// What a new BMC starts with.
#[derive(Debug, Clone)]
pub struct NewBmc<'a> {
    pub id: Uuid,
    pub host: &'a str,
    pub port: i32,
    pub credential_id: Option<Uuid>,
    /// SHA-256 of the certificate seen when it was trusted.
    pub certificate_sha256: Option<&'a [u8]>,
    pub service_tag: Option<&'a str>,
}

/// The sealed credential of a BMC.
#[derive(Clone)]
pub struct SealedCredential {
    pub id: Uuid,
    pub username: String,
    pub secret_sealed: Vec<u8>,
    pub version: i64,
}

/// Finds or adds the BMC of an address; answers its id. An existing one keeps what it has.
///
/// # Errors
/// When the database cannot be asked.
pub async fn ensure(conn: &mut PgConnection, new: &NewBmc<'_>) -> Result<Uuid, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into bmcs (id, host, port, credential_id, certificate_sha256, certificate_pinned_at, service_tag)
         values ($1, $2, $3, $4, $5, case when $5::bytea is null then null else now() end, $6)
         on conflict (host, port) do update set version = bmcs.version
         returning id",
        new.id,
        new.host,
        new.port,
        new.credential_id,
        new.certificate_sha256,
        new.service_tag
    )
    .fetch_one(conn)
    .await?;
    Ok(id)
}

/// One BMC.
///
/// # Errors
/// When the database cannot be asked.
pub async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<BmcRow>, StoreError> {
    let row = sqlx::query_as!(
        BmcRow,
        r#"select id, host, port, credential_id, certificate_sha256, certificate_pinned_at, service_tag, vendor, product,
             firmware_version, redfish_version, capabilities, refused_logins, refused_at, refused_credential_version,
             stopped_code, stopped_reason, stopped_at, contact_at, failures, failure, failure_at, next_try_at, session_uri,
             session_instance, version, now() as "now!"
         from bmcs where id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// The BMC at an address.
///
/// # Errors
/// When the database cannot be asked.
pub async fn by_address(conn: &mut PgConnection, host: &str, port: i32) -> Result<Option<BmcRow>, StoreError> {
    let id = sqlx::query_scalar!("select id from bmcs where host = $1 and port = $2", host, port)
        .fetch_optional(&mut *conn)
        .await?;
    match id {
        Some(id) => get(conn, id).await,
        None => Ok(None),
    }
}

/// Credential of a BMC, sealed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn credential(conn: &mut PgConnection, bmc: Uuid) -> Result<Option<SealedCredential>, StoreError> {
    let row = sqlx::query_as!(
        SealedCredential,
        "select c.id, c.username, c.secret_sealed, c.version
         from bmcs b join credentials c on c.id = b.credential_id where b.id = $1",
        bmc
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Counts a login attempt as refused *before* it is made: a crash in between counts too. Answers the count with this one,
/// or `None` when `limit` was reached and no attempt may be made. A new version of the credential starts at zero.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count_login(
    conn: &mut PgConnection,
    bmc: Uuid,
    credential_version: i64,
    limit: i32,
) -> Result<Option<i32>, StoreError> {
    let count = sqlx::query_scalar!(
        "update bmcs
         set refused_logins = case when refused_credential_version is not distinct from $2 then refused_logins else 0 end + 1,
             refused_at = now(), refused_credential_version = $2
         where id = $1
             and case when refused_credential_version is not distinct from $2 then refused_logins else 0 end < $3
         returning refused_logins",
        bmc,
        credential_version,
        limit
    )
    .fetch_optional(conn)
    .await?;
    Ok(count)
}

/// A login was accepted: the count is cleared, and the session is noted so that a restart deletes its own leftover.
///
/// # Errors
/// When the database cannot be asked.
pub async fn login_accepted(
    conn: &mut PgConnection,
    bmc: Uuid,
    session_uri: Option<&str>,
    instance: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set refused_logins = 0, refused_at = null, session_uri = $2, session_instance = $3,
             contact_at = now(), failures = 0, failure = null, failure_at = null, next_try_at = null,
             stopped_code = case when stopped_code = 'wrong_password' then null else stopped_code end,
             stopped_reason = case when stopped_code = 'wrong_password' then null else stopped_reason end,
             stopped_at = case when stopped_code = 'wrong_password' then null else stopped_at end
         where id = $1",
        bmc,
        session_uri,
        instance
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A login attempt got no answer about the credential: it is taken off the count again.
///
/// # Errors
/// When the database cannot be asked.
pub async fn login_unanswered(conn: &mut PgConnection, bmc: Uuid) -> Result<(), StoreError> {
    sqlx::query!("update bmcs set refused_logins = greatest(refused_logins - 1, 0) where id = $1", bmc)
        .execute(conn)
        .await?;
    Ok(())
}

/// Contact stops on purpose, until a person mends the cause.
///
/// # Errors
/// When the database cannot be asked.
pub async fn stop(conn: &mut PgConnection, bmc: Uuid, code: &str, reason: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set stopped_code = $2, stopped_reason = $3, stopped_at = coalesce(stopped_at, now()),
             version = version + 1
         where id = $1",
        bmc,
        code,
        reason
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A person says that contact may be tried again: counts and reasons are cleared.
///
/// # Errors
/// When the database cannot be asked.
pub async fn resume(conn: &mut PgConnection, bmc: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set stopped_code = null, stopped_reason = null, stopped_at = null, refused_logins = 0,
             refused_at = null, failures = 0, next_try_at = null, version = version + 1
         where id = $1",
        bmc
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// As [`resume`], for a retry of a workflow: only a wrong password and the breaker are cleared. A changed certificate and
/// a swapped board need their own answer.
///
/// # Errors
/// When the database cannot be asked.
pub async fn retry_contact(conn: &mut PgConnection, bmc: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set stopped_code = case when stopped_code = 'wrong_password' then null else stopped_code end,
             stopped_reason = case when stopped_code = 'wrong_password' then null else stopped_reason end,
             stopped_at = case when stopped_code = 'wrong_password' then null else stopped_at end,
             refused_logins = 0, refused_at = null, failures = 0, next_try_at = null, version = version + 1
         where id = $1",
        bmc
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Trusts another certificate; answers the one before.
///
/// # Errors
/// When the database cannot be asked.
pub async fn trust(conn: &mut PgConnection, bmc: Uuid, sha256: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let before = sqlx::query_scalar!("select certificate_sha256 from bmcs where id = $1 for update", bmc)
        .fetch_optional(&mut *conn)
        .await?
        .flatten();
    sqlx::query!(
        "update bmcs set certificate_sha256 = $2, certificate_pinned_at = now(),
             stopped_code = case when stopped_code = 'certificate_changed' then null else stopped_code end,
             stopped_reason = case when stopped_code = 'certificate_changed' then null else stopped_reason end,
             stopped_at = case when stopped_code = 'certificate_changed' then null else stopped_at end,
             failures = 0, next_try_at = null, version = version + 1
         where id = $1",
        bmc,
        sha256
    )
    .execute(conn)
    .await?;
    Ok(before)
}

/// The BMC answered: the breaker closes. Written only when it was open, or when the last note is old, so that a healthy
/// fleet costs no writes.
///
/// # Errors
/// When the database cannot be asked.
pub async fn contact(conn: &mut PgConnection, bmc: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set contact_at = now(), failures = 0, failure = null, failure_at = null, next_try_at = null
         where id = $1 and (failures > 0 or contact_at is null or contact_at < now() - interval '10 seconds')",
        bmc
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The BMC could not be reached: the breaker opens for a while.
///
/// # Errors
/// When the database cannot be asked.
pub async fn failed(
    conn: &mut PgConnection,
    bmc: Uuid,
    failure: &str,
    next_try_seconds: f64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set failures = failures + 1, failure = $2, failure_at = now(),
             next_try_at = now() + make_interval(secs => $3)
         where id = $1",
        bmc,
        failure,
        next_try_seconds
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the BMC says of itself.
#[derive(Debug, Clone, Default)]
pub struct About<'a> {
    pub service_tag: Option<&'a str>,
    pub vendor: Option<&'a str>,
    pub product: Option<&'a str>,
    pub firmware_version: Option<&'a str>,
    pub redfish_version: Option<&'a str>,
}

/// Notes what the BMC says of itself, and that it answered.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set_about(conn: &mut PgConnection, bmc: Uuid, about: &About<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set service_tag = coalesce($2, service_tag), vendor = coalesce($3, vendor),
             product = coalesce($4, product), firmware_version = coalesce($5, firmware_version),
             redfish_version = coalesce($6, redfish_version), contact_at = now(), failures = 0, failure = null,
             failure_at = null, next_try_at = null
         where id = $1",
        bmc,
        about.service_tag,
        about.vendor,
        about.product,
        about.firmware_version,
        about.redfish_version
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets our session, when it was closed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn session_closed(conn: &mut PgConnection, bmc: Uuid) -> Result<(), StoreError> {
    sqlx::query!("update bmcs set session_uri = null, session_instance = null where id = $1", bmc)
        .execute(conn)
        .await?;
    Ok(())
}

/// First contact: the certificate seen is trusted from now on, unless another process was first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn pin_first(conn: &mut PgConnection, bmc: Uuid, sha256: &[u8]) -> Result<(), StoreError> {
    sqlx::query!(
        "update bmcs set certificate_sha256 = $2, certificate_pinned_at = now()
         where id = $1 and certificate_sha256 is null",
        bmc,
        sha256
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything that a client of a BMC is made from.
#[derive(Clone)]
pub struct Dial {
    pub id: Uuid,
    pub host: String,
    pub port: i32,
    /// Name of the node, once there is one.
    pub node: Option<String>,
    pub certificate_sha256: Option<Vec<u8>>,
    pub stopped_code: Option<String>,
    pub stopped_reason: Option<String>,
    pub failures: i32,
    pub failure: Option<String>,
    pub next_try_at: Option<DateTime<Utc>>,
    pub session_uri: Option<String>,
    pub session_instance: Option<Uuid>,
    pub credential_id: Option<Uuid>,
    pub username: Option<String>,
    pub secret_sealed: Option<Vec<u8>>,
    pub credential_version: Option<i64>,
    pub refused_credential_version: Option<i64>,
    pub now: DateTime<Utc>,
}

/// What is needed to dial a BMC, in one question.
///
/// # Errors
/// When the database cannot be asked.
pub async fn dial(conn: &mut PgConnection, bmc: Uuid) -> Result<Option<Dial>, StoreError> {
    let row = sqlx::query_as!(
        Dial,
        r#"select b.id, b.host, b.port, n.name as "node?", b.certificate_sha256, b.stopped_code, b.stopped_reason,
             b.failures, b.failure, b.next_try_at, b.session_uri, b.session_instance, b.credential_id,
             c.username as "username?", c.secret_sealed as "secret_sealed?", c.version as "credential_version?",
             b.refused_credential_version, now() as "now!"
         from bmcs b left join nodes n on n.bmc_id = b.id left join credentials c on c.id = b.credential_id
         where b.id = $1"#,
        bmc
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}
