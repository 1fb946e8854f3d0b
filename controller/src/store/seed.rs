//! Rows for tests: a node with its BMC, and the few changes that only a crash or another process makes.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

/// A node named `name` with a BMC at an address that nothing listens on.
pub(crate) async fn node(db: &PgPool, name: &str) -> Uuid {
    let bmc = bmc(db, &format!("{name}.invalid"), 443).await;
    node_at(db, name, &name.to_ascii_uppercase(), bmc).await
}

/// A BMC without a credential.
pub(crate) async fn bmc(db: &PgPool, host: &str, port: i32) -> Uuid {
    let bmc = Uuid::now_v7();
    sqlx::query("insert into bmcs (id, host, port) values ($1, $2, $3)")
        .bind(bmc)
        .bind(host)
        .bind(port)
        .execute(db)
        .await
        .unwrap();
    bmc
}

/// A node behind a BMC, ready.
pub(crate) async fn node_at(db: &PgPool, name: &str, tag: &str, bmc: Uuid) -> Uuid {
    let node = Uuid::now_v7();
    sqlx::query("insert into nodes (id, service_tag, name, bmc_id, state) values ($1, $2, $3, $4, 'ready')")
        .bind(node)
        .bind(tag)
        .bind(name)
        .bind(bmc)
        .execute(db)
        .await
        .unwrap();
    node
}

/// A bulk object.
pub(crate) async fn bulk(db: &PgPool) -> Uuid {
    let bulk = Uuid::now_v7();
    sqlx::query(
        "insert into bulks (id, public_id, kind, title, created_by) values ($1, $2, 'provision', 'test', 'test')",
    )
    .bind(bulk)
    .bind(format!("bk-{bulk}"))
    .execute(db)
    .await
    .unwrap();
    bulk
}

/// Another process takes a workflow over.
pub(crate) async fn steal(db: &PgPool, workflow: Uuid) {
    sqlx::query(
        "update workflows set lease_owner = $2, lease_epoch = lease_epoch + 1, lease_until = now() + interval '1 hour',
             due_at = now() + interval '1 hour'
         where id = $1",
    )
    .bind(workflow)
    .bind(Uuid::now_v7())
    .execute(db)
    .await
    .unwrap();
}

/// A process with this instance id died while it held the workflow.
pub(crate) async fn held_by(db: &PgPool, workflow: Uuid, owner: Uuid) {
    sqlx::query(
        "update workflows set lease_owner = $2, lease_epoch = lease_epoch + 1, lease_until = now() + interval '1 hour',
             due_at = now() + interval '1 hour', state = 'running'
         where id = $1",
    )
    .bind(workflow)
    .bind(owner)
    .execute(db)
    .await
    .unwrap();
}

/// Many workflows that wait for something later, on nodes of their own.
pub(crate) async fn waiting(db: &PgPool, count: i32) {
    sqlx::query(
        "with b as (insert into bmcs (id, host, port)
                    select gen_random_uuid(), 'w' || n, 443 from generate_series(1, $1) n returning id, host),
              n as (insert into nodes (id, service_tag, name, bmc_id, state)
                    select gen_random_uuid(), host, host, id, 'ready' from b returning id, name)
         insert into workflows (id, public_id, kind, node_id, mutating, plan, state, created_by, due_at)
         select gen_random_uuid(), 'wf-' || name, 'provision', id, true, '{}', 'waiting', 'test', now() + interval '1 hour'
         from n",
    )
    .bind(count)
    .execute(db)
    .await
    .unwrap();
    sqlx::query("analyze workflows").execute(db).await.unwrap();
}

/// How Postgres would take due work of single nodes.
pub(crate) async fn plan_of_claim(db: &PgPool) -> Value {
    let rows: Vec<(Value,)> = sqlx::query_as(
        "explain (format json, analyze) select id from workflows
         where lane = '00000000-0000-0000-0000-000000000000' and state in ('queued', 'running', 'waiting')
             and due_at <= now() and (lease_until is null or lease_until <= now())
         order by due_at limit 100 for update skip locked",
    )
    .fetch_all(db)
    .await
    .unwrap();
    json!(rows.into_iter().map(|row| row.0).collect::<Vec<_>>())
}

/// Order in which workflows ended.
pub(crate) async fn ended(db: &PgPool) -> Vec<Uuid> {
    let rows: Vec<(Uuid,)> =
        sqlx::query_as("select id from workflows where finished_at is not null order by finished_at")
            .fetch_all(db)
            .await
            .unwrap();
    rows.into_iter().map(|row| row.0).collect()
}

/// Gives a BMC a credential that is sealed already.
pub(crate) async fn credential(db: &PgPool, bmc: Uuid, id: Uuid, username: &str, sealed: &[u8]) {
    sqlx::query("insert into credentials (id, name, username, secret_sealed) values ($1, $2, $3, $4)")
        .bind(id)
        .bind(format!("c-{id}"))
        .bind(username)
        .bind(sealed)
        .execute(db)
        .await
        .unwrap();
    sqlx::query("update bmcs set credential_id = $2 where id = $1").bind(bmc).bind(id).execute(db).await.unwrap();
}

/// State of a node and the reason for it.
pub(crate) async fn node_state(db: &PgPool, node: Uuid) -> (String, Option<String>) {
    sqlx::query_as("select state, state_reason from nodes where id = $1").bind(node).fetch_one(db).await.unwrap()
}

/// An image that is ready, with nothing behind it.
pub(crate) async fn image(db: &PgPool, name: &str, sha256: &str) {
    sqlx::query(
        "insert into images (id, public_id, name, state, compression, sha256, size_bytes, raw_sha256, raw_size_bytes,
             object_key, created_by)
         values ($1, $2, $3, 'ready', 'zstd', $4, 1000, $4, 4000, $4, 'test')",
    )
    .bind(Uuid::now_v7())
    .bind(format!("im-{name}"))
    .bind(name)
    .bind(sha256)
    .execute(db)
    .await
    .unwrap();
}

/// A ramdisk claims, from inside the database.
pub(crate) async fn claim(db: &PgPool, session: Uuid, boot_id: &str, machine: &Value) {
    sqlx::query(
        "update deploy_sessions set claimed_at = now(), boot_id = $2, phase = 'claimed', machine = $3,
             clock_offset_seconds = 0, remote_address = '127.0.0.9', reported_at = now()
         where id = $1",
    )
    .bind(session)
    .bind(boot_id)
    .bind(machine)
    .execute(db)
    .await
    .unwrap();
}
