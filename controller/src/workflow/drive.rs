//! Driving one workflow: from the claim to a wait, a question or the end.
//!
//! A slice runs under one lease. It loads the row, carries out a cancel, settles intents that a crash left open, runs
//! the step at work, and writes what came of it together with the lease's end. A panic in a step is a failed attempt.

use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use helix_inventory::plan::{Plan, StepKind, WorkflowKind};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::context::StepContext;
use super::course::{End, Tidied};
use super::crash;
use super::effect::{EffectKind, Settled};
use super::engine::Engine;
use super::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use super::step::{Budget, Sight, Step};
use crate::store::events::{self, NewEvent};
use crate::store::leases::{self, Lease};
use crate::store::steps::StepRow;
use crate::store::workflows::{self, ErrorRow, WaitRow, WorkflowRow};
use crate::store::{StoreError, attempts, intents, node_state, steps};

/// Pause between two tries of tidying up after a cancel when something was in the way.
const TIDY_AGAIN: Duration = Duration::from_secs(10);

/// Whether the slice goes on with the next step.
enum Next {
    Step,
    Released,
}

/// Everything that was read for a run.
struct Loaded {
    workflow: WorkflowRow,
    steps: Vec<StepRow>,
    plan: Plan,
    kind: WorkflowKind,
}

impl Engine {
    /// Drives one claimed workflow until it lets go of it.
    pub(super) async fn drive(self: Arc<Self>, lease: Lease) {
        loop {
            match self.slice(lease).await {
                Ok(Next::Step) if self.shutdown.is_cancelled() => {
                    // A safe point: whoever starts next goes on from here.
                    self.give_up(lease).await;
                    return;
                }
                Ok(Next::Step) => {}
                Ok(Next::Released) => return,
                Err(Stop::LeaseLost) => {
                    tracing::warn!(workflow = %lease.workflow, epoch = lease.epoch, "lease lost: dropped");
                    return;
                }
                Err(Stop::Store(error)) => {
                    tracing::warn!(workflow = %lease.workflow, error = %error, "drive workflow: database");
                    self.give_up(lease).await;
                    return;
                }
                // Steps' outcomes are applied inside the slice; this cannot be one.
                Err(Stop::Outcome(outcome)) => {
                    tracing::error!(workflow = %lease.workflow, ?outcome, "outcome outside a step");
                    self.give_up(lease).await;
                    return;
                }
            }
        }
    }

    async fn give_up(&self, lease: Lease) {
        let done = async {
            let mut conn = self.db.acquire().await?;
            leases::give_up(&mut conn, lease).await
        };
        if let Err(error) = done.await {
            tracing::warn!(workflow = %lease.workflow, %error, "give a lease back");
        }
    }

    async fn slice(self: &Arc<Self>, lease: Lease) -> Result<Next, Stop> {
        let loaded_at = Instant::now();
        let mut conn = self.db.acquire().await?;
        let Some(loaded) = load(&mut conn, lease).await? else {
            // Nothing that this version can run: it must not be claimed over and over.
            drop(conn);
            return self.unreadable(lease).await;
        };
        if loaded.workflow.lease_epoch != lease.epoch || loaded.workflow.lease_owner != Some(lease.owner) {
            return Err(Stop::LeaseLost);
        }
        let Some(node) = node_state::brief(&mut conn, loaded.workflow.node_id).await? else {
            return Err(Stop::LeaseLost);
        };
        let position = loaded.workflow.step;
        let at = usize::try_from(position).unwrap_or_default();
        let Some(planned) = loaded.plan.steps.get(at) else {
            drop(conn);
            return self.finish(lease, &loaded, End::Succeeded).await;
        };
        let row = loaded.steps.get(at).ok_or(StoreError::NotFound { what: "step of the workflow" })?;
        let kind = planned.kind;
        let Some(step) = self.registry.step(kind).cloned() else {
            drop(conn);
            let trouble =
                Trouble::new("step_unknown", format!("This version of Helix has no step \"{}\".", kind.title()))
                    .next("Run the version that made the plan, or cancel the workflow and plan again.");
            return self.ask(lease, &loaded, position, trouble).await;
        };
        let open = attempts::open(&mut conn, lease.workflow, position).await?;
        let all_intents = intents::of_workflow(&mut conn, lease.workflow).await?;
        drop(conn);
        let fresh = open.is_none();
        let (attempt, row) = match open {
            Some(attempt) => (attempt, row.clone()),
            None => self.begin_attempt(lease, &loaded, position).await?,
        };
        let memory = match &loaded.workflow.memory {
            Value::Object(map) => map.clone(),
            _ => Map::new(),
        };
        let mut ctx = StepContext {
            engine: self.clone(),
            lease,
            kind,
            loaded: loaded_at,
            workflow: loaded.workflow.clone(),
            plan: loaded.plan.clone(),
            node,
            step: row,
            attempt,
            intents: all_intents,
            memory,
        };
        let run = async {
            self.settle_open(&mut ctx).await?;
            if ctx.workflow.cancel_requested_at.is_some() {
                return self.tidy(&mut ctx, loaded.kind).await;
            }
            Ok(Some(run_step(&*step, &mut ctx).await?))
        };
        let outcome = match AssertUnwindSafe(Box::pin(run)).catch_unwind().await {
            Ok(Ok(Some(outcome))) => outcome,
            Ok(Ok(None)) => return self.cancelled(lease, &loaded, &ctx).await,
            Ok(Err(Stop::Outcome(outcome))) => *outcome,
            Ok(Err(other)) => return Err(other),
            Err(panic) => Outcome::Retry(Trouble::new(
                "step_panicked",
                format!("{} stopped with a fault in Helix: {}", kind.title(), panic_text(&*panic)),
            )),
        };
        if ctx.workflow.cancel_requested_at.is_some() {
            return self.tidy_later(lease, &loaded, &ctx, outcome).await;
        }
        self.apply(lease, &loaded, &*step, &ctx, outcome, fresh).await
    }

    /// Begins an attempt: the row says "running" from here.
    async fn begin_attempt(
        &self,
        lease: Lease,
        loaded: &Loaded,
        position: i32,
    ) -> Result<(attempts::AttemptRow, StepRow), Stop> {
        let mut tx = self.db.begin().await?;
        if !workflows::running(&mut tx, lease, position).await? {
            return Err(Stop::LeaseLost);
        }
        let number = steps::begin(&mut tx, lease.workflow, position).await?;
        if let Some(course) = self.registry.course(loaded.kind).filter(|_| position == 0 && number == 1) {
            course.begun(&mut tx, &loaded.workflow).await?;
        }
        let attempt = attempts::insert(&mut tx, Uuid::now_v7(), lease.workflow, position, number).await?;
        let rows = steps::of_workflow(&mut tx, lease.workflow).await?;
        tx.commit().await?;
        let row = rows.into_iter().find(|row| row.position == position).ok_or(Stop::LeaseLost)?;
        Ok((attempt, row))
    }

    /// Settles what a crash or a time-out left open, by looking at the world.
    async fn settle_open(&self, ctx: &mut StepContext) -> Result<(), Stop> {
        let open: Vec<_> = ctx.intents.iter().filter(|intent| intent.settled_at.is_none()).cloned().collect();
        for intent in open {
            let effect = EffectKind::parse(&intent.effect).and_then(|kind| self.registry.effect(kind)).cloned();
            let Some(effect) = effect else {
                return Err(Outcome::NeedsHuman(Trouble::new(
                    "intent_unknown",
                    format!(
                        "An earlier run announced \"{}\", and this version cannot tell whether it happened.",
                        intent.effect
                    ),
                ))
                .into());
            };
            match effect.settle(ctx, &intent).await? {
                Settled::Done(detail) => {
                    ctx.settle(intent.id, "done", Some(detail)).await?;
                    self.crash_point(&crash::around(ctx.kind, crash::AFTER_SETTLE, effect.kind(), true));
                }
                Settled::NotDone(detail) => ctx.settle(intent.id, "not_done", Some(detail)).await?,
                Settled::Unclear(wait) => return Err(Outcome::Wait(wait).into()),
            }
        }
        Ok(())
    }

    /// Writes what the run came to.
    async fn apply(
        &self,
        lease: Lease,
        loaded: &Loaded,
        step: &dyn Step,
        ctx: &StepContext,
        outcome: Outcome,
        fresh: bool,
    ) -> Result<Next, Stop> {
        let outcome = self.past_deadline(step.budget(), ctx, outcome, fresh);
        match outcome {
            Outcome::Done(line) => self.step_done(lease, loaded, ctx, line.as_deref()).await,
            Outcome::Wait(wait) => self.wait(lease, ctx, &wait).await,
            Outcome::Retry(trouble) => self.try_again(lease, loaded, step, ctx, trouble).await,
            Outcome::NeedsHuman(trouble) => self.ask(lease, loaded, ctx.step.position, trouble).await,
            Outcome::Failed(trouble) => {
                let mut tx = self.db.begin().await?;
                let position = ctx.step.position;
                steps::set(&mut tx, lease.workflow, position, "failed", Some(&trouble.message)).await?;
                attempts::end(&mut tx, lease.workflow, position, "failed", Some((&trouble.code, &trouble.message)))
                    .await?;
                self.end_in(&mut tx, lease, loaded, &ctx.memory(), End::Failed(trouble), None).await?;
                tx.commit().await?;
                Ok(Next::Released)
            }
        }
    }

    /// A wait that has run out becomes what it said it would; a step over its own limit asks a person.
    fn past_deadline(&self, budget: Budget, ctx: &StepContext, outcome: Outcome, fresh: bool) -> Outcome {
        let Outcome::Wait(wait) = outcome else { return outcome };
        let same = !fresh && ctx.step.progress_mark.as_deref() == Some(wait.mark.as_str());
        let stalled = ctx.step.progress_at.filter(|_| same).map(|at| ctx.since(at)).unwrap_or_default();
        if stalled >= wait.limit.after {
            return match *wait.otherwise {
                Outcome::Wait(_) => Outcome::NeedsHuman(Trouble::new("no_progress", wait.waits_for)),
                other => other,
            };
        }
        let in_all = ctx.step.started_at.map(|at| ctx.since(at)).unwrap_or_default();
        if in_all >= budget.whole.after {
            let trouble = Trouble::new(
                "step_deadline",
                format!(
                    "{} has taken longer than {} in all and still waits for {}.",
                    ctx.kind.title(),
                    in_words(budget.whole.after),
                    wait.waits_for
                ),
            )
            .why(format!("The limit is {}.", budget.whole.reason));
            return Outcome::NeedsHuman(trouble.next(format!("helixctl workflow retry {}", ctx.workflow.public_id)));
        }
        Outcome::Wait(wait)
    }

    async fn step_done(
        &self,
        lease: Lease,
        loaded: &Loaded,
        ctx: &StepContext,
        line: Option<&str>,
    ) -> Result<Next, Stop> {
        let position = ctx.step.position;
        let mut tx = self.db.begin().await?;
        let last = usize::try_from(position + 1).unwrap_or_default() >= loaded.plan.steps.len();
        if !last && !workflows::running(&mut tx, lease, position + 1).await? {
            return Err(Stop::LeaseLost);
        }
        steps::set(&mut tx, lease.workflow, position, "done", line).await?;
        attempts::end(&mut tx, lease.workflow, position, "done", None).await?;
        if last {
            self.end_in(&mut tx, lease, loaded, &ctx.memory(), End::Succeeded, None).await?;
        }
        tx.commit().await?;
        self.crash_point(&crash::between(ctx.kind));
        Ok(if last { Next::Released } else { Next::Step })
    }

    async fn wait(&self, lease: Lease, ctx: &StepContext, wait: &Wait) -> Result<Next, Stop> {
        let same = ctx.step.progress_mark.as_deref() == Some(wait.mark.as_str());
        let stalled = ctx.step.progress_at.filter(|_| same).map(|at| ctx.since(at)).unwrap_or_default();
        let left = wait.limit.after.saturating_sub(stalled);
        let mut tx = self.db.begin().await?;
        let row = WaitRow {
            waits_for: &wait.waits_for,
            until_seconds: Some(self.clock.scaled(left).as_secs_f64()),
            then_what: &wait.then,
            look_again_seconds: self.clock.scaled(wait.look_again.min(left)).as_secs_f64(),
        };
        if !workflows::wait(&mut tx, lease, &row).await? {
            return Err(Stop::LeaseLost);
        }
        let position = ctx.step.position;
        steps::wait(&mut tx, lease.workflow, position, &wait.mark, wait.progress.as_ref(), &wait.waits_for).await?;
        tx.commit().await?;
        Ok(Next::Released)
    }

    /// Ends the attempt and waits for the next one, or asks a person when the budget is spent.
    async fn try_again(
        &self,
        lease: Lease,
        loaded: &Loaded,
        step: &dyn Step,
        ctx: &StepContext,
        trouble: Trouble,
    ) -> Result<Next, Stop> {
        let budget = step.budget();
        let made = ctx.step.attempts_since_person;
        if made >= budget.attempts {
            let mut trouble = trouble;
            trouble.message = format!("{} (tried {made} times)", trouble.message);
            return self.ask(lease, loaded, ctx.step.position, trouble).await;
        }
        let pause = self.back_off(made);
        let title = step.kind().title();
        let from = step.retry_from();
        let back = loaded.plan.steps.iter().position(|planned| planned.kind == from);
        let back = back.and_then(|at| i32::try_from(at).ok()).filter(|at| *at < ctx.step.position);
        let waits_for = match back {
            Some(_) => {
                format!("attempt {} of {} of \"{title}\", from \"{}\" on", made + 1, budget.attempts, from.title())
            }
            None => format!("attempt {} of {} of \"{title}\"", made + 1, budget.attempts),
        };
        let seconds = pause.as_secs_f64();
        let mut tx = self.db.begin().await?;
        if let Some(at) = back {
            if !workflows::running(&mut tx, lease, at).await? {
                return Err(Stop::LeaseLost);
            }
            steps::rewind(&mut tx, lease.workflow, at).await?;
        }
        let row = WaitRow {
            waits_for: &waits_for,
            until_seconds: Some(seconds),
            then_what: "it is tried again",
            look_again_seconds: seconds,
        };
        if !workflows::wait(&mut tx, lease, &row).await? {
            return Err(Stop::LeaseLost);
        }
        let position = ctx.step.position;
        attempts::end(&mut tx, lease.workflow, position, "retry", Some((&trouble.code, &trouble.message))).await?;
        steps::set(&mut tx, lease.workflow, position, "waiting", Some(&trouble.message)).await?;
        tx.commit().await?;
        Ok(Next::Released)
    }

    /// Puts the question to a person.
    async fn ask(&self, lease: Lease, loaded: &Loaded, position: i32, trouble: Trouble) -> Result<Next, Stop> {
        let public_id = &loaded.workflow.public_id;
        let mut trouble = trouble;
        let retry = format!("helixctl workflow retry {public_id}");
        if !trouble.next.iter().any(|next| next.starts_with("helixctl workflow retry")) {
            trouble.next.push(retry);
        }
        let cancel = format!("helixctl workflow cancel {public_id}");
        if !trouble.next.contains(&cancel) {
            trouble.next.push(cancel);
        }
        let mut tx = self.db.begin().await?;
        if !workflows::needs_human(&mut tx, lease, &error_row(&trouble)).await? {
            return Err(Stop::LeaseLost);
        }
        steps::set(&mut tx, lease.workflow, position, "needs_human", Some(&trouble.message)).await?;
        attempts::end(&mut tx, lease.workflow, position, "needs_human", Some((&trouble.code, &trouble.message)))
            .await?;
        let title = loaded.steps.iter().find(|step| step.position == position).map_or("", |step| step.title.as_str());
        let message = format!("{public_id} needs a person at \"{title}\": {}", trouble.message);
        event(&mut tx, &loaded.workflow, "warning", &trouble.code, &message).await?;
        tx.commit().await?;
        Ok(Next::Released)
    }

    async fn finish(&self, lease: Lease, loaded: &Loaded, end: End) -> Result<Next, Stop> {
        let mut tx = self.db.begin().await?;
        self.end_in(&mut tx, lease, loaded, &loaded.workflow.memory, end, None).await?;
        tx.commit().await?;
        Ok(Next::Released)
    }

    /// The end of a workflow and what it means for the node, in one transaction.
    async fn end_in(
        &self,
        conn: &mut PgConnection,
        lease: Lease,
        loaded: &Loaded,
        memory: &Value,
        end: End,
        left_behind: Option<&str>,
    ) -> Result<(), Stop> {
        let (state, error) = match &end {
            End::Succeeded => ("succeeded", ErrorRow { next: Value::Array(Vec::new()), ..ErrorRow::default() }),
            End::Failed(trouble) => ("failed", error_row(trouble)),
            End::Cancelled { .. } => ("cancelled", ErrorRow { next: Value::Array(Vec::new()), ..ErrorRow::default() }),
        };
        if !workflows::finish(&mut *conn, lease, state, &error, left_behind).await? {
            return Err(Stop::LeaseLost);
        }
        if let Some(course) = self.registry.course(loaded.kind) {
            course.ended(&self.app, &mut *conn, &loaded.workflow, memory, &end).await?;
        }
        let public_id = &loaded.workflow.public_id;
        let kind = &loaded.workflow.kind;
        match &end {
            End::Succeeded if !loaded.workflow.mutating => {}
            End::Succeeded => {
                let message = format!("{kind} {public_id} succeeded");
                event(conn, &loaded.workflow, "info", "workflow_succeeded", &message).await?;
            }
            End::Failed(trouble) => {
                let message = format!("{kind} {public_id} failed: {}", trouble.message);
                event(conn, &loaded.workflow, "critical", &trouble.code, &message).await?;
            }
            End::Cancelled { reason } => {
                let why = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let message = format!("{kind} {public_id} was cancelled{why}");
                event(conn, &loaded.workflow, "info", "workflow_cancelled", &message).await?;
            }
        }
        Ok(())
    }

    /// Carries out a cancel. `None`: the node is safe.
    async fn tidy(&self, ctx: &mut StepContext, kind: WorkflowKind) -> Result<Option<Outcome>, Stop> {
        let Some(course) = self.registry.course(kind).cloned() else { return Ok(None) };
        match course.tidy(ctx).await? {
            Tidied::Safe(words) => {
                ctx.memory.insert("left_behind".to_owned(), Value::String(words));
                Ok(None)
            }
            Tidied::Wait(wait) => Ok(Some(Outcome::Wait(wait))),
        }
    }

    /// Tidying up is not through: again later, or give up and say what lies about.
    async fn tidy_later(
        &self,
        lease: Lease,
        loaded: &Loaded,
        ctx: &StepContext,
        outcome: Outcome,
    ) -> Result<Next, Stop> {
        let since = loaded.workflow.cancel_requested_at.map(|at| ctx.since(at)).unwrap_or_default();
        let trouble = match outcome {
            Outcome::Wait(mut wait) if since < self.settings.tidy => {
                wait.waits_for = format!("the cancel to be carried out: {}", wait.waits_for);
                return self.wait(lease, ctx, &wait).await;
            }
            Outcome::Wait(wait) => Trouble::new("tidy_deadline", wait.waits_for),
            Outcome::Retry(trouble) | Outcome::NeedsHuman(trouble) | Outcome::Failed(trouble) => trouble,
            Outcome::Done(_) => return self.cancelled(lease, loaded, ctx).await,
        };
        if since < self.settings.tidy {
            let wait = Wait {
                waits_for: format!("the cancel to be carried out: {}", trouble.message),
                mark: format!("tidy:{}", trouble.code),
                look_again: TIDY_AGAIN,
                limit: Limit { after: self.settings.tidy, reason: "the limit on tidying up after a cancel" },
                then: "the workflow ends and says what is left behind".to_owned(),
                otherwise: Box::new(Outcome::Failed(trouble)),
                progress: None,
            };
            return self.wait(lease, ctx, &wait).await;
        }
        let course = self.registry.course(loaded.kind);
        let left = course.and_then(|course| course.left_behind(&ctx.workflow, &ctx.intents));
        let left = format!("{}; the cancel could not tidy up: {}", left.unwrap_or_default(), trouble.message);
        self.end_cancelled(lease, loaded, ctx, left.trim_start_matches("; ")).await
    }

    async fn cancelled(&self, lease: Lease, loaded: &Loaded, ctx: &StepContext) -> Result<Next, Stop> {
        let words = ctx.recall::<String>("left_behind").unwrap_or_default();
        self.end_cancelled(lease, loaded, ctx, &words).await
    }

    async fn end_cancelled(&self, lease: Lease, loaded: &Loaded, ctx: &StepContext, left: &str) -> Result<Next, Stop> {
        let mut tx = self.db.begin().await?;
        let position = ctx.step.position;
        attempts::end(&mut tx, lease.workflow, position, "cancelled", None).await?;
        steps::set(&mut tx, lease.workflow, position, "failed", Some("cancelled")).await?;
        let end = End::Cancelled { reason: loaded.workflow.cancel_reason.clone() };
        let left = Some(left).filter(|left| !left.is_empty());
        self.end_in(&mut tx, lease, loaded, &ctx.memory(), end, left).await?;
        tx.commit().await?;
        Ok(Next::Released)
    }

    /// A row that this version cannot read: a person is asked, instead of looking at it for ever.
    async fn unreadable(&self, lease: Lease) -> Result<Next, Stop> {
        let trouble =
            Trouble::new("plan_unreadable", "The plan of this workflow cannot be read by this version of Helix.");
        let mut tx = self.db.begin().await?;
        if !workflows::needs_human(&mut tx, lease, &error_row(&trouble)).await? {
            return Err(Stop::LeaseLost);
        }
        tx.commit().await?;
        Ok(Next::Released)
    }

    /// Pause before attempt number `made + 1`: doubled each time, with jitter between half and all of it, so that a rack
    /// that failed together does not come back together.
    fn back_off(&self, made: i32) -> Duration {
        let doublings = u32::try_from(made - 1).unwrap_or_default().min(16);
        let planned = self.settings.first_back_off.saturating_mul(1 << doublings).min(self.settings.longest_back_off);
        self.clock.scaled(planned.mul_f64(rand::random_range(0.5..=1.0)))
    }
}

async fn load(conn: &mut PgConnection, lease: Lease) -> Result<Option<Loaded>, Stop> {
    let Some(workflow) = workflows::get(&mut *conn, lease.workflow).await? else { return Err(Stop::LeaseLost) };
    let steps = steps::of_workflow(conn, lease.workflow).await?;
    let plan = serde_json::from_value::<Plan>(workflow.plan.clone());
    let kind = WorkflowKind::from_str(&workflow.kind);
    Ok(match (plan, kind) {
        (Ok(plan), Ok(kind)) => Some(Loaded { workflow, steps, plan, kind }),
        _ => None,
    })
}

async fn run_step(step: &dyn Step, ctx: &mut StepContext) -> Result<Outcome, Stop> {
    match step.observe(ctx).await? {
        Sight::Outcome(outcome) => return Ok(*outcome),
        Sight::Reached => {}
        Sight::Missing => step.act(ctx).await?,
    }
    step.verify(ctx).await
}

pub(super) fn error_row(trouble: &Trouble) -> ErrorRow<'_> {
    ErrorRow {
        code: Some(&trouble.code),
        message: Some(&trouble.message),
        why: trouble.why.as_deref(),
        next: trouble.next.iter().cloned().collect(),
    }
}

pub(super) async fn event(
    conn: &mut PgConnection,
    workflow: &WorkflowRow,
    severity: &str,
    code: &str,
    message: &str,
) -> Result<(), StoreError> {
    let event = NewEvent {
        node_id: workflow.node_id,
        source: "helix",
        severity,
        code: Some(code),
        message,
        workflow_id: Some(workflow.id),
    };
    events::insert(conn, &event).await
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}

/// A length of time for people: `90 s`, `15 min`.
#[must_use]
pub(crate) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 120 {
        format!("{seconds} s")
    } else if seconds < 7200 {
        format!("{} min", seconds / 60)
    } else {
        format!("{} h", seconds / 3600)
    }
}

/// The kind of a step by the word in the table.
#[must_use]
pub(super) fn step_kind(text: &str) -> Option<StepKind> {
    StepKind::from_str(text).ok()
}
