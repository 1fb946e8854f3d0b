//! Power, resets, boot device.

use redfish_client::{BootFacts, BootTarget, Class, PowerState, ResetType};
use serde_json::json;

use crate::bmc::{Bmc, MANAGER, Reply, SYSTEM};

#[tokio::test]
async fn the_state_is_one_request_for_the_few_properties_needed() {
    let bmc = Bmc::idrac().await;
    let client = bmc.client();
    client.login().await.unwrap();
    let before = bmc.seen().len();
    let state = client.state().await.unwrap();
    assert_eq!(state.power, Some(PowerState::On));
    assert_eq!(state.last_reset_time.as_deref(), Some("2026-01-02T03:04:05-06:00"));
    assert_eq!(state.boot_progress.as_deref(), Some("OSRunning"));
    assert_eq!((state.health.as_deref(), state.health_rollup.as_deref()), (Some("OK"), Some("Warning")));
    let asked = &bmc.seen()[before..];
    assert_eq!(asked.len(), 1);
    assert!(asked[0].query.as_deref().unwrap().starts_with("$select=PowerState"));
}

#[tokio::test]
async fn a_refused_select_is_tried_once() {
    let bmc = Bmc::odd(|_, seen| {
        seen.query
            .as_deref()
            .is_some_and(|query| query.contains("$select"))
            .then(|| Reply::error(400, "IDRAC.2.7.SYS417"))
    })
    .await;
    let client = bmc.client();
    for _ in 0..3 {
        assert_eq!(client.state().await.unwrap().power, Some(PowerState::On));
    }
    assert_eq!(bmc.count("GET", SYSTEM), 4);
}

#[tokio::test]
async fn a_last_reset_time_of_zeros_is_kept_for_comparison() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| state.documents.get_mut(SYSTEM).unwrap()["LastResetTime"] = json!("0000-00-00T00:00:00+00:00"));
    let state = bmc.client().state().await.unwrap();
    assert_eq!(state.last_reset_time.as_deref(), Some("0000-00-00T00:00:00+00:00"));
}

#[tokio::test]
async fn a_reset_is_sent_once_and_without_if_match() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| state.documents.get_mut(SYSTEM).unwrap()["@odata.etag"] = json!("W/\"gen-4\""));
    let operation = bmc.client().reset(ResetType::ForceOff).await.unwrap();
    assert_eq!(operation.handle, None);
    let sent: Vec<_> = bmc.seen().into_iter().filter(|seen| seen.path.ends_with("ComputerSystem.Reset")).collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].body, json!({"ResetType": "ForceOff"}));
    assert_eq!(sent[0].if_match, None);
}

#[tokio::test]
async fn a_reset_type_that_is_not_allowed_is_refused_before_it_is_sent() {
    let bmc = Bmc::idrac().await;
    let error = bmc.client().reset(ResetType::Nmi).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("bmc_not_supported", Class::Permanent));
    assert!(error.to_string().contains("On, ForceOff, ForceRestart, GracefulShutdown"), "{error}");
    assert!(bmc.seen().iter().all(|seen| !seen.path.ends_with("Reset")));
}

#[tokio::test]
async fn on_refused_by_an_idrac10_for_a_minute_after_off_is_worth_another_try() {
    let bmc = Bmc::odd(|_, seen| {
        seen.path.ends_with("ComputerSystem.Reset").then(|| Reply::error(409, "Base.1.18.ActionParameterValueConflict"))
    })
    .await;
    let error = bmc.client().reset(ResetType::On).await.unwrap_err();
    assert_eq!((error.class(), error.outcome_unknown()), (Class::Retry, false));
}

#[tokio::test]
async fn powering_on_what_is_on_is_as_good_as_done() {
    let bmc =
        Bmc::odd(|_, seen| seen.path.ends_with("ComputerSystem.Reset").then(|| Reply::error(409, "IDRAC.2.9.PSU501")))
            .await;
    bmc.client().reset(ResetType::On).await.unwrap();
}

/// Keeps what is written to `Boot`, the way `shown` shows it.
async fn boots(place: &'static str, shown: &'static str) -> Bmc {
    Bmc::odd(move |state, seen| {
        if seen.method != "PATCH" {
            return None;
        }
        if seen.path != place {
            return Some(Reply::error(400, "Base.1.18.PropertyNotWritable"));
        }
        let boot = &mut state.documents.get_mut(place)?["Boot"];
        for (key, value) in seen.body["Boot"].as_object()? {
            boot[key] = value.clone();
        }
        if boot["BootSourceOverrideEnabled"] == "Once" {
            boot["BootSourceOverrideEnabled"] = shown.into();
        }
        Some(Reply::empty(200))
    })
    .await
}

#[tokio::test]
async fn the_boot_device_is_set_once_without_touching_the_mode() {
    let bmc = boots(SYSTEM, "Once").await;
    let shown = bmc.client().set_boot_once(BootTarget::Cd).await.unwrap();
    assert!(shown.is_once(BootTarget::Cd));
    let patch = bmc.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(patch.body, json!({"Boot": {"BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Once"}}));
    let shown = bmc.client().clear_boot_override().await.unwrap();
    assert_eq!((shown.target.as_deref(), shown.enabled.as_deref()), (Some("None"), Some("Disabled")));
}

#[tokio::test]
async fn an_idrac10_takes_the_boot_device_on_its_settings_object_with_the_tag_just_read() {
    const SETTINGS: &str = "/redfish/v1/Systems/System.Embedded.1/Settings";
    let bmc = boots(SETTINGS, "Once").await;
    bmc.edit(|state| {
        let list = state.documents.get_mut(SYSTEM).unwrap()["Boot"]
            .as_object_mut()
            .unwrap()
            .remove("BootSourceOverrideTarget@Redfish.AllowableValues")
            .unwrap();
        let settings = state.documents.get_mut(SETTINGS).unwrap();
        settings["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"] = list;
        settings["@odata.etag"] = json!("W/\"gen-4-gzip\"");
    });
    let shown = bmc.client().set_boot_once(BootTarget::Cd).await.unwrap();
    assert_eq!(shown.uri, SETTINGS);
    assert!(shown.is_once(BootTarget::Cd));
    let patch = bmc.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(patch.if_match.as_deref(), Some("W/\"gen-4\""));
}

#[tokio::test]
async fn an_idrac9_settings_object_without_the_list_is_left_alone() {
    let bmc = boots(SYSTEM, "Once").await;
    bmc.client().set_boot_once(BootTarget::Pxe).await.unwrap();
    assert_eq!(bmc.count("PATCH", SYSTEM), 1);
    assert!(bmc.seen().iter().all(|seen| !seen.path.ends_with("/Settings")));
}

#[tokio::test]
async fn a_stale_tag_is_read_again_and_the_change_sent_once_more() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let bmc = Bmc::odd(move |_, seen| {
        (seen.method == "PATCH" && first.swap(false, std::sync::atomic::Ordering::Relaxed))
            .then(|| Reply::error(412, "Base.1.18.PreconditionFailed"))
    })
    .await;
    bmc.client().set_boot_once(BootTarget::Cd).await.unwrap();
    assert_eq!(bmc.count("PATCH", SYSTEM), 2);
}

#[tokio::test]
async fn a_service_that_knows_lasting_overrides_only_is_reported_as_such() {
    let bmc = boots(SYSTEM, "Continuous").await;
    let shown = bmc.client().set_boot_once(BootTarget::Cd).await.unwrap();
    assert!(!shown.is_once(BootTarget::Cd));
    assert!(shown.is_continuous(BootTarget::Cd));
}

#[tokio::test]
async fn a_boot_device_that_is_not_offered_is_refused_before_it_is_sent() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        state.documents.get_mut(SYSTEM).unwrap()["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"] =
            json!(["None", "Hdd"]);
    });
    let error = bmc.client().set_boot_once(BootTarget::Cd).await.unwrap_err();
    assert!(error.to_string().contains("Cd is not among the devices that it allows: None, Hdd"), "{error}");
    assert_eq!(bmc.count("PATCH", SYSTEM), 0);
}

#[tokio::test]
async fn the_lifecycle_status_tells_post_from_a_prompt_that_waits_for_a_person() {
    let action = format!("{MANAGER}/Oem/Dell/DellLCService/Actions/DellLCService.GetRemoteServicesAPIStatus");
    let bmc = Bmc::odd(move |_, seen| {
        seen.is("POST", &action).then(|| {
            Reply::json(200, &json!({"Status": "NotReady", "LCStatus": "Ready", "RTStatus": "Ready", "ServerStatus": "HaltedF1/F2Prompt",
                "@Message.ExtendedInfo": [{"MessageId": "IDRAC.2.9.LC060"}]}))
        })
    })
    .await;
    let status = bmc.client().lifecycle_status().await.unwrap();
    assert!(status.needs_a_person() && !status.is_out_of_post() && !status.is_ready());
}

#[tokio::test]
async fn bios_settings_go_out_together_with_apply_time_and_lead_to_one_job() {
    let settings = format!("{SYSTEM}/Bios/Settings");
    let path = settings.clone();
    let bmc = Bmc::odd(move |state, seen| {
        state.documents.insert(path.clone(), json!({"@odata.id": path, "Attributes": {}}));
        seen.is("PATCH", &path)
            .then(|| Reply::empty(202).header("Location", "/redfish/v1/TaskService/Tasks/JID_726412301234"))
    })
    .await;
    let client = bmc.client();
    let bios = client.bios().await.unwrap();
    assert_eq!(bios.boot_mode(), Some("Uefi"));
    assert!(client.bios_pending().await.unwrap().attributes.is_empty());
    let wanted = [("BootMode", redfish_client::AttributeValue::Text("Uefi".into()))];
    let wanted = wanted.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(client.set_bios(&wanted).await.unwrap().job(), Some("JID_726412301234"));
    let patch = bmc.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(
        patch.body,
        json!({"Attributes": {"BootMode": "Uefi"}, "@Redfish.SettingsApplyTime": {"ApplyTime": "OnReset"}})
    );
    assert_eq!(client.boot_facts().await.unwrap(), BootFacts { uefi: Some(true), secure_boot: Some(false) });
}

#[tokio::test]
async fn without_the_bios_attribute_the_override_tells_the_boot_mode() {
    for (mode, uefi) in [("UEFI", true), ("Legacy", false)] {
        let bmc = Bmc::idrac().await;
        bmc.edit(|state| {
            state.documents.get_mut(&format!("{SYSTEM}/Bios")).unwrap()["Attributes"] = json!({});
            state.documents.remove(&format!("{SYSTEM}/SecureBoot"));
            state.documents.get_mut(SYSTEM).unwrap()["Boot"]["BootSourceOverrideMode"] = mode.into();
        });
        assert_eq!(bmc.client().boot_facts().await.unwrap(), BootFacts { uefi: Some(uefi), secure_boot: None });
    }
}

#[tokio::test]
async fn a_job_is_read_and_one_that_is_gone_is_deleted_already() {
    let bmc = Bmc::idrac().await;
    let uri = format!("{MANAGER}/Oem/Dell/Jobs/JID_1");
    bmc.edit(|state| {
        state.documents.insert(uri.clone(), json!({"@odata.id": uri, "Id": "JID_1", "JobState": "Scheduled", "MessageId": "JCP001", "PercentComplete": 0}));
    });
    let client = bmc.client();
    assert_eq!(client.job("JID_1").await.unwrap().class(), Class::Waiting);
    client.delete_job("JID_1").await.unwrap();
    client.delete_job("JID_1").await.unwrap();
    assert!(client.job("JID_1").await.unwrap_err().is_missing());
}
