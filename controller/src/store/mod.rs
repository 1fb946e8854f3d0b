//! The only place with SQL; one file per noun.
//!
//! Functions take an executor or a connection, return rows as plain structs, and know nothing of HTTP or BMCs. Callers
//! open transactions, and never hold one across a call to anything but the database.

pub mod agents;
pub mod audit;
pub mod changes;
pub mod credentials;
pub mod deploy_sessions;
pub mod error;
pub mod idempotency;
pub mod images;
pub mod join_tokens;
pub mod media_files;
pub mod schema;
pub mod site;
pub mod tokens;
pub mod users;

pub use self::error::StoreError;
