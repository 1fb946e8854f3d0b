//! Completion scripts for shells.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;

/// Prints the completion script of a shell.
pub fn print(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "helixctl", &mut script);
    crate::output::line(String::from_utf8_lossy(&script).trim_end());
}
