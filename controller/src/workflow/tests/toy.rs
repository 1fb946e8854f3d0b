//! Toy steps and the world that they change: a counter per workflow and effect.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use helix_inventory::plan::{Plan, PlannedStep, StepKind, WorkflowKind};
use helix_inventory::profile::ProvisionSpec;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::app::App;
use crate::app::testing;
use crate::store::intents::IntentRow;
use crate::store::workflows::{self, WorkflowRow};
use crate::store::{StoreError, attempts, seed, steps};
use crate::workflow::context::StepContext;
use crate::workflow::course::{Course, End, Tidied};
use crate::workflow::effect::{ActError, Effect, EffectKind, Settled};
use crate::workflow::engine::Engine;
use crate::workflow::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::workflow::registry::Registry;
use crate::workflow::settings::Settings;
use crate::workflow::start::{NewWorkflow, start};
use crate::workflow::step::{Budget, Part, Sight, Step};

/// What a toy step does in one run.
#[derive(Debug, Clone)]
pub(super) enum Do {
    Done,
    Wait(u64),
    Retry,
    NeedsHuman,
    Failed,
    Panic,
    /// Has its effect unless it happened, then is done.
    Effect,
    /// Has its effect, but gets no answer to it.
    EffectUnanswered,
    /// Waits inside the step until the test opens the gate, then has its effect.
    Gate,
}

/// The world outside: what happened in it.
#[derive(Default)]
pub(super) struct World {
    /// Workflow → how often its effect happened.
    pub(super) effects: Mutex<HashMap<Uuid, u32>>,
    pub(super) gate: Notify,
    pub(super) at_gate: Notify,
    /// A step was told that its lease is lost.
    pub(super) lost: Notify,
    pub(super) runs: Mutex<Vec<(Uuid, StepKind)>>,
    pub(super) tidied: Mutex<HashSet<Uuid>>,
}

impl World {
    pub(super) fn happened(&self, workflow: Uuid) -> u32 {
        self.effects.lock().unwrap().get(&workflow).copied().unwrap_or_default()
    }

    pub(super) fn runs_of(&self, workflow: Uuid) -> Vec<StepKind> {
        self.runs.lock().unwrap().iter().filter(|(id, _)| *id == workflow).map(|(_, kind)| *kind).collect()
    }
}

/// A step that does, in its n-th run, what stands at n in the script; then the last entry for ever.
pub(super) struct Toy {
    pub(super) kind: StepKind,
    pub(super) script: Vec<Do>,
    pub(super) world: Arc<World>,
    pub(super) from: Option<StepKind>,
}

#[derive(Debug)]
pub(super) struct NoAnswer;

impl ActError for NoAnswer {
    fn outcome_unknown(&self) -> bool {
        true
    }

    fn into_stop(self) -> Stop {
        Outcome::Retry(Trouble::new("no_answer", "no answer")).into()
    }
}

const HOUR: Limit = Limit::minutes(60, "a test is shorter");

fn wait(seconds: u64) -> Outcome {
    Outcome::Wait(Wait {
        waits_for: "the toy".to_owned(),
        mark: "same".to_owned(),
        look_again: Duration::from_secs(1),
        limit: Limit::seconds(seconds, "the test says so"),
        then: "the toy needs a person".to_owned(),
        otherwise: Box::new(Outcome::NeedsHuman(Trouble::new("toy_stuck", "The toy made no progress."))),
        progress: None,
    })
}

#[async_trait]
impl Step for Toy {
    fn kind(&self) -> StepKind {
        self.kind
    }

    fn effects(&self) -> &'static [Part] {
        const PARTS: &[Part] = &[Part::usual(EffectKind::PowerOn)];
        PARTS
    }

    fn budget(&self) -> Budget {
        Budget { attempts: 3, whole: HOUR }
    }

    fn retry_from(&self) -> StepKind {
        self.from.unwrap_or(self.kind)
    }

    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop> {
        let workflow = ctx.workflow.id;
        let run = {
            let mut runs = self.world.runs.lock().unwrap();
            runs.push((workflow, self.kind));
            runs.iter().filter(|(id, kind)| *id == workflow && *kind == self.kind).count()
        };
        let what = self.script.get(run - 1).or(self.script.last()).cloned().unwrap_or(Do::Done);
        Ok(match what {
            Do::Done => Sight::Reached,
            Do::Wait(seconds) => wait(seconds).into(),
            Do::Retry => Outcome::Retry(Trouble::new("toy_hiccup", "The toy hiccuped.")).into(),
            Do::NeedsHuman => Outcome::NeedsHuman(Trouble::new("toy_asks", "The toy asks.")).into(),
            Do::Failed => Outcome::Failed(Trouble::new("toy_broken", "The toy is broken.")).into(),
            Do::Panic => panic!("the toy fell off the table"),
            Do::Gate => {
                self.world.at_gate.notify_one();
                self.world.gate.notified().await;
                Sight::Missing
            }
            Do::Effect | Do::EffectUnanswered => {
                let done = ctx.happened_ever(EffectKind::PowerOn).is_some();
                if done { Sight::Reached } else { Sight::Missing }
            }
        })
    }

    async fn act(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let workflow = ctx.workflow.id;
        let world = self.world.clone();
        let answered = !self.script.iter().any(|what| matches!(what, Do::EffectUnanswered));
        let act = async move {
            *world.effects.lock().unwrap().entry(workflow).or_default() += 1;
            if answered { Ok(()) } else { Err(NoAnswer) }
        };
        let done = ctx.effect(EffectKind::PowerOn, json!({}), json!({}), Box::pin(act)).await;
        if matches!(done, Err(Stop::LeaseLost)) {
            self.world.lost.notify_one();
        }
        done
    }
}

/// Looks into the world.
pub(super) struct ToyEffect(pub(super) Arc<World>);

#[async_trait]
impl Effect for ToyEffect {
    fn kind(&self) -> EffectKind {
        EffectKind::PowerOn
    }

    async fn settle(&self, ctx: &mut StepContext, _intent: &IntentRow) -> Result<Settled, Stop> {
        let happened = self.0.happened(ctx.workflow.id) > 0;
        Ok(if happened { Settled::Done(json!({})) } else { Settled::NotDone(json!({})) })
    }
}

struct ToyCourse(Arc<World>);

#[async_trait]
impl Course for ToyCourse {
    async fn ended(
        &self,
        _app: &Arc<App>,
        _conn: &mut PgConnection,
        _workflow: &WorkflowRow,
        _memory: &Value,
        _end: &End,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn tidy(&self, ctx: &mut StepContext) -> Result<Tidied, Stop> {
        self.0.tidied.lock().unwrap().insert(ctx.workflow.id);
        Ok(Tidied::Safe("the toy is back in its box".to_owned()))
    }

    fn left_behind(&self, _workflow: &WorkflowRow, _intents: &[IntentRow]) -> Option<String> {
        Some("the toy lies on the floor".to_owned())
    }
}

/// The steps that toys take the place of, in order.
pub(super) const KINDS: [StepKind; 3] = [StepKind::CheckPlan, StepKind::EjectMedia, StepKind::Validate];

/// A registry whose three steps do what the scripts say.
pub(super) fn registry(world: &Arc<World>, scripts: [Vec<Do>; 3]) -> Registry {
    let mut registry = Registry::new();
    for (kind, script) in KINDS.into_iter().zip(scripts) {
        registry.add_step(Toy { kind, script, world: world.clone(), from: None });
    }
    registry.add_effect(ToyEffect(world.clone()));
    registry.set_course(WorkflowKind::Provision, ToyCourse(world.clone()));
    registry
}

/// An engine at work on a test's database.
pub(super) struct Bench {
    pub(super) db: PgPool,
    pub(super) world: Arc<World>,
    pub(super) app: testing::TestApp,
}

impl Bench {
    /// Everything but the engine.
    pub(super) async fn still(db: PgPool) -> Self {
        let app = testing::app(db.clone()).await;
        Self { db, world: Arc::default(), app }
    }

    /// With an engine at work.
    pub(super) async fn start(db: PgPool, scripts: [Vec<Do>; 3]) -> Self {
        let bench = Self::still(db).await;
        let registry = registry(&bench.world, scripts);
        bench.run(registry, settings());
        bench
    }

    /// Sets an engine to work.
    pub(super) fn run(&self, registry: Registry, settings: Settings) {
        let engine = Engine::new(self.app.app.clone(), registry, settings);
        tokio::spawn(engine.run());
    }

    /// A new workflow over the three toy steps, on a node of its own.
    pub(super) async fn workflow(&self, name: &str) -> Uuid {
        let node = seed::node(&self.db, name).await;
        self.workflow_on(node, None).await
    }

    pub(super) async fn workflow_on(&self, node: Uuid, bulk: Option<Uuid>) -> Uuid {
        let mut conn = self.db.acquire().await.unwrap();
        let new = NewWorkflow {
            kind: WorkflowKind::Provision,
            node_id: node,
            plan: plan(),
            bulk_id: bulk,
            created_by: "test".to_owned(),
        };
        start(&mut conn, new).await.unwrap().id
    }

    pub(super) async fn row(&self, id: Uuid) -> WorkflowRow {
        let mut conn = self.db.acquire().await.unwrap();
        workflows::get(&mut conn, id).await.unwrap().unwrap()
    }

    pub(super) async fn steps(&self, id: Uuid) -> Vec<steps::StepRow> {
        let mut conn = self.db.acquire().await.unwrap();
        steps::of_workflow(&mut conn, id).await.unwrap()
    }

    pub(super) async fn attempts(&self, id: Uuid) -> Vec<attempts::AttemptRow> {
        let mut conn = self.db.acquire().await.unwrap();
        attempts::of_workflow(&mut conn, id).await.unwrap()
    }

    /// Waits until the workflow is in a state; fails with what it is in after half a minute.
    pub(super) async fn until(&self, id: Uuid, state: &str) -> WorkflowRow {
        self.until_that(id, state, |row| row.state == state).await
    }

    pub(super) async fn until_that(&self, id: Uuid, what: &str, holds: impl Fn(&WorkflowRow) -> bool) -> WorkflowRow {
        let mut listener = sqlx::postgres::PgListener::connect_with(&self.db).await.unwrap();
        listener.listen("helix_changes").await.unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let row = self.row(id).await;
            if holds(&row) {
                return row;
            }
            assert!(tokio::time::Instant::now() < deadline, "not {what} after 30 s: {row:#?}");
            // News, or half a second for what makes none.
            drop(tokio::time::timeout(Duration::from_millis(500), listener.recv()).await);
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.app.app.shutdown.cancel();
    }
}

/// A plan over the three toy steps.
pub(super) fn plan() -> Plan {
    let steps = KINDS
        .into_iter()
        .map(|kind| PlannedStep { kind, title: kind.title().to_owned(), effect: String::new(), destructive: false })
        .collect();
    Plan {
        kind: WorkflowKind::Provision,
        steps,
        facts_digest: String::new(),
        refusals: Vec::new(),
        warnings: Vec::new(),
        spec: Some(ProvisionSpec::default()),
    }
}

pub(super) fn settings() -> Settings {
    Settings { at_once: 16, kept_for_single: 2, ..Settings::default() }
}
