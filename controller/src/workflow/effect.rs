//! Effects: what a workflow does to the world, and how to see afterwards whether it happened.
//!
//! Every effect has a row here and a [`Effect::settle`] before it has a caller. A BMC is compared with itself only: the
//! intent keeps what was read just before the act. An intent without an outcome is settled by looking, never by doing it
//! again first.

use async_trait::async_trait;
use serde_json::Value;

use super::context::StepContext;
use super::outcome::{Stop, Wait};
use crate::store::intents::IntentRow;

/// The effects that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectKind {
    /// Host power off, soft or forced (`params.reset_type`).
    PowerOff,
    /// Host power on.
    PowerOn,
    /// Virtual media emptied.
    EjectMedia,
    /// Our deploy medium inserted (`params.url`).
    InsertMedia,
    /// Boot override for the next start (`params.target`, `params.enabled`).
    SetBoot,
    /// The order to write an image, given to the ramdisk (`params.write_id`).
    OrderWrite,
    /// The order to switch itself off, given to the ramdisk.
    OrderPowerOff,
}

impl EffectKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::PowerOff,
        Self::PowerOn,
        Self::EjectMedia,
        Self::InsertMedia,
        Self::SetBoot,
        Self::OrderWrite,
        Self::OrderPowerOff,
    ];

    /// As the intents table spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PowerOff => "power_off",
            Self::PowerOn => "power_on",
            Self::EjectMedia => "eject_media",
            Self::InsertMedia => "insert_media",
            Self::SetBoot => "set_boot",
            Self::OrderWrite => "order_write",
            Self::OrderPowerOff => "order_power_off",
        }
    }

    /// The effect of an intent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// What it does, in words: "whether the BMC did …".
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::PowerOff => "switch the host off",
            Self::PowerOn => "switch the host on",
            Self::EjectMedia => "eject the virtual medium",
            Self::InsertMedia => "insert the deploy medium",
            Self::SetBoot => "set the boot device",
            Self::OrderWrite => "take the order to write",
            Self::OrderPowerOff => "take the order to power off",
        }
    }
}

/// What looking at the world said about an intent.
#[derive(Debug)]
pub enum Settled {
    /// It happened; what shows it.
    Done(Value),
    /// It did not happen: the step may do it (again).
    NotDone(Value),
    /// It cannot be told yet.
    Unclear(Wait),
}

/// How one kind of effect is settled.
#[async_trait]
pub trait Effect: Send + Sync + 'static {
    /// Which one.
    fn kind(&self) -> EffectKind;

    /// Looks at the world and says whether the announced effect happened.
    ///
    /// # Errors
    /// When the world cannot be looked at now; the outcome inside says what then.
    async fn settle(&self, ctx: &mut StepContext, intent: &IntentRow) -> Result<Settled, Stop>;
}

/// What an act can fail with: whether it may have happened all the same, and what the step then comes to.
pub trait ActError {
    /// The request may have been carried out although this came back.
    fn outcome_unknown(&self) -> bool;
    /// The outcome.
    fn into_stop(self) -> Stop;
}
