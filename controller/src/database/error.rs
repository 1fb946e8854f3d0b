//! What can keep the controller from its database.

/// An error on the way to a database that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The server cannot be reached, or refuses us.
    #[error("cannot connect to the database {at}")]
    Connect {
        /// Host and database, never the password.
        at: String,
        #[source]
        source: sqlx::Error,
    },
    /// The server is too old.
    #[error("the database {at} is Postgres {found}; Helix needs {wanted} or later")]
    TooOld { at: String, found: String, wanted: u32 },
    /// A newer Helix has been here.
    #[error(
        "the database was migrated by a newer Helix (schema {found}, this one knows up to {known}): start that version again, or restore the backup made before the upgrade"
    )]
    Newer { found: i64, known: i64 },
    /// The schema is not what this version wrote.
    #[error(
        "schema step {0} in the database is not the one this helixd holds: the database belongs to another build of Helix"
    )]
    Other(i64),
    /// A step failed; it was undone.
    #[error("cannot bring the database to this version's schema")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A statement failed on the way.
    #[error("cannot prepare the database")]
    Store(#[from] crate::store::StoreError),
}

impl DatabaseError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "database_connect",
            Self::TooOld { .. } => "database_too_old",
            Self::Newer { .. } => "database_newer",
            Self::Other(_) => "database_other_schema",
            Self::Migrate(_) => "database_migrate",
            Self::Store(error) => error.code(),
        }
    }
}
