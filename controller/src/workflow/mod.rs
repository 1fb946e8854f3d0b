//! Workflows: take one node along an ordered plan of steps, so that no outside effect happens twice or gets lost and
//! nothing is ever silently stuck.
//!
//! `engine` claims and keeps leases, `drive` runs one workflow under one, `context` is what a step may do, `effect` is
//! how what was announced is settled after a crash. `inspect` and `provision` are the workflows there are; each lists
//! its steps in order at its top.

mod answer;
mod context;
mod course;
mod crash;
mod drive;
mod effect;
mod engine;
mod inspect;
mod outcome;
mod provision;
mod registry;
mod settings;
mod start;
mod step;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::answer::{AnswerError, Cancelled, RetryOptions, cancel, retry, skip};
pub use self::crash::CrashPoint;
pub use self::effect::ActError;
pub use self::engine::Engine;
pub use self::outcome::{Limit, Outcome, Stop, Trouble, Wait};
pub use self::registry::Registry;
pub use self::settings::Settings;
pub use self::start::{NewWorkflow, StartError, start};

use redfish_client::PowerState;

use crate::app::App;

/// Everything that this version can run.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    inspect::register(&mut registry);
    provision::register(&mut registry);
    registry
}

/// Every moment of `provision` at which the process may die, made from the engine's own registry.
#[must_use]
pub fn crash_points() -> Vec<CrashPoint> {
    crash::points(&registry(), provision::STEPS)
}

/// A power state as the vocabulary spells it.
pub(crate) fn power_word(power: &PowerState) -> &'static str {
    match power {
        PowerState::On => "on",
        PowerState::Off => "off",
        PowerState::PoweringOn => "turning_on",
        PowerState::PoweringOff => "turning_off",
        PowerState::Other(_) => "unknown",
    }
}

/// Drives workflows until the controller stops; returns when every running step is at a safe point.
pub async fn run(app: Arc<App>) {
    let limits = &app.config.limits;
    let settings = Settings {
        lease: limits.lease,
        at_once: usize::try_from(limits.workflows).unwrap_or(usize::MAX).max(1),
        ..Settings::default()
    };
    let settings = Settings { kept_for_single: (settings.at_once / 10).max(1).min(settings.at_once - 1), ..settings };
    Engine::new(app, registry(), settings).run().await;
}
