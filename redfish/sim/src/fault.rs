//! Named faults of a BMC, switched on and off while it runs (control API, tests). Each is one misbehaviour that real
//! iDRACs are known for; what each does is told in the README and, where it acts, at the place that reads the field.
//! This module only holds the switches.

use serde::{Deserialize, Serialize};

/// All switches of one BMC. Everything off is a healthy iDRAC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Connections are closed at once, before TLS.
    pub dead: bool,
    /// Connections are accepted and never answered.
    pub black_hole: bool,
    /// Answers HTTP, but no Redfish: some other appliance lives at this address.
    pub not_redfish: bool,
    /// The password of `root` is this one instead of the factory's.
    pub password: Option<String>,
    /// Every request waits this long, milliseconds.
    pub slow: Option<u64>,
    /// Requests to the logs wait this long, milliseconds (quirk 62).
    pub slow_logs: Option<u64>,
    /// Images cannot be reached: RAC0904 on insert.
    pub media_unreachable: bool,
    /// Insert answers success, the drive never becomes visible to the host (quirk 68 for ever).
    pub media_never_attaches: bool,
    /// Insert takes effect at once and answers this many milliseconds later: longer than clients wait.
    pub insert_late: Option<u64>,
    /// Insert answers RAC0720 and the image is attached all the same, a minute later.
    pub insert_fails_but_attaches: bool,
    /// Eject answers success, the slot stays inserted for a while (quirk 6).
    pub stale_insert: bool,
    /// The first insert after an eject answers 500 (quirk 7).
    pub insert_5xx_after_eject: bool,
    /// Insert answers VRM0021 until the other slot is ejected or the iDRAC restarted (quirk 8).
    pub media_in_use: bool,
    /// The old media members under the manager refuse inserts with RAC0904 (quirk 11).
    pub managers_media_refused: bool,
    /// A power-on is accepted and nothing happens (quirk 45).
    pub power_stuck: bool,
    /// The OS ignores the polite request to shut down.
    pub deaf_to_graceful: bool,
    /// A forced power-off takes this many seconds of machine time instead of five (quirk 44).
    pub slow_power_off: Option<u64>,
    /// `On` answers 409 for a minute after off (quirk 43).
    pub on_conflict: bool,
    /// Resets of every kind are refused with an internal error.
    pub reset_refused: bool,
    /// The override is used up, and the disk boots all the same (quirks 14, 69).
    pub boots_wrong_device: bool,
    /// POST stops in memory training and never goes on.
    pub post_hangs: bool,
    /// POST stops at an F1/F2 prompt and waits for a person.
    pub post_halts: bool,
    /// The BIOS is in legacy mode.
    pub legacy_boot: bool,
    /// Secure Boot is on.
    pub secure_boot: bool,
    /// Sending `BootSourceOverrideMode`, even unchanged, makes a BIOS job and one more reboot (quirk 15).
    pub boot_mode_job: bool,
    /// All eight sessions belong to others (RAC0218).
    pub sessions_full: bool,
    /// Session service answers 405: only basic authentication works (quirk 53).
    pub no_sessions: bool,
    /// Every authenticated request answers SYS518 with 503 (quirk 24).
    pub sys518: bool,
    /// Every authenticated request answers SWC0700 with **400** (quirk 25).
    pub swc0700_400: bool,
    /// `$expand` is refused (quirk 60).
    pub expand_refused: bool,
    /// `Systems` has no members for the moment (quirk 26).
    pub systems_empty: bool,
    /// Members of collections come in another order.
    pub shuffled_members: bool,
    /// Ports of InfiniBand functions are linked under a path that does not exist.
    pub dangling_links: bool,
    /// MAC addresses lack leading zeros (quirk 57).
    pub short_macs: bool,
    /// The time of the last reset is never known: zeros (quirk 59).
    pub zero_reset_time: bool,
    /// System Lockdown is on: writes answer SYS406 (quirk 42).
    pub lockdown: bool,
    /// A finished BIOS job reports errors.
    pub bios_job_fails: bool,
    /// Sending BIOS values that a job holds already answers 200 without a job instead of SYS011 (quirk 37).
    pub bios_repeat_is_200: bool,
    /// The BIOS shows pending values as if they were in force (quirk 38).
    pub bios_shows_pending: bool,
    /// GET of a job that was just made answers 404 for ten seconds (quirk 23).
    pub job_404: bool,
    /// The service tag is this one instead of its own.
    pub duplicate_tag: Option<String>,
    /// Changes to the machine that the host program is told of; see [`overlay`].
    pub host: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Lays the changes of [`Faults::host`] over a machine: members replace those of the same name, but for `disks` given as an
/// object, where each member changes the disk of that name (`null` takes it out), and `add_disks`, which adds to them.
pub fn overlay(machine: &mut serde_json::Value, changes: &serde_json::Map<String, serde_json::Value>) {
    use serde_json::Value;
    for (name, change) in changes {
        match (name.as_str(), change) {
            ("disks", Value::Object(by_name)) => {
                let Some(disks) = machine["disks"].as_array_mut() else { continue };
                disks.retain(|disk| disk["name"].as_str().and_then(|name| by_name.get(name)) != Some(&Value::Null));
                for disk in disks {
                    let changes = disk["name"].as_str().and_then(|name| by_name.get(name)).and_then(Value::as_object);
                    for (name, value) in changes.into_iter().flatten() {
                        disk[name] = value.clone();
                    }
                }
            }
            ("add_disks", Value::Array(more)) => {
                if let Some(disks) = machine["disks"].as_array_mut() {
                    disks.extend(more.iter().cloned());
                }
            }
            _ => machine[name] = change.clone(),
        }
    }
}

/// A name that is no fault.
#[derive(Debug, thiserror::Error)]
#[error("set the faults of a BMC: {0}")]
pub struct FaultError(String);

impl Faults {
    /// Applies a JSON object `{"dead": true, "slow": 250}` on top of the present switches; `null` or `false` switches off.
    ///
    /// # Errors
    /// When a name is unknown or a value has the wrong type; the message lists the known names.
    pub fn patched(&self, patch: &serde_json::Map<String, serde_json::Value>) -> Result<Self, FaultError> {
        let mut now = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        };
        for (name, value) in patch {
            let Some(old) = now.get_mut(name) else {
                let known: Vec<&String> = now.keys().collect();
                return Err(FaultError(format!("there is no fault '{name}'; known are {known:?}")));
            };
            *old = match value {
                serde_json::Value::Null if old.is_boolean() => serde_json::Value::Bool(false),
                serde_json::Value::Bool(false) if !old.is_boolean() => serde_json::Value::Null,
                other => other.clone(),
            };
        }
        serde_json::from_value(serde_json::Value::Object(now)).map_err(|e| FaultError(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let faults = Faults { slow: Some(5), ..Faults::default() };
        let patched = faults.patched(&object(r#"{"dead": true}"#)).unwrap();
        assert_eq!(patched, Faults { dead: true, slow: Some(5), ..Faults::default() });
        let cleared = patched.patched(&object(r#"{"dead": null, "slow": false}"#)).unwrap();
        assert_eq!(cleared, Faults::default());
    }

    #[test]
    fn a_host_is_changed_disk_by_disk() {
        let mut machine =
            serde_json::json!({"product": "X", "disks": [{"name": "nvme0n1", "size_bytes": 9}, {"name": "nvme1n1"}]});
        let changes = r#"{"ramdisk": "never_calls", "disks": {"nvme0n1": {"size_bytes": 1}, "nvme1n1": null}, "add_disks": [{"name": "sda"}]}"#;
        overlay(&mut machine, &object(changes));
        let wanted = serde_json::json!({
            "product": "X", "ramdisk": "never_calls", "disks": [{"name": "nvme0n1", "size_bytes": 1}, {"name": "sda"}],
        });
        assert_eq!(machine, wanted);
    }

    #[test]
    fn every_fault_is_told_in_the_readme() {
        let readme = include_str!("../README.md");
        let all = serde_json::to_value(Faults::default()).unwrap();
        for name in all.as_object().unwrap().keys() {
            assert!(readme.contains(&format!("| `{name}` |")), "the README does not tell of {name}");
        }
    }

    #[test]
    fn an_unknown_fault_is_refused_and_the_known_ones_are_listed() {
        let error = Faults::default().patched(&object(r#"{"deadd": true}"#)).unwrap_err().to_string();
        assert!(error.contains("deadd") && error.contains("black_hole"), "{error}");
    }
}
