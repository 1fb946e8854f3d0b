//! Whole workflows against simulated iDRACs, over real Redfish.

use helix_inventory::plan::WorkflowKind;
use sqlx::PgPool;

use super::site::{Host, Site};
use crate::store::{bmcs, events, hardware, seed, steps};
use crate::workflow::{RetryOptions, answer};

#[sqlx::test(migrations = "../migrations")]
async fn an_inspection_keeps_what_the_node_is_and_writes_nothing_to_its_bmc(db: PgPool) {
    let site = Site::start(db, "XE9680", "calvin").await;
    site.inspected().await;
    let mut conn = site.db.acquire().await.unwrap();
    let found = hardware::get(&mut conn, site.node).await.unwrap().unwrap();
    assert_eq!(found.gpus.len(), 8);
    assert_eq!(found.gpu_summary().as_deref(), Some("8× NVIDIA H100 80GB HBM3"));
    assert!(found.gpus.windows(2).all(|two| two[0].slot < two[1].slot), "sorted by slot");
    assert!(found.drives.iter().any(|drive| drive.boss), "BOSS is recognised");
    assert!(found.ports.iter().filter_map(|port| port.mac.as_deref()).all(|mac| mac.len() == 17));
    assert_eq!(seed::node_state(&site.db, site.node).await.0, "ready");
    let counters = site.counters();
    assert_eq!((counters.resets, counters.inserts, counters.boot_overrides), (0, 0, 0));
    assert_eq!(counters.logins, 1, "one session");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_gpu_that_is_gone_is_an_event(db: PgPool) {
    let site = Site::start(db, "XE9680", "calvin").await;
    site.inspected().await;
    site.fleet.control().act(&site.address, "pull_gpu", &serde_json::json!({ "index": 5 })).unwrap();
    site.inspected().await;
    let mut conn = site.db.acquire().await.unwrap();
    let changes = hardware::changes(&mut conn, site.node, None, 10).await.unwrap();
    assert!(changes.iter().any(|change| change.summary.ends_with("gone") && change.section == "gpus"), "{changes:#?}");
    let told = events::of_node(&mut conn, site.node, None, 10).await.unwrap();
    let gone = told.iter().find(|event| event.message.starts_with("GPU in slot")).unwrap();
    assert_eq!(gone.severity, "critical");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_password_is_tried_twice_and_then_contact_stops_with_a_way_out(db: PgPool) {
    let site = Site::start(db, "R660", "wrong").await;
    let id = site.run(WorkflowKind::Inspect).await;
    let row = site.until(id, "needs_human").await;
    let said = format!("{:?} {:?} {}", row.error_message, row.error_why, row.error_next);
    assert!(said.contains("--credential"), "{said}");
    assert!(site.counters().logins_refused <= 2, "an iDRAC locks the address out at the third");
    // Whatever is asked for now, nothing is sent.
    let refused = site.counters().logins_refused;
    site.app.app.bmcs.forget(site.bmc).await;
    for _ in 0..3 {
        if let Ok(bmc) = site.app.app.bmcs.client(site.bmc).await {
            assert!(bmc.told(bmc.login().await).await.is_err());
        }
    }
    let counters = site.counters();
    assert!(counters.logins_refused <= 2 && counters.lockouts == 0, "{refused} then {counters:?}");
    let bmc = site.bmc_row().await;
    assert_eq!(bmc.stopped_code.as_deref(), Some("wrong_password"));
    assert!(bmc.stopped_reason.unwrap().contains("locks the controller's address"), "the reason is said");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_certificate_stops_contact_until_a_person_trusts_it(db: PgPool) {
    let site = Site::start(db, "R660", "calvin").await;
    site.inspected().await;
    site.fleet.control().act(&site.address, "new_certificate", &serde_json::json!({})).unwrap();
    site.app.app.bmcs.forget(site.bmc).await;
    let id = site.run(WorkflowKind::Inspect).await;
    let row = site.until(id, "needs_human").await;
    assert!(row.error_next.to_string().contains("helixctl node trust r01u05 --fingerprint"), "{}", row.error_next);
    assert_eq!(site.bmc_row().await.stopped_code.as_deref(), Some("certificate_changed"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_whole_provision_resets_inserts_and_boots_once(db: PgPool) {
    let site = Site::start(db, "R660", "calvin").await;
    site.inspected().await;
    site.play(Host::Good);
    let id = site.run(WorkflowKind::Provision).await;
    site.until(id, "succeeded").await;
    let mut conn = site.db.acquire().await.unwrap();
    let steps = steps::of_workflow(&mut conn, id).await.unwrap();
    assert!(steps.iter().all(|step| step.state == "done" && step.attempts == 1), "{steps:#?}");
    assert_eq!(seed::node_state(&site.db, site.node).await.0, "in_service");
    let counters = site.counters();
    assert_eq!((counters.inserts, counters.boots_from_media), (1, 1), "{counters:#?}");
    assert_eq!(counters.power_ons, 2, "{counters:#?}");
    assert_eq!(counters.boot_overrides, 1, "{counters:#?}");
    assert_eq!(counters.ejects, 1, "{counters:#?}");
    assert!(site.agent().await.is_some());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_ramdisk_that_never_calls_is_told_with_what_to_check(db: PgPool) {
    let site = Site::start(db, "R660", "calvin").await;
    site.inspected().await;
    site.play(Host::Silent);
    let id = site.run(WorkflowKind::Provision).await;
    let row = site.until(id, "needs_human").await;
    assert_eq!(row.error_code.as_deref(), Some("ramdisk_never_called"), "{row:#?}");
    let said = format!("{:?} {}", row.error_why, row.error_next);
    assert!(said.contains("deploy medium were read"), "{said}");
    assert!(said.contains("agents.advertise"), "{said}");
    // A cancel from here brings the node back as it was.
    answer::cancel(&site.app.app, id, "ada", false, None).await.unwrap();
    let row = site.until(id, "cancelled").await;
    assert_eq!(row.left_behind.as_deref(), Some("the host is powered off and the deploy medium is out"));
    assert_eq!(seed::node_state(&site.db, site.node).await.0, "ready");
}

#[sqlx::test(migrations = "../migrations")]
async fn two_disks_are_a_question_and_the_answer_names_one(db: PgPool) {
    let site = Site::start(db, "R660", "calvin").await;
    site.inspected().await;
    site.play(Host::TwoDisks);
    let id = site.run(WorkflowKind::Provision).await;
    let row = site.until(id, "needs_human").await;
    assert_eq!(row.error_code.as_deref(), Some("disk_ambiguous"));
    let next = row.error_next.to_string();
    assert!(next.contains("--disk-serial PHYJ1") && next.contains("--disk-serial PHYJ2"), "{next}");
    answer::retry(&site.app.app, id, "ada", &RetryOptions::default()).await.unwrap();
    site.until(id, "needs_human").await;
    assert_eq!(site.counters().boots_from_media, 2, "a new attempt is a new boot");
}

#[sqlx::test(migrations = "../migrations")]
async fn secure_boot_stops_a_provision_before_anything_is_touched(db: PgPool) {
    let site = Site::start(db, "R660", "calvin").await;
    site.inspected().await;
    site.fleet.control().faults(&site.address, |faults| faults.secure_boot = true).unwrap();
    let id = site.run(WorkflowKind::Provision).await;
    let row = site.until(id, "failed").await;
    assert_eq!(row.error_code.as_deref(), Some("secure_boot_enabled"), "{row:#?}");
    let counters = site.counters();
    assert_eq!((counters.resets, counters.inserts, counters.boot_overrides), (0, 0, 0));
    assert_eq!(seed::node_state(&site.db, site.node).await.0, "ready");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_bmc_that_answers_again_closes_its_breaker(db: PgPool) {
    let site = Site::start(db, "R660", "calvin").await;
    site.fleet.control().faults(&site.address, |faults| faults.dead = true).unwrap();
    let id = site.run(WorkflowKind::Inspect).await;
    let mut conn = site.db.acquire().await.unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while bmcs::get(&mut conn, site.bmc).await.unwrap().unwrap().failures == 0 {
        assert!(tokio::time::Instant::now() < deadline, "no failure was noted");
        tokio::task::yield_now().await;
    }
    site.fleet.control().faults(&site.address, |faults| faults.dead = false).unwrap();
    drop(conn);
    site.until(id, "succeeded").await;
    let row = site.bmc_row().await;
    assert_eq!((row.failures, row.next_try_at), (0, None));
}
