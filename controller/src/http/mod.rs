//! The HTTP API under `/api/v1`.
//!
//! `router` is the table of contents; then a file per resource with small handlers that read top to bottom. Around them:
//! `sign_in` (who asks), `idempotency` (a repeated POST does nothing twice), `problem` (every refusal looks the same). No
//! SQL stands here, and nothing here changes a node by itself: it starts workflows and bulk actions.

mod access;
mod actor;
mod body;
mod bulks;
mod credentials;
mod cursor;
mod description;
mod enrolments;
mod headers;
mod health;
mod idempotency;
mod images;
mod inspections;
mod node_bmc;
mod node_edit;
mod node_history;
mod node_removal;
mod node_view;
mod nodes;
mod params;
mod power;
mod problem;
mod provisions;
mod request_id;
mod router;
mod selection;
mod sign_in;
mod stream;
mod throttle;
mod workflow_view;
mod workflows;

pub use self::description::openapi;
pub(crate) use self::node_view::address;
pub use self::router::router;

/// An answer of a handler: success, or a refusal in words.
pub(crate) type Answer<T> = Result<T, problem::Refused>;

#[cfg(test)]
mod tests;
