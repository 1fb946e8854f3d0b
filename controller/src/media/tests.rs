//! The media listener and the attempt as BMC, ramdisk and workflow see them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use helix_api::deploy::{Act, BLOCK_SIZE, BootNetwork, decode_block};
use helix_inventory::profile::{DiskChoice, ProvisionSpec};
use reqwest::StatusCode;
use sqlx::PgPool;

use super::deploy::{self, OrderInput, Prepare, Prepared};
use super::fixture::{self, Rows, events, http, rows, serve, until};
use super::iso::tests as iso;
use crate::app::App;
use crate::app::testing::{TestApp, app_with};
use crate::store::{deploy_sessions, media_files};

const ISO_BYTES: usize = 1_000_000;
const BLOCK_AT: usize = 301_056;
const BMC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 10, 0, 1));

/// An app with a deploy ISO and an agent binary; its ISO's bytes.
async fn prepared_app(db: PgPool) -> (TestApp, Vec<u8>) {
    let mut bytes = Vec::new();
    let test = app_with(db, |config| {
        let (path, written) = iso::write(&config.data_dir, ISO_BYTES, BLOCK_AT);
        bytes = written;
        config.media.deploy_iso = Some(path);
        let agent = config.data_dir.join("helix-agent");
        std::fs::write(&agent, b"#!/bin/sh\necho agent\n").unwrap();
        config.media.agent_binary = Some(agent);
    })
    .await;
    (test, bytes)
}

fn attempt(rows: Rows, number: i32) -> Prepare {
    Prepare {
        workflow_id: rows.workflow,
        workflow_public_id: "wf-7Q2M4K".into(),
        node_id: rows.node,
        node_name: "r01u05".into(),
        attempt: number,
        bmc_address: BMC,
        boot_network: Some(BootNetwork { mac: Some("04:3f:72:00:00:01".into()), ..BootNetwork::default() }),
    }
}

async fn prepare(app: &App, attempt: &Prepare) -> Result<Prepared, deploy::DeployError> {
    let mut conn = app.db.acquire().await.unwrap();
    deploy::prepare(app, &mut conn, attempt).await
}

/// The URL with the test server's port in the place of the configured one.
fn on(server: &str, url: &str) -> String {
    let path = url.splitn(4, '/').nth(3).unwrap();
    format!("http://{server}/{path}")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_bmc_reads_the_iso_with_the_block_of_its_attempt(db: PgPool) {
    let (test, plain) = prepared_app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let prepared = prepare(&test.app, &attempt(rows, 1)).await.unwrap();
    assert!(prepared.media_url.starts_with("http://") && prepared.media_url.ends_with("/helix.iso"));
    let random = prepared.media_url.split('/').nth(4).unwrap();
    assert_eq!((random.len(), random.to_ascii_lowercase()), (32, random.to_owned()), "128 bits, lower case");
    let url = on(&serve(super::router(Arc::clone(&test.app))).await, &prepared.media_url);
    let http = http();

    let head = http.head(&url).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()["content-length"], ISO_BYTES.to_string());
    assert_eq!(head.headers()["accept-ranges"], "bytes");
    assert!(head.bytes().await.unwrap().is_empty());

    let whole = http.get(&url).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    let whole = whole.bytes().await.unwrap();
    assert_eq!(whole.len(), ISO_BYTES);
    assert_eq!(whole[..BLOCK_AT], plain[..BLOCK_AT], "nothing before the block differs");
    assert_eq!(whole[BLOCK_AT + BLOCK_SIZE..], plain[BLOCK_AT + BLOCK_SIZE..], "nor after it");
    let block = decode_block(&whole[BLOCK_AT..BLOCK_AT + BLOCK_SIZE]).unwrap();
    assert_eq!((block.workflow.as_str(), block.node_name.as_str()), ("wf-7Q2M4K", "r01u05"));
    assert_eq!(block.controller_urls, ["https://127.0.0.1:8444"]);
    assert_eq!(block.controller_key_sha256, test.app.ca.agents_key_sha256());
    assert_eq!(block.network.unwrap().mac.as_deref(), Some("04:3f:72:00:00:01"));

    for (asked, from, to) in
        [("0-65535", 0, 65_536), ("301000-301100", 301_000, 301_101), ("-65536", 934_464, ISO_BYTES)]
    {
        let part = http.get(&url).header("range", format!("bytes={asked}")).send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{asked}");
        assert_eq!(part.headers()["content-range"], format!("bytes {from}-{}/{ISO_BYTES}", to - 1));
        assert_eq!(part.headers()["content-length"], (to - from).to_string());
        assert_eq!(part.bytes().await.unwrap(), whole[from..to], "the same bytes for the same URL");
    }
    let beyond = http.get(&url).header("range", "bytes=1000000-").send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{ISO_BYTES}"));

    let served = (ISO_BYTES + 65_536 + 101 + 65_536) as i64;
    until("the bytes to be counted", async || {
        let mut conn = test.app.db.acquire().await.unwrap();
        let files = media_files::of_workflow(&mut conn, rows.workflow).await.unwrap();
        files[0].bytes_served == served && files[0].served_at.is_some() && files[0].requests == 6
    })
    .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_url_is_dead_when_its_attempt_is_over_and_another_tells_nothing(db: PgPool) {
    let (test, _) = prepared_app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let first = prepare(&test.app, &attempt(rows, 1)).await.unwrap();
    let server = serve(super::router(Arc::clone(&test.app))).await;
    let http = http();
    let status = async |url: &str| http.get(on(&server, url)).send().await.unwrap().status();
    assert_eq!(
        prepare(&test.app, &attempt(rows, 1)).await.unwrap(),
        first,
        "after a crash the same attempt is the same"
    );
    assert_eq!(status(&first.media_url).await, StatusCode::OK);
    let second = prepare(&test.app, &attempt(rows, 2)).await.unwrap();
    assert_ne!(second.media_url, first.media_url);
    assert_eq!(status(&first.media_url).await, StatusCode::NOT_FOUND, "a new attempt ends the one before");
    assert_eq!(status(&second.media_url).await, StatusCode::OK);
    let other_name = second.media_url.replace("helix.iso", "other.iso");
    assert_eq!(status(&other_name).await, StatusCode::NOT_FOUND);
    for path in ["", "media", "media/", "media/../Cargo.toml/x", "media/0123/helix.iso"] {
        assert_eq!(status(&format!("http://x/{path}")).await, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        http.post(on(&server, &second.media_url)).send().await.unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    let mut conn = test.app.db.acquire().await.unwrap();
    deploy::close(&test.app, &mut conn, rows.workflow).await.unwrap();
    assert_eq!(status(&second.media_url).await, StatusCode::NOT_FOUND);
    let error = prepare(&test.app, &attempt(rows, 2)).await.unwrap_err();
    assert_eq!(error.code(), "deploy_session_closed");
}

#[sqlx::test(migrations = "../migrations")]
async fn no_token_lies_readable_in_the_database(db: PgPool) {
    let (test, _) = prepared_app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let prepared = prepare(&test.app, &attempt(rows, 1)).await.unwrap();
    let url = on(&serve(super::router(Arc::clone(&test.app))).await, &prepared.media_url);
    let iso = http().get(&url).send().await.unwrap().bytes().await.unwrap();
    let token = decode_block(&iso[BLOCK_AT..BLOCK_AT + BLOCK_SIZE]).unwrap().token;
    let sealed: Vec<u8> =
        sqlx::query_scalar("select block_sealed from media_files").fetch_one(&test.app.db).await.unwrap();
    assert!(!sealed.windows(token.len()).any(|window| window == token.as_bytes()));
    let order = ordered(&test, rows, &prepared).await;
    let join_token = &order.seed.iter().find(|file| file.path.ends_with("join.token")).unwrap().text;
    let row: String =
        sqlx::query_scalar("select instruction::text from deploy_sessions").fetch_one(&test.app.db).await.unwrap();
    assert!(row.contains("\"sealed\"") && !row.contains(join_token.trim()), "{row}");
}

/// Imports an image and orders it written.
async fn ordered(test: &TestApp, rows: Rows, prepared: &Prepared) -> helix_api::deploy::WriteOrder {
    sqlx::query(
        "insert into images (id, public_id, name, state, compression, sha256, size_bytes, raw_sha256, raw_size_bytes,
             object_key, facts, created_by)
         values (gen_random_uuid(), 'im-000001', 'debian-12', 'ready', 'zstd', 'aa', 5, 'bb', 50, 'x.zst',
             '{\"uuids\": [\"U1\"], \"labels\": [\"root\"]}', 'admin')",
    )
    .execute(&test.app.db)
    .await
    .unwrap();
    std::fs::write(test.folder.path().join("images/x.zst"), b"image").unwrap();
    let spec = ProvisionSpec { image: "debian-12".into(), image_sha256: "aa".into(), ..ProvisionSpec::default() };
    let input = OrderInput {
        session_id: prepared.session_id,
        workflow_id: rows.workflow,
        node_id: rows.node,
        node_name: "r01u05",
        bmc_address: BMC,
        boot_network: None,
        spec: &spec,
        disk: &DiskChoice { serial: Some("S1".into()), ..DiskChoice::default() },
        wipe_conflicting: true,
    };
    let mut conn = test.app.db.acquire().await.unwrap();
    let order = deploy::build_order(&test.app, &mut conn, &input).await.unwrap();
    deploy::order_write(&test.app, &mut conn, prepared.session_id, &order).await.unwrap();
    order
}

#[sqlx::test(migrations = "../migrations")]
async fn an_order_names_urls_that_work_until_the_attempt_and_the_workflow_end(db: PgPool) {
    let (test, _) = prepared_app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let prepared = prepare(&test.app, &attempt(rows, 1)).await.unwrap();
    let order = ordered(&test, rows, &prepared).await;
    assert_eq!((order.image.sha256.as_str(), order.image.raw_size_bytes), ("aa", 50));
    assert_eq!(order.image.identifiers, ["U1", "root"]);
    assert_eq!((order.disk.serial.as_deref(), order.wipe_conflicting), (Some("S1"), true));
    assert_eq!(order.boot_entry, "Helix debian-12");
    let server = serve(super::router(Arc::clone(&test.app))).await;
    let http = http();
    let get = async |url: &str| http.get(on(&server, url)).send().await.unwrap();
    let image = http.get(on(&server, &order.image.url)).header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!((image.status(), image.bytes().await.unwrap().as_ref()), (StatusCode::PARTIAL_CONTENT, b"mag".as_ref()));
    let install = &order.seed.iter().find(|file| file.path.ends_with("helix-agent-install")).unwrap().text;
    let agent_url = install.split("url='").nth(1).unwrap().split('\'').next().unwrap();
    let binary = get(agent_url).await.bytes().await.unwrap();
    let sum = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&binary));
    assert!(install.contains(&format!("sha256='{sum}'")), "the script checks what the URL gives");

    let seq = async || {
        let mut conn = test.app.db.acquire().await.unwrap();
        deploy_sessions::find(&mut conn, prepared.session_id).await.unwrap().unwrap().seq
    };
    let before = seq().await;
    let mut conn = test.app.db.acquire().await.unwrap();
    deploy::order_write(&test.app, &mut conn, prepared.session_id, &order).await.unwrap();
    assert_eq!(seq().await, before, "the same order again changes nothing");
    deploy::close(&test.app, &mut conn, rows.workflow).await.unwrap();
    assert_eq!(get(&order.image.url).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(agent_url).await.status(), StatusCode::OK, "cloud-init still fetches the agent");
    let late = deploy::order(&test.app, &mut conn, prepared.session_id, Act::PowerOff).await.unwrap_err();
    assert_eq!(late.code(), "deploy_session_closed");
    deploy::end(&test.app, &mut conn, rows.workflow).await.unwrap();
    assert_eq!(get(agent_url).await.status(), StatusCode::NOT_FOUND);
    assert!(events(&test.app.db, rows.node).await.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn an_image_that_changed_since_the_plan_is_not_written(db: PgPool) {
    let (test, _) = prepared_app(db).await;
    let rows = rows(&test.app.db, "HLX0001").await;
    let prepared = prepare(&test.app, &attempt(rows, 1)).await.unwrap();
    ordered(&test, rows, &prepared).await;
    let mut conn = test.app.db.acquire().await.unwrap();
    let spec = |name: &str, sha256: &str| ProvisionSpec {
        image: name.into(),
        image_sha256: sha256.into(),
        ..ProvisionSpec::default()
    };
    let error = deploy::planned_image(&mut conn, &spec("debian-12", "cc")).await.unwrap_err();
    assert_eq!(error.code(), "image_changed");
    assert!(error.to_string().contains("cc") && error.to_string().contains("aa"), "{error}");
    let error = deploy::planned_image(&mut conn, &spec("gone", "aa")).await.unwrap_err();
    assert_eq!(error.code(), "image_not_found");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_controller_without_a_deploy_iso_starts_and_plans_say_why_not(db: PgPool) {
    let test =
        app_with(db, |config| config.media.deploy_iso = Some(PathBuf::from("/nonexistent/helix-deploy.iso"))).await;
    super::start(&test.app).await;
    let refusal = super::refusal(&test.app).await.unwrap();
    assert_eq!(refusal.code, "deploy_iso_missing");
    assert!(
        refusal.message.contains("/nonexistent/helix-deploy.json") && refusal.next.contains("deploy_iso"),
        "{refusal:?}"
    );
    let rows = fixture::rows(&test.app.db, "HLX0001").await;
    assert_eq!(prepare(&test.app, &attempt(rows, 1)).await.unwrap_err().code(), "deploy_iso_missing");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_controller_without_an_agent_binary_says_so_in_plans(db: PgPool) {
    let (test, _) = prepared_app(db.clone()).await;
    assert_eq!(super::refusal(&test.app).await, None);
    let iso = test.app.config.media.deploy_iso.clone();
    let without = app_with(db, |config| config.media.deploy_iso = iso).await;
    assert_eq!(super::refusal(&without.app).await.unwrap().code, "agent_binary_not_configured");
}
