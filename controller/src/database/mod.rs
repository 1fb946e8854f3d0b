//! Postgres: the site's own server, or a private one that helixd runs; connected, of a known version, migrated.
//!
//! `embedded` and what it leans on run the private one. Everything above this module sees only a pool.

mod account;
mod binaries;
mod cluster;
mod embedded;
pub mod error;
mod leftover;
pub mod migrate;
mod process;
mod supervisor;

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

pub use self::error::DatabaseError;
use crate::config::Config;
use crate::database::embedded::Embedded;
use crate::store;

/// The oldest Postgres that Helix works with: every supported distribution has it, and `pg_current_xact_id` came with 13.
pub const OLDEST: u32 = 14;
/// How long a request waits for a connection before it is told that the database is busy. Not scaled: it is the
/// machine's time.
const ACQUIRE: Duration = Duration::from_secs(10);

/// A database that can be used, and the server behind it when it is our own.
#[derive(Debug)]
pub struct Database {
    /// Connections; they heal themselves when the server comes back.
    pub pool: PgPool,
    embedded: Option<Embedded>,
    /// Keeps the short name of a deep folder alive while connections are made.
    _folder: Option<std::fs::File>,
}

impl Database {
    /// Connects to the configured server, or starts the private one. The caller holds the data folder's lock.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn open(config: &Config, data_dir: &Path) -> Result<Self, DatabaseError> {
        if let Some(database) = Self::configured(config).await? {
            return Ok(database);
        }
        let embedded = Embedded::start(data_dir, config.database.connections).await?;
        let place = embedded.place();
        let options = embedded.options();
        let base = pool(1, options.clone().database("postgres")).await.map_err(|source| connect(&place, source))?;
        store::schema::ensure_database(&base, embedded::NAME).await?;
        base.close().await;
        let pool = pool(config.database.connections, options).await.map_err(|source| connect(&place, source))?;
        Ok(Self { pool, embedded: Some(embedded), _folder: None })
    }

    /// Connects to a database that is already served: the configured server, or the private one of a running helixd.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn join(config: &Config, data_dir: &Path) -> Result<Self, DatabaseError> {
        if let Some(database) = Self::configured(config).await? {
            return Ok(database);
        }
        let (options, folder) = embedded::running(data_dir)?;
        let place = format!("in {}", data_dir.join("postgres").display());
        let pool = pool(2, options).await.map_err(|source| connect(&place, source))?;
        Ok(Self { pool, embedded: None, _folder: Some(folder) })
    }

    async fn configured(config: &Config) -> Result<Option<Self>, DatabaseError> {
        let Some(url) = &config.database.url else { return Ok(None) };
        let options: PgConnectOptions = url.expose_secret().parse().map_err(DatabaseError::Url)?;
        let at = format!("{} on {}", options.get_database().unwrap_or("(default)"), options.get_host());
        // One connection first: a pool tries again and again, and at its end no longer knows why it failed.
        let first = tokio::time::timeout(ACQUIRE, PgConnection::connect_with(&options));
        let first = first.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|source| connect(&at, source))?;
        // It answered; how it closes is the server's matter.
        drop(first.close().await);
        let pool = pool(config.database.connections, options).await.map_err(|source| connect(&at, source))?;
        let (number, found) = store::schema::server_version(&pool).await?;
        if number / 10_000 < OLDEST {
            return Err(DatabaseError::TooOld { at, found, wanted: OLDEST });
        }
        Ok(Some(Self { pool, embedded: None, _folder: None }))
    }

    /// Gives all connections back and stops the server when it is our own.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// What would keep the private Postgres from starting in this folder, without starting anything; nothing when a server of
/// the site is configured, for that is told by asking it.
///
/// # Errors
/// See [`DatabaseError`].
pub fn check(config: &Config) -> Result<(), DatabaseError> {
    if config.database.url.is_some() {
        return Ok(());
    }
    binaries::find(&config.data_dir.join("postgres"))?;
    account::find()?;
    Ok(())
}

fn connect(at: &str, source: sqlx::Error) -> DatabaseError {
    DatabaseError::Connect { at: at.to_owned(), source }
}

async fn pool(connections: u32, options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.application_name("helixd"))
        .await
}

#[cfg(test)]
mod tests;
