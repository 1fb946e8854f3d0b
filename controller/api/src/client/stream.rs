//! The live feed: server-sent events, resumed where they were cut.
//!
//! The controller numbers every change and sends a comment when there is none, so silence means a lost connection. The
//! stream reconnects by itself with `Last-Event-ID` and says so; it ends only when the controller refuses.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};

use super::{ApiError, Client};
use crate::stream::ChangeEvent;

/// The controller sends at least a comment every 15 s: two of them lost, and a bit.
const SILENCE_LIMIT: Duration = Duration::from_secs(35);
/// First pause before a new connection; doubles up to the last one.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// A controller that restarts is back within seconds; a person watches, so no longer pauses.
const RETRY_LAST: Duration = Duration::from_secs(8);
/// One event is below a kilobyte; a line that grows past this is not ours.
const LINE_LIMIT: usize = 256 * 1024;

/// What the live feed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The stream is open: read the objects now, changes follow.
    Connected,
    /// Something changed: read the object again.
    Change { id: String, event: ChangeEvent },
    /// Changes were missed that are not kept any more: read everything again.
    Gap,
    /// The stream was lost; it is tried again after the pause.
    Lost { reason: String, retry_in: Duration },
}

/// The feed as a stream; `Err` is its last item.
pub type FeedStream = Pin<Box<dyn Stream<Item = Result<Feed, ApiError>> + Send>>;

impl Client {
    /// Follows changes of these topics (`node`, `workflow`, `bulk`, `image`; none means all), from `after` on when a change's
    /// id is given, else from now on.
    #[must_use]
    pub fn changes(&self, topics: &[&str], after: Option<String>) -> FeedStream {
        let state = State {
            client: self.clone(),
            topics: topics.join(","),
            last: after,
            pause: RETRY_FIRST,
            sleep_first: None,
            connection: None,
            ready: VecDeque::new(),
            ended: false,
        };
        stream::unfold(state, |mut state| async move { state.next().await.map(|item| (item, state)) }).boxed()
    }
}

struct State {
    client: Client,
    topics: String,
    last: Option<String>,
    pause: Duration,
    sleep_first: Option<Duration>,
    connection: Option<Connection>,
    ready: VecDeque<Feed>,
    ended: bool,
}

struct Connection {
    body: Pin<Box<dyn Stream<Item = Result<bytes::Bytes, reqwest::Error>> + Send>>,
    parser: Parser,
}

impl State {
    async fn next(&mut self) -> Option<Result<Feed, ApiError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(feed) = self.ready.pop_front() {
                if let Feed::Change { id, .. } = &feed {
                    self.last = Some(id.clone());
                }
                return Some(Ok(feed));
            }
            if let Some(pause) = self.sleep_first.take() {
                tokio::time::sleep(pause).await;
            }
            let Some(connection) = &mut self.connection else {
                match self.connect().await {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        self.pause = RETRY_FIRST;
                        return Some(Ok(Feed::Connected));
                    }
                    Err(error) if error.transient() => return Some(Ok(self.lost(error.to_string()))),
                    Err(error) => {
                        self.ended = true;
                        return Some(Err(error));
                    }
                }
            };
            match tokio::time::timeout(SILENCE_LIMIT, connection.body.next()).await {
                Ok(Some(Ok(bytes))) => match connection.parser.push(&bytes) {
                    Ok(feeds) => {
                        // The greeting has a number and no change: resuming from there misses nothing.
                        if feeds.is_empty() && self.ready.is_empty() {
                            self.last = connection.parser.id.clone().or_else(|| self.last.take());
                        }
                        self.ready.extend(feeds);
                    }
                    Err(reason) => return Some(Ok(self.lost(reason))),
                },
                Ok(Some(Err(error))) => {
                    let reason = self.client.unreachable(&error).to_string();
                    return Some(Ok(self.lost(reason)));
                }
                Ok(None) => return Some(Ok(self.lost("the controller ended the stream".to_owned()))),
                Err(_) => {
                    return Some(Ok(self.lost(format!("nothing was heard for {} s", SILENCE_LIMIT.as_secs()))));
                }
            }
        }
    }

    fn lost(&mut self, reason: String) -> Feed {
        self.connection = None;
        let retry_in = self.pause;
        self.sleep_first = Some(retry_in);
        self.pause = (self.pause * 2).min(RETRY_LAST);
        Feed::Lost { reason, retry_in }
    }

    async fn connect(&mut self) -> Result<Connection, ApiError> {
        let mut call = self
            .client
            .get(&["stream"])
            .query_opt("topics", (!self.topics.is_empty()).then_some(&self.topics))
            // Silence ends the stream, not its age.
            .timeout(Duration::from_secs(365 * 24 * 3600));
        if let Some(last) = &self.last {
            call = call.header("last-event-id", last.clone());
        }
        let request = call.request().header("accept", "text/event-stream");
        let response = request.send().await.map_err(|error| self.client.unreachable(&error))?;
        self.client.note_version(&response);
        if !response.status().is_success() {
            return Err(self.client.refusal(response, call.name()).await);
        }
        Ok(Connection { body: response.bytes_stream().boxed(), parser: Parser::default() })
    }
}

/// Reads server-sent events from pieces of any size.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    id: Option<String>,
    event: String,
    data: String,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Feed>, String> {
        let mut feeds = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    feeds.extend(self.line(String::from_utf8_lossy(&line).trim_end_matches('\r')));
                }
                other if self.line.len() < LINE_LIMIT => self.line.push(*other),
                _ => return Err("a line of the stream is too long".to_owned()),
            }
        }
        Ok(feeds)
    }

    fn line(&mut self, line: &str) -> Option<Feed> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = std::mem::take(&mut self.data);
            if event == "gap" {
                return Some(Feed::Gap);
            }
            let change = serde_json::from_str::<ChangeEvent>(&data).ok()?;
            return Some(Feed::Change { id: self.id.clone()?, event: change });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.push_str(value),
            // Comments keep the connection alive, other fields are not for us.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: &str, topic: &str) -> Feed {
        Feed::Change { id: id.into(), event: ChangeEvent { topic: topic.into(), id: "x".into() } }
    }

    #[test]
    fn events_are_read_from_pieces_of_any_size() {
        let text = b": hello\n\nid: 4711.7\nevent: node\ndata: {\"topic\":\"node\",\"id\":\"x\"}\n\nid: 4711.8\r\nevent: bulk\r\ndata: {\"topic\":\"bulk\",\"id\":\"x\"}\r\n\r\n";
        for size in [1, 2, 7, 500] {
            let mut parser = Parser::default();
            let mut feeds = Vec::new();
            for piece in text.chunks(size) {
                feeds.extend(parser.push(piece).unwrap());
            }
            assert_eq!(feeds, [change("4711.7", "node"), change("4711.8", "bulk")], "pieces of {size}");
        }
    }

    #[test]
    fn a_gap_is_told_apart_from_a_change() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"id: 9\nevent: gap\ndata: {}\n\n").unwrap(), [Feed::Gap]);
    }

    #[test]
    fn a_stream_that_is_not_ours_ends() {
        let mut parser = Parser::default();
        assert!(parser.push(&vec![b'x'; LINE_LIMIT + 1]).is_err());
    }
}
