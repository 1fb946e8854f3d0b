//! Findings: settings of a BMC that a person should know about, with what mends them. Enrolling changes none of them.

use helix_inventory::hardware::Finding;
use redfish_client::Snapshot;

/// Time zones that are UTC under another name.
const UTC: &[&str] = &["UTC", "Etc/UTC", "GMT", "Universal", "Zulu", "Etc/GMT", "UCT"];

/// Findings of one reading. Each `next` is what a person types or clicks; templates will set them.
pub(super) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |code: &str, message: String, next: &str| {
        findings.push(Finding { code: code.to_owned(), message, next: next.to_owned() });
    };
    let Some(attributes) = &snapshot.idrac_attributes else { return findings };
    if let Some(zone) = attributes.time_zone().filter(|zone| !UTC.contains(zone)) {
        add(
            "bmc_time_zone_not_utc",
            format!("The iDRAC's time zone is {zone}: its log times are not UTC."),
            "racadm set iDRAC.Time.Timezone UTC",
        );
    }
    if attributes.lockdown() == Some(true) {
        add(
            "bmc_lockdown",
            "System Lockdown is on: the iDRAC refuses every change, so the node cannot be provisioned.".to_owned(),
            "racadm set iDRAC.Lockdown.SystemLockdown Disabled",
        );
    }
    if attributes.alerts_enabled() == Some(false) {
        add(
            "bmc_alerts_off",
            "Alerts are off: the iDRAC tells nobody when something fails.".to_owned(),
            "racadm set iDRAC.IPMILan.AlertEnable Enabled",
        );
    }
    if attributes.text("VirtualMedia.1.Attached") == Some("Detached") {
        add(
            "bmc_virtual_media_detached",
            "Virtual media are set to Detached: the deploy medium could not be inserted.".to_owned(),
            "racadm set iDRAC.VirtualMedia.Attached AutoAttach",
        );
    }
    let licences: Vec<_> = snapshot.licences.iter().flat_map(|licence| &licence.description).collect();
    let good = licences.iter().any(|text| text.contains("Enterprise") || text.contains("Datacenter"));
    if !snapshot.unread.contains(&redfish_client::Part::Licences) && !good {
        add(
            "bmc_licence_missing",
            "No Enterprise or Datacenter licence was found: virtual media need one.".to_owned(),
            "Import an iDRAC licence (iDRAC, Configuration, Licenses).",
        );
    }
    findings
}
