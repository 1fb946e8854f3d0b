//! Any order of outcomes, deaths and answers ends, or waits for a person with a way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sqlx::PgPool;

use super::toy::{Bench, Do, registry, settings};
use crate::app::App;
use crate::store::intents;
use crate::workflow::answer::{self, RetryOptions};
use crate::workflow::crash;
use crate::workflow::registry::Registry;

/// Answers of a person before the person gives up and cancels.
const PATIENCE: u32 = 3;

/// Workflows a seed.
const WORKFLOWS: u32 = 8;

fn script(rng: &mut StdRng) -> Vec<Do> {
    let all = [
        Do::Done,
        Do::Wait(600),
        Do::Wait(1),
        Do::Retry,
        Do::NeedsHuman,
        Do::Panic,
        Do::Effect,
        Do::Effect,
        Do::Failed,
    ];
    let length = rng.random_range(1..=5);
    let mut script: Vec<_> = (0..length).filter_map(|_| all.choose(rng).cloned()).collect();
    // Every script comes to an end some time.
    script.push(if rng.random_bool(0.7) { Do::Done } else { Do::NeedsHuman });
    script
}

async fn one_seed(db: &PgPool, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bench = Bench::still(db.clone()).await;
    let passed = Arc::new(AtomicU32::new(0));
    let deadly = rng.random_range(3..9);
    let hook = move |point: &crash::CrashPoint| {
        // A panic stands for a death: what was in memory is gone.
        assert!(passed.fetch_add(1, Ordering::Relaxed) % deadly != deadly - 1, "dies at {}", point.moment);
    };
    let set = Arc::get_mut(&mut bench.app.app).map(|app: &mut App| app.crash_hook = Some(Arc::new(hook)));
    assert!(set.is_some());
    let scripts = [script(&mut rng), script(&mut rng), script(&mut rng)];
    let told = format!("seed {seed}, dying at every {deadly}th point: {scripts:?}");
    bench.run(registry(&bench.world, scripts), settings());
    let nothing: Registry = registry(&bench.world, [vec![], vec![], vec![]]);
    let mut all = Vec::new();
    for number in 0..WORKFLOWS {
        all.push(bench.workflow(&format!("s{seed}n{number}")).await);
    }
    for id in all {
        let mut answers = 0;
        let end = loop {
            let row = bench
                .until_that(id, "an end or a question", |row| {
                    matches!(row.state.as_str(), "succeeded" | "failed" | "cancelled" | "needs_human")
                })
                .await;
            if row.state != "needs_human" {
                break row;
            }
            assert!(!row.error_next.as_array().unwrap().is_empty(), "a question without a way out; {told}");
            answers += 1;
            if answers > PATIENCE {
                answer::cancel(&bench.app.app, id, "ada", false, None).await.unwrap();
                bench.until_that(id, "no question", |row| row.state != "needs_human").await;
                continue;
            }
            let mut tx = bench.db.begin().await.unwrap();
            answer::retry_in(&mut tx, &nothing, &row, "ada", &RetryOptions::default()).await.unwrap();
            tx.commit().await.unwrap();
        };
        assert!(bench.world.happened(id) <= 1, "an effect happened twice; {told}");
        let mut conn = bench.db.acquire().await.unwrap();
        let announced = intents::of_workflow(&mut conn, id).await.unwrap();
        let open = announced.iter().any(|intent| intent.settled_at.is_none());
        assert!(!open || end.state != "succeeded", "an effect was never settled; {told}");
        let over = bench.steps(id).await.into_iter().find(|step| step.attempts_since_person > 3);
        assert!(over.is_none(), "a budget was exceeded: {over:?}; {told}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn any_order_of_outcomes_deaths_and_answers_ends_or_asks_with_a_way_out(db: PgPool) {
    for seed in 0..8 {
        one_seed(&db, seed).await;
    }
}
