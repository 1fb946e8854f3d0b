//! Logging in, and above all not logging in once too often.

use std::sync::{Arc, Mutex};

use redfish_client::{Class, Credentials, LoginGate, LoginOutcome, LoginStopped, RedfishError};
use serde_json::json;

use crate::bmc::{Bmc, Reply, SESSIONS, SYSTEM, plain};

/// Writes down what it is asked and told; closed after `permits` attempts.
#[derive(Default)]
struct Diary {
    entries: Mutex<Vec<String>>,
    permits: Option<usize>,
}

#[async_trait::async_trait]
impl LoginGate for Diary {
    async fn before_login(&self) -> Result<(), LoginStopped> {
        let mut entries = self.entries.lock().unwrap();
        let asked = entries.iter().filter(|entry| *entry == "asked").count();
        if self.permits.is_some_and(|permits| asked >= permits) {
            return Err(LoginStopped { reason: "because the count in the database says so".to_owned() });
        }
        entries.push("asked".to_owned());
        Ok(())
    }

    async fn after_login(&self, outcome: &LoginOutcome) {
        let entry = match outcome {
            LoginOutcome::Accepted { session } => format!("accepted {}", session.as_deref().unwrap_or("basic")),
            LoginOutcome::Refused => "refused".to_owned(),
            LoginOutcome::Unanswered => "unanswered".to_owned(),
        };
        self.entries.lock().unwrap().push(entry);
    }
}

impl Diary {
    fn entries(&self) -> Vec<String> {
        self.entries.lock().unwrap().clone()
    }
}

fn wrong() -> Credentials {
    Credentials { user: "root".to_owned(), password: "wrong".to_owned().into() }
}

#[tokio::test]
async fn one_session_serves_all_requests_and_is_deleted_at_the_end() {
    let bmc = Bmc::idrac().await;
    let gate = Arc::new(Diary::default());
    let client = bmc.builder().gate(gate.clone()).build();
    for _ in 0..5 {
        client.power_state().await.unwrap();
    }
    assert_eq!(client.session_uri().as_deref(), Some("/redfish/v1/SessionService/Sessions/1"));
    client.close().await.unwrap();
    assert_eq!(client.session_uri(), None);
    assert_eq!(bmc.count("POST", SESSIONS), 1);
    assert_eq!(bmc.count("DELETE", "/redfish/v1/SessionService/Sessions/1"), 1);
    assert_eq!(gate.entries(), ["asked", "accepted /redfish/v1/SessionService/Sessions/1"]);
    // The session is made without an Authorization header, which an iDRAC refuses there (SYS468).
    assert!(bmc.seen().iter().all(|seen| seen.authorization.is_none()));
    assert!(bmc.seen().iter().all(|seen| seen.accept_encoding.as_deref() == Some("identity")));
}

#[tokio::test]
async fn requests_that_start_together_log_in_once() {
    let bmc = Bmc::idrac().await;
    let client = bmc.client();
    let all = futures::future::join_all((0..10).map(|_| client.power_state())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(bmc.count("POST", SESSIONS), 1);
}

#[tokio::test]
async fn a_session_that_ended_costs_one_login_and_no_refusal() {
    let bmc = Bmc::idrac().await;
    let gate = Arc::new(Diary::default());
    let client = bmc.builder().gate(gate.clone()).build();
    client.power_state().await.unwrap();
    bmc.edit(|state| state.tokens[0] = "ended".to_owned());
    let all = futures::future::join_all((0..4).map(|_| client.power_state())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(bmc.count("POST", SESSIONS), 2);
    assert!(!gate.entries().contains(&"refused".to_owned()));
}

#[tokio::test]
async fn a_wrong_password_is_tried_twice_and_never_again() {
    let bmc = Bmc::idrac().await;
    let gate = Arc::new(Diary::default());
    let client = bmc.builder().credentials(wrong()).gate(gate.clone()).build();
    for attempt in 1..=2 {
        let error = client.power_state().await.unwrap_err();
        assert!(matches!(error, RedfishError::LoginRefused { refused, .. } if refused == attempt), "{error}");
        assert_eq!(error.message_id(), Some("SYS415"));
        assert_eq!(error.class(), Class::Auth);
    }
    let error = client.power_state().await.unwrap_err();
    assert!(matches!(error, RedfishError::LoginStopped { .. }), "{error}");
    assert_eq!(bmc.count("POST", SESSIONS), 2);
    assert_eq!(gate.entries(), ["asked", "refused", "asked", "refused"]);
}

#[tokio::test]
async fn requests_that_waited_for_a_refused_login_do_not_try_it_again() {
    let bmc = Bmc::idrac().await;
    let client = bmc.builder().credentials(wrong()).build();
    let all = futures::future::join_all((0..6).map(|_| client.power_state())).await;
    assert!(all.iter().all(Result::is_err));
    assert_eq!(bmc.count("POST", SESSIONS), 1);
    assert!(client.collect().await.is_err());
    assert_eq!(bmc.count("POST", SESSIONS), 2);
}

#[tokio::test]
async fn a_closed_gate_lets_nothing_out_and_its_reason_is_told() {
    let bmc = Bmc::idrac().await;
    let client = bmc.builder().gate(Arc::new(Diary { permits: Some(0), ..Diary::default() })).build();
    let error = client.power_state().await.unwrap_err();
    assert_eq!(error.code(), "bmc_login_stopped");
    assert!(error.to_string().contains("because the count in the database says so"), "{error}");
    assert_eq!(bmc.count("POST", SESSIONS), 0);
}

#[tokio::test]
async fn no_session_service_means_basic_authentication() {
    for status in [404, 405] {
        let bmc = Bmc::odd(move |state, seen| {
            if seen.is("POST", SESSIONS) {
                return Some(Reply::empty(status));
            }
            // "root:calvin"
            state.open = seen.authorization.as_deref() == Some("Basic cm9vdDpjYWx2aW4=");
            None
        })
        .await;
        let gate = Arc::new(Diary::default());
        let client = bmc.builder().gate(gate.clone()).build();
        client.power_state().await.unwrap();
        client.power_state().await.unwrap();
        assert_eq!(bmc.count("POST", SESSIONS), 1, "{status}");
        assert_eq!(client.session_uri(), None);
        assert_eq!(gate.entries(), ["asked", "unanswered", "asked", "accepted basic"]);
    }
}

#[tokio::test]
async fn a_root_without_sessions_is_not_asked_for_one() {
    let bmc = Bmc::odd(|state, seen| {
        state
            .documents
            .get_mut("/redfish/v1")?
            .as_object_mut()?
            .retain(|key, _| key != "SessionService" && key != "Links");
        state.open = seen.authorization.is_some();
        None
    })
    .await;
    let client = bmc.client();
    client.power_state().await.unwrap();
    assert_eq!(bmc.count("POST", SESSIONS), 0);
}

#[tokio::test]
async fn basic_credentials_that_stop_working_count_as_a_refusal() {
    let bmc = Bmc::odd(|state, seen| {
        if seen.is("POST", SESSIONS) {
            return Some(Reply::empty(404));
        }
        state.open = seen.authorization.is_some() && state.password == "calvin";
        None
    })
    .await;
    let gate = Arc::new(Diary::default());
    let client = bmc.builder().gate(gate.clone()).build();
    client.power_state().await.unwrap();
    bmc.edit(|state| state.password = "changed".to_owned());
    assert!(matches!(client.power_state().await.unwrap_err(), RedfishError::LoginRefused { refused: 1, .. }));
    assert!(matches!(client.power_state().await.unwrap_err(), RedfishError::LoginRefused { refused: 2, .. }));
    assert!(matches!(client.power_state().await.unwrap_err(), RedfishError::LoginStopped { .. }));
    assert_eq!(gate.entries().iter().filter(|entry| *entry == "refused").count(), 2);
}

#[tokio::test]
async fn rac0218_means_that_the_session_table_is_full_and_is_no_refusal() {
    let bmc = Bmc::odd(|_, seen| seen.is("POST", SESSIONS).then(|| Reply::error(503, "IDRAC.2.9.RAC0218"))).await;
    let gate = Arc::new(Diary::default());
    let client = bmc.builder().gate(gate.clone()).build();
    let error = client.power_state().await.unwrap_err();
    assert_eq!((error.code(), error.class(), error.message_id()), ("bmc_sessions_full", Class::Retry, Some("RAC0218")));
    assert_eq!(gate.entries(), ["asked", "unanswered"]);
}

#[tokio::test]
async fn a_bmc_that_is_not_ready_is_not_taken_for_one_without_sessions() {
    let bmc = Bmc::odd(|_, seen| seen.is("POST", SESSIONS).then(|| Reply::error(400, "IDRAC.2.8.SWC0700"))).await;
    let error = bmc.client().power_state().await.unwrap_err();
    assert_eq!((error.class(), error.message_id()), (Class::Retry, Some("SWC0700")));
    assert!(bmc.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn lic501_as_403_keeps_the_session_and_counts_no_refusal() {
    let path = format!("{SYSTEM}/Bios");
    let bmc = Bmc::odd(move |_, seen| seen.is("GET", &path).then(|| Reply::error(403, "IDRAC.2.9.LIC501"))).await;
    let gate = Arc::new(Diary::default());
    let client = bmc.builder().gate(gate.clone()).build();
    for _ in 0..3 {
        let error = client.bios().await.unwrap_err();
        assert_eq!((error.class(), error.message_id()), (Class::Licence, Some("LIC501")));
        assert_eq!(error.resolution(), Some("what IDRAC.2.9.LIC501 advises"));
    }
    client.power_state().await.unwrap();
    assert_eq!(bmc.count("POST", SESSIONS), 1);
    assert!(!gate.entries().contains(&"refused".to_owned()));
}

#[tokio::test]
async fn a_leftover_session_is_deleted_by_its_path_and_may_be_gone_already() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| state.tokens.push("of the process that was killed".to_owned()));
    let client = bmc.client();
    client.delete_session(&format!("{SESSIONS}/9")).await.unwrap();
    let gone = Bmc::odd(|state, seen| {
        if seen.method == "DELETE" { Some(Reply::error(404, "IDRAC.2.9.SYS403")) } else { Some(plain(state, seen)) }
    })
    .await;
    gone.client().delete_session(&format!("{SESSIONS}/9")).await.unwrap();
}

#[tokio::test]
async fn secrets_stay_out_of_errors_and_debug_output() {
    let bmc = Bmc::odd(|_, seen| {
        seen.is("POST", SESSIONS).then(|| Reply::json(401, &json!({"error": {"message": "denied"}})))
    })
    .await;
    let credentials = Credentials { user: "root".to_owned(), password: "Secret-1234".to_owned().into() };
    assert!(!format!("{credentials:?}").contains("Secret-1234"));
    let error = bmc.builder().credentials(credentials).build().login().await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("Secret-1234"));
}
