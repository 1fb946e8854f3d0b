//! Problem details (RFC 9457): how every refusal of the API looks.

use serde::{Deserialize, Serialize};

/// Body of every answer that is no success, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable code in snake case, e.g. `node_busy`. Scripts branch on this.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// What was attempted and failed, one line.
    pub title: String,
    /// Why: the BMC's own words, the value that was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the admin can do: lines that can be pasted, or a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// Field of the request that is wrong, as a JSON path or a column name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Candidates when a reference is ambiguous.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem with a code, a status and a title.
    #[must_use]
    pub fn new(status: u16, code: &str, title: impl Into<String>) -> Self {
        Self { code: code.to_owned(), status, title: title.into(), ..Self::default() }
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn next(mut self, line: impl Into<String>) -> Self {
        self.next.push(line.into());
        self
    }
}
