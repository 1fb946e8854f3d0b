//! `LogEntry` of the SEL and the Lifecycle log.

use serde::Deserialize;

use crate::lenient::{object, opt, texts};
use crate::odata::{Link, Oem, resource};

/// Which log of a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// System event log: sensors and POST. Slow on Dell: up to 18 s a page.
    Sel,
    /// Dell's Lifecycle log: everything that was done to the machine.
    Lifecycle,
}

impl Log {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Sel => "Sel",
            Self::Lifecycle => "Lclog",
        }
    }
}

/// A log entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LogEntry {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    /// The BMC's clock, which may be wrong.
    #[serde(deserialize_with = "opt")]
    pub created: Option<String>,
    /// `OK`, `Warning`, `Critical`.
    #[serde(deserialize_with = "opt")]
    pub severity: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub message: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub message_id: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub message_args: Vec<String>,
    #[serde(deserialize_with = "object")]
    pub links: Option<LogLinks>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellLogEntry>>,
}

resource!(LogEntry);

/// `Links` of an entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LogLinks {
    #[serde(deserialize_with = "object")]
    pub origin_of_condition: Option<Link>,
}

/// `Oem.Dell` of a Lifecycle entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellLogEntry {
    /// `Audit`, `Updates`, `SystemHealth`, …
    #[serde(deserialize_with = "opt")]
    pub category: Option<String>,
}
