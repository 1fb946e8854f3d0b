//! Brings the schema to this version, one process at a time.

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

use crate::database::DatabaseError;
use crate::store::schema::applied;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// The newest schema step that this version knows.
#[must_use]
pub fn known() -> i64 {
    MIGRATOR.iter().map(|step| step.version).max().unwrap_or_default()
}

/// Applies the steps that are missing, under sqlx's advisory lock, so that several controllers may start at once.
/// Gives back how many were applied.
///
/// # Errors
/// When the database is newer than this version, was made by another build, or a step fails (it is then undone).
pub async fn migrate(db: &PgPool) -> Result<usize, DatabaseError> {
    let before = applied(db).await?;
    let known = known();
    if let Some(found) = before.iter().copied().max().filter(|found| *found > known) {
        return Err(DatabaseError::Newer { found, known });
    }
    MIGRATOR.run(db).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => DatabaseError::Newer { found, known },
        MigrateError::VersionMismatch(step) => DatabaseError::Other(step),
        other => DatabaseError::Migrate(other),
    })?;
    Ok(applied(db).await?.len() - before.len())
}
