//! Which schema steps the database has seen. The table is sqlx's own, so these statements cannot be checked at build time.

use sqlx::PgPool;

use crate::store::StoreError;

/// Versions of the steps applied so far; none when the table is not there yet.
///
/// # Errors
/// When the database fails.
pub async fn applied(db: &PgPool) -> Result<Vec<i64>, StoreError> {
    let there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(db).await?;
    if !there {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("select version from _sqlx_migrations order by version").fetch_all(db).await?)
}

/// The server's version as a number (`150018` is 15.18) and as text.
///
/// # Errors
/// When the database fails.
pub async fn server_version(db: &PgPool) -> Result<(u32, String), StoreError> {
    let row: (String, String) =
        sqlx::query_as("select current_setting('server_version_num'), current_setting('server_version')")
            .fetch_one(db)
            .await?;
    let number = row.0.parse().map_err(|error| StoreError::unreadable("the server's version", error))?;
    Ok((number, row.1))
}

/// Makes a database on the private server when it is not there; `name` is the program's own constant.
///
/// # Errors
/// When the database fails.
pub async fn ensure_database(db: &PgPool, name: &'static str) -> Result<(), StoreError> {
    let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(db)
        .await?;
    if !there {
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(db).await?;
    }
    Ok(())
}
