//! The documents of a BMC, rendered when asked for from the machine's state and the model's data. [`get`] is the table of
//! contents. Shapes (keys, types, nulls and oddities) follow recordings of iDRAC9 7.x; nothing is invented beside them.
//! A document that links to something is in the same file as what it links to wherever that is possible, and a test walks
//! every link of every model.

pub mod account;
pub mod attributes;
pub mod bios;
pub mod chassis;
pub mod cooling;
pub mod dell;
pub mod firmware;
pub mod idrac;
pub mod job;
pub mod license;
pub mod log;
pub mod media;
pub mod memory;
pub mod network;
pub mod pcie;
pub mod power;
pub mod processor;
pub mod registry;
pub mod root;
pub mod sensor;
pub mod session;
pub mod storage;
pub mod system;

use serde_json::{Value, json};

use crate::hardware::Hardware;
use crate::machine::login::Session;
use crate::machine::{Bmc, State};
use crate::model::Model;

/// The system.
pub const SYSTEM: &str = "/redfish/v1/Systems/System.Embedded.1";
/// The chassis.
pub const CHASSIS: &str = "/redfish/v1/Chassis/System.Embedded.1";
/// The manager.
pub const MANAGER: &str = "/redfish/v1/Managers/iDRAC.Embedded.1";

/// What a document is rendered from.
#[derive(Debug)]
pub struct View<'a> {
    /// The machine.
    pub bmc: &'a Bmc,
    /// Its state.
    pub state: &'a State,
    /// Its parts.
    pub hardware: Hardware<'a>,
    /// Open sessions.
    pub sessions: &'a [Session],
    /// Service tag it shows.
    pub tag: String,
}

impl<'a> View<'a> {
    /// A view of a machine.
    #[must_use]
    pub fn new(bmc: &'a Bmc, state: &'a State, sessions: &'a [Session]) -> Self {
        Self { bmc, state, hardware: bmc.hardware(state), sessions, tag: bmc.tag(state) }
    }

    /// The model's data.
    #[must_use]
    pub fn model(&self) -> &'static Model {
        self.bmc.model
    }

    /// Time of the last inventory, as Dell resources carry it.
    #[must_use]
    pub fn inventory_time(&self) -> String {
        self.state.kept.last_inventory.map_or_else(|| "0000-00-00T00:00:00+00:00".to_owned(), crate::clock::utc)
    }
}

/// A link.
#[must_use]
pub fn link(path: impl Into<String>) -> Value {
    json!({"@odata.id": path.into()})
}

/// Links to `paths`.
#[must_use]
pub fn links(paths: impl IntoIterator<Item = String>) -> Vec<Value> {
    paths.into_iter().map(link).collect()
}

/// A resource: `schema` is its name without version (`Processor`), `version` the version with its underscores (`v1_20_0`).
#[must_use]
pub fn document(path: impl Into<String>, schema: &str, version: &str, id: &str, name: &str, body: Value) -> Value {
    let mut document = json!({
        "@odata.context": format!("/redfish/v1/$metadata#{schema}.{schema}"),
        "@odata.id": path.into(),
        "@odata.type": format!("#{schema}.{version}.{schema}"),
        "Id": id,
        "Name": name,
    });
    if let (Some(document), Value::Object(body)) = (document.as_object_mut(), body) {
        document.extend(body);
    }
    document
}

/// A collection of links.
#[must_use]
pub fn collection(path: impl Into<String>, schema: &str, name: &str, members: Vec<Value>) -> Value {
    json!({
        "@odata.context": format!("/redfish/v1/$metadata#{schema}.{schema}"),
        "@odata.id": path.into(),
        "@odata.type": format!("#{schema}.{schema}"),
        "Description": format!("Collection of {name}"),
        "Members@odata.count": members.len(),
        "Members": members,
        "Name": name,
    })
}

/// `{"Health":"OK","HealthRollup":"OK","State":"Enabled"}`.
#[must_use]
pub fn ok_status() -> Value {
    json!({"Health": "OK", "HealthRollup": "OK", "State": "Enabled"})
}

/// An array with its count, as iDRACs put both side by side.
pub fn put(body: &mut Value, name: &str, items: Vec<Value>) {
    body[format!("{name}@odata.count")] = json!(items.len());
    body[name] = Value::Array(items);
}

/// The document behind an `@odata.id`; `None` for fragments, which are no resources of their own.
#[must_use]
pub fn at(view: &View<'_>, id: &str) -> Option<Value> {
    if id.contains('#') {
        return None;
    }
    let segments: Vec<&str> = id.strip_prefix("/redfish/v1")?.split('/').filter(|part| !part.is_empty()).collect();
    get(view, &segments)
}

/// Whether the path is the target of an action of a resource that exists.
#[must_use]
pub fn is_action(view: &View<'_>, segments: &[&str]) -> bool {
    segments
        .iter()
        .position(|segment| *segment == "Actions")
        .is_some_and(|at| get(view, &segments[..at]).is_some_and(|document| document.get("Actions").is_some()))
}

/// The document at a path; `segments` is the path after `/redfish/v1`. Dell's OEM resources are served where they are
/// embedded and at their own URI too.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    contents(view, segments).or_else(|| embedded(view, segments))
}

/// Looks for a resource that another one embeds: the path of the embedding one is a prefix that ends before an `Oem`.
fn embedded(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let wanted = format!("/redfish/v1/{}", segments.join("/"));
    let ends = segments.iter().enumerate().filter(|(_, segment)| **segment == "Oem").map(|(at, _)| at);
    ends.rev().find_map(|end| find_inside(&contents(view, &segments[..end])?, &wanted))
}

fn find_inside(value: &Value, wanted: &str) -> Option<Value> {
    match value {
        Value::Object(object) => {
            if object.len() > 1 && object.get("@odata.id").and_then(Value::as_str) == Some(wanted) {
                return Some(value.clone());
            }
            object.values().find_map(|inner| find_inside(inner, wanted))
        }
        Value::Array(items) => items.iter().find_map(|inner| find_inside(inner, wanted)),
        _ => None,
    }
}

/// The table of contents.
fn contents(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    match segments {
        [] => Some(root::service_root(view)),
        ["odata"] => Some(root::odata()),
        ["Systems", rest @ ..] => systems(view, rest),
        ["Chassis", rest @ ..] => chassis::get(view, rest),
        ["Managers", rest @ ..] => managers(view, rest),
        ["SessionService", rest @ ..] => session::get(view, rest),
        ["Sessions"] => session::get(view, &["Sessions"]),
        ["AccountService", rest @ ..] => account::get(view, rest),
        ["UpdateService", rest @ ..] => firmware::get(view, rest),
        ["TaskService", rest @ ..] => job::tasks(view, rest),
        ["JobService", rest @ ..] => job::jobs(view, rest),
        ["Registries", rest @ ..] => registry::get(view, rest),
        ["LicenseService", rest @ ..] => license::get(view, rest),
        // Parts that speak SPDM would be its members; PERC controllers do, and these models have none.
        ["ComponentIntegrity"] => Some(collection(
            "/redfish/v1/ComponentIntegrity",
            "ComponentIntegrityCollection",
            "ComponentIntegrity Collection",
            vec![],
        )),
        _ => None,
    }
}

fn systems(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let (first, rest) = match segments {
        [] => {
            let members = if view.state.kept.faults.systems_empty || view.state.live.has_no_systems() {
                Vec::new()
            } else {
                links([SYSTEM.to_owned()])
            };
            return Some(collection(
                "/redfish/v1/Systems",
                "ComputerSystemCollection",
                "Computer System Collection",
                members,
            ));
        }
        [first, rest @ ..] => (*first, rest),
    };
    if first != "System.Embedded.1" {
        return None;
    }
    match rest {
        [] => Some(system::document_of(view)),
        ["Settings"] => Some(system::settings()),
        ["Bios", rest @ ..] => bios::get(view, rest),
        ["SecureBoot", rest @ ..] => bios::secure_boot(view, rest),
        ["BootOptions", rest @ ..] => system::boot_options(view, rest),
        ["Boot", "Certificates"] => Some(collection(
            format!("{SYSTEM}/Boot/Certificates"),
            "CertificateCollection",
            "Certificate Collection",
            vec![],
        )),
        ["Processors", rest @ ..] => processor::get(view, rest),
        ["Memory", rest @ ..] => memory::get(view, rest),
        ["Storage", rest @ ..] => storage::get(view, rest),
        ["EthernetInterfaces", rest @ ..] => network::ethernet_interfaces(view, rest),
        ["NetworkInterfaces", rest @ ..] => network::network_interfaces(view, rest),
        ["VirtualMedia", rest @ ..] => media::of_system(view, rest),
        ["Oem", "Dell", rest @ ..] => dell::get(view, rest),
        _ => None,
    }
}

fn managers(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    match segments {
        [] => Some(collection("/redfish/v1/Managers", "ManagerCollection", "Manager", links([MANAGER.to_owned()]))),
        ["iDRAC.Embedded.1", rest @ ..] => match rest {
            [] => Some(idrac::document_of(view)),
            ["EthernetInterfaces", rest @ ..] => idrac::ethernet_interfaces(view, rest),
            ["NetworkProtocol"] => Some(idrac::network_protocol(view)),
            ["VirtualMedia", rest @ ..] => media::of_manager(view, rest),
            ["LogServices", rest @ ..] => log::get(view, rest),
            ["Attributes"] => attributes::document_of(view, "iDRAC.Embedded.1"),
            ["Oem", "Dell", "DellAttributes", rest @ ..] => attributes::get(view, rest),
            ["Oem", "Dell", "Jobs", rest @ ..] | ["Jobs", rest @ ..] => job::dell_jobs(view, rest),
            ["Oem", "Dell", "DellJobService"] => Some(job::dell_job_service(view)),
            ["Oem", "Dell", "DellLCService"] => Some(idrac::lifecycle_service()),
            ["Oem", "Dell", "DellLicenses", rest @ ..] => license::of_dell(view, rest),
            _ => None,
        },
        _ => None,
    }
}
