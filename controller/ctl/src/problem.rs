//! How a command fails: exit code, stable code, what, why, next.
//!
//! Three parts, each on its line, never a stack trace. Scripts branch on the exit code and on `code`.

use helix_api::client::ApiError;
use helix_api::problem::Problem;
use serde_json::json;

use crate::output::Format;

/// Exit codes, an interface: see `helixctl explain exit-codes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// The work ended in failure (all nodes).
    Failed = 1,
    /// Wrong usage, or a question was needed and there is no terminal.
    Usage = 2,
    /// Part of the nodes failed; the rest is done.
    Partly = 3,
    /// Nothing matches, no such object.
    Nothing = 4,
    /// Not signed in, or not allowed.
    NotAllowed = 5,
    /// State, version or lock does not allow it.
    Conflict = 6,
    /// Controller not reachable, TLS or version trouble.
    Unreachable = 7,
    /// `--wait` ran out; the work goes on.
    WaitOver = 8,
    /// Stopped: needs a human.
    NeedsHuman = 9,
    /// `--dry-run --exit-code` found changes.
    Differs = 10,
    /// Interrupted; what goes on is said.
    Interrupted = 130,
}

/// Why a command stopped. Boxed: it travels through every result.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.message)]
pub struct CtlError(Box<Said>);

/// What is said of a failure.
#[derive(Debug, Clone)]
pub struct Said {
    pub exit: Exit,
    pub code: String,
    pub message: String,
    pub why: Option<String>,
    pub next: Vec<String>,
    pub request_id: Option<String>,
}

impl std::ops::Deref for CtlError {
    type Target = Said;
    fn deref(&self) -> &Said {
        &self.0
    }
}

impl std::ops::DerefMut for CtlError {
    fn deref_mut(&mut self) -> &mut Said {
        &mut self.0
    }
}

impl CtlError {
    /// A failure with its exit code, stable code and what happened.
    #[must_use]
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self(Box::new(Said {
            exit,
            code: code.to_owned(),
            message: message.into(),
            why: None,
            next: Vec::new(),
            request_id: None,
        }))
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn next(mut self, line: impl Into<String>) -> Self {
        self.next.push(line.into());
        self
    }

    /// A file that could not be read or written.
    #[must_use]
    pub fn file(path: &std::path::Path, action: &str, error: &std::io::Error) -> Self {
        Self::new(Exit::Usage, "file_unusable", format!("cannot {action} {}", path.display()))
            .because(error.to_string())
    }

    /// Says it on stderr in the form that the output format asks for.
    pub fn print(&self, format: Format, verbose: bool) {
        if format.is_for_programs() {
            let mut error = json!({ "code": self.code, "message": self.message, "next": self.next });
            if let Some(why) = &self.why {
                error["why"] = json!(why);
            }
            if let Some(id) = &self.request_id {
                error["request_id"] = json!(id);
            }
            eprintln!("{}", json!({ "error": error }));
            return;
        }
        eprintln!("Error: {}   [{}]", self.message, self.code);
        if let Some(why) = &self.why {
            print_block("Why ", why.lines());
        }
        print_block("Next", self.next.iter().map(String::as_str));
        if verbose && let Some(id) = &self.request_id {
            eprintln!("  Request {id}");
        }
    }
}

fn print_block<'a>(label: &str, lines: impl Iterator<Item = &'a str>) {
    for (index, line) in lines.enumerate() {
        eprintln!("  {}  {line}", if index == 0 { label } else { "    " });
    }
}

impl From<Problem> for CtlError {
    fn from(problem: Problem) -> Self {
        let exit = match problem.status {
            401 | 403 => Exit::NotAllowed,
            404 => Exit::Nothing,
            409 | 412 | 423 => Exit::Conflict,
            400..=499 => Exit::Usage,
            _ => Exit::Failed,
        };
        let mut next = problem.next;
        if !problem.candidates.is_empty() {
            next.push(format!("one of: {}", problem.candidates.join(", ")));
        }
        if problem.status == 401 && next.is_empty() {
            next.push("helixctl login URL".to_owned());
        }
        Self(Box::new(Said {
            exit,
            code: problem.code,
            message: problem.title,
            why: problem.detail,
            next,
            request_id: problem.request_id,
        }))
    }
}

impl From<ApiError> for CtlError {
    fn from(error: ApiError) -> Self {
        let code = error.code().to_owned();
        match error {
            ApiError::Problem(problem) => (*problem).into(),
            other => {
                let mut failed = Self::new(Exit::Unreachable, &code, other.to_string());
                failed.why = std::error::Error::source(&other).map(chain);
                failed
            }
        }
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_kind_of_refusal() {
        let exit = |status| CtlError::from(Problem::new(status, "x", "y")).exit;
        assert_eq!(exit(401), Exit::NotAllowed);
        assert_eq!(exit(404), Exit::Nothing);
        assert_eq!(exit(409), Exit::Conflict);
        assert_eq!(exit(412), Exit::Conflict);
        assert_eq!(exit(422), Exit::Usage);
        assert_eq!(exit(500), Exit::Failed);
    }

    #[test]
    fn someone_who_is_not_signed_in_is_told_how() {
        let error = CtlError::from(Problem::new(401, "not_signed_in", "not signed in"));
        assert_eq!(error.next, ["helixctl login URL"]);
    }

    #[test]
    fn candidates_of_an_ambiguous_name_are_listed() {
        let mut problem = Problem::new(409, "node_ambiguous", "\"r01\" names 2 nodes");
        problem.candidates = vec!["r01u05".into(), "r01u06".into()];
        assert_eq!(CtlError::from(problem).next, ["one of: r01u05, r01u06"]);
    }
}
