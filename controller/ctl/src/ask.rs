//! Questions before something changes: what may be asked, and what answers it without a terminal.

use std::io::IsTerminal;

use crate::args::Global;
use crate::problem::{CtlError, Exit};

/// More nodes than this want the number typed.
pub const CONFIRM_ABOVE: usize = 10;

/// What is about to happen.
pub struct Change<'a> {
    /// `Enrol 64 nodes?`
    pub question: &'a str,
    /// Names of what it hits.
    pub names: &'a [String],
    /// It erases or cuts power.
    pub destructive: bool,
}

impl Change<'_> {
    /// What must be typed: nothing (a plain y/N), one node's name, or the number of nodes.
    fn word(&self) -> Option<String> {
        match self.names {
            [only] if self.destructive => Some(only.clone()),
            many if self.destructive || many.len() > CONFIRM_ABOVE => Some(many.len().to_string()),
            _ => None,
        }
    }
}

/// Asks, unless flags have answered.
///
/// # Errors
/// No (exit 2, nothing changed), or no terminal to ask on (exit 2, names the flags).
pub fn confirm(global: &Global, change: &Change<'_>) -> Result<(), CtlError> {
    match change.word() {
        None if global.yes => Ok(()),
        None => {
            terminal(global, change, "--yes")?;
            let yes = dialoguer::Confirm::new()
                .with_prompt(change.question)
                .default(false)
                .interact()
                .map_err(|error| refused().because(error.to_string()))?;
            if yes { Ok(()) } else { Err(refused()) }
        }
        Some(word) => {
            if global.yes
                && let Some(given) = &global.confirm
            {
                if *given == word {
                    return Ok(());
                }
                return Err(CtlError::new(
                    Exit::Usage,
                    "confirmation_differs",
                    format!("--confirm={given} does not fit: this hits {}", describe(change)),
                )
                .next(format!("--yes --confirm={word}, when that is what you mean")));
            }
            terminal(global, change, &format!("--yes --confirm={word}"))?;
            let what = if change.names.len() == 1 { "name of the node" } else { "number of nodes" };
            let typed: String = dialoguer::Input::new()
                .with_prompt(format!("{} Type the {what} to go on", change.question))
                .allow_empty(true)
                .interact_text()
                .map_err(|error| refused().because(error.to_string()))?;
            if typed.trim() == word { Ok(()) } else { Err(refused()) }
        }
    }
}

fn describe(change: &Change<'_>) -> String {
    match change.names {
        [only] => only.clone(),
        many => format!("{} nodes", many.len()),
    }
}

fn terminal(global: &Global, change: &Change<'_>, flags: &str) -> Result<(), CtlError> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    let error = CtlError::new(
        Exit::Usage,
        "confirmation_required",
        format!("\"{}\" needs an answer, and there is no terminal", change.question),
    );
    let error = if change.destructive {
        error.because(format!("it erases data or cuts power on {}", describe(change)))
    } else if change.names.len() > CONFIRM_ABOVE {
        error.because(format!("it hits more than {CONFIRM_ABOVE} nodes"))
    } else {
        error
    };
    Err(error.next(format!("{} {flags}", global.command_line())))
}

fn refused() -> CtlError {
    CtlError::new(Exit::Usage, "not_confirmed", "not confirmed: nothing was changed")
}

/// Asks for a secret on the terminal.
///
/// # Errors
/// Without a terminal: names the flag that reads it from a file.
pub fn secret(prompt: &str, file_flag: &str) -> Result<String, CtlError> {
    if !std::io::stdin().is_terminal() {
        return Err(CtlError::new(
            Exit::Usage,
            "secret_required",
            format!("{prompt} is needed, and there is no terminal"),
        )
        .next(format!("{file_flag} FILE reads it from a file (- for standard input)")));
    }
    dialoguer::Password::new().with_prompt(prompt).interact().map_err(|error| {
        CtlError::new(Exit::Usage, "secret_required", "no password was read").because(error.to_string())
    })
}

/// Reads a secret from a file or standard input; the line end is not part of it.
///
/// # Errors
/// When the file cannot be read.
pub fn secret_from_file(path: &std::path::Path) -> Result<String, CtlError> {
    let text = if path == std::path::Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
        .map_err(|error| CtlError::file(path, "read", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("r01u{n:02}")).collect()
    }

    #[test]
    fn what_must_be_typed_grows_with_what_is_at_stake() {
        let change = |names: &[String], destructive| Change { question: "?", names, destructive }.word();
        assert_eq!(change(&names(3), false), None);
        assert_eq!(change(&names(11), false), Some("11".into()));
        assert_eq!(change(&names(1), true), Some("r01u00".into()));
        assert_eq!(change(&names(3), true), Some("3".into()));
    }
}
