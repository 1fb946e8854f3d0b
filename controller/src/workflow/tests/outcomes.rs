//! What each outcome of a step leads to.

use sqlx::PgPool;

use super::toy::{Bench, Do, KINDS};
use crate::store::events;

#[sqlx::test(migrations = "../migrations")]
async fn steps_run_in_the_order_of_the_plan(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Done], vec![Do::Effect], vec![Do::Wait(600), Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "succeeded").await;
    let mut seen = bench.world.runs_of(id);
    seen.dedup();
    assert_eq!(seen, KINDS);
    assert!(bench.steps(id).await.iter().all(|step| step.state == "done"));
    assert_eq!(bench.world.happened(id), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wait_says_for_what_since_when_until_when_and_what_then(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Wait(3600)], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    let row = bench.until(id, "waiting").await;
    assert_eq!(row.waits_for.as_deref(), Some("the toy"));
    assert!(row.waits_since.is_some());
    assert!(row.waits_until.unwrap() > row.now);
    assert_eq!(row.then_what.as_deref(), Some("the toy needs a person"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wait_without_progress_becomes_what_it_said(db: PgPool) {
    // 60 s at sixty times the speed.
    let bench = Bench::start(db, [vec![Do::Wait(60)], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    let row = bench.until(id, "needs_human").await;
    assert_eq!(row.error_code.as_deref(), Some("toy_stuck"));
    assert!(row.waits_until.is_none(), "nothing is due until somebody answers");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_transient_error_is_tried_again_and_forgotten(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Retry, Do::Retry, Do::Done], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "succeeded").await;
    let attempts = bench.attempts(id).await;
    let first: Vec<_> = attempts.iter().filter(|a| a.position == 0).map(|a| a.outcome.as_deref().unwrap()).collect();
    assert_eq!(first, ["retry", "retry", "done"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_spent_budget_asks_a_person_and_says_how_often_it_was_tried(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Retry], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    let row = bench.until(id, "needs_human").await;
    assert_eq!(row.error_message.as_deref(), Some("The toy hiccuped. (tried 3 times)"));
    assert_eq!(bench.attempts(id).await.len(), 3);
    let next = row.error_next.to_string();
    assert!(next.contains(&format!("helixctl workflow retry {}", row.public_id)), "{next}");
    assert!(next.contains("helixctl workflow cancel"), "{next}");
    let mut conn = bench.db.acquire().await.unwrap();
    let told = events::of_node(&mut conn, row.node_id, None, 10).await.unwrap();
    assert!(told[0].message.contains("needs a person"), "{}", told[0].message);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_panic_is_a_failed_attempt_and_takes_nobody_along(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Panic, Do::Done], vec![Do::Done], vec![Do::Done]]).await;
    let one = bench.workflow("n1").await;
    let other = bench.workflow("n2").await;
    bench.until(one, "succeeded").await;
    bench.until(other, "succeeded").await;
    let attempts = bench.attempts(one).await;
    assert_eq!(attempts[0].error_code.as_deref(), Some("step_panicked"));
    assert!(attempts[0].error_message.as_deref().unwrap().contains("the toy fell off the table"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_plan_that_cannot_work_ends_failed_with_the_reason(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Failed], vec![Do::Done], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    let row = bench.until(id, "failed").await;
    assert_eq!(row.error_code.as_deref(), Some("toy_broken"));
    assert!(row.finished_at.is_some());
    let states: Vec<_> = bench.steps(id).await.into_iter().map(|step| step.state).collect();
    assert_eq!(states, ["failed", "pending", "pending"]);
}
