//! Live views: changes as server-sent events, resumed where a client was cut.
//!
//! A hint says that the feed grew; what is sent is read from the feed at the client's own cursor, so a lost hint loses
//! nothing. Events are named by topic; `hello` tells where the feed stands, `gap` that changes were missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use helix_api::stream::ChangeEvent;
use tokio::sync::broadcast::Receiver;

use super::Answer;
use super::actor::Viewer;
use super::params::Params;
use super::problem::Refused;
use crate::app::App;
use crate::chain::Chain;
use crate::store::changes::{self, Cursor};

/// A comment is sent when nothing else was for this long; proxies cut a silent connection after 30 to 60 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The feed is looked at without a hint this often: the longest that a lost one delays an event.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Rows read at once.
const ROWS: i64 = 500;
const TOPICS: [&str; 4] = ["node", "workflow", "bulk", "image"];

struct Feed {
    app: Arc<App>,
    cursor: Cursor,
    topics: Vec<String>,
    hints: Receiver<Cursor>,
    ready: std::collections::VecDeque<Event>,
    caught_up: bool,
}

/// Changes of nodes, workflows, bulk actions and images, as they happen.
#[utoipa::path(get, path = "/api/v1/stream", tag = "live",
    params(("topics" = Option<String>, Query, description = "node, workflow, bulk, image; comma-joined; all unless given"),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen: nothing after it is missed")),
    responses((status = 200, content_type = "text/event-stream", body = ChangeEvent),
        (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn stream(
    _: Viewer,
    State(app): State<Arc<App>>,
    params: Params,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    params.only(&["topics"])?;
    let topics = params.forms("topics");
    if let Some(unknown) = topics.iter().find(|topic| !TOPICS.contains(&topic.as_str())) {
        return Err(Refused::bad_request("query_bad_value", format!("There is no topic \"{unknown}\"."))
            .because(format!("Topics: {}.", TOPICS.join(", ")))
            .field("topics"));
    }
    // Subscribed before the feed is read: what is written in between is hinted at.
    let hints = app.changes.subscribe();
    let (head, _) = changes::head(&app.db).await?;
    let mut ready = std::collections::VecDeque::new();
    let last: Option<Cursor> =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let cursor = match last {
        Some(last) if changes::reaches_back_to(&app.db, last).await? => last,
        Some(_) => {
            ready.push_back(Event::default().event("gap").id(head.to_string()).data("{}"));
            head
        }
        None => {
            ready.push_back(Event::default().event("hello").id(head.to_string()).data("{}"));
            head
        }
    };
    let feed = Feed { app, cursor, topics, hints, ready, caught_up: false };
    let events = stream::unfold(feed, |mut feed| async move { feed.next().await.map(|event| (Ok(event), feed)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.caught_up {
                tokio::select! {
                    () = self.app.shutdown.cancelled() => return None,
                    // A closed or lagging channel only means: look.
                    _hint = self.hints.recv() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
            match changes::after(&self.app.db, self.cursor, ROWS).await {
                Ok(rows) => {
                    self.caught_up = (rows.len() as i64) < ROWS;
                    for row in rows {
                        self.cursor = row.cursor();
                        if self.topics.is_empty() || self.topics.contains(&row.topic) {
                            let change = ChangeEvent { topic: row.topic, id: row.object_id };
                            let event = Event::default().event(&change.topic).id(self.cursor.to_string());
                            self.ready.extend(event.json_data(&change));
                        }
                    }
                }
                Err(error) => {
                    // The client reconnects with its cursor, and gets the refusal in words if it lasts.
                    tracing::warn!(error = %Chain(&error), "a live view ends: the feed cannot be read");
                    return None;
                }
            }
        }
    }
}
