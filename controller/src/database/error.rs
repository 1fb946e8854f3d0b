//! What can keep the controller from its database.

use std::path::PathBuf;

/// An error on the way to a database that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address is not one.
    #[error("database.url is no address of a Postgres: postgres://USER:PASSWORD@HOST:PORT/NAME is wanted")]
    Url(#[source] sqlx::Error),
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
    /// No server programs on this machine.
    #[error(
        "helixd found no Postgres {wanted} or later for its private database: apt-get install {package} (before it, so that it starts no server of its own: mkdir -p /etc/postgresql-common/createcluster.d && echo create_main_cluster=false > /etc/postgresql-common/createcluster.d/helix.conf), or set database.url"
    )]
    NoBinaries { wanted: u32, package: &'static str },
    /// The folder was made by another major version.
    #[error(
        "the database in {folder} was made by Postgres {found}, installed is Postgres {installed}: apt-get install postgresql-{found} brings it back, pg_upgrade or a dump moves the data"
    )]
    OtherMajor { folder: PathBuf, found: String, installed: String },
    /// Postgres refuses to run as root, and there is no user to drop to.
    #[error(
        "Postgres does not run as root and there is no user to run it as: tried {tried}; add one, or start helixd as an ordinary user"
    )]
    NoAccount { tried: String },
    /// The folder belongs to somebody else.
    #[error(
        "the database folder {folder} belongs to user id {owner}, helixd runs as {user}: start helixd as the user that made it, or as root"
    )]
    Owner { folder: PathBuf, owner: u32, user: u32 },
    /// A file or program cannot be used.
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A leftover server does not stop.
    #[error(
        "a Postgres left over from before still runs in {folder} (pids {pids}) and does not stop: stop it by hand, then start helixd again"
    )]
    Leftover { folder: PathBuf, pids: String },
    /// initdb failed.
    #[error("cannot make the private database: {said}")]
    Initdb { said: String },
    /// The server ended while it was starting.
    #[error("the private Postgres in {folder} does not start: {said}")]
    Start { folder: PathBuf, said: String },
}

impl DatabaseError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "database_url",
            Self::Connect { .. } => "database_connect",
            Self::TooOld { .. } => "database_too_old",
            Self::Newer { .. } => "database_newer",
            Self::Other(_) => "database_other_schema",
            Self::Migrate(_) => "database_migrate",
            Self::Store(error) => error.code(),
            Self::NoBinaries { .. } => "postgres_missing",
            Self::OtherMajor { .. } => "postgres_other_major",
            Self::NoAccount { .. } => "postgres_no_account",
            Self::Owner { .. } => "postgres_folder_owner",
            Self::Io { .. } => "postgres_io",
            Self::Leftover { .. } => "postgres_leftover",
            Self::Initdb { .. } => "postgres_initdb",
            Self::Start { .. } => "postgres_start",
        }
    }
}
