//! Explanation and way out per MessageId of a BMC, as data, in our own words.
//!
//! Which message means "try again" is decided in the Redfish client; this is what a person reads. Unknown ids are shown as
//! they came.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What a message means and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Explanation {
    pub meaning: String,
    pub next: String,
}

static MESSAGES: LazyLock<BTreeMap<String, Explanation>> =
    LazyLock::new(|| serde_json::from_str(include_str!("messages.json")).unwrap_or_default());

/// Explanation of a message; the registry prefix (`IDRAC.2.9.`) does not matter.
#[must_use]
pub fn explain(message_id: &str) -> Option<&'static Explanation> {
    let id = message_id.rsplit('.').next().unwrap_or(message_id);
    MESSAGES.get(id)
}

/// Every id that has an explanation.
pub fn known() -> impl Iterator<Item = &'static str> {
    MESSAGES.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_prefix_does_not_matter() {
        assert_eq!(explain("IDRAC.2.9.RAC0904"), explain("RAC0904"));
        assert!(explain("RAC0904").unwrap().next.contains("media.advertise"));
    }

    #[test]
    fn an_unknown_message_has_no_explanation() {
        assert_eq!(explain("ZZZ9999"), None);
    }

    #[test]
    fn the_data_file_parses() {
        assert!(known().count() > 10);
    }
}
