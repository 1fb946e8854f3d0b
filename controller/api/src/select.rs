//! Selections: how people name nodes. Parser and expansion of ranges; the controller matches names, tags and addresses.
//!
//! `r07u21`, `r[01-12]u[01-40]`, `r07u[21,26-36/5]`. Numbers keep the padding that they were written with. The query
//! language joins here later.

use serde::{Deserialize, Serialize};

/// Names a range may expand to; more is a slip of the keyboard.
pub const EXPANSION_LIMIT: usize = 20_000;

/// Which nodes a command is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Names, ranges, service tags, BMC addresses; joined.
    pub forms: Vec<String>,
    /// Taken away last.
    pub except: Vec<String>,
    /// Every node; must be said, an empty selection is nothing.
    pub all: bool,
    /// First N in name order.
    pub limit: Option<u32>,
}

impl Selection {
    /// One node or form.
    #[must_use]
    pub fn one(form: impl Into<String>) -> Self {
        Self { forms: vec![form.into()], ..Self::default() }
    }

    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty() && !self.all
    }
}

/// Why a form does not parse; `at` is the byte where it goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("\"{form}\": the bracket opened at character {at} is not closed")]
    Unclosed { form: String, at: usize },
    #[error("\"{form}\": \"{part}\" is no number, range (01-12) or step (01-40/5)")]
    BadRange { form: String, part: String },
    #[error("\"{form}\": the range {part} runs backwards")]
    Backwards { form: String, part: String },
    #[error("\"{form}\" names more than {EXPANSION_LIMIT} nodes")]
    TooMany { form: String },
}

impl SelectError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "selection_range"
    }
}

/// Whether a form is a range: holes in it are skipped instead of refused.
#[must_use]
pub fn is_range(form: &str) -> bool {
    form.contains('[')
}

/// Expands ranges in a form; a form without brackets is itself.
///
/// # Errors
/// Says which part does not parse and why.
pub fn expand(form: &str) -> Result<Vec<String>, SelectError> {
    let mut names = vec![String::new()];
    let mut rest = form;
    let mut offset = 0;
    while let Some(open) = rest.find('[') {
        let close = rest[open..]
            .find(']')
            .map(|close| open + close)
            .ok_or_else(|| SelectError::Unclosed { form: form.to_owned(), at: offset + open + 1 })?;
        let numbers = numbers(form, &rest[open + 1..close])?;
        if names.len().saturating_mul(numbers.len()) > EXPANSION_LIMIT {
            return Err(SelectError::TooMany { form: form.to_owned() });
        }
        names = names
            .iter()
            .flat_map(|name| numbers.iter().map(move |number| format!("{name}{}{number}", &rest[..open])))
            .collect();
        offset += close + 1;
        rest = &rest[close + 1..];
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

fn numbers(form: &str, list: &str) -> Result<Vec<String>, SelectError> {
    let bad = |part: &str| SelectError::BadRange { form: form.to_owned(), part: part.to_owned() };
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<usize>().ok().filter(|step| *step > 0).ok_or_else(|| bad(part))?)
            }
            None => (part, 1),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let is_number =
            |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(first) || !is_number(last) {
            return Err(bad(part));
        }
        let low: u32 = first.parse().map_err(|_| bad(part))?;
        let high: u32 = last.parse().map_err(|_| bad(part))?;
        if low > high {
            return Err(SelectError::Backwards { form: form.to_owned(), part: part.to_owned() });
        }
        if (high - low) as usize / step + numbers.len() > EXPANSION_LIMIT {
            return Err(SelectError::TooMany { form: form.to_owned() });
        }
        let width = if first.starts_with('0') { first.len() } else { 1 };
        numbers.extend((low..=high).step_by(step).map(|number| format!("{number:0width$}")));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_brackets_is_itself() {
        assert_eq!(expand("r07u21").unwrap(), ["r07u21"]);
    }

    #[test]
    fn padding_stays_as_written() {
        assert_eq!(expand("r[08-10]u1").unwrap(), ["r08u1", "r09u1", "r10u1"]);
        assert_eq!(expand("r[8-10]").unwrap(), ["r8", "r9", "r10"]);
    }

    #[test]
    fn lists_ranges_and_steps_join() {
        assert_eq!(expand("r07u[21,26-36/5]").unwrap(), ["r07u21", "r07u26", "r07u31", "r07u36"]);
    }

    #[test]
    fn two_ranges_multiply_in_name_order() {
        assert_eq!(expand("r[1-2]u[1-2]").unwrap(), ["r1u1", "r1u2", "r2u1", "r2u2"]);
    }

    #[test]
    fn mistakes_say_where_they_are() {
        assert_eq!(expand("r[01-").unwrap_err(), SelectError::Unclosed { form: "r[01-".into(), at: 2 });
        assert!(matches!(expand("r[a-b]").unwrap_err(), SelectError::BadRange { .. }));
        assert!(matches!(expand("r[9-3]").unwrap_err(), SelectError::Backwards { .. }));
        assert!(matches!(expand("r[1-5/0]").unwrap_err(), SelectError::BadRange { .. }));
        assert!(matches!(expand("r[1-999]u[1-999]").unwrap_err(), SelectError::TooMany { .. }));
        assert!(matches!(expand("r[0-999999999]").unwrap_err(), SelectError::TooMany { .. }));
    }
}
