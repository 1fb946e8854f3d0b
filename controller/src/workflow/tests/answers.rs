//! What people can answer: cancel, retry, skip.

use helix_inventory::plan::Plan;
use helix_inventory::profile::DiskChoice;
use sqlx::PgPool;

use super::toy::{Bench, Do, KINDS, Toy, registry, settings};
use crate::store::audit;
use crate::workflow::answer::{self, AnswerError, Cancelled, RetryOptions};
use crate::workflow::registry::Registry;

async fn retry(bench: &Bench, registry: &Registry, id: uuid::Uuid, options: &RetryOptions) -> Result<(), AnswerError> {
    let row = bench.row(id).await;
    let mut tx = bench.db.begin().await.unwrap();
    let done = answer::retry_in(&mut tx, registry, &row, "ada", options).await;
    tx.commit().await.unwrap();
    done
}

#[sqlx::test(migrations = "../migrations")]
async fn a_retry_has_a_fresh_budget_and_goes_on_from_the_step(db: PgPool) {
    let script = vec![Do::Retry, Do::Retry, Do::Retry, Do::Retry, Do::Done];
    let bench = Bench::start(db, [vec![Do::Done], script, vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "needs_human").await;
    retry(&bench, &registry(&bench.world, [vec![], vec![], vec![]]), id, &RetryOptions::default()).await.unwrap();
    bench.until(id, "succeeded").await;
    let runs = bench.world.runs_of(id);
    assert_eq!(runs.iter().filter(|kind| **kind == KINDS[0]).count(), 1, "the step before was not run again");
    assert_eq!(runs.iter().filter(|kind| **kind == KINDS[1]).count(), 5);
    let lines = audit::page(&bench.db, None, None, 10).await.unwrap();
    assert_eq!((lines[0].actor.as_str(), lines[0].action.as_str()), ("ada", "workflow.retry"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_step_whose_means_are_spent_starts_over_from_an_earlier_one(db: PgPool) {
    let bench = Bench::still(db).await;
    let mut registry = registry(&bench.world, [vec![Do::Done], vec![Do::Done], vec![]]);
    let script = vec![Do::Retry, Do::Done];
    registry.add_step(Toy { kind: KINDS[2], script, world: bench.world.clone(), from: Some(KINDS[1]) });
    bench.run(registry, settings());
    let id = bench.workflow("n1").await;
    bench.until(id, "succeeded").await;
    assert_eq!(bench.world.runs_of(id), [KINDS[0], KINDS[1], KINDS[2], KINDS[1], KINDS[2]]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_retry_can_choose_another_disk_and_the_plan_keeps_it(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::NeedsHuman, Do::Done], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "needs_human").await;
    let options = RetryOptions {
        disk: Some(DiskChoice { serial: Some("PHYJ1".into()), ..DiskChoice::default() }),
        wipe_conflicting: true,
    };
    retry(&bench, &registry(&bench.world, [vec![], vec![], vec![]]), id, &options).await.unwrap();
    let row = bench.until(id, "succeeded").await;
    let spec = serde_json::from_value::<Plan>(row.plan).unwrap().spec.unwrap();
    assert_eq!(spec.disk.serial.as_deref(), Some("PHYJ1"));
    assert!(spec.wipe_conflicting);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cancel_ends_at_the_next_safe_point_with_the_node_tidied_up(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Wait(3600)], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "waiting").await;
    let row = bench.row(id).await;
    let mut tx = bench.db.begin().await.unwrap();
    let all = registry(&bench.world, [vec![], vec![], vec![]]);
    let done = answer::cancel_in(&bench.app.app, &mut tx, &all, &row, "ada", false, Some("wrong image")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(done, Cancelled::Requested);
    let row = bench.until(id, "cancelled").await;
    assert!(bench.world.tidied.lock().unwrap().contains(&id));
    assert_eq!(row.left_behind.as_deref(), Some("the toy is back in its box"));
    assert_eq!(row.cancelled_by.as_deref(), Some("ada"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cancel_reaches_one_that_waits_for_a_person(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::NeedsHuman], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "needs_human").await;
    answer::cancel(&bench.app.app, id, "ada", false, None).await.unwrap();
    bench.until(id, "cancelled").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cancel_now_ends_at_once_and_says_what_lies_about(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Done], vec![Do::Gate], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.world.at_gate.notified().await;
    let row = bench.row(id).await;
    let mut tx = bench.db.begin().await.unwrap();
    let all = registry(&bench.world, [vec![], vec![], vec![]]);
    let done = answer::cancel_in(&bench.app.app, &mut tx, &all, &row, "ada", true, None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(done, Cancelled::Abandoned { left_behind: Some("the toy lies on the floor".to_owned()) });
    bench.world.gate.notify_one();
    let row = bench.row(id).await;
    assert_eq!(row.state, "cancelled");
    assert_eq!(row.left_behind.as_deref(), Some("the toy lies on the floor"));
    let refused = answer::cancel(&bench.app.app, id, "ada", false, None).await.unwrap_err();
    assert_eq!(refused.code(), "workflow_finished");
}

#[sqlx::test(migrations = "../migrations")]
async fn only_steps_that_say_so_may_be_skipped_and_the_consequence_is_told(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::NeedsHuman, Do::Done], vec![Do::NeedsHuman], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "needs_human").await;
    let refused = answer::skip(&bench.app.app, id, "ada").await.unwrap_err();
    assert_eq!(refused.code(), "step_not_skippable");
    retry(&bench, &registry(&bench.world, [vec![], vec![], vec![]]), id, &RetryOptions::default()).await.unwrap();
    bench.until_that(id, "at the second step", |row| row.state == "needs_human" && row.step == 1).await;
    let told = answer::skip(&bench.app.app, id, "ada").await.unwrap();
    assert!(told.contains("stays inserted"), "{told}");
    bench.until(id, "succeeded").await;
    let step = &bench.steps(id).await[1];
    assert_eq!(step.state, "skipped");
    assert!(step.message.as_deref().unwrap().contains("ada"));
}
