//! What an iDRAC says when it refuses or accepts: Dell's message ids with their DMTF companions, in the body shape
//! `error` → `@Message.ExtendedInfo`. Texts are paraphrased; the ids, severities and HTTP codes are the interface.
//! Clients match on the id after the last dot, never on text or on the HTTP code alone.

use http::StatusCode;
use serde_json::{Value, json};

/// Prefix of Dell's registry on 7.x firmware.
pub const DELL_REGISTRY: &str = "IDRAC.2.9";
/// Prefix of the DMTF base registry on the same firmware.
pub const BASE_REGISTRY: &str = "Base.1.12";

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP code.
    pub status: StatusCode,
    /// Dell's message id without its registry, `SYS403`.
    pub id: &'static str,
    /// Arguments of the message.
    pub args: Vec<String>,
    /// JSON pointers of the properties that caused it.
    pub related: Vec<String>,
    /// Verbs that would have been allowed, for a 405.
    pub allow: Option<&'static str>,
}

impl Failure {
    /// A refusal without arguments.
    #[must_use]
    pub fn new(status: StatusCode, id: &'static str) -> Self {
        Self { status, id, args: Vec::new(), related: Vec::new(), allow: None }
    }

    /// The same with one argument more.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// The same, pointing at a property of the request.
    #[must_use]
    pub fn about(mut self, property: &str) -> Self {
        self.related.push(format!("#/{property}"));
        self
    }

    /// 404 for a resource that is not there.
    #[must_use]
    pub fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "SYS403").arg(path.rsplit('/').next().unwrap_or(path))
    }

    /// 405 with the verbs that exist here.
    #[must_use]
    pub fn not_allowed(allow: &'static str) -> Self {
        let mut failure = Self::new(StatusCode::METHOD_NOT_ALLOWED, "SYS402");
        failure.allow = Some(allow);
        failure
    }

    /// 400 for a property whose value is not in the list.
    #[must_use]
    pub fn bad_value(property: &str, value: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SYS426").arg(value).arg(property).about(property)
    }

    /// 400 for a property of the wrong JSON type.
    #[must_use]
    pub fn bad_type(property: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SYS424").arg(property).about(property)
    }

    /// 400 for a property nobody knows here.
    #[must_use]
    pub fn unknown_property(property: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SYS429").arg(property).about(property)
    }

    /// 400 for a property that must be given.
    #[must_use]
    pub fn missing_property(property: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SYS428").arg(property).about(property)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> Value {
        let entry = entry(self.id);
        let mut info = vec![message(DELL_REGISTRY, self.id, entry, &self.args, &self.related)];
        if let Some((base, text)) = entry.base {
            let companion = Entry { text, ..*entry };
            info.push(message(BASE_REGISTRY, base, &companion, &self.args, &self.related));
        }
        json!({ "error": {
            "code": format!("{BASE_REGISTRY}.GeneralError"),
            "message": "A general error has occurred. See ExtendedInfo for more information",
            "@Message.ExtendedInfo": info,
        }})
    }
}

/// The body of a success without a resource: `SYS413` and `Base.Success`.
#[must_use]
pub fn success() -> Value {
    let done = entry("SYS413");
    json!({ "@Message.ExtendedInfo": [
        message(DELL_REGISTRY, "SYS413", done, &[], &[]),
        { "MessageId": format!("{BASE_REGISTRY}.Success"), "Message": "The request completed successfully.",
          "MessageArgs": [], "MessageArgs@odata.count": 0, "RelatedProperties": [], "RelatedProperties@odata.count": 0,
          "Severity": "OK", "Resolution": "None" },
    ]})
}

fn message(registry: &str, id: &str, entry: &Entry, args: &[String], related: &[String]) -> Value {
    let mut text = entry.text.to_owned();
    for (number, arg) in args.iter().enumerate() {
        text = text.replace(&format!("%{}", number + 1), arg);
    }
    json!({
        "Message": text,
        "MessageArgs": args,
        "MessageArgs@odata.count": args.len(),
        "MessageId": format!("{registry}.{id}"),
        "RelatedProperties": related,
        "RelatedProperties@odata.count": related.len(),
        "Resolution": entry.resolution,
        "Severity": entry.severity,
    })
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: &'static str,
    text: &'static str,
    severity: &'static str,
    resolution: &'static str,
    base: Option<(&'static str, &'static str)>,
}

const fn entry_of(
    id: &'static str,
    severity: &'static str,
    text: &'static str,
    resolution: &'static str,
    base: Option<(&'static str, &'static str)>,
) -> Entry {
    Entry { id, text, severity, resolution, base }
}

const GENERAL: Entry = entry_of(
    "SYS446",
    "Critical",
    "The request failed for an internal reason.",
    "Repeat the operation. If it fails again, restart the iDRAC.",
    Some(("InternalError", "The request failed due to an internal service error.")),
);

static ENTRIES: &[Entry] = &[
    entry_of(
        "SYS400",
        "Warning",
        "The precondition of the request is not met.",
        "Read the resource again and repeat with its present ETag.",
        Some(("PreconditionFailed", "The ETag supplied did not match the ETag required to change this resource.")),
    ),
    entry_of(
        "SYS402",
        "Critical",
        "The HTTP verb is not supported on this resource.",
        "Use a verb that the Allow header names.",
        Some(("OperationNotAllowed", "The HTTP method is not allowed on this resource.")),
    ),
    entry_of(
        "SYS403",
        "Critical",
        "The resource %1 is not found.",
        "Enter a correct resource name and repeat the operation.",
        Some(("ResourceMissingAtURI", "The resource at the URI %1 was not found.")),
    ),
    entry_of(
        "SYS405",
        "Critical",
        "The request body holds malformed JSON.",
        "Correct the JSON and repeat the operation.",
        Some((
            "MalformedJSON",
            "The request body submitted was malformed JSON and could not be parsed by the receiving service.",
        )),
    ),
    entry_of(
        "SYS406",
        "Critical",
        "The operation is refused because the System Lockdown Mode is enabled.",
        "Disable the lockdown mode and repeat the operation.",
        None,
    ),
    entry_of(
        "SYS011",
        "Warning",
        "Pending configuration values are already committed, no others can be set.",
        "Run or delete the job that holds them and repeat the operation.",
        None,
    ),
    entry_of(
        "SYS409",
        "Warning",
        "The value of the attribute %1 is not valid.",
        "Enter a valid value and repeat the operation.",
        None,
    ),
    entry_of(
        "SYS410",
        "Warning",
        "The attribute %1 is read-only because of another attribute.",
        "Change the attribute it depends on first.",
        None,
    ),
    entry_of("SYS413", "OK", "The operation completed successfully.", "No response action is required.", None),
    entry_of("SYS414", "OK", "A new resource was created.", "No response action is required.", None),
    entry_of(
        "SYS415",
        "Critical",
        "The operation is refused because the user name or password is not correct.",
        "Enter the right user name and password and repeat the operation.",
        Some(("NoValidSession", "There is no valid session established with the implementation.")),
    ),
    entry_of(
        "SYS416",
        "Critical",
        "The operation is refused because no valid authentication came with it.",
        "Log in and repeat the operation.",
        Some(("NoValidSession", "There is no valid session established with the implementation.")),
    ),
    entry_of(
        "SYS417",
        "Warning",
        "The query parameter %1 is not supported.",
        "Remove the parameter and repeat the operation.",
        Some(("QueryNotSupportedOnResource", "Querying is not supported on the requested resource.")),
    ),
    entry_of(
        "SYS424",
        "Warning",
        "The value of the property %1 is of the wrong type.",
        "Use the right type and repeat the operation.",
        Some((
            "PropertyValueTypeError",
            "The value of the property %1 is of a different type than the property can accept.",
        )),
    ),
    entry_of(
        "SYS425",
        "Warning",
        "The value %1 of the property %2 has the wrong format.",
        "Correct the value and repeat the operation.",
        Some((
            "PropertyValueFormatError",
            "The value %1 for the property %2 is of a different format than the property can accept.",
        )),
    ),
    entry_of(
        "SYS426",
        "Warning",
        "The value %1 of the property %2 is not in the list of acceptable values.",
        "Choose a value from the list and repeat the operation.",
        Some(("PropertyValueNotInList", "The value %1 for the property %2 is not in the list of acceptable values.")),
    ),
    entry_of(
        "SYS427",
        "Warning",
        "The property %1 is read-only.",
        "Remove the property and repeat the operation.",
        Some(("PropertyNotWritable", "The property %1 is a read only property and cannot be assigned a value.")),
    ),
    entry_of(
        "SYS428",
        "Warning",
        "The property %1 is missing.",
        "Add the property and repeat the operation.",
        Some(("PropertyMissing", "The property %1 is a required property and must be included in the request.")),
    ),
    entry_of(
        "SYS429",
        "Warning",
        "The property %1 is not known to this resource.",
        "Remove the property and repeat the operation.",
        Some(("PropertyUnknown", "The property %1 is not in the list of valid properties for the resource.")),
    ),
    entry_of(
        "SYS453",
        "Warning",
        "The image %1 does not fit the virtual media device %2.",
        "Choose an image of the right kind and repeat the operation.",
        None,
    ),
    entry_of(
        "SYS457",
        "Warning",
        "The value of the query parameter %1 is out of range.",
        "Correct the value and repeat the operation.",
        Some(("QueryParameterOutOfRange", "The value for the query parameter %1 is out of range.")),
    ),
    entry_of(
        "SYS468",
        "Critical",
        "A session cannot be made with an Authorization header in the request.",
        "Remove the header and repeat the operation.",
        None,
    ),
    entry_of(
        "SYS518",
        "Critical",
        "The data sources of the iDRAC are not available or are reloading.",
        "Wait a few minutes and repeat the operation.",
        None,
    ),
    entry_of(
        "SWC0700",
        "Warning",
        "The iDRAC is not ready; the configuration values cannot be accessed.",
        "Wait until the iDRAC is ready and repeat the operation.",
        None,
    ),
    entry_of(
        "RAC0218",
        "Critical",
        "The maximum number of user sessions is reached.",
        "Close a session or wait until one ends and repeat the operation.",
        None,
    ),
    entry_of("RAC0719", "Critical", "A remote share is already attached.", "Detach it and repeat the operation.", None),
    entry_of(
        "RAC0720",
        "Critical",
        "The remote share cannot be mounted: the file is not found or the credentials are wrong.",
        "Check path, file name and credentials and repeat the operation.",
        None,
    ),
    entry_of(
        "RAC0904",
        "Critical",
        "The remote image cannot be reached.",
        "Check the network, the path and the name and repeat the operation.",
        None,
    ),
    entry_of("VRM0009", "Warning", "No virtual media device is connected.", "No response action is required.", None),
    entry_of(
        "VRM0012",
        "Critical",
        "The virtual media device is already in use.",
        "Eject the media and repeat the operation.",
        None,
    ),
    entry_of(
        "VRM0021",
        "Critical",
        "The virtual media is detached or its devices are already in use.",
        "Attach the virtual media, eject what is in use and repeat the operation.",
        None,
    ),
    entry_of(
        "PSU501",
        "Critical",
        "The server is already powered on.",
        "No response action is required.",
        Some(("ActionParameterValueConflict", "The action cannot run in the present state of the resource.")),
    ),
    entry_of(
        "PSU502",
        "Critical",
        "The server is already powered off.",
        "No response action is required.",
        Some(("ActionParameterValueConflict", "The action cannot run in the present state of the resource.")),
    ),
    entry_of(
        "PSU507",
        "Critical",
        "The virtual AC cycle needs the server to be off.",
        "Power the server off and repeat the operation.",
        None,
    ),
    entry_of(
        "PWR2274",
        "Critical",
        "The server cannot be powered on because of an internal error.",
        "Restart the iDRAC and repeat the operation.",
        None,
    ),
    entry_of("JCP015", "Warning", "The job %1 cannot be deleted because it is running.", "Wait for its end.", None),
    entry_of("JCP007", "Warning", "The job %1 is not found.", "Enter the id of a job that exists.", None),
    entry_of("BIOS008", "Warning", "There are no pending BIOS values to commit.", "Set values first.", None),
    entry_of(
        "BIOS011",
        "Warning",
        "The pending values belong to a job already.",
        "Delete the job to clear them.",
        None,
    ),
    entry_of("BIOS012", "Warning", "There are no pending values to clear.", "No response action is required.", None),
    entry_of(
        "SYS461",
        "Warning",
        "The feature needs a Datacenter licence.",
        "Import the licence and repeat the operation.",
        None,
    ),
    entry_of(
        "LIC501",
        "Critical",
        "A required licence is missing or expired.",
        "Import the licence and repeat the operation.",
        None,
    ),
    GENERAL,
];

fn entry(id: &str) -> &'static Entry {
    ENTRIES.iter().find(|entry| entry.id == id).unwrap_or(&GENERAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_dells_id_and_the_dmtf_companion() {
        let body = Failure::not_found("/redfish/v1/Systems/System.Embedded.9").body();
        let info = body["error"]["@Message.ExtendedInfo"].as_array().unwrap();
        assert_eq!(info[0]["MessageId"], "IDRAC.2.9.SYS403");
        assert_eq!(info[0]["MessageArgs"][0], "System.Embedded.9");
        assert_eq!(info[1]["MessageId"], "Base.1.12.ResourceMissingAtURI");
        assert!(info[0]["Message"].as_str().unwrap().contains("System.Embedded.9"));
    }

    #[test]
    fn no_message_id_is_listed_twice() {
        let mut ids: Vec<&str> = ENTRIES.iter().map(|entry| entry.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
