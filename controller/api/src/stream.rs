//! Live views: `GET /api/v1/stream`, server-sent events.
//!
//! Each event has the change's number as its `id`; a client that was cut sends it back in `Last-Event-ID` and misses
//! nothing. The data says what changed, not how: the client reads the object again.

use serde::{Deserialize, Serialize};

/// Data of one event; the event's name is the topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeEvent {
    /// `node`, `workflow`, `bulk`, `image`
    pub topic: String,
    /// Row id of the object.
    pub id: String,
}
