//! The query of a request: named, repeatable, and refused when nobody knows the name.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::problem::Refused;

/// The query as pairs, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Params {
    /// Refuses any other name, with the nearest of those that exist.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refused> {
        let Some((unknown, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let nearest = known.iter().min_by_key(|name| strsim::levenshtein(name, unknown));
        let refused =
            Refused::bad_request("query_unknown_parameter", format!("There is no parameter \"{unknown}\" here."))
                .field(unknown.clone());
        Err(match nearest {
            Some(nearest) if strsim::levenshtein(nearest, unknown) <= 2 => {
                refused.because(format!("Did you mean \"{nearest}\"?"))
            }
            _ if known.is_empty() => refused,
            _ => refused.because(format!("Known here: {}.", known.join(", "))),
        })
    }

    /// The last value of a name; an empty one counts as not given.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Selection forms of a name: repeated or joined by commas; a comma inside brackets belongs to its range.
    pub(crate) fn forms(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).flat_map(|(_, value)| split_forms(value)).collect()
    }

    /// A number within bounds.
    pub(crate) fn number(&self, name: &str, low: i64, high: i64) -> Result<Option<i64>, Refused> {
        self.one(name)
            .map(|text| {
                text.parse::<i64>().ok().filter(|number| (low..=high).contains(number)).ok_or_else(|| {
                    Refused::bad_request(
                        "query_bad_value",
                        format!("\"{text}\" is no {name}: a number from {low} to {high} is expected."),
                    )
                    .field(name)
                })
            })
            .transpose()
    }

    /// A yes or no; given without a value it is a yes.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str()) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => {
                Err(Refused::bad_request("query_bad_value", format!("\"{other}\" is neither true nor false."))
                    .field(name))
            }
        }
    }
}

/// Splits at commas outside brackets.
fn split_forms(text: &str) -> Vec<String> {
    let mut forms = vec![String::new()];
    let mut depth = 0_u32;
    for character in text.chars() {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                forms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(form) = forms.last_mut() {
            form.push(character);
        }
    }
    forms.into_iter().map(|form| form.trim().to_owned()).filter(|form| !form.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    #[test]
    fn a_comma_inside_brackets_belongs_to_the_range() {
        let params = params("select=r07u[21,26-36/5],C4XK9Z3&select=10.0.7.21");
        assert_eq!(params.forms("select"), ["r07u[21,26-36/5]", "C4XK9Z3", "10.0.7.21"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let refused = params("limt=5").only(&["limit", "cursor"]).unwrap_err().0;
        assert_eq!(refused.code, "query_unknown_parameter");
        assert_eq!(refused.detail.as_deref(), Some("Did you mean \"limit\"?"));
    }

    #[test]
    fn a_number_out_of_bounds_says_the_bounds() {
        let refused = params("limit=0").number("limit", 1, 5000).unwrap_err().0;
        assert!(refused.title.contains("from 1 to 5000"), "{}", refused.title);
        assert_eq!(params("limit=7").number("limit", 1, 5000).unwrap(), Some(7));
    }
}
