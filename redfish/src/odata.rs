//! What all Redfish resources share: links, status, collections with `$expand` and pages.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::lenient::{object, opt};

/// A reference to another resource. Its path is compared without trailing slash, for some services add one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Link {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    uri: Option<String>,
}

impl Link {
    /// The path, or `None` for an empty reference and for JSON pointers into another resource (`…/Thermal#/Fans/0`), which a
    /// service would answer with the whole parent.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        let uri = self.uri.as_deref()?.trim_end_matches('/');
        (!uri.is_empty() && !uri.contains('#')).then_some(uri)
    }
}

/// Reads the path of an optional link.
pub(crate) fn path(link: Option<&Link>) -> Option<&str> {
    link.and_then(Link::uri)
}

/// State and health. `None` means that the BMC does not know, which is no failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Status {
    /// `Enabled`, `Disabled`, `Absent`, `StandbyOffline`, …
    #[serde(deserialize_with = "opt")]
    pub state: Option<String>,
    /// `OK`, `Warning`, `Critical`: this resource alone.
    #[serde(deserialize_with = "opt")]
    pub health: Option<String>,
    /// The same with all that belongs to it. Neither is always the worse of the two.
    #[serde(deserialize_with = "opt")]
    pub health_rollup: Option<String>,
}

/// The vendor part of a resource, as far as it is Dell's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"), default)]
pub struct Oem<T> {
    #[serde(rename = "Dell", deserialize_with = "object")]
    pub dell: Option<T>,
}

impl<T> Default for Oem<T> {
    fn default() -> Self {
        Self { dell: None }
    }
}

/// A typed resource that knows its own path.
pub trait Resource: DeserializeOwned + Send {
    /// `@odata.id` as sent; empty when it was not.
    fn uri(&self) -> &str;
}

/// Implements [`Resource`] for structs with a field `uri`.
macro_rules! resource {
    ($($name:ty),* $(,)?) => {$(
        impl $crate::odata::Resource for $name {
            fn uri(&self) -> &str {
                self.uri.as_deref().unwrap_or("")
            }
        }
    )*};
}
pub(crate) use resource;

/// One page of a collection. Members stay raw, so that one bad member costs only itself.
#[derive(Default, Deserialize)]
#[serde(default, bound = "'de: 'a")]
pub(crate) struct Page<'a> {
    #[serde(rename = "Members", borrow)]
    pub(crate) members: Option<Vec<&'a RawValue>>,
    #[serde(rename = "Members@odata.nextLink", deserialize_with = "opt")]
    pub(crate) next: Option<String>,
    #[serde(rename = "Members@odata.count", deserialize_with = "opt")]
    pub(crate) count: Option<u64>,
}

/// The few properties that tell a bare reference from a whole resource.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct HeadLink {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub(crate) uri: Option<String>,
    #[serde(rename = "Id", deserialize_with = "opt")]
    id: Option<String>,
    #[serde(rename = "Name", deserialize_with = "opt")]
    name: Option<String>,
}

/// A member of a page: the resource itself or where to get it.
pub(crate) enum Member<'a> {
    Whole(&'a RawValue),
    Reference(String),
    /// Neither: no object, or one without a path.
    Junk,
}

/// Longest text of a bare reference: a path of 512 characters and the name of the property. Longer members are whole.
const REFERENCE_BYTES: usize = 600;

impl<'a> Member<'a> {
    pub(crate) fn of(raw: &'a RawValue) -> Self {
        let text = raw.get();
        if !text.starts_with('{') {
            return Self::Junk;
        }
        if text.len() > REFERENCE_BYTES {
            return Self::Whole(raw);
        }
        let Ok(head) = serde_json::from_str::<HeadLink>(text) else { return Self::Junk };
        if head.id.is_some() || head.name.is_some() {
            return Self::Whole(raw);
        }
        match head.uri {
            Some(uri) if !uri.contains('#') => Self::Reference(uri.trim_end_matches('/').to_owned()),
            _ => Self::Junk,
        }
    }
}

/// Orders ids as people count: `PSU.Slot.2` before `PSU.Slot.10`. BMCs list members in any order.
#[must_use]
pub fn natural(left: &str, right: &str) -> Ordering {
    fn number(chars: &mut Peekable<Chars<'_>>) -> u128 {
        let mut value = 0_u128;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            value = value.saturating_mul(10).saturating_add(digit.into());
            chars.next();
        }
        value
    }
    let (mut a, mut b) = (left.chars().peekable(), right.chars().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return left.cmp(right),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => number(&mut a).cmp(&number(&mut b)),
            (Some(x), Some(y)) => {
                let order = x.cmp(y);
                a.next();
                b.next();
                order
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Something that could not be read, beside what could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Path of the resource meant.
    pub uri: String,
    /// The field within it, or `None` when the whole resource is meant.
    pub field: Option<String>,
    /// The BMC's MessageId, when it gave one.
    pub message_id: Option<String>,
    /// In words.
    pub what: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{} {field}: {}", self.uri, self.what),
            None => write!(f, "{}: {}", self.uri, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_into_another_resource_are_never_followed_and_slashes_do_not_count() {
        let link = |text: &str| serde_json::from_str::<Link>(text).unwrap();
        assert_eq!(link(r#"{"@odata.id":"/redfish/v1/Chassis/1/Thermal#/Fans/0"}"#).uri(), None);
        assert_eq!(link(r#"{"@odata.id":"/redfish/v1/Chassis/1/"}"#).uri(), Some("/redfish/v1/Chassis/1"));
        assert_eq!(link("{}").uri(), None);
    }

    #[test]
    fn a_bare_reference_is_told_from_a_whole_member() {
        let page: Page<'_> = serde_json::from_str(
            r#"{"Members":[{"@odata.id":"/a/1"},{"@odata.id":"/a/2","Id":"2"},7],"Members@odata.count":3}"#,
        )
        .unwrap();
        let kinds: Vec<&str> = page
            .members
            .unwrap()
            .iter()
            .map(|raw| match Member::of(raw) {
                Member::Whole(_) => "whole",
                Member::Reference(_) => "reference",
                Member::Junk => "junk",
            })
            .collect();
        assert_eq!(kinds, ["reference", "whole", "junk"]);
    }

    #[test]
    fn slots_are_ordered_as_people_count() {
        let mut ids = ["DIMM.Socket.A10", "DIMM.Socket.B1", "DIMM.Socket.A2", "DIMM.Socket.A1"];
        ids.sort_by(|a, b| natural(a, b));
        assert_eq!(ids, ["DIMM.Socket.A1", "DIMM.Socket.A2", "DIMM.Socket.A10", "DIMM.Socket.B1"]);
    }
}
