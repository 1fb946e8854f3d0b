//! Puts a configuration together: defaults, then the file, then the environment, then flags.
//!
//! Every problem is collected and told with its place, so that one run shows them all. Unknown keys are refused with
//! the nearest known one: a misspelt limit that silently does nothing is worse than a refusal.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike};

use crate::config::Config;
use crate::config::error::{ConfigError, Problem};
use crate::config::setting::{SETTINGS, Setting};
use crate::config::value::Given;

/// Variables of the environment with this beginning are settings: `HELIXD_API__LISTEN` is `api.listen`.
pub const ENVIRONMENT_PREFIX: &str = "HELIXD_";

/// Jaro-Winkler likeness from which on a known key is offered for an unknown one: below it suggestions are noise.
const LIKE_ENOUGH: f64 = 0.75;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of the file.
    File { path: PathBuf, line: usize },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A configuration, and where each value came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Key to source; keys that are absent have their default.
    pub sources: BTreeMap<&'static str, Source>,
}

/// Loads a configuration.
///
/// `environment` holds the process's variables; those that do not begin with [`ENVIRONMENT_PREFIX`] are passed over.
/// `flags` are `key=value` pairs of the command line.
///
/// # Errors
/// When the file cannot be read, is not TOML, or anything in file, environment or flags is unknown or out of range.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[String],
) -> Result<Loaded, ConfigError> {
    let mut loading =
        Loading { loaded: Loaded { config: Config::default(), sources: BTreeMap::new() }, problems: Vec::new() };
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let document = Document::parse(text.as_str()).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(&text, span.start)),
            message: error.message().trim().to_owned(),
        })?;
        loading.table(path, &text, "", document.as_table());
    }
    let mut variables: Vec<(String, String)> =
        environment.into_iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
    variables.sort();
    for (name, value) in variables {
        let key = name[ENVIRONMENT_PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        loading.text(Source::Environment(name), &key, &value);
    }
    for flag in flags {
        loading.flag(flag);
    }
    if loading.problems.is_empty() { Ok(loading.loaded) } else { Err(ConfigError::Wrong(loading.problems)) }
}

struct Loading {
    loaded: Loaded,
    problems: Vec<Problem>,
}

impl Loading {
    fn table(&mut self, path: &Path, text: &str, prefix: &str, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            let line = span.map_or(1, |span| line_of(text, span.start));
            let source = Source::File { path: path.to_owned(), line };
            if let Some(setting) = find(&key) {
                self.apply(source, setting, &Given::Toml(item));
            } else if let Some(inner) = item.as_table_like().filter(|_| is_section(&key)) {
                self.table(path, text, &key, inner);
            } else if is_section(&key) {
                self.problem(source, format!("\"{key}\" is a section: write [{key}] and its keys below"));
            } else {
                self.unknown(source, &key, item);
            }
        }
    }

    fn text(&mut self, source: Source, key: &str, value: &str) {
        match find(key) {
            Some(setting) => self.apply(source, setting, &Given::Text(value)),
            None => {
                let suggestion = nearest(key).map(|known| match &source {
                    Source::Environment(_) => variable(known),
                    _ => known.to_owned(),
                });
                self.problem(source, sentence(&format!("there is no setting \"{key}\""), suggestion.as_deref()));
            }
        }
    }

    fn flag(&mut self, flag: &str) {
        let Some((key, value)) = flag.split_once('=') else {
            self.problem(Source::Flag(format!("--set {flag}")), "write it as --set KEY=VALUE".to_owned());
            return;
        };
        let source = Source::Flag(format!("--set {key}"));
        if let Some(setting) = find(key).filter(|setting| setting.secret) {
            // The value stays out of the message, as it should have stayed out of the command line.
            let message = format!(
                "\"{}\" may hold a password, and every user of this machine can read command lines; put it into the \
                 configuration file or into {}",
                setting.key,
                variable(setting.key)
            );
            self.problem(source, message);
            return;
        }
        self.text(source, key, value);
    }

    fn apply(&mut self, source: Source, setting: &'static Setting, given: &Given<'_>) {
        match (setting.apply)(&mut self.loaded.config, given) {
            Ok(()) => {
                self.loaded.sources.insert(setting.key, source);
            }
            Err(message) => self.problem(source, format!("{}: {message}", setting.key)),
        }
    }

    fn unknown(&mut self, source: Source, key: &str, item: &Item) {
        let what = if item.is_table_like() { "section" } else { "setting" };
        self.problem(source, sentence(&format!("there is no {what} \"{key}\""), nearest(key)));
    }

    fn problem(&mut self, source: Source, message: String) {
        self.problems.push(Problem { source, message });
    }
}

fn sentence(what: &str, suggestion: Option<&str>) -> String {
    match suggestion {
        Some(suggestion) => format!("{what}; did you mean \"{suggestion}\"?"),
        None => format!("{what}; helixd check-config lists them all"),
    }
}

fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn is_section(key: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// The variable of the environment that sets a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// The known key that looks most like an unknown one. Sections count too, and so do keys written without theirs.
fn nearest(unknown: &str) -> Option<&'static str> {
    let sections = SETTINGS.iter().filter_map(|setting| setting.key.split_once('.').map(|(section, _)| section));
    SETTINGS
        .iter()
        .map(|setting| setting.key)
        .chain(sections)
        .map(|known| {
            let whole = strsim::jaro_winkler(unknown, known);
            let last = known.rsplit_once('.').map_or(0.0, |(_, last)| {
                let unknown_last = unknown.rsplit_once('.').map_or(unknown, |(_, last)| last);
                // Slightly less than the same likeness of the whole key.
                strsim::jaro_winkler(unknown_last, last) - 0.05
            });
            (whole.max(last), known)
        })
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// The line (from 1) in which a byte of the text stands.
fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
