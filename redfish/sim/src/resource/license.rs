//! Licences in both places: Dell's collection below the manager, which names the edition, and the standard service, which
//! does not.

use serde_json::{Value, json};

use super::{MANAGER, View, collection, document, link, links};

const PATH: &str = "/redfish/v1/LicenseService";
/// When the licence of every simulated machine was installed.
const INSTALLED: &str = "2025-06-03T04:12:11-05:00";

fn entitlement(view: &View<'_>) -> String {
    format!("FC{}", view.hardware.identity.digits("licence", 14))
}

/// `LicenseService` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let id = entitlement(view);
    match segments {
        [] => Some(document(
            PATH,
            "LicenseService",
            "v1_1_1",
            "LicenseService",
            "License Service",
            json!({
                "Description": "License Service",
                "LicenseExpirationWarningDays": null,
                "Licenses": link(format!("{PATH}/Licenses")),
                "ServiceEnabled": true,
            }),
        )),
        ["Licenses"] => Some(collection(
            format!("{PATH}/Licenses"),
            "LicenseCollection",
            "License Collection",
            links([format!("{PATH}/Licenses/{id}")]),
        )),
        ["Licenses", wanted] if *wanted == id => Some(document(
            format!("{PATH}/Licenses/{id}"),
            "License",
            "v1_1_3",
            &id,
            "License",
            json!({
                "AuthorizationScope": "Device",
                "Description": "License",
                "EntitlementId": id,
                "InstallDate": INSTALLED,
                "LicenseOrigin": "Installed",
                "LicenseType": "Production",
                "Links": {"AuthorizedDevices": [link(MANAGER)], "AuthorizedDevices@odata.count": 1},
                "Removable": true,
                "Status": {"Health": "OK", "State": "Enabled"},
            }),
        )),
        _ => None,
    }
}

/// `Managers/…/Oem/Dell/DellLicenses`.
#[must_use]
pub fn of_dell(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{MANAGER}/Oem/Dell/DellLicenses");
    let id = entitlement(view);
    let member = document(
        format!("{path}/{id}"),
        "DellLicense",
        "v1_2_0",
        &id,
        "DellLicense",
        json!({
            "AssignedDevices": ["iDRAC.Embedded.1"], "AssignedDevices@odata.count": 1,
            "Description": "An instance of DellLicense represents a feature license installed on a system.",
            "EntitlementID": id, "EvalLicenseTimeRemainingDays": null, "InstanceID": id,
            "LicenseAttributes": "ValidSubcomponent",
            "LicenseDescription": ["iDRAC9 16G Enterprise License"], "LicenseDescription@odata.count": 1,
            "LicenseDurationDays": 0, "LicenseEndDate": null, "LicenseInstallDate": INSTALLED,
            "LicensePrimaryStatus": "OK", "LicenseSoldDate": "2025-05-19T14:03:32-05:00", "LicenseStartDate": null,
            "LicenseStatusMessage": null, "LicenseStatusMessageID": null, "LicenseType": "Perpetual",
        }),
    );
    match segments {
        [] => Some(collection(path, "DellLicenseCollection", "DellLicenseCollection", vec![member])),
        [wanted] if *wanted == id => Some(member),
        _ => None,
    }
}
