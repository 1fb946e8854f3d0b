//! Account service: sixteen fixed places, of which a factory iDRAC uses the second one.

use serde_json::{Value, json};

use super::{View, collection, document, link, links, put};

const PATH: &str = "/redfish/v1/AccountService";
/// Places for accounts; the first is reserved.
const PLACES: u32 = 16;
const ROLES: [(&str, &[&str]); 4] = [
    ("Administrator", &["Login", "ConfigureManager", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf"]),
    ("Operator", &["Login", "ConfigureComponents", "ConfigureSelf"]),
    ("ReadOnly", &["Login", "ConfigureSelf"]),
    ("None", &[]),
];

/// `AccountService` and everything below.
#[must_use]
pub fn get(_view: &View<'_>, segments: &[&str]) -> Option<Value> {
    match segments {
        [] => Some(document(
            PATH,
            "AccountService",
            "v1_15_0",
            "RemoteAccountService",
            "Account Service",
            json!({
                "@odata.etag": "\"1760000000\"",
                "AccountLockoutCounterResetAfter": 0,
                "AccountLockoutDuration": 0,
                "AccountLockoutThreshold": 0,
                "Accounts": link(format!("{PATH}/Accounts")),
                "AuthFailureLoggingThreshold": 2,
                "Description": "BMC User Accounts",
                "LocalAccountAuth": "Fallback",
                "MaxPasswordLength": 127,
                "MinPasswordLength": 0,
                "Roles": link(format!("{PATH}/Roles")),
                "ServiceEnabled": true,
                "Status": {"Health": "OK", "State": "Enabled"},
            }),
        )),
        ["Accounts"] => {
            let members = (1..=PLACES).map(|n| format!("{PATH}/Accounts/{n}"));
            Some(collection(format!("{PATH}/Accounts"), "ManagerAccountCollection", "Accounts Collection", links(members)))
        }
        ["Accounts", id] => id.parse().ok().filter(|n| (1..=PLACES).contains(n)).map(account),
        ["Roles"] => {
            let members = ROLES.iter().map(|(name, _)| format!("{PATH}/Roles/{name}"));
            Some(collection(format!("{PATH}/Roles"), "RoleCollection", "Roles Collection", links(members)))
        }
        ["Roles", id] => ROLES.iter().find(|(name, _)| name == id).map(|(name, privileges)| {
            let mut body = json!({
                "Description": format!("{name} User Role"), "IsPredefined": true, "OemPrivileges": [], "OemPrivileges@odata.count": 0,
                "RoleId": name,
            });
            put(&mut body, "AssignedPrivileges", privileges.iter().map(|privilege| json!(privilege)).collect());
            document(format!("{PATH}/Roles/{name}"), "Role", "v1_3_1", name, "User Role", body)
        }),
        _ => None,
    }
}

fn account(number: u32) -> Value {
    let used = number == 2;
    let role = if used { "Administrator" } else { "None" };
    let id = number.to_string();
    document(
        format!("{PATH}/Accounts/{id}"),
        "ManagerAccount",
        "v1_11_0",
        &id,
        "User Account",
        json!({
            "@odata.etag": format!("\"176000000{number}\""),
            "AccountTypes": ["Redfish", "SNMP", "OEM", "HostConsole", "ManagerConsole", "IPMI", "KVMIP", "VirtualMedia", "WebUI"],
            "Description": "User Account",
            "Enabled": used,
            "Links": {"Role": link(format!("{PATH}/Roles/{role}"))},
            "Locked": false,
            "Password": null,
            "PasswordChangeRequired": false,
            "PasswordExpiration": null,
            "RoleId": role,
            "StrictAccountTypes": false,
            "UserName": if used { "root" } else { "" },
        }),
    )
}
