//! Query parameters: `$expand` (one level), `$select`, `$filter`, `$top`, `$skip`, `only`, and the pages of fifty that long
//! collections come in. Anything else is refused, as is a second level.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::message::Failure;
use crate::resource::{self, View};

/// Members a page of a long collection has.
const PAGE: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expand {
    /// `*`: subordinates and links.
    All,
    /// `.`: subordinates.
    NoLinks,
    /// `~`: links.
    Links,
}

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query {
    expand: Option<Expand>,
    select: Vec<String>,
    filter: Vec<Condition>,
    top: Option<usize>,
    skip: usize,
    only: bool,
}

#[derive(Debug)]
struct Condition {
    property: String,
    operator: String,
    value: String,
}

impl Query {
    /// Reads the query string.
    ///
    /// # Errors
    /// 400 when a parameter is not known or out of range.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "$expand" => query.expand = Some(expand(&value)?),
                "$select" => {
                    query.select =
                        value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
                }
                "$filter" => query.filter = filter(&value)?,
                "$top" => query.top = Some(number("$top", &value)?),
                "$skip" => query.skip = number("$skip", &value)?,
                "only" => query.only = true,
                "" => {}
                other => return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS417").arg(other)),
            }
        }
        Ok(query)
    }

    /// Whether `$expand` was asked for.
    pub(super) fn expands(&self) -> bool {
        self.expand.is_some()
    }

    /// Applies the parameters to a document.
    ///
    /// # Errors
    /// 400 when the resource does not take a parameter.
    pub(super) fn apply(&self, view: &View<'_>, mut document: Value, path: &str) -> Result<Value, Failure> {
        let is_collection = document.get("Members").is_some_and(Value::is_array);
        if !is_collection && (self.top.is_some() || self.skip > 0 || !self.filter.is_empty()) {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS417").arg("$top"));
        }
        if is_collection {
            if self.only
                && let Some([single]) = document["Members"].as_array().map(Vec::as_slice)
                && let Some(member) = single["@odata.id"].as_str().and_then(|id| resource::at(view, id))
            {
                return self.apply(view, member, path);
            }
            self.page(view, &mut document, path);
        }
        if let Some(expand) = self.expand {
            if is_collection {
                if let Some(members) = document["Members"].as_array_mut() {
                    for member in members {
                        replace(view, member);
                    }
                }
            } else {
                expand_links(view, &mut document, expand, false);
            }
        }
        if !self.select.is_empty() {
            document = if is_collection && self.expand.is_some() {
                if let Some(members) = document["Members"].as_array_mut() {
                    for member in members {
                        *member = self.selected(member);
                    }
                }
                document
            } else {
                self.selected(&document)
            };
        }
        Ok(document)
    }

    fn page(&self, view: &View<'_>, document: &mut Value, path: &str) {
        let Some(members) = document["Members"].as_array_mut() else { return };
        if view.state.kept.faults.shuffled_members {
            members.reverse();
        }
        let inline = members.first().is_some_and(|member| member.as_object().is_some_and(|member| member.len() > 1));
        if !self.filter.is_empty() {
            members.retain(|member| {
                let fetched;
                let body = if inline {
                    member
                } else {
                    fetched = member["@odata.id"].as_str().and_then(|id| resource::at(view, id)).unwrap_or_default();
                    &fetched
                };
                self.filter.iter().all(|condition| condition.holds(body))
            });
        }
        let total = members.len();
        let limit = match self.top {
            Some(top) => top,
            // Only the collections that come with their members inside are served in pages.
            None if inline => PAGE,
            None => usize::MAX,
        };
        let page: Vec<Value> = members.iter().skip(self.skip).take(limit).cloned().collect();
        let next = self.skip.saturating_add(page.len());
        *members = page;
        document["Members@odata.count"] = json!(total);
        if next < total && self.top.is_none() {
            document["Members@odata.nextLink"] = json!(format!("{path}?$skip={next}"));
        }
    }

    fn selected(&self, document: &Value) -> Value {
        let Some(all) = document.as_object() else { return document.clone() };
        let mut kept = Map::new();
        for (name, value) in all {
            if name.starts_with("@odata.") {
                kept.insert(name.clone(), value.clone());
            }
        }
        for wanted in &self.select {
            if wanted == "*" {
                return document.clone();
            }
            match wanted.split_once('/') {
                None => {
                    for (name, value) in all {
                        if name == wanted
                            || name.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('@'))
                        {
                            kept.insert(name.clone(), value.clone());
                        }
                    }
                }
                Some((outer, inner)) => {
                    if let Some(value) = all.get(outer).and_then(|object| object.get(inner)) {
                        let object = kept.entry(outer.to_owned()).or_insert_with(|| json!({}));
                        object[inner] = value.clone();
                    }
                }
            }
        }
        Value::Object(kept)
    }
}

impl Condition {
    fn holds(&self, body: &Value) -> bool {
        let found = self.property.split('/').try_fold(body, |value, part| value.get(part));
        let Some(found) = found else { return false };
        let order = match found {
            Value::String(text) => Some(text.as_str().cmp(self.value.as_str())),
            Value::Bool(flag) => Some(flag.to_string().as_str().cmp(self.value.as_str())),
            Value::Number(number) => {
                self.value.parse::<f64>().ok().and_then(|value| number.as_f64().and_then(|n| n.partial_cmp(&value)))
            }
            _ => None,
        };
        let Some(order) = order else { return false };
        match self.operator.as_str() {
            "eq" => order.is_eq(),
            "ne" => order.is_ne(),
            "gt" => order.is_gt(),
            "ge" => order.is_ge(),
            "lt" => order.is_lt(),
            _ => order.is_le(),
        }
    }
}

fn number(name: &str, value: &str) -> Result<usize, Failure> {
    value.parse().map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "SYS457").arg(name))
}

fn expand(value: &str) -> Result<Expand, Failure> {
    let value = value.trim();
    let (what, levels) = match value.split_once('(') {
        Some((what, rest)) => (what, Some(rest.trim_end_matches(')'))),
        None => (value, None),
    };
    if let Some(levels) = levels
        && levels.strip_prefix("$levels=").and_then(|levels| levels.parse::<u32>().ok()) != Some(1)
    {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS457").arg("$levels"));
    }
    match what {
        "*" => Ok(Expand::All),
        "." => Ok(Expand::NoLinks),
        "~" => Ok(Expand::Links),
        _ => Err(Failure::new(StatusCode::BAD_REQUEST, "SYS417").arg("$expand")),
    }
}

/// `A eq 'x' and B ge '2025-01-01T00:00:00-06:00'`; no brackets and no `or`, which is what clients of iDRACs use.
fn filter(text: &str) -> Result<Vec<Condition>, Failure> {
    let wrong = || Failure::new(StatusCode::BAD_REQUEST, "SYS457").arg("$filter");
    text.split(" and ")
        .map(|part| {
            let mut words = part.trim().splitn(3, ' ');
            let (Some(property), Some(operator), Some(value)) = (words.next(), words.next(), words.next()) else {
                return Err(wrong());
            };
            if !matches!(operator, "eq" | "ne" | "gt" | "ge" | "lt" | "le") {
                return Err(wrong());
            }
            Ok(Condition {
                property: property.to_owned(),
                operator: operator.to_owned(),
                value: value.trim().trim_matches('\'').to_owned(),
            })
        })
        .collect()
}

/// Replaces a bare link by what it points to; a link that cannot be followed stays.
fn replace(view: &View<'_>, value: &mut Value) {
    let Some(object) = value.as_object() else { return };
    if object.len() != 1 {
        return;
    }
    if let Some(id) = object.get("@odata.id").and_then(Value::as_str)
        && let Some(document) = resource::at(view, id)
    {
        *value = document;
    }
}

fn expand_links(view: &View<'_>, value: &mut Value, expand: Expand, inside_links: bool) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object.iter_mut() {
                let links = inside_links || name == "Links";
                let wanted = match expand {
                    Expand::All => true,
                    Expand::NoLinks => !links,
                    Expand::Links => links,
                };
                let bare =
                    inner.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("@odata.id"));
                if bare {
                    if wanted {
                        replace(view, inner);
                    }
                } else if !name.starts_with('@') {
                    expand_links(view, inner, expand, links);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let bare = item.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("@odata.id"));
                if bare {
                    if matches!(
                        (expand, inside_links),
                        (Expand::All, _) | (Expand::NoLinks, false) | (Expand::Links, true)
                    ) {
                        replace(view, item);
                    }
                } else {
                    expand_links(view, item, expand, inside_links);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_level_is_refused() {
        assert!(Query::parse("$expand=*($levels=1)").is_ok());
        assert!(Query::parse("$expand=*").is_ok());
        assert_eq!(Query::parse("$expand=*($levels=2)").unwrap_err().id, "SYS457");
    }

    #[test]
    fn a_filter_compares_text_and_numbers() {
        let query = Query::parse("$filter=Severity eq 'Critical' and Id gt 3").unwrap();
        let holds = |body: Value| query.filter.iter().all(|condition| condition.holds(&body));
        assert!(holds(json!({"Severity": "Critical", "Id": 4})));
        assert!(!holds(json!({"Severity": "Critical", "Id": 3})));
        assert!(!holds(json!({"Severity": "OK", "Id": 4})));
    }
}
