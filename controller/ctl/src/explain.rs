//! `helixctl explain WORD`: meaning, cause and way out, offline.

use helix_inventory::{code, message, words};

use crate::args::Global;
use crate::output::line;
use crate::problem::{CtlError, Exit};

/// Explains a state, an error code or a BMC's MessageId.
///
/// # Errors
/// A word that is none of them (exit 4), with the nearest ones.
pub fn run(global: &Global, word: &str) -> Result<Exit, CtlError> {
    let mut found = false;
    let lower = word.to_ascii_lowercase().replace([' ', '-'], "_");
    for (kind, values) in words::words() {
        if let Some((value, entry)) =
            values.iter().find(|(value, entry)| **value == lower || entry.word.eq_ignore_ascii_case(word))
        {
            line(&format!("{value}  ({kind} state, shown as \"{}\")", entry.word));
            line(&format!("  {}", entry.meaning));
            found = true;
        }
    }
    if let Some(entry) = code::explain(&lower) {
        line(&format!("{lower}  (error code)"));
        line(&format!("  Meaning  {}", entry.meaning));
        line(&format!("  Cause    {}", entry.cause));
        line(&format!("  Way out  {}", entry.next));
        found = true;
    }
    if let Some(entry) = message::explain(&word.to_ascii_uppercase()) {
        line(&format!("{}  (message of a BMC)", word.to_ascii_uppercase()));
        line(&format!("  Meaning  {}", entry.meaning));
        line(&format!("  Way out  {}", entry.next));
        found = true;
    }
    if found {
        return Ok(Exit::Done);
    }
    let known = words::words()
        .values()
        .flat_map(|values| values.keys().map(String::as_str))
        .chain(code::known())
        .chain(message::known());
    let mut near: Vec<(usize, &str)> = known
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate))
        .collect();
    near.sort_unstable();
    near.dedup();
    let near: Vec<_> = near.iter().filter(|(distance, _)| *distance <= 4).take(3).map(|(_, word)| *word).collect();
    let mut error = CtlError::new(Exit::Nothing, "explain_unknown", format!("nothing is known about \"{word}\""));
    if !near.is_empty() {
        error = error.next(format!("near: {}", near.join(", ")));
    }
    if global.verbose {
        error = error.because("explain knows states, error codes in brackets, and MessageIds such as RAC0904");
    }
    Err(error)
}
