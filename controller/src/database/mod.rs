//! Postgres: the site's own server, or a private one that helixd runs; then migrations.

pub mod error;
pub mod migrate;

pub use self::error::DatabaseError;
