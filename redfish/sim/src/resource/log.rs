//! Log services of the manager: the system event log and the Lifecycle log, entries inside, newest first.

use serde_json::{Value, json};

use super::{MANAGER, View, collection, document, link, links};
use crate::clock;
use crate::machine::journal::Entry;
use crate::message::DELL_REGISTRY;

/// `LogServices` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{MANAGER}/LogServices");
    match segments {
        [] => Some(collection(
            path.clone(),
            "LogServiceCollection",
            "Log Service Collection",
            links(["Sel", "Lclog"].map(|id| format!("{path}/{id}"))),
        )),
        [id @ ("Sel" | "Lclog")] => Some(service(&path, id)),
        [id @ ("Sel" | "Lclog"), "Entries"] => {
            let entries = journal(view, id).newest_first().map(|entry| one(&path, id, entry)).collect();
            let mut all =
                collection(format!("{path}/{id}/Entries"), "LogEntryCollection", "Log Entry Collection", entries);
            all["Description"] =
                json!(if *id == "Sel" { "System Event Logs for this manager" } else { "LC Logs for this manager" });
            Some(all)
        }
        [id @ ("Sel" | "Lclog"), "Entries", number] => {
            let number = number.parse().ok()?;
            journal(view, id).entry(number).map(|entry| one(&path, id, entry))
        }
        _ => None,
    }
}

fn journal<'a>(view: &View<'a>, id: &str) -> &'a crate::machine::journal::Journal {
    if id == "Sel" { &view.state.kept.sel } else { &view.state.kept.lclog }
}

fn service(path: &str, id: &str) -> Value {
    let own = format!("{path}/{id}");
    let sel = id == "Sel";
    let name = if sel { "SEL Log Service" } else { "LifeCycle Controller Log Service" };
    let mut body = json!({
        "DateTime": super::system::now(),
        "DateTimeLocalOffset": clock::IDRAC_OFFSET,
        "Description": name,
        "Entries": link(format!("{own}/Entries")),
        "LogEntryType": if sel { "SEL" } else { "OEM" },
        "MaxNumberOfRecords": if sel { 1024 } else { 500_000 },
        "OverWritePolicy": "WrapsWhenFull",
        "ServiceEnabled": true,
    });
    if sel {
        body["Actions"] = json!({"#LogService.ClearLog": {"target": format!("{own}/Actions/LogService.ClearLog")}});
    }
    document(own, "LogService", "v1_5_1", id, name, body)
}

fn one(path: &str, id: &str, entry: &Entry) -> Value {
    let number = entry.id.to_string();
    let name = format!("Log Entry {number}");
    let own = format!("{path}/{id}/Entries/{number}");
    let mut body = json!({
        "Created": clock::with_offset(entry.at),
        "Description": name,
        "Links": {},
        "Message": entry.message,
        "MessageArgs": entry.args,
        "MessageArgs@odata.count": entry.args.len(),
        "Severity": entry.severity,
    });
    if id == "Sel" {
        body["EntryType"] = json!("SEL");
        body["EntryCode"] = json!("Assert");
        body["MessageId"] = json!(entry.message_id);
        body["SensorNumber"] = json!(114);
        body["SensorType"] = json!("Event Logging Disabled");
    } else {
        body["EntryType"] = json!("Oem");
        body["OemRecordFormat"] = json!("Dell");
        body["MessageId"] = json!(format!("{DELL_REGISTRY}.{}", entry.message_id));
        body["Oem"] = json!({"Dell": {
            "@odata.type": "#DellLCLogEntry.v1_1_0.DellLCLogEntry", "Category": entry.category, "Comment": null,
            "LastUpdatedByUser": null,
        }});
    }
    document(own, "LogEntry", "v1_16_1", &number, &name, body)
}
