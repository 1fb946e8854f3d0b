//! Who gets what work, and what asking for it costs.

use sqlx::PgPool;

use super::toy::{Bench, Do, registry, settings};
use crate::store::workflows::{self, Filter};
use crate::store::{leases, seed};
use crate::workflow::settings::Settings;
use crate::workflow::start::{NewWorkflow, StartError, start};

#[sqlx::test(migrations = "../migrations")]
async fn a_node_has_one_workflow_at_a_time(db: PgPool) {
    let bench = Bench::still(db).await;
    let node = seed::node(&bench.db, "n1").await;
    let first = bench.workflow_on(node, None).await;
    let first = bench.row(first).await;
    let mut conn = bench.db.acquire().await.unwrap();
    let new = NewWorkflow {
        kind: helix_inventory::plan::WorkflowKind::Provision,
        node_id: node,
        plan: super::toy::plan(),
        bulk_id: None,
        created_by: "test".to_owned(),
    };
    let refused = start(&mut conn, new).await.unwrap_err();
    assert!(matches!(refused, StartError::Busy { public_id } if public_id == first.public_id));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_restart_takes_its_own_leases_back_at_once(db: PgPool) {
    let bench = Bench::still(db).await;
    let id = bench.workflow("n1").await;
    seed::held_by(&bench.db, id, bench.app.app.instance).await;
    let started = std::time::Instant::now();
    bench.run(registry(&bench.world, [vec![Do::Done], vec![Do::Done], vec![Do::Done]]), settings());
    bench.until(id, "succeeded").await;
    assert!(started.elapsed().as_secs() < 20, "the lease had an hour to run");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_bulk_does_not_keep_a_single_node_waiting(db: PgPool) {
    let bench = Bench::still(db).await;
    let bulk = seed::bulk(&bench.db).await;
    for number in 0..150 {
        let node = seed::node(&bench.db, &format!("b{number}")).await;
        bench.workflow_on(node, Some(bulk)).await;
    }
    let single = bench.workflow("single").await;
    let few = Settings { at_once: 4, kept_for_single: 1, ..settings() };
    bench.run(registry(&bench.world, [vec![Do::Done], vec![Do::Done], vec![Do::Done]]), few);
    bench.until(single, "succeeded").await;
    let ended = seed::ended(&bench.db).await;
    let place = ended.iter().position(|id| *id == single).unwrap();
    assert!(place < 20, "{place} workflows of the bulk ended before it");
}

#[sqlx::test(migrations = "../migrations")]
async fn taking_work_costs_the_same_with_ten_thousand_waiting(db: PgPool) {
    seed::waiting(&db, 10_000).await;
    let bench = Bench::still(db).await;
    let id = bench.workflow("due").await;
    let plan = seed::plan_of_claim(&bench.db).await.to_string();
    assert!(plan.contains("workflows_due"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
    let mut conn = bench.db.acquire().await.unwrap();
    let lanes = leases::lanes(&mut conn).await.unwrap();
    assert_eq!(lanes.len(), 1);
    let claimed = leases::claim(&mut conn, bench.app.app.instance, lanes[0], 100, 60.0).await.unwrap();
    assert_eq!(claimed.iter().map(|lease| lease.workflow).collect::<Vec<_>>(), [id]);
}

#[sqlx::test(migrations = "../migrations")]
async fn news_during_a_run_is_not_lost(db: PgPool) {
    // The second run of the first step is due in an hour; the news must bring it forward.
    let bench = Bench::start(db, [vec![Do::Gate], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.world.at_gate.notified().await;
    let mut conn = bench.db.acquire().await.unwrap();
    workflows::wake(&mut conn, id).await.unwrap();
    let row = bench.row(id).await;
    assert!(row.due_at > row.now, "the lease is not touched");
    bench.world.gate.notify_one();
    bench.until(id, "succeeded").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn workflows_are_listed_newest_first_and_by_page(db: PgPool) {
    let bench = Bench::still(db).await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(bench.workflow(&format!("n{number}")).await);
    }
    made.reverse();
    let mut conn = bench.db.acquire().await.unwrap();
    let first = workflows::list(&mut conn, &Filter::default(), 3).await.unwrap();
    let last = first.last().map(|row| (row.created_at, row.id));
    let rest = workflows::list(&mut conn, &Filter { before: last, ..Filter::default() }, 3).await.unwrap();
    let seen: Vec<_> = first.iter().chain(&rest).map(|row| row.id).collect();
    assert_eq!(seen, made);
}
