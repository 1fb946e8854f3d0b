//! What a step's run can come to, and the words that go with it.
//!
//! `Wait` is nothing wrong, not yet; `Retry` is transient and has a budget whose end is `NeedsHuman`; `Failed` means that
//! the plan cannot work. A lost lease is no outcome: it is [`Stop::LeaseLost`], and the driver drops everything.

use std::time::Duration;

use serde_json::Value;

use crate::store::StoreError;

/// A limit with the reason for its number, both for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Before the time scale.
    pub after: Duration,
    /// Where the number comes from.
    pub reason: &'static str,
}

impl Limit {
    /// A limit in seconds.
    #[must_use]
    pub const fn seconds(seconds: u64, reason: &'static str) -> Self {
        Self { after: Duration::from_secs(seconds), reason }
    }

    /// A limit in minutes.
    #[must_use]
    pub const fn minutes(minutes: u64, reason: &'static str) -> Self {
        Self::seconds(minutes * 60, reason)
    }
}

/// What went wrong, for people: what happened, why as far as known, and what they can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Stable code, snake_case.
    pub code: String,
    pub message: String,
    pub why: Option<String>,
    /// Commands or actions, most useful first.
    pub next: Vec<String>,
}

impl Trouble {
    /// Trouble with a code and a message.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), why: None, next: Vec::new() }
    }

    /// Adds why.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds something to do.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }
}

/// A wait: always for what, how long, and what then.
#[derive(Debug, Clone)]
pub struct Wait {
    /// What it waits for, in words that stay the same while nothing changes (numbers belong into `progress`).
    pub waits_for: String,
    /// What counts as progress: the deadline restarts whenever this text is another one.
    pub mark: String,
    /// When to look again, before the time scale. News wakes the workflow earlier.
    pub look_again: Duration,
    /// How long without progress.
    pub limit: Limit,
    /// What happens when the limit passes, in words.
    pub then: String,
    /// And the outcome that this then is; never a wait.
    pub otherwise: Box<Outcome>,
    /// For the progress bar.
    pub progress: Option<Value>,
}

/// What a step's run came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The step's goal is reached; the line says what was found, when that is worth saying.
    Done(Option<String>),
    Wait(Wait),
    Retry(Trouble),
    NeedsHuman(Trouble),
    Failed(Trouble),
}

impl Outcome {
    /// Done with a line for people.
    #[must_use]
    pub fn done(line: impl Into<String>) -> Self {
        Self::Done(Some(line.into()))
    }

    /// The word that attempts are stored with.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Wait(_) => "wait",
            Self::Retry(_) => "retry",
            Self::NeedsHuman(_) => "needs_human",
            Self::Failed(_) => "failed",
        }
    }
}

/// Why a step's code goes no further.
#[derive(Debug)]
pub enum Stop {
    /// The step is through with this run.
    Outcome(Box<Outcome>),
    /// Another process has the workflow: drop everything.
    LeaseLost,
    /// The database could not be asked; the lease will run out and somebody goes on.
    Store(StoreError),
}

impl From<Outcome> for Stop {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(Box::new(outcome))
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
