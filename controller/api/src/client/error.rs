//! Why a call failed, as the command line's exit codes need to tell it apart.

use crate::problem::Problem;

/// Why a call to the controller failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The controller understood and refused: its own words, with a stable code.
    #[error("{}", .0.title)]
    Problem(Box<Problem>),
    /// Nobody answered, or the connection broke.
    #[error("the controller at {url} does not answer: {reason}")]
    Unreachable { url: String, reason: String },
    /// The peer is not known to be the controller.
    #[error("the certificate of {url} is not trusted: {reason}")]
    Tls {
        url: String,
        /// SHA-256 of the certificate that was shown, lower-case hex; absent when the peer spoke no TLS.
        fingerprint: Option<String>,
        /// The one that was expected.
        expected: Option<String>,
        reason: String,
    },
    /// The answer is not in a form that this client knows: versions too far apart, or something between that answers itself.
    #[error("the answer of {url} to {call} was not understood: {reason}")]
    Version { url: String, call: String, server: Option<String>, reason: String },
    /// The client could not be set up.
    #[error("the connection cannot be set up: {reason}")]
    Setup { reason: String },
    /// A file on this machine could not be read.
    #[error("{path} cannot be read: {reason}")]
    File { path: String, reason: String },
}

impl ApiError {
    /// Stable code: the controller's own for a refusal.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.code,
            Self::Unreachable { .. } => "controller_unreachable",
            Self::Tls { .. } => "controller_certificate",
            Self::Version { .. } => "controller_version",
            Self::Setup { .. } => "client_setup",
            Self::File { .. } => "file_unreadable",
        }
    }

    /// The controller's refusal, when it is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => problem.status == 429 || problem.status >= 500,
            _ => false,
        }
    }
}

/// The whole chain of an error in one line; reqwest hides the cause ("connection refused") below two layers.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // Layers that only repeat the one below say nothing new.
        if !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    words.join(": ")
}
