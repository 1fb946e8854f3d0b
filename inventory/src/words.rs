//! The vocabulary: states and their words, as data that Rust and the dashboard both read.
//!
//! The enums are the API's values; `words.json` beside this file holds the word, shape and colour token of each. A test
//! keeps the two the same, and the dashboard's `words.ts` is generated from the file.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The vocabulary file.
pub const WORDS_JSON: &str = include_str!("words.json");

/// How one value is said and drawn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Word {
    pub word: String,
    pub shape: String,
    pub token: String,
    pub meaning: String,
}

/// The whole vocabulary: kind → value → word.
pub type Words = BTreeMap<String, BTreeMap<String, Word>>;

static WORDS: LazyLock<Words> = LazyLock::new(|| serde_json::from_str(WORDS_JSON).unwrap_or_default());

/// The vocabulary, parsed once.
#[must_use]
pub fn words() -> &'static Words {
    &WORDS
}

/// The word for a value of the API, e.g. `("lifecycle", "in_service")` → `In service`.
#[must_use]
pub fn word(kind: &str, value: &str) -> Option<&'static Word> {
    WORDS.get(kind)?.get(value)
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $kind:literal, { $($(#[$vdoc:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant),+
        }

        impl $name {
            /// Key of this vocabulary in the words file.
            pub const KIND: &'static str = $kind;
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as the API and the database spell it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value),+
                }
            }

            /// The word that people see.
            #[must_use]
            pub fn word(self) -> &'static str {
                word($kind, self.as_str()).map_or(self.as_str(), |word| word.word.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == text)
                    .ok_or_else(|| UnknownWord { kind: $kind, text: text.to_owned() })
            }
        }
    };
}

/// A text that is no value of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no {kind} state")]
pub struct UnknownWord {
    pub kind: &'static str,
    pub text: String,
}

vocabulary!(
    /// Where a node is in its life.
    Lifecycle, "lifecycle", {
        Enrolled = "enrolled",
        Ready = "ready",
        InService = "in_service",
        Maintenance = "maintenance",
        Quarantined = "quarantined",
        Retired = "retired",
        Inspecting = "inspecting",
        Updating = "updating",
        Provisioning = "provisioning",
        Validating = "validating",
        Repairing = "repairing",
        Erasing = "erasing",
        Draining = "draining",
    }
);
vocabulary!(
    /// How a node is.
    Health, "health", { Ok = "ok", Degraded = "degraded", Failed = "failed", Unknown = "unknown" }
);
vocabulary!(
    /// How far a workflow is.
    WorkflowState, "workflow", {
        Queued = "queued",
        Running = "running",
        Waiting = "waiting",
        NeedsHuman = "needs_human",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
    }
);
vocabulary!(
    /// Host power as the BMC shows it.
    Power, "power", { On = "on", Off = "off", TurningOn = "turning_on", TurningOff = "turning_off", Unknown = "unknown" }
);
vocabulary!(
    /// How fresh a source of values is.
    Contact, "contact", { Fresh = "fresh", Stale = "stale", NoContact = "no_contact" }
);

impl WorkflowState {
    /// Whether the workflow is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(kind: &str, values: Vec<&'static str>) {
        let mut file: Vec<_> = words()[kind].keys().map(String::as_str).collect();
        let mut code = values;
        file.sort_unstable();
        code.sort_unstable();
        assert_eq!(file, code, "words.json and the enum for {kind} differ");
    }

    #[test]
    fn every_value_has_its_word_and_no_word_is_left_over() {
        same("lifecycle", Lifecycle::ALL.iter().map(|v| v.as_str()).collect());
        same("health", Health::ALL.iter().map(|v| v.as_str()).collect());
        same("workflow", WorkflowState::ALL.iter().map(|v| v.as_str()).collect());
        same("power", Power::ALL.iter().map(|v| v.as_str()).collect());
        same("contact", Contact::ALL.iter().map(|v| v.as_str()).collect());
    }

    #[test]
    fn values_are_spelled_alike_in_json_and_in_text() {
        for state in Lifecycle::ALL {
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
            assert_eq!(state.as_str().parse::<Lifecycle>(), Ok(*state));
        }
    }
}
