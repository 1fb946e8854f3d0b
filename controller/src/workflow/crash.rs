//! Crash points: every moment at which the process may die between an effect and its record.
//!
//! The list is made from the registry, so a new step or effect is in it by itself. The shipped binary does nothing at
//! these points; the crash test's own program sets a hook that kills the process.

use helix_inventory::plan::StepKind;

use super::effect::EffectKind;
use super::registry::Registry;

/// Before the intent is committed: nothing happened, nothing is known.
pub(super) const BEFORE_INTENT: &str = "before_intent";
/// The intent is committed, the effect has not been started.
pub(super) const AFTER_INTENT: &str = "after_intent";
/// The effect happened, nobody wrote it down.
pub(super) const AFTER_EFFECT: &str = "after_effect";
/// The effect is written down; the step does not know it yet.
pub(super) const AFTER_SETTLE: &str = "after_settle";
/// A step ended, the next has not begun.
pub(super) const BETWEEN_STEPS: &str = "between_steps";

/// The moments around one effect, in order.
pub(super) const AROUND_EFFECT: [&str; 4] = [BEFORE_INTENT, AFTER_INTENT, AFTER_EFFECT, AFTER_SETTLE];

/// A moment of the engine at which the process may die.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CrashPoint {
    /// The step at work, as the plan names it.
    pub step: String,
    /// One of the constants of this module.
    pub moment: &'static str,
    /// The effect, as the intents name it; `None` between steps.
    pub effect: Option<&'static str>,
    /// Reached in a run where nothing goes wrong. The others need the fault that their effect answers.
    pub usual: bool,
}

/// All crash points of the given steps.
#[must_use]
pub(super) fn points(registry: &Registry, steps: &[StepKind]) -> Vec<CrashPoint> {
    let mut points = Vec::new();
    for kind in steps {
        let Some(step) = registry.step(*kind) else { continue };
        for part in step.effects() {
            for moment in AROUND_EFFECT {
                points.push(CrashPoint {
                    step: kind.as_str().to_owned(),
                    moment,
                    effect: Some(part.kind.as_str()),
                    usual: part.usual,
                });
            }
        }
        points.push(CrashPoint { step: kind.as_str().to_owned(), moment: BETWEEN_STEPS, effect: None, usual: true });
    }
    points
}

/// The point around an effect.
pub(super) fn around(step: StepKind, moment: &'static str, effect: EffectKind, usual: bool) -> CrashPoint {
    CrashPoint { step: step.as_str().to_owned(), moment, effect: Some(effect.as_str()), usual }
}

/// The point after a step.
pub(super) fn between(step: StepKind) -> CrashPoint {
    CrashPoint { step: step.as_str().to_owned(), moment: BETWEEN_STEPS, effect: None, usual: true }
}
