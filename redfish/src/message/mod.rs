//! What a BMC says about a request: parsed `@Message.ExtendedInfo`, and the one table from MessageId to class.
//!
//! A BMC's HTTP status says little (an iDRAC answers "not ready" as 400 and "needs a licence" as 403), so everything that
//! decides goes by MessageId. Registry prefixes change with the firmware: only the part after the last dot is compared.

mod table;

use std::fmt;

use serde::Deserialize;

use crate::lenient::{objects, opt, texts};

pub use table::TABLE;

/// What a message, and so an error, means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Done, created, job finished.
    Done,
    /// Nothing was to be done; as good as done.
    NoOp,
    /// Goes on by itself: in progress, downloading.
    Running,
    /// Waits for something on the BMC's side before it goes on.
    Waiting,
    /// Worth a note, changes nothing.
    Info,
    /// Finished, but not all of it worked.
    Partial,
    /// The BMC or the network cannot now: the same request may work later.
    Retry,
    /// Something else on this BMC is in the way: another job, another user of the virtual media.
    Busy,
    /// This request will never work as it is.
    Permanent,
    /// The job or the step has failed and will not go on.
    Failed,
    /// Credentials or privileges.
    Auth,
    /// A licence is missing or expired. No authentication failure, though it comes as 403.
    Licence,
    /// A person has to act at the machine before it takes effect (AC power cycle).
    Act,
}

/// The class of a MessageId, given with or without its registry; `None` when the table does not know it.
#[must_use]
pub fn classify(id: &str) -> Option<Class> {
    let key = key(id);
    TABLE.iter().find(|(known, _)| *known == key).map(|(_, class)| *class)
}

/// The part after the last dot: `IDRAC.2.9.SYS403` → `SYS403`.
#[must_use]
pub fn key(id: &str) -> &str {
    id.rsplit('.').next().unwrap_or(id)
}

/// One entry of `@Message.ExtendedInfo`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Message {
    /// As sent, with registry and version.
    #[serde(rename = "MessageId", deserialize_with = "opt")]
    pub id: Option<String>,
    /// In the BMC's words.
    #[serde(rename = "Message", deserialize_with = "opt")]
    pub text: Option<String>,
    /// Arguments; some firmware sends a string where an array belongs.
    #[serde(rename = "MessageArgs", deserialize_with = "texts")]
    pub args: Vec<String>,
    /// `OK`, `Warning`, `Critical`.
    #[serde(rename = "Severity", deserialize_with = "opt")]
    pub severity: Option<String>,
    /// What the BMC says to do about it.
    #[serde(rename = "Resolution", deserialize_with = "opt")]
    pub resolution: Option<String>,
    /// JSON pointers to the properties meant.
    #[serde(rename = "RelatedProperties", deserialize_with = "texts")]
    pub related: Vec<String>,
}

impl Message {
    /// The id without its registry; empty when the BMC sent none.
    #[must_use]
    pub fn key(&self) -> &str {
        self.id.as_deref().map_or("", key)
    }

    /// Whether the id is one of Dell's: `IDRAC.…` or capitals followed by digits, as in `SYS403`.
    #[must_use]
    pub fn is_dell(&self) -> bool {
        let Some(id) = self.id.as_deref() else { return false };
        id.starts_with("IDRAC.") || {
            let digits = id.trim_start_matches(|c: char| c.is_ascii_uppercase());
            let letters = id.len() - digits.len();
            (2..=4).contains(&letters) && (2..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        }
    }

    /// Class by the table.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        self.id.as_deref().and_then(classify)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key(), self.text.as_deref()) {
            ("", Some(text)) => f.write_str(text),
            (key, Some(text)) => write!(f, "{text} ({key})"),
            ("", None) => f.write_str("no explanation given"),
            (key, None) => f.write_str(key),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    #[serde(deserialize_with = "crate::lenient::object")]
    error: Option<Inner>,
    #[serde(rename = "@Message.ExtendedInfo", deserialize_with = "objects")]
    messages: Vec<Message>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inner {
    #[serde(deserialize_with = "opt")]
    code: Option<String>,
    #[serde(deserialize_with = "opt")]
    message: Option<String>,
    #[serde(rename = "@Message.ExtendedInfo", deserialize_with = "objects")]
    messages: Vec<Message>,
}

/// All messages of a body, be it an error or a success, the telling one first: Dell's before the standard's, known before
/// unknown, and the empty shells (`GeneralError`, `Success`) last. A body that is no JSON has none.
pub(crate) fn parse(body: &[u8]) -> Vec<Message> {
    let Ok(parsed) = serde_json::from_slice::<ErrorBody>(body) else { return Vec::new() };
    let mut messages = parsed.messages;
    if let Some(inner) = parsed.error {
        let listed = !inner.messages.is_empty();
        messages.extend(inner.messages);
        // The code and its text stand apart from a list that repeats the id only.
        if let (Some(code), Some(text)) = (&inner.code, &inner.message) {
            for message in messages.iter_mut().filter(|message| message.text.is_none() && message.key() == key(code)) {
                message.text = Some(text.clone());
            }
        }
        // Some errors carry Dell's id as `code` itself; a general code beside a list says nothing new.
        if let Some(code) = inner.code
            && (!listed || !matches!(key(&code), "GeneralError" | "ExtendedInfo" | "ExtendedError"))
            && messages.iter().all(|message| message.key() != key(&code))
        {
            messages.push(Message { id: Some(code), text: inner.message, ..Message::default() });
        }
    }
    messages.sort_by_key(|message| {
        let empty = matches!(message.key(), "" | "GeneralError" | "Success");
        (empty, !message.is_dell(), message.class().is_none())
    });
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_id_stands_in_the_table_once() {
        for (index, (id, _)) in TABLE.iter().enumerate() {
            assert!(TABLE[index + 1..].iter().all(|(other, _)| other != id), "{id} stands twice");
            assert_eq!(key(id), *id);
        }
    }

    #[test]
    fn dells_message_comes_first_whatever_the_order_sent() {
        for order in [
            ["IDRAC.2.9.SYS403", "Base.1.12.ResourceMissingAtURI"],
            ["Base.1.12.ResourceMissingAtURI", "IDRAC.2.9.SYS403"],
        ] {
            let body = format!(
                r#"{{"error":{{"code":"Base.1.12.GeneralError","message":"See ExtendedInfo.","@Message.ExtendedInfo":[{{"MessageId":"{}"}},{{"MessageId":"{}"}}]}}}}"#,
                order[0], order[1]
            );
            let messages = parse(body.as_bytes());
            assert_eq!(messages.len(), 2);
            assert_eq!(messages[0].key(), "SYS403");
        }
    }

    #[test]
    fn arguments_sent_as_a_string_and_info_sent_as_an_object_are_read() {
        let messages = parse(
            br#"{"error":{"@Message.ExtendedInfo":{"MessageId":"IDRAC.2.7.SYS409","MessageArgs":"[]","Resolution":"Correct it.","RelatedProperties":"/Boot"}}}"#,
        );
        assert_eq!(messages[0].key(), "SYS409");
        assert!(messages[0].args.is_empty());
        assert_eq!(messages[0].related, ["/Boot"]);
        assert_eq!(messages[0].resolution.as_deref(), Some("Correct it."));
        let messages = parse(br#"{"error":{"@Message.ExtendedInfo":[{"MessageId":"X.SYS1","MessageArgs":"slot 1"}]}}"#);
        assert_eq!(messages[0].args, ["slot 1"]);
    }

    #[test]
    fn a_dell_id_in_the_place_of_the_code_is_read() {
        let messages =
            parse(br#"{"error":{"code":"IDRAC.2.2.SWC0242","message":"A required license is missing or expired."}}"#);
        assert_eq!(messages[0].key(), "SWC0242");
        assert_eq!(messages[0].class(), Some(Class::Licence));
        assert_eq!(messages[0].text.as_deref(), Some("A required license is missing or expired."));
    }

    #[test]
    fn a_general_error_keeps_the_text_that_stands_beside_its_code() {
        let messages = parse(
            br#"{"error":{"code":"Base.1.0.GeneralError","message":"no such driver","@Message.ExtendedInfo":[{"MessageId":"Base.1.0.GeneralError"}]}}"#,
        );
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].to_string(), "no such driver (GeneralError)");
    }

    #[test]
    fn a_body_that_is_no_json_carries_no_message() {
        assert!(parse(b"<html><body>401 Unauthorized</body></html>").is_empty());
        assert!(parse(b"").is_empty());
        assert!(parse(br#"["a list"]"#).is_empty());
    }

    #[test]
    fn job_message_ids_without_a_registry_are_dells() {
        for (id, dell) in
            [("PR19", true), ("IDRAC.2.9.PR19", true), ("Base.1.8.Success", false), ("GeneralError", false)]
        {
            let message = Message { id: Some(id.to_owned()), ..Message::default() };
            assert_eq!(message.is_dell(), dell, "{id}");
        }
    }
}
