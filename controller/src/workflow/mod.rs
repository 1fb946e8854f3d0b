//! The workflow engine: takes one node along an ordered plan of steps.

use std::sync::Arc;

use crate::app::App;

/// A moment of the engine at which the process may die: the crash test kills it there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CrashPoint {
    /// The step at work, as the plan names it.
    pub step: String,
    /// `before_intent`, `after_intent`, `after_effect`, `after_settle`, `between_steps`.
    pub moment: &'static str,
}

/// Drives workflows until the controller stops; returns when every running step is at a safe point.
pub async fn run(app: Arc<App>) {
    app.shutdown.cancelled().await;
}
