//! The service root, which anybody may read without a password, and the two OData documents beside it.

use serde_json::{Value, json};

use super::{View, document, link};

/// Version of the Redfish specification that the service claims.
pub const REDFISH_VERSION: &str = "1.20.1";

/// `$metadata`: the namespaces whose types are used. Schemas themselves are published by the DMTF.
pub const METADATA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">
  <edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/ServiceRoot_v1.xml">
    <edmx:Include Namespace="ServiceRoot"/>
    <edmx:Include Namespace="ServiceRoot.v1_17_0"/>
  </edmx:Reference>
  <edmx:DataServices>
    <Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Service">
      <EntityContainer Name="Service" Extends="ServiceRoot.v1_17_0.ServiceContainer"/>
    </Schema>
  </edmx:DataServices>
</edmx:Edmx>
"#;

/// `/redfish/v1`.
#[must_use]
pub fn service_root(view: &View<'_>) -> Value {
    document(
        "/redfish/v1",
        "ServiceRoot",
        "v1_17_0",
        "RootService",
        "Root Service",
        json!({
            "Description": "Root Service",
            "RedfishVersion": REDFISH_VERSION,
            "Vendor": "Dell",
            "Product": "Integrated Dell Remote Access Controller",
            "ServiceIdentification": view.tag,
            "Oem": {"Dell": {
                "@odata.context": "/redfish/v1/$metadata#DellServiceRoot.DellServiceRoot",
                "@odata.type": "#DellServiceRoot.v1_0_0.DellServiceRoot",
                "IsBranded": 0,
                "ManagerMACAddress": view.hardware.identity.mac(0).to_lowercase(),
                "ServiceTag": view.tag,
            }},
            "ProtocolFeaturesSupported": {
                "DeepOperations": {"DeepPATCH": false, "DeepPOST": false},
                "ExcerptQuery": false,
                "ExpandQuery": {"ExpandAll": true, "Levels": true, "Links": true, "MaxLevels": 1, "NoLinks": true},
                "FilterQuery": true, "OnlyMemberQuery": true, "SelectQuery": true,
            },
            "AccountService": link("/redfish/v1/AccountService"),
            "Chassis": link("/redfish/v1/Chassis"),
            "ComponentIntegrity": link("/redfish/v1/ComponentIntegrity"),
            "JobService": link("/redfish/v1/JobService"),
            "LicenseService": link("/redfish/v1/LicenseService"),
            "Managers": link("/redfish/v1/Managers"),
            "Registries": link("/redfish/v1/Registries"),
            "SessionService": link("/redfish/v1/SessionService"),
            "Systems": link("/redfish/v1/Systems"),
            "Tasks": link("/redfish/v1/TaskService"),
            "UpdateService": link("/redfish/v1/UpdateService"),
            "Links": {"Sessions": link("/redfish/v1/SessionService/Sessions")},
        }),
    )
}

/// `/redfish/v1/odata`.
#[must_use]
pub fn odata() -> Value {
    let services = [
        "Systems",
        "Chassis",
        "Managers",
        "SessionService",
        "AccountService",
        "UpdateService",
        "JobService",
        "Registries",
    ];
    let mut entries = vec![json!({"name": "Service", "kind": "Singleton", "url": "/redfish/v1/"})];
    entries.extend(
        services.iter().map(|name| json!({"name": name, "kind": "Singleton", "url": format!("/redfish/v1/{name}")})),
    );
    json!({"@odata.context": "/redfish/v1/$metadata", "value": entries})
}
