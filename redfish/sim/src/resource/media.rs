//! Virtual media in both places: two slots below the system, and the two old members below the manager, which are views
//! of the first slot.

use serde_json::{Value, json};

use super::{MANAGER, SYSTEM, View, collection, document, links, put};

/// `Systems/…/VirtualMedia`.
#[must_use]
pub fn of_system(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/VirtualMedia");
    match segments {
        [] => Some(all(&path, ["1", "2"])),
        [id @ ("1" | "2")] => {
            let slot = usize::from(*id == "2");
            Some(member(
                view,
                &path,
                id,
                slot,
                &format!("VirtualMedia Instance {id}"),
                "iDRAC Virtual Media Instance",
                &["CD", "DVD", "USBStick"],
            ))
        }
        _ => None,
    }
}

/// `Managers/…/VirtualMedia`.
#[must_use]
pub fn of_manager(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{MANAGER}/VirtualMedia");
    let description = "iDRAC Virtual Media Services Settings";
    match segments {
        [] => Some(all(&path, ["RemovableDisk", "CD"])),
        ["CD"] => Some(member(view, &path, "CD", 0, "Virtual CD", description, &["CD", "DVD"])),
        ["RemovableDisk"] => {
            Some(member(view, &path, "RemovableDisk", 0, "Virtual Removable Disk", description, &["USBStick"]))
        }
        _ => None,
    }
}

fn all(path: &str, ids: [&str; 2]) -> Value {
    collection(path, "VirtualMediaCollection", "VirtualMedia Collection", links(ids.map(|id| format!("{path}/{id}"))))
}

fn member(view: &View<'_>, path: &str, id: &str, slot: usize, name: &str, description: &str, types: &[&str]) -> Value {
    let own = format!("{path}/{id}");
    let slot = &view.state.kept.media[slot];
    // The shared image shows in the member that it fits.
    let image = slot.shown().filter(|image| match id {
        "CD" => !image.to_ascii_lowercase().ends_with(".img"),
        "RemovableDisk" => image.to_ascii_lowercase().ends_with(".img"),
        _ => true,
    });
    let scheme = image.and_then(|image| image.split_once("://")).map(|(scheme, _)| scheme.to_uppercase());
    let inserted = image.is_some();
    let mut body = json!({
        "Actions": {
            "#VirtualMedia.EjectMedia": {"target": format!("{own}/Actions/VirtualMedia.EjectMedia")},
            "#VirtualMedia.InsertMedia": {"target": format!("{own}/Actions/VirtualMedia.InsertMedia")},
        },
        "ConnectedVia": if inserted { "URI" } else { "NotConnected" },
        "Description": description,
        "Image": image,
        "ImageName": image.and_then(|image| image.rsplit('/').next()),
        "Inserted": inserted,
        "Password": null,
        "TransferMethod": inserted.then_some("Stream"),
        "TransferProtocolType": scheme,
        "UserName": if inserted { slot.user.clone() } else { None },
        // An empty slot of the system reads true, an empty member of the manager null.
        "WriteProtected": (inserted || matches!(id, "1" | "2")).then_some(true),
    });
    put(&mut body, "MediaTypes", types.iter().map(|kind| json!(kind)).collect());
    document(own, "VirtualMedia", "v1_6_3", id, name, body)
}
