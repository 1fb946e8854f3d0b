//! What a step sees and may do: the workflow's row, its node, its memory, and effects by way of intents.
//!
//! Every write names the lease; the first that changes no row ends the run with [`Stop::LeaseLost`]. No transaction is
//! open while a step talks to the world: [`StepContext::begin`] hands one out for writes only.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use helix_inventory::plan::{Plan, StepKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::Instant;
use uuid::Uuid;

use super::crash;
use super::effect::{ActError, EffectKind};
use super::engine::Engine;
use super::outcome::{Limit, Outcome, Stop, Trouble, Wait};
use crate::app::App;
use crate::store::attempts::AttemptRow;
use crate::store::events::{self, NewEvent};
use crate::store::intents::{self, IntentRow, NewIntent};
use crate::store::leases::{self, Lease};
use crate::store::node_state::NodeBrief;
use crate::store::steps::StepRow;
use crate::store::workflows::{self, WorkflowRow};

/// How often one effect may be announced in one attempt: the first, and two more after looking showed that it had not
/// happened. More of the same does not help.
const SAME_EFFECT: usize = 3;

/// How long the world may take to show whether an unanswered request was carried out: two time-outs of the slowest call
/// (90 s for inserting media).
const UNCLEAR: Limit = Limit::seconds(180, "twice the longest call to a BMC, inserting media");

/// When to look again whether an unanswered request was carried out: old firmware needs some seconds to settle (quirk 7).
const UNCLEAR_LOOK: Duration = Duration::from_secs(5);

/// One run of one step.
pub struct StepContext {
    pub(super) engine: Arc<Engine>,
    pub(super) lease: Lease,
    pub(super) kind: StepKind,
    pub(super) loaded: Instant,
    /// The workflow as it was when the run began.
    pub workflow: WorkflowRow,
    pub plan: Plan,
    pub node: NodeBrief,
    pub step: StepRow,
    pub attempt: AttemptRow,
    /// Intents of the whole workflow, oldest first.
    pub intents: Vec<IntentRow>,
    pub(super) memory: Map<String, Value>,
}

impl StepContext {
    /// What the whole controller shares.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.engine.app
    }

    /// The database, for reads. Writes go through [`Self::begin`].
    #[must_use]
    pub fn db(&self) -> &PgPool {
        &self.engine.db
    }

    /// The database's clock, as far as this run knows it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.workflow.now + TimeDelta::from_std(self.loaded.elapsed()).unwrap_or_default()
    }

    /// How long ago something was, in planned time: the time scale is taken out, so it compares with constants.
    #[must_use]
    pub fn since(&self, moment: DateTime<Utc>) -> Duration {
        let real = (self.now() - moment).to_std().unwrap_or_default();
        real.mul_f64(self.engine.clock.scale())
    }

    /// Waits for a short planned time inside a step.
    pub async fn pause(&self, planned: Duration) {
        self.engine.clock.sleep(planned).await;
    }

    /// What a step of this workflow learned.
    #[must_use]
    pub fn recall<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.memory.get(key)?.clone()).ok()
    }

    /// The whole memory.
    #[must_use]
    pub fn memory(&self) -> Value {
        Value::Object(self.memory.clone())
    }

    /// Stores what the step learned, before it is used.
    ///
    /// # Errors
    /// When the lease is lost or the database cannot be asked.
    pub async fn remember(&mut self, key: &str, value: impl Serialize) -> Result<(), Stop> {
        let mut tx = self.begin().await?;
        self.remember_in(&mut tx, key, value).await?;
        tx.commit().await?;
        Ok(())
    }

    /// As [`Self::remember`], inside a transaction.
    ///
    /// # Errors
    /// When the lease is lost or the database cannot be asked.
    pub async fn remember_in(
        &mut self,
        tx: &mut Transaction<'static, Postgres>,
        key: &str,
        value: impl Serialize,
    ) -> Result<(), Stop> {
        let value = serde_json::to_value(value).unwrap_or_default();
        if !workflows::remember(&mut *tx, self.lease, &json!({ key: value })).await? {
            return Err(Stop::LeaseLost);
        }
        self.memory.insert(key.to_owned(), value);
        Ok(())
    }

    /// A transaction for writes, with the lease checked and its row locked. Commit it before talking to anything.
    ///
    /// # Errors
    /// When the lease is lost or the database cannot be asked.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, Stop> {
        let mut tx = self.engine.db.begin().await?;
        if !leases::hold(&mut tx, self.lease).await? {
            return Err(Stop::LeaseLost);
        }
        Ok(tx)
    }

    /// Writes an event of the node.
    ///
    /// # Errors
    /// When the lease is lost or the database cannot be asked.
    pub async fn event(&self, severity: &str, code: &str, message: &str) -> Result<(), Stop> {
        let mut tx = self.begin().await?;
        self.event_in(&mut tx, severity, code, message).await?;
        tx.commit().await?;
        Ok(())
    }

    /// As [`Self::event`], inside a transaction.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn event_in(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        severity: &str,
        code: &str,
        message: &str,
    ) -> Result<(), Stop> {
        let event = NewEvent {
            node_id: self.node.id,
            source: "helix",
            severity,
            code: Some(code),
            message,
            workflow_id: Some(self.workflow.id),
        };
        events::insert(tx, &event).await?;
        Ok(())
    }

    /// The newest effect of this kind in this attempt that happened.
    #[must_use]
    pub fn happened(&self, kind: EffectKind) -> Option<&IntentRow> {
        self.intents.iter().rev().find(|intent| {
            intent.attempt_id == self.attempt.id
                && intent.effect == kind.as_str()
                && intent.outcome.as_deref() == Some("done")
        })
    }

    /// The newest effect of this kind in the whole workflow that happened.
    #[must_use]
    pub fn happened_ever(&self, kind: EffectKind) -> Option<&IntentRow> {
        self.intents
            .iter()
            .rev()
            .find(|intent| intent.effect == kind.as_str() && intent.outcome.as_deref() == Some("done"))
    }

    /// Has an effect: commits the intent with what was read just `before`, acts, settles. When the act ends without an
    /// answer the intent stays open and the workflow looks at the world first.
    ///
    /// # Errors
    /// The act's outcome when it was refused, a wait when it is not known whether it happened, or the lost lease.
    pub async fn effect<T, E: ActError>(
        &mut self,
        kind: EffectKind,
        before: Value,
        params: Value,
        act: BoxFuture<'_, Result<T, E>>,
    ) -> Result<T, Stop> {
        let usual = self.declared(kind)?;
        let same = self.intents.iter().filter(|i| i.attempt_id == self.attempt.id && i.effect == kind.as_str()).count();
        if same >= SAME_EFFECT {
            return Err(Outcome::Retry(Trouble::new(
                "effect_without_result",
                format!("Told {SAME_EFFECT} times to {}, and nothing shows that it happened.", kind.in_words()),
            ))
            .into());
        }
        self.engine.crash_point(&crash::around(self.kind, crash::BEFORE_INTENT, kind, usual));
        let intent = self.announce(kind, before, params).await?;
        self.engine.crash_point(&crash::around(self.kind, crash::AFTER_INTENT, kind, usual));
        let result = act.await;
        self.engine.crash_point(&crash::around(self.kind, crash::AFTER_EFFECT, kind, usual));
        match result {
            Ok(value) => {
                self.settle(intent, "done", None).await?;
                self.engine.crash_point(&crash::around(self.kind, crash::AFTER_SETTLE, kind, usual));
                Ok(value)
            }
            Err(error) if error.outcome_unknown() => Err(Outcome::Wait(unclear(kind)).into()),
            Err(error) => {
                self.settle(intent, "refused", None).await?;
                Err(error.into_stop())
            }
        }
    }

    /// Whether the step declares the effect, and as a usual one. The list is what the crash test goes by, so an effect
    /// that is missing in it is a bug, told as one.
    fn declared(&self, kind: EffectKind) -> Result<bool, Stop> {
        let step = self.engine.registry.step(self.kind);
        let part = step.and_then(|step| step.effects().iter().find(|part| part.kind == kind));
        // Tidying up after a cancel runs inside whichever step was at work.
        match part {
            Some(part) => Ok(part.usual),
            None if self.workflow.cancel_requested_at.is_some() => Ok(false),
            None => Err(Outcome::Failed(Trouble::new(
                "effect_not_declared",
                format!("{} has no effect \"{}\" in its list; nothing was done.", self.kind.title(), kind.as_str()),
            ))
            .into()),
        }
    }

    async fn announce(&mut self, kind: EffectKind, before: Value, params: Value) -> Result<Uuid, Stop> {
        let id = Uuid::now_v7();
        let mut tx = self.begin().await?;
        intents::insert(
            &mut tx,
            &NewIntent {
                id,
                workflow_id: self.workflow.id,
                attempt_id: self.attempt.id,
                position: self.step.position,
                effect: kind.as_str(),
                before: &before,
                params: &params,
            },
        )
        .await?;
        tx.commit().await?;
        self.intents.push(IntentRow {
            id,
            workflow_id: self.workflow.id,
            attempt_id: self.attempt.id,
            position: self.step.position,
            effect: kind.as_str().to_owned(),
            before,
            params,
            committed_at: self.now(),
            settled_at: None,
            outcome: None,
            detail: None,
        });
        Ok(id)
    }

    pub(super) async fn settle(&mut self, id: Uuid, outcome: &str, detail: Option<Value>) -> Result<(), Stop> {
        let mut tx = self.begin().await?;
        intents::settle(&mut tx, id, outcome, detail.as_ref()).await?;
        tx.commit().await?;
        let now = self.now();
        if let Some(intent) = self.intents.iter_mut().find(|intent| intent.id == id) {
            intent.settled_at = Some(now);
            intent.outcome = Some(outcome.to_owned());
            intent.detail = detail;
        }
        Ok(())
    }
}

/// The wait for a sign of whether an unanswered effect happened.
pub(crate) fn unclear(kind: EffectKind) -> Wait {
    Wait {
        waits_for: format!("a sign of whether the order to {} was carried out", kind.in_words()),
        mark: format!("unclear:{}", kind.as_str()),
        look_again: UNCLEAR_LOOK,
        limit: UNCLEAR,
        then: "a new attempt of the step".to_owned(),
        otherwise: Box::new(Outcome::Retry(Trouble::new(
            "effect_unclear",
            format!("It cannot be told whether the order to {} was carried out.", kind.in_words()),
        ))),
        progress: None,
    }
}
