//! Virtual media.

use std::time::Duration;

use redfish_client::{Class, Limits};
use serde_json::json;

use crate::bmc::{Bmc, MANAGER, Reply, SYSTEM, State, collection};

const ISO: &str = "http://192.0.2.20:8080/media/7q2m4k/helix.iso";

fn slot() -> String {
    format!("{SYSTEM}/VirtualMedia/1")
}

fn attributes() -> String {
    format!("{MANAGER}/Oem/Dell/DellAttributes/iDRAC.Embedded.1")
}

fn put(state: &mut State, image: Option<&str>, attached: bool) {
    let media = state.documents.get_mut(&slot()).unwrap();
    media["Inserted"] = image.is_some().into();
    media["Image"] = image.into();
    let attach = if attached { "Attached" } else { "Detached" };
    state.documents.get_mut(&attributes()).unwrap()["Attributes"]["RFS.1.MediaAttachState"] = attach.into();
}

/// Takes images and gives them back.
async fn drive() -> Bmc {
    Bmc::odd(|state, seen| {
        if seen.path.ends_with("InsertMedia") {
            let image = seen.body["Image"].as_str()?.to_owned();
            put(state, Some(&image), false);
            return Some(Reply::empty(204));
        }
        if seen.path.ends_with("EjectMedia") {
            put(state, None, false);
            return Some(Reply::empty(204));
        }
        None
    })
    .await
}

#[tokio::test]
async fn inserted_is_not_yet_attached_to_the_host() {
    let bmc = drive().await;
    let client = bmc.client();
    let slot = client.media_slot().await.unwrap();
    assert!(!client.media_state(&slot).await.unwrap().inserted);
    client.insert_media(&slot, ISO).await.unwrap();
    let state = client.media_state(&slot).await.unwrap();
    assert_eq!((state.inserted, state.image.as_deref(), state.attached), (true, Some(ISO), Some(false)));
    bmc.edit(|state| put(state, Some(ISO), true));
    assert_eq!(client.media_state(&slot).await.unwrap().attached, Some(true));
    client.eject_media(&slot).await.unwrap();
    assert!(!client.media_state(&slot).await.unwrap().inserted);
    let sent = bmc.seen().into_iter().find(|seen| seen.path.ends_with("InsertMedia")).unwrap();
    assert_eq!(sent.body, json!({"Image": ISO, "Inserted": true, "WriteProtected": true}));
}

#[tokio::test]
async fn only_slot_one_boots_though_two_are_alike_and_listed_in_any_order() {
    let slot = drive().await.client().media_slot().await.unwrap();
    assert_eq!(slot.uri, format!("{SYSTEM}/VirtualMedia/1"));
}

#[tokio::test]
async fn older_firmware_has_its_virtual_media_under_the_manager() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        state.documents.retain(|uri, _| !uri.contains("VirtualMedia"));
        collection(
            &mut state.documents,
            &format!("{MANAGER}/VirtualMedia"),
            &[
                ("RemovableDisk", json!({"MediaTypes": ["USBStick"]})),
                ("CD", json!({"MediaTypes": ["CD", "DVD"], "Inserted": false})),
            ],
        );
    });
    assert_eq!(bmc.client().media_slot().await.unwrap().uri, format!("{MANAGER}/VirtualMedia/CD"));
}

#[tokio::test]
async fn a_bmc_without_a_slot_says_so() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| state.documents.retain(|uri, _| !uri.contains("VirtualMedia")));
    let error = bmc.client().media_slot().await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("bmc_not_supported", Class::Permanent));
}

#[tokio::test]
async fn rac0904_tells_that_the_bmc_cannot_reach_the_url() {
    let bmc =
        Bmc::odd(|_, seen| seen.path.ends_with("InsertMedia").then(|| Reply::error(400, "IDRAC.2.9.RAC0904"))).await;
    let client = bmc.client();
    let slot = client.media_slot().await.unwrap();
    let error = client.insert_media(&slot, ISO).await.unwrap_err();
    assert_eq!((error.class(), error.message_id()), (Class::Permanent, Some("RAC0904")));
}

#[tokio::test]
async fn vrm0021_tells_that_the_slot_is_in_use() {
    let bmc =
        Bmc::odd(|_, seen| seen.path.ends_with("InsertMedia").then(|| Reply::error(500, "IDRAC.2.9.VRM0021"))).await;
    let client = bmc.client();
    let slot = client.media_slot().await.unwrap();
    let error = client.insert_media(&slot, ISO).await.unwrap_err();
    assert_eq!((error.class(), error.outcome_unknown()), (Class::Busy, false));
}

#[tokio::test]
async fn an_insert_that_times_out_is_read_before_it_counts_as_failed() {
    for works in [true, false] {
        let bmc = Bmc::odd(move |state, seen| {
            seen.path.ends_with("InsertMedia").then(|| {
                if works {
                    put(state, Some(ISO), false);
                }
                Reply::empty(204).after(Duration::from_secs(3600))
            })
        })
        .await;
        let limits = Limits { insert: Duration::from_millis(200), ..Limits::default() };
        let client = bmc.builder().limits(limits).build();
        let slot = client.media_slot().await.unwrap();
        let outcome = client.insert_media(&slot, ISO).await;
        assert_eq!(outcome.is_ok(), works);
        assert_eq!(bmc.count("POST", &format!("{}/Actions/VirtualMedia.InsertMedia", slot.uri)), 1);
    }
}

#[tokio::test]
async fn an_image_of_somebody_else_is_no_success_after_a_timeout() {
    let bmc = Bmc::odd(|state, seen| {
        seen.path.ends_with("InsertMedia").then(|| {
            put(state, Some("http://192.0.2.99/other.iso"), true);
            Reply::empty(204).after(Duration::from_secs(3600))
        })
    })
    .await;
    let limits = Limits { insert: Duration::from_millis(200), ..Limits::default() };
    let client = bmc.builder().limits(limits).build();
    let slot = client.media_slot().await.unwrap();
    assert_eq!(client.insert_media(&slot, ISO).await.unwrap_err().code(), "bmc_timeout");
}

#[tokio::test]
async fn ejecting_an_empty_slot_is_no_error_whatever_the_bmc_calls_it() {
    for id in ["IDRAC.2.9.VRM0009", "IDRAC.2.9.VRM0014", "Base.1.12.InternalError"] {
        let bmc = Bmc::odd(move |_, seen| seen.path.ends_with("EjectMedia").then(|| Reply::error(500, id))).await;
        let client = bmc.client();
        let slot = client.media_slot().await.unwrap();
        client.eject_media(&slot).await.unwrap();
    }
}

#[tokio::test]
async fn an_eject_that_fails_with_media_in_the_slot_is_an_error() {
    let bmc =
        Bmc::odd(|_, seen| seen.path.ends_with("EjectMedia").then(|| Reply::error(500, "IDRAC.2.9.VRM0012"))).await;
    bmc.edit(|state| put(state, Some(ISO), true));
    let client = bmc.client();
    let slot = client.media_slot().await.unwrap();
    assert_eq!(client.eject_media(&slot).await.unwrap_err().class(), Class::Busy);
}
