//! The step: one named unit with observe, act and verify.
//!
//! A value with data, not a closure; safe to run again from its start at any moment. The engine calls `observe` at every
//! look; only what `observe` says is missing is done by `act`; `verify` reads back.

use async_trait::async_trait;
use helix_inventory::plan::StepKind;

use super::context::StepContext;
use super::effect::EffectKind;
use super::outcome::{Limit, Outcome, Stop};

/// What observing said.
#[derive(Debug)]
pub enum Sight {
    /// The goal is reached: only verify.
    Reached,
    /// Something is missing: act, then verify.
    Missing,
    /// Neither: this is what the run comes to.
    Outcome(Box<Outcome>),
}

impl From<Outcome> for Sight {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(Box::new(outcome))
    }
}

/// An effect that a step may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub kind: EffectKind,
    /// Whether a run where nothing goes wrong has it.
    pub usual: bool,
}

impl Part {
    /// An effect of every run.
    #[must_use]
    pub const fn usual(kind: EffectKind) -> Self {
        Self { kind, usual: true }
    }

    /// An effect that only some runs need.
    #[must_use]
    pub const fn at_need(kind: EffectKind) -> Self {
        Self { kind, usual: false }
    }
}

/// Budget and deadline of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Attempts before a person is asked.
    pub attempts: i32,
    /// Limit on the step as a whole, over all its attempts.
    pub whole: Limit,
}

/// One step.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Which one.
    fn kind(&self) -> StepKind;

    /// Every effect it can have; the crash test and the engine's own check go by this list.
    fn effects(&self) -> &'static [Part] {
        &[]
    }

    /// Budget and deadline.
    fn budget(&self) -> Budget;

    /// From which step a new attempt starts, when that is an earlier one: the ramdisk's token is spent, for example.
    fn retry_from(&self) -> StepKind {
        self.kind()
    }

    /// Looks at the world. No effect.
    ///
    /// # Errors
    /// [`Stop`] with the outcome when the world cannot be looked at.
    async fn observe(&self, ctx: &mut StepContext) -> Result<Sight, Stop>;

    /// Does what is missing, every effect through [`StepContext::effect`].
    ///
    /// # Errors
    /// [`Stop`] with the outcome when it cannot be done.
    async fn act(&self, _ctx: &mut StepContext) -> Result<(), Stop> {
        Ok(())
    }

    /// Reads back and says what the run came to.
    ///
    /// # Errors
    /// [`Stop`] with the outcome when it cannot be read.
    async fn verify(&self, _ctx: &mut StepContext) -> Result<Outcome, Stop> {
        Ok(Outcome::Done(None))
    }
}
