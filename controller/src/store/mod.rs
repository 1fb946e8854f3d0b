//! The only place with SQL; one file per noun.
//!
//! Functions take an executor or a connection, return rows as plain structs, and know nothing of HTTP or BMCs. Callers
//! open transactions, and never hold one across a call to anything but the database.

pub mod agents;
pub mod attempts;
pub mod audit;
pub mod bmcs;
pub mod bulks;
pub mod changes;
pub mod credentials;
pub mod deploy_sessions;
pub mod error;
pub mod events;
pub mod hardware;
pub mod idempotency;
pub mod images;
pub mod intents;
pub mod join_tokens;
pub mod leases;
pub mod media_files;
pub mod node_state;
pub mod nodes;
pub mod plans;
pub mod schema;
#[cfg(test)]
pub(crate) mod seed;
pub mod site;
pub mod steps;
pub mod summaries;
pub mod tokens;
pub mod users;
pub mod workflows;

pub use self::error::StoreError;
