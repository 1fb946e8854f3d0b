//! Registries: the BIOS attribute registry, which belongs to the machine, and the entry for the DMTF's base messages.

use serde_json::{Value, json};

use super::{SYSTEM, View, bios, collection, document, links};

const PATH: &str = "/redfish/v1/Registries";

/// `Registries` and everything below.
#[must_use]
pub fn get(_view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let file = |id: &str, name: &str, registry: &str, location: Value| {
        document(
            format!("{PATH}/{id}"),
            "MessageRegistryFile",
            "v1_1_3",
            id,
            name,
            json!({
                "Description": format!("{name} locations"),
                "Languages": ["En"],
                "Languages@odata.count": 1,
                "Location": [location],
                "Location@odata.count": 1,
                "Registry": registry,
            }),
        )
    };
    match segments {
        [] => Some(collection(
            PATH,
            "MessageRegistryFileCollection",
            "MessageRegistryFile Collection",
            links(["BaseMessages", bios::REGISTRY].map(|id| format!("{PATH}/{id}"))),
        )),
        ["BaseMessages"] => Some(file(
            "BaseMessages",
            "Base Message Registry File",
            "Base.1.12",
            json!({"Language": "En", "PublicationUri": "https://redfish.dmtf.org/registries/Base.1.12.0.json"}),
        )),
        [id] if *id == bios::REGISTRY => Some(file(
            bios::REGISTRY,
            "BIOS Attribute Registry File",
            bios::REGISTRY,
            json!({"Language": "En", "Uri": format!("{SYSTEM}/Bios/BiosRegistry")}),
        )),
        _ => None,
    }
}
