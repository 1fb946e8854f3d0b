//! `helixctl`: the command line of Helix.

use clap::Parser;
use helixctl::args::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Another provider can only have been installed by this line.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("TLS was set up already");
    }
    let cli = Cli::parse();
    let exit = helixctl::run::run(cli).await;
    std::process::exit(exit as i32);
}
