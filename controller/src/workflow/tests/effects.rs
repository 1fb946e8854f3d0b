//! Effects happen once, whatever happens in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::PgPool;

use super::toy::{Bench, Do, KINDS, World, registry, settings};
use crate::app::App;
use crate::store::{intents, seed};
use crate::workflow::crash;

/// Runs a workflow whose process dies once at the given moment (a panic stands for the death: what was in memory is
/// gone), and answers how often its effect happened.
async fn effects_with_death_at(db: &PgPool, moment: &'static str) -> u32 {
    let mut bench = Bench::still(db.clone()).await;
    let died = Arc::new(AtomicBool::new(false));
    let hook = {
        let died = died.clone();
        move |point: &crash::CrashPoint| {
            if point.moment == moment && !died.swap(true, Ordering::Relaxed) {
                panic!("killed at {moment}");
            }
        }
    };
    let app = Arc::get_mut(&mut bench.app.app).map(|app: &mut App| app.crash_hook = Some(Arc::new(hook)));
    assert!(app.is_some());
    bench.run(registry(&bench.world, [vec![Do::Done], vec![Do::Effect], vec![Do::Done]]), settings());
    let id = bench.workflow(&moment.replace('_', "-")).await;
    bench.until(id, "succeeded").await;
    assert!(died.load(Ordering::Relaxed), "{moment} was never reached");
    let mut conn = db.acquire().await.unwrap();
    let open = intents::of_workflow(&mut conn, id).await.unwrap();
    assert!(open.iter().all(|intent| intent.settled_at.is_some()), "an intent was left open");
    bench.world.happened(id)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_death_at_any_moment_loses_no_effect_and_repeats_none(db: PgPool) {
    for moment in crash::AROUND_EFFECT {
        assert_eq!(effects_with_death_at(&db, moment).await, 1, "{moment}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_effect_without_an_answer_is_looked_for_and_not_repeated(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Done], vec![Do::EffectUnanswered], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.until(id, "succeeded").await;
    assert_eq!(bench.world.happened(id), 1);
    let attempts = bench.attempts(id).await;
    assert_eq!(attempts.iter().filter(|attempt| attempt.position == 1).count(), 1, "the same attempt went on");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lost_lease_stops_the_writer(db: PgPool) {
    let bench = Bench::start(db, [vec![Do::Done], vec![Do::Gate], vec![Do::Done]]).await;
    let id = bench.workflow("n1").await;
    bench.world.at_gate.notified().await;
    seed::steal(&bench.db, id).await;
    let stolen = bench.row(id).await;
    bench.world.gate.notify_one();
    // The next write tells the step, unless the heartbeat dropped it before: that comes within a second.
    drop(tokio::time::timeout(std::time::Duration::from_secs(5), bench.world.lost.notified()).await);
    let row = bench.row(id).await;
    assert_eq!(bench.world.happened(id), 0, "the effect did not happen");
    assert_eq!((row.lease_owner, row.lease_epoch, row.step), (stolen.lease_owner, stolen.lease_epoch, 1));
    let mut conn = bench.db.acquire().await.unwrap();
    assert!(intents::of_workflow(&mut conn, id).await.unwrap().is_empty(), "nothing was announced");
}

#[sqlx::test(migrations = "../migrations")]
async fn two_drivers_do_each_effect_once(db: PgPool) {
    let bench = Bench::start(db.clone(), [vec![Do::Wait(600), Do::Done], vec![Do::Effect], vec![Do::Done]]).await;
    let other = Bench::still(db).await;
    other.app.app.clock.shift(chrono::TimeDelta::minutes(-7));
    other.run(registry(&bench.world, [vec![Do::Wait(600), Do::Done], vec![Do::Effect], vec![Do::Done]]), settings());
    let mut all = Vec::new();
    for number in 0..40 {
        all.push(bench.workflow(&format!("n{number}")).await);
    }
    for id in &all {
        bench.until(*id, "succeeded").await;
        assert_eq!(bench.world.happened(*id), 1);
        assert_eq!(bench.attempts(*id).await.len(), 3);
    }
}

#[test]
fn crash_points_come_from_the_registry() {
    let world = Arc::new(World::default());
    let points = crash::points(&registry(&world, [vec![], vec![], vec![]]), &KINDS);
    // Four moments around the toy's one effect, and one after each step.
    assert_eq!(points.len(), 3 * 5);
}

#[test]
fn every_effect_of_every_step_can_be_settled() {
    let registry = crate::workflow::registry();
    assert_eq!(registry.unsettleable(), []);
}
