//! One test per quirk of a BMC that the client copes with, named like the quirk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redfish_client::{Class, Limits, Log, PowerState, RedfishError};
use serde_json::json;

use crate::bmc::{Bmc, MANAGER, Reply, SESSIONS, SYSTEM, collection, documents, identity};

fn quick() -> Limits {
    Limits {
        pauses: vec![Duration::from_millis(5), Duration::from_millis(10), Duration::from_millis(20)],
        ..Limits::default()
    }
}

/// Answers a GET of the system with an error `times` times, then as usual.
async fn unready(times: usize, status: u16, id: &'static str) -> Bmc {
    let asked = AtomicUsize::new(0);
    Bmc::odd(move |_, seen| {
        (seen.is("GET", SYSTEM) && asked.fetch_add(1, Ordering::Relaxed) < times).then(|| Reply::error(status, id))
    })
    .await
}

#[tokio::test]
async fn swc0700_as_http_400_is_asked_again() {
    let bmc = unready(2, 400, "IDRAC.2.8.SWC0700").await;
    let client = bmc.builder().limits(quick()).build();
    assert_eq!(client.power_state().await.unwrap(), PowerState::On);
    assert_eq!(bmc.count("GET", SYSTEM), 3);
}

#[tokio::test]
async fn sys518_is_asked_again_but_not_for_ever() {
    let bmc = unready(usize::MAX, 500, "IDRAC.2.9.SYS518").await;
    let error = bmc.builder().limits(quick()).build().system().await.unwrap_err();
    assert_eq!((error.class(), error.message_id()), (Class::Retry, Some("SYS518")));
    assert_eq!(bmc.count("GET", SYSTEM), 4);
}

#[tokio::test]
async fn a_500_without_a_cause_is_asked_once_more_only() {
    let bmc = unready(usize::MAX, 500, "Base.1.12.InternalError").await;
    bmc.builder().limits(quick()).build().system().await.unwrap_err();
    assert_eq!(bmc.count("GET", SYSTEM), 2);
}

#[tokio::test]
async fn a_wrong_request_is_not_asked_again() {
    let bmc = unready(usize::MAX, 400, "IDRAC.2.9.SYS407").await;
    let error = bmc.builder().limits(quick()).build().system().await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert_eq!(bmc.count("GET", SYSTEM), 1);
}

#[tokio::test]
async fn retry_after_is_heeded_when_it_is_short_and_left_to_the_caller_when_long() {
    for (seconds, asked) in [("3600", 1), ("0", 4)] {
        let bmc = Bmc::odd(move |_, seen| {
            seen.is("GET", SYSTEM)
                .then(|| Reply::error(503, "Base.1.12.ServiceTemporarilyUnavailable").header("Retry-After", seconds))
        })
        .await;
        bmc.builder().limits(quick()).build().system().await.unwrap_err();
        assert_eq!(bmc.count("GET", SYSTEM), asked, "{seconds}");
    }
}

#[tokio::test]
async fn a_connection_cut_within_the_answer_is_asked_again_for_a_get_and_never_for_a_post() {
    let cut = AtomicUsize::new(0);
    let bmc = Bmc::odd(move |_, seen| {
        let reset = seen.path.ends_with("ComputerSystem.Reset");
        let first_get = seen.is("GET", SYSTEM) && cut.fetch_add(1, Ordering::Relaxed) == 0;
        (reset || first_get).then(|| Reply::empty(200).hang_up())
    })
    .await;
    let client = bmc.builder().limits(quick()).build();
    client.system().await.unwrap();
    assert_eq!(bmc.count("GET", SYSTEM), 2);
    let error = client.reset(redfish_client::ResetType::ForceOff).await.unwrap_err();
    assert!(matches!(error, RedfishError::Interrupted { .. }), "{error}");
    assert!(error.outcome_unknown());
    assert_eq!(bmc.count("POST", &format!("{SYSTEM}/Actions/ComputerSystem.Reset")), 1);
}

#[tokio::test]
async fn a_get_that_crosses_the_goodbye_of_a_kept_connection_goes_out_on_a_new_one_at_once() {
    let cut = AtomicUsize::new(0);
    let bmc = Bmc::odd(move |_, seen| {
        (seen.is("GET", SYSTEM) && cut.fetch_add(1, Ordering::Relaxed) == 0).then(|| Reply::empty(200).hang_up())
    })
    .await;
    let client = bmc.builder().limits(Limits { pauses: Vec::new(), ..Limits::default() }).build();
    client.login().await.unwrap();
    client.system().await.unwrap();
    assert_eq!(bmc.count("GET", SYSTEM), 2);
}

#[tokio::test]
async fn a_silent_bmc_costs_its_deadline_and_says_so() {
    let bmc =
        Bmc::odd(|_, seen| seen.is("GET", SYSTEM).then(|| Reply::empty(200).after(Duration::from_secs(3600)))).await;
    let limits = Limits { get: Duration::from_secs(1), ..quick() };
    let client = bmc.builder().limits(limits).build();
    client.login().await.unwrap();
    let error = client.system().await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("bmc_timeout", Class::Retry));
    assert!(error.to_string().ends_with("no answer within 1 s"), "{error}");
    assert_eq!(bmc.count("GET", SYSTEM), 1);
}

#[tokio::test]
async fn at_most_two_requests_are_under_way() {
    let bmc = Bmc::odd(|_, seen| {
        // Slow enough that all ten are waiting while the first two are answered.
        seen.path.contains("/Sessions/").then(|| Reply::json(200, &json!({})).after(Duration::from_millis(100)))
    })
    .await;
    let client = bmc.client();
    client.login().await.unwrap();
    let started = Instant::now();
    let gets = (0..10).map(|number| {
        let uri = format!("{SESSIONS}/{number}");
        let client = client.clone();
        async move { client.get::<serde_json::Value>(&uri).await.unwrap() }
    });
    futures::future::join_all(gets).await;
    assert!(started.elapsed() >= Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn two_connections_carry_everything_and_are_closed_when_idle() {
    let bmc = Bmc::idrac().await;
    let client = bmc.builder().limits(Limits { idle: Duration::from_millis(50), ..Limits::default() }).build();
    let gets = (0..20).map(|_| client.power_state());
    futures::future::join_all(gets).await.into_iter().for_each(|state| assert!(state.is_ok()));
    assert!(bmc.state.lock().unwrap().connections.1 <= 2);
    let started = Instant::now();
    while bmc.state.lock().unwrap().connections.0 > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "the connections stay open");
        tokio::task::yield_now().await;
    }
    // The session outlives its connections.
    client.power_state().await.unwrap();
    assert_eq!(bmc.count("POST", SESSIONS), 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_bmc_closed_costs_nothing_even_for_a_post() {
    let identity = identity();
    let bmc = Bmc::showing(documents(), |_, _| None, &identity, 0).await;
    let client = bmc.builder().limits(Limits { pauses: Vec::new(), ..Limits::default() }).build();
    let slot = client.media_slot().await.unwrap();
    let (port, tokens) = (bmc.address.port(), bmc.state.lock().unwrap().tokens.clone());
    bmc.stop().await;
    let again = Bmc::showing(documents(), |_, _| None, &identity, port).await;
    again.edit(|state| state.tokens = tokens);
    client.eject_media(&slot).await.unwrap();
    let posts: Vec<_> = again.seen().into_iter().filter(|seen| seen.method == "POST").collect();
    assert_eq!(posts.len(), 1);
    assert!(posts[0].path.ends_with("EjectMedia"));
}

#[tokio::test]
async fn expand_refused_without_a_licence_falls_back_to_single_reads() {
    for (status, id) in [(403, "IDRAC.2.9.LIC501"), (400, "IDRAC.2.9.SYS417"), (501, "Base.1.12.QueryNotSupported")] {
        let bmc = Bmc::odd(move |_, seen| {
            seen.query.as_deref().is_some_and(|query| query.contains("$expand")).then(|| Reply::error(status, id))
        })
        .await;
        let snapshot = bmc.client().collect().await.unwrap();
        assert_eq!(snapshot.processors.len(), 2, "{id}");
        assert!(snapshot.unread.is_empty(), "{:?}", snapshot.unread);
        let asked = bmc.seen().iter().filter(|seen| seen.query.is_some()).count();
        // Those that started together found it out together.
        assert!(asked <= 12, "asked {asked} times with {id}");
    }
}

#[tokio::test]
async fn expand_that_is_ignored_falls_back_to_single_reads() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| state.expands = false);
    let client = bmc.client();
    assert_eq!(client.collect().await.unwrap().processors.len(), 2);
    let before = bmc.seen().len();
    assert_eq!(client.collect().await.unwrap().memory.len(), 1);
    assert!(bmc.seen()[before..].iter().all(|seen| seen.query.is_none()), "it is found out once");
}

#[tokio::test]
async fn pages_are_followed_by_next_link_to_the_end() {
    let bmc = paged(|skip| (skip < 100).then(|| format!("{MANAGER}/Oem/Dell/Jobs?$skip={}", skip + 50))).await;
    let jobs = bmc.client().jobs().await.unwrap();
    assert_eq!(jobs.len(), 150);
    assert_eq!(bmc.count("GET", &format!("{MANAGER}/Oem/Dell/Jobs")), 3);
}

#[tokio::test]
async fn pages_that_go_round_in_circles_are_left() {
    let bmc = paged(|_| Some(format!("{MANAGER}/Oem/Dell/Jobs?$skip=50"))).await;
    let jobs = bmc.client().jobs().await.unwrap();
    assert_eq!(jobs.len(), 100);
    assert_eq!(bmc.count("GET", &format!("{MANAGER}/Oem/Dell/Jobs")), 2);
}

async fn paged(next: impl Fn(usize) -> Option<String> + Send + Sync + 'static) -> Bmc {
    let jobs = format!("{MANAGER}/Oem/Dell/Jobs");
    Bmc::odd(move |_, seen| {
        if !seen.is("GET", &jobs) {
            return None;
        }
        let skip = seen.query.as_deref().and_then(|query| query.split("$skip=").nth(1)?.parse().ok()).unwrap_or(0);
        let members: Vec<_> = (skip..skip + 50)
            .map(|n| json!({"@odata.id": format!("{jobs}/JID_{n}"), "Id": format!("JID_{n}"), "JobState": "Completed"}))
            .collect();
        let mut page = json!({"Members": members, "Members@odata.count": 150});
        if let Some(next) = next(skip) {
            page["Members@odata.nextLink"] = next.into();
        }
        Some(Reply::json(200, &page))
    })
    .await
}

#[tokio::test]
async fn a_log_is_read_no_further_than_asked() {
    let entries = format!("{MANAGER}/LogServices/Lclog/Entries");
    let asked = entries.clone();
    let bmc = Bmc::odd(move |_, seen| {
        seen.is("GET", &entries).then(|| {
            let members: Vec<_> = (0..50).map(|n| json!({"@odata.id": format!("{entries}/{}", 900 - n), "Id": (900 - n).to_string(), "MessageId": "IDRAC.2.9.SYS1003"})).collect();
            Reply::json(200, &json!({"Members": members, "Members@odata.nextLink": format!("{entries}?$skip=50")}))
        })
    })
    .await;
    let log = bmc.client().log(Log::Lifecycle, 20).await.unwrap();
    assert_eq!(log.len(), 20);
    assert_eq!(log[0].id.as_deref(), Some("900"), "newest first, as the BMC lists them");
    assert_eq!(bmc.count("GET", &asked), 1);
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_an_issue_and_not_a_failure() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        state.expands = false;
        let members = state.documents.get_mut(&format!("{SYSTEM}/Processors")).unwrap();
        members["Members"]
            .as_array_mut()
            .unwrap()
            .push(json!({"@odata.id": format!("{SYSTEM}/Processors/Video.Slot.22-1")}));
    });
    let snapshot = bmc.client().collect().await.unwrap();
    assert_eq!(snapshot.processors.len(), 2);
    let issue = snapshot.issues.iter().find(|issue| issue.uri.ends_with("Video.Slot.22-1")).unwrap();
    assert_eq!(issue.message_id.as_deref(), Some("SYS403"));
    assert_eq!(issue.what, "it is listed but does not exist");
}

#[tokio::test]
async fn duplicate_members_count_once() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        let members = state.documents.get_mut(&format!("{SYSTEM}/Memory")).unwrap();
        let first = members["Members"][0].clone();
        members["Members"].as_array_mut().unwrap().push(first);
    });
    assert_eq!(bmc.client().collect().await.unwrap().memory.len(), 1);
}

#[tokio::test]
async fn members_in_random_order_are_sorted_as_people_count() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        let gpu = |serial: &str| json!({"ProcessorType": "GPU", "SerialNumber": serial});
        collection(
            &mut state.documents,
            &format!("{SYSTEM}/Processors"),
            &[
                ("Video.Slot.10-1", gpu("c")),
                ("CPU.Socket.2", json!({"ProcessorType": "CPU"})),
                ("Video.Slot.9-1", gpu("b")),
            ],
        );
    });
    let snapshot = bmc.client().collect().await.unwrap();
    let ids: Vec<&str> = snapshot.processors.iter().filter_map(|one| one.id.as_deref()).collect();
    assert_eq!(ids, ["CPU.Socket.2", "Video.Slot.9-1", "Video.Slot.10-1"]);
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_an_issue_that_names_it() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        let dimm = state.documents.get_mut(&format!("{SYSTEM}/Memory/DIMM.Socket.A1")).unwrap();
        dimm["CapacityMiB"] = json!("a lot");
        dimm["Status"] = json!("fine");
    });
    let snapshot = bmc.client().collect().await.unwrap();
    let dimm = &snapshot.memory[0];
    assert_eq!((dimm.capacity_mib, dimm.serial_number.as_deref()), (None, Some("7F85E976")));
    let fields: Vec<_> = snapshot.issues.iter().filter(|issue| issue.uri.ends_with("DIMM.Socket.A1")).collect();
    assert_eq!(fields.iter().filter_map(|issue| issue.field.as_deref()).collect::<Vec<_>>(), ["CapacityMiB", "Status"]);
}

#[tokio::test]
async fn a_status_of_nulls_is_unknown_and_not_failed() {
    let snapshot = Bmc::idrac().await.client().collect().await.unwrap();
    let status = snapshot.memory[0].status.clone().unwrap();
    assert_eq!((status.health, status.state), (None, None));
    assert!(snapshot.issues.is_empty(), "{:?}", snapshot.issues);
}

#[tokio::test]
async fn systems_members_empty_while_the_lifecycle_controller_restarts_is_not_gone() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        state.documents.insert("/redfish/v1/Systems".to_owned(), json!({"Members": [], "Members@odata.count": 0}));
    });
    assert_eq!(bmc.client().power_state().await.unwrap(), PowerState::On);
}

#[tokio::test]
async fn a_part_that_cannot_be_read_is_not_an_empty_part() {
    let path = format!("{SYSTEM}/Memory");
    let bmc = Bmc::odd(move |_, seen| seen.is("GET", &path).then(|| Reply::error(500, "IDRAC.2.9.SYS518"))).await;
    let snapshot = bmc.builder().limits(quick()).build().collect().await.unwrap();
    assert!(snapshot.memory.is_empty());
    assert!(snapshot.unread.contains(&redfish_client::Part::Memory));
    assert_eq!(snapshot.issues[0].message_id.as_deref(), Some("SYS518"));
    assert_eq!(snapshot.processors.len(), 2);
}

#[tokio::test]
async fn a_location_with_a_whole_url_of_another_host_is_taken_as_a_path() {
    let bmc = Bmc::odd(|_, seen| {
        seen.path.ends_with("ComputerSystem.Reset").then(|| {
            Reply::empty(202)
                .header("Location", "https://idrac-hlx0001.example/redfish/v1/TaskService/Tasks/JID_726412301234")
        })
    })
    .await;
    let operation = bmc.client().reset(redfish_client::ResetType::ForceOff).await.unwrap();
    assert_eq!(operation.job(), Some("JID_726412301234"));
}

#[tokio::test]
async fn the_root_of_a_service_that_redirects_to_a_slash_is_read() {
    let bmc =
        Bmc::odd(|_, seen| (seen.path == "/redfish/v1").then(|| Reply::empty(308).header("Location", "/redfish/v1/")))
            .await;
    assert!(bmc.client().root().await.unwrap().is_dell());
}
