//! The `helix-agent` program: argument parsing and the choice of mode.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use helix_agent::deploy::session::Ending;

/// The deploy ramdisk's init restarts the machine on this exit status and powers it off on 0.
const EXIT_REBOOT: u8 = 3;

/// Helix on the node: writes the OS image from the deploy ramdisk, and reports from the installed system.
///
/// It dials out to the controller only and listens on nothing.
#[derive(Debug, Parser)]
#[command(
    name = "helix-agent",
    version,
    long_about,
    after_help = "Log detail is set by HELIX_LOG (error, warn, info, debug, trace)."
)]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Deploy an OS image onto this machine; only for Helix's deploy ramdisk, for it ERASES a disk.
    ///
    /// Finds the deploy block on the boot medium, reaches the controller, claims the attempt and follows its instructions. Exit
    /// status 0 asks init to power off, 3 to restart.
    Deploy,
    /// Print what this machine says of itself as JSON: identity, disks, network interfaces.
    Facts,
    /// Print the version.
    Version,
}

fn main() -> anyhow::Result<ExitCode> {
    let mode = Arguments::parse().mode;
    log_to_stderr();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider was installed first; this is a bug in helix-agent");
    }
    match mode {
        Mode::Deploy => {
            let runtime = runtime()?;
            let ending = runtime.block_on(helix_agent::deploy::mode::run());
            // A blocking write that was taken back may not hold up the power-off.
            runtime.shutdown_background();
            Ok(match ending? {
                Ending::PowerOff => ExitCode::SUCCESS,
                Ending::Reboot => ExitCode::from(EXIT_REBOOT),
            })
        }
        Mode::Facts => {
            let facts = helix_agent::machine::facts(&helix_agent::machine::root::Root::default());
            println!("{}", serde_json::to_string_pretty(&facts)?);
            Ok(ExitCode::SUCCESS)
        }
        Mode::Version => {
            println!("helix-agent {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HELIX_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false)
        .init();
}
