//! The grammar: `helixctl NOUN VERB [SELECTION] [--flags]`. Each noun's verbs stand in the noun's own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::output::Format;
use crate::style::ColourChoice;

/// Turns a list of BMC addresses into a GPU cluster and keeps it one, from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "helixctl",
    version,
    about = "The command line of Helix",
    long_about = "The command line of Helix: enrol servers by their BMC address, read their hardware, install operating \
                  systems, follow the work.\n\nOutput formats json, jsonl, yaml, csv and name, exit codes and error codes \
                  are an interface; tables are for eyes. Exit codes: 0 done, 1 failed, 2 usage or no answer, 3 partly \
                  failed, 4 nothing matches, 5 not signed in or allowed, 6 conflict, 7 controller not reachable, 8 --wait \
                  ran out, 9 needs a person, 10 differs, 130 interrupted.",
    after_help = "Examples:\n  helixctl login https://helix.example:8443\n  helixctl node enroll fleet.csv\n  helixctl node \
                  provision 'r01u[01-16]' --image debian-12",
    propagate_version = true,
    max_term_width = 120
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub noun: Noun,
}

/// Flags that stand anywhere.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
    /// Leave the header line of tables out
    #[arg(long, global = true)]
    pub no_headers: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = ColourChoice::Auto, value_name = "WHEN")]
    pub color: ColourChoice,
    /// Say more: request ids, holes in ranges
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Say less: no progress, no hints
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Which controller, by its name in the configuration
    #[arg(long, global = true, env = "HELIX_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Answer yes to questions that a plain yes answers
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// With --yes: answer to the louder question, the number of nodes or the node's name
    #[arg(long, global = true, value_name = "NUMBER|NAME")]
    pub confirm: Option<String>,
}

impl Global {
    /// The command as it was typed, for hints that can be pasted.
    #[must_use]
    pub fn command_line(&self) -> String {
        let words = std::env::args().skip(1).map(|word| {
            let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c));
            if plain && !word.is_empty() { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
        });
        std::iter::once("helixctl".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// Whether and how long a command follows the work that it started.
#[derive(Debug, Clone, Args)]
pub struct Follow {
    /// Follow the work to its end, or for this long (15m, 2h)
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "365d", value_parser = crate::time::parse_duration)]
    pub wait: Option<std::time::Duration>,
    /// Print the id of the work and leave
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
}

/// Nouns and shortcuts.
#[derive(Debug, Subcommand)]
pub enum Noun {
    /// Sign in to a controller
    Login(crate::login::Login),
    /// Give the token back
    Logout,
    /// Who is signed in, where
    Whoami,
    /// Change your password
    Password(crate::login::Password),
    /// Servers: list, enrol, inspect, provision, power
    #[command(subcommand)]
    Node(crate::node::Verb),
    /// Work on one node: list, show, watch, cancel, retry, skip
    #[command(subcommand)]
    Workflow(crate::workflow::Verb),
    /// Work on many nodes: list, show, watch, cancel
    #[command(subcommand)]
    Bulk(crate::follow::bulk::Verb),
    /// Operating system images
    #[command(subcommand)]
    Image(crate::image::Verb),
    /// User names and passwords of BMCs
    #[command(subcommand)]
    Credential(crate::credential::Verb),
    /// Controllers that this command line knows
    #[command(subcommand)]
    Context(crate::context::Verb),
    /// Meaning, cause and way out of a code, state or BMC message; works offline
    #[command(after_help = "Examples:\n  helixctl explain quarantined\n  helixctl explain RAC0904")]
    Explain {
        /// Error code, state, or MessageId of a BMC
        word: String,
    },
    /// Any call of the API: `helixctl api GET nodes`
    Api {
        method: String,
        path: String,
        /// JSON body from a file, - for standard input
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Completion script for a shell
    Completion {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Versions of command line and controller
    Version,
    /// Shortcut for `node reprovision`
    Reprovision(crate::node::provision::Provision),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_anywhere() {
        let cli = Cli::try_parse_from(["helixctl", "node", "list", "r01u05", "-o", "json", "--yes"]).unwrap();
        assert_eq!(cli.global.output, Format::Json);
        assert!(cli.global.yes);
    }

    #[test]
    fn an_unknown_flag_is_refused_with_the_nearest_name() {
        let error = Cli::try_parse_from(["helixctl", "node", "list", "--no-header"]).unwrap_err().to_string();
        assert!(error.contains("--no-headers"), "{error}");
    }

    #[test]
    fn wait_takes_a_duration_or_none() {
        let follow = |words: &[&str]| match Cli::try_parse_from(words).unwrap().noun {
            Noun::Node(crate::node::Verb::Inspect(inspect)) => inspect.follow.wait,
            _ => None,
        };
        assert_eq!(
            follow(&["helixctl", "node", "inspect", "a", "--wait=15m"]),
            Some(std::time::Duration::from_secs(900))
        );
        assert!(follow(&["helixctl", "node", "inspect", "a", "--wait"]).is_some());
        assert_eq!(follow(&["helixctl", "node", "inspect", "a"]), None);
    }
}
