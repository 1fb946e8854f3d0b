//! The `helix-agent` program: argument parsing and the choice of mode.

use clap::{Parser, Subcommand};

/// Helix on the node.
#[derive(Debug, Parser)]
#[command(name = "helix-agent", version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Print what this machine says of itself as JSON: identity, disks, network interfaces.
    Facts,
    /// Print the version.
    Version,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().mode {
        Mode::Facts => {
            let facts = helix_agent::machine::facts(&helix_agent::machine::root::Root::default());
            println!("{}", serde_json::to_string_pretty(&facts)?);
        }
        Mode::Version => println!("helix-agent {}", env!("CARGO_PKG_VERSION")),
    }
    Ok(())
}
