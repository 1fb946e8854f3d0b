//! The two logs of a machine: the Lifecycle Controller log and the system event log. Both are short rings; identical
//! entries in a row are counted instead of repeated, as an iDRAC does it.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Entries kept a log. A real LC log holds half a million; a fleet of ten thousand must fit into one gibibyte.
const KEPT_ENTRIES: usize = 120;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Number, rising.
    pub id: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Message id without registry.
    pub message_id: String,
    /// Text.
    pub message: String,
    /// Arguments in the text.
    #[serde(default)]
    pub args: Vec<String>,
    /// `OK`, `Warning`, `Critical`.
    pub severity: String,
    /// `Audit`, `System Health`, `Configuration`, `Storage`, `Updates`.
    pub category: String,
}

/// A ring of entries, newest last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    next: u64,
}

impl Journal {
    /// Writes an entry. Arguments stand in the text as `%1`, `%2`.
    pub fn write(&mut self, message_id: &str, severity: &str, category: &str, text: &str, args: &[&str]) {
        let mut message = text.to_owned();
        for (number, arg) in args.iter().enumerate() {
            message = message.replace(&format!("%{}", number + 1), arg);
        }
        if let Some(last) = self.entries.back_mut()
            && last.message_id == message_id
            && last.message == message
        {
            last.at = Utc::now();
            return;
        }
        self.next += 1;
        if self.entries.len() == KEPT_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            id: self.next,
            at: Utc::now(),
            message_id: message_id.to_owned(),
            message,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            severity: severity.to_owned(),
            category: category.to_owned(),
        });
    }

    /// All entries, newest first, as an iDRAC lists them.
    pub fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    /// The entry with this number.
    #[must_use]
    pub fn entry(&self, id: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// Empties the log; numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
