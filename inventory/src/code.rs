//! Explanation of Helix's own error codes, as data: meaning, cause, way out.
//!
//! The codes themselves stand where they are raised; a test over the source tree keeps this file complete.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What a code means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CodeExplanation {
    pub meaning: String,
    pub cause: String,
    pub next: String,
}

static CODES: LazyLock<BTreeMap<String, CodeExplanation>> =
    LazyLock::new(|| serde_json::from_str(include_str!("codes.json")).unwrap_or_default());

/// Explanation of a code.
#[must_use]
pub fn explain(code: &str) -> Option<&'static CodeExplanation> {
    CODES.get(code)
}

/// Every code that has an explanation.
pub fn known() -> impl Iterator<Item = &'static str> {
    CODES.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_file_parses_and_says_something_in_every_part() {
        assert!(known().count() > 20);
        for code in known() {
            let entry = explain(code).unwrap();
            assert!(entry.meaning.len() > 10 && entry.cause.len() > 10 && entry.next.len() > 10, "{code}");
        }
    }
}
