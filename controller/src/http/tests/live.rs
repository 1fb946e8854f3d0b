//! Live views: nothing is missed, also by who was cut.

use futures::StreamExt;

use super::*;

/// Longest wait for an event: far beyond the view's own look every 5 s.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// An open view.
struct View {
    body: axum::body::BodyDataStream,
    text: String,
}

impl View {
    async fn open(api: &Api, query: &str, last: Option<&str>) -> Self {
        let mut request = Api::request(Method::GET, &format!("/api/v1/stream{query}"), &api.viewer);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = api.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// Name and id of the next event; comments are passed over.
    async fn next(&mut self) -> (String, String) {
        let wait = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let field = |name: &str| {
                        event.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned())
                    };
                    let found = field("event:").zip(field("id:"));
                    self.text = rest.to_owned();
                    if let Some(found) = found {
                        return found;
                    }
                    continue;
                }
                let piece = self.body.next().await.expect("the view stays open").unwrap();
                self.text.push_str(&String::from_utf8_lossy(&piece));
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("an event comes in time")
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_view_that_was_cut_gets_what_it_missed(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    seed::node(api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    let (name, seen) = View::open(&api, "", None).await.next().await;
    assert_eq!(name, "hello");
    seed::node(api.app(), "r01u06", "AAA2222", "10.0.0.2").await;
    let mut again = View::open(&api, "?topics=node", Some(&seen)).await;
    let (name, next) = again.next().await;
    assert_eq!(name, "node");
    assert_ne!(next, seen);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_view_that_was_away_too_long_is_told_of_the_gap(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    seed::node(api.app(), "r01u05", "AAA1111", "10.0.0.1").await;
    let (name, _) = View::open(&api, "", Some("1.1")).await.next().await;
    assert_eq!(name, "gap");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_reaches_an_open_view_even_when_the_hint_is_lost(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    // Nobody runs the listener in this test, so no hint ever comes: the view looks by itself.
    let mut view = View::open(&api, "?topics=node", None).await;
    assert_eq!(view.next().await.0, "hello");
    seed::node(api.app(), "r01u06", "AAA2222", "10.0.0.2").await;
    assert_eq!(view.next().await.0, "node");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_topic_that_is_none_is_refused(db: sqlx::PgPool) {
    let api = Api::new(db).await;
    let refused = api.get("/api/v1/stream?topics=nodes").await.problem();
    assert_eq!(refused.title, "There is no topic \"nodes\".");
}
