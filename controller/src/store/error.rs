//! What can go wrong between the controller and its database.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row that was asked for is not there.
    #[error("there is no such {what}")]
    NotFound { what: &'static str },
    /// A rule of the schema says no: a name is taken, a row is still in use, a value is out of range.
    #[error("the database refused the change: it breaks the rule {constraint}")]
    Conflict {
        /// Name of the unique index, foreign key or check.
        constraint: String,
        #[source]
        source: sqlx::Error,
    },
    /// Somebody else changed the row first.
    #[error("the {what} was changed by somebody else meanwhile; read it again")]
    Stale { what: &'static str },
    /// The database cannot be reached, is starting or stopping: the same call may succeed later.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// A row holds something that this version does not understand.
    #[error("cannot read {what} from the database")]
    Unreadable {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else.
    #[error("a statement failed in the database")]
    Statement(#[source] sqlx::Error),
}

/// SQLSTATE classes and codes after which the same statement may succeed: connection failures (08), resources (53),
/// operator intervention such as a shutdown (57P), serialization failure and deadlock (40001, 40P01).
fn passes_by_itself(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") || code == "40001" || code == "40P01"
}

impl StoreError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::Stale { .. } => "changed_meanwhile",
            Self::Unavailable(_) => "database_unavailable",
            Self::Unreadable { .. } => "database_unreadable",
            Self::Statement(_) => "database_error",
        }
    }

    /// The rule that was broken, for callers that turn it into their own words.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Conflict { constraint, .. } => Some(constraint),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A row whose content this version does not understand.
    pub fn unreadable(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreadable { what, source: source.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound { what: "row" },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => {
                if database.code().is_some_and(|code| passes_by_itself(&code)) {
                    return Self::Unavailable(error);
                }
                match database.constraint().map(str::to_owned) {
                    Some(constraint) => Self::Conflict { constraint, source: error },
                    None => Self::Statement(error),
                }
            }
            _ => Self::Statement(error),
        }
    }
}
