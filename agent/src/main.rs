//! The `helix-agent` program: argument parsing and the choice of mode.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use helix_agent::deploy::session::{Ending, Pace};
use helix_agent::machine::root::Root;
use helix_agent::node::config::Config;
use helix_agent::node::run::{Home, ThisMachine};
use helix_agent::source::Choice;

/// The deploy ramdisk's init restarts the machine on this exit status and powers it off on 0.
const EXIT_REBOOT: u8 = 3;

/// Enough for a download, its reports and their timers; disks and hashes have threads of their own.
const WORKER_THREADS: usize = 4;

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
    /// Report from the installed system: join with the one-time token, then send readings over mutual TLS.
    ///
    /// Runs until it is stopped; the systemd unit helix-agent.service starts it. Without an NVIDIA driver the node reports everything
    /// else and says so.
    Run {
        /// Configuration file, written at provisioning.
        #[arg(long, value_name = "FILE", default_value = "/etc/helix/agent.toml")]
        config: std::path::PathBuf,
        /// Where GPU readings come from: nvml, none, or replay:FILE for recorded ones (the node is then marked as simulated).
        /// Default: what the configuration says, else nvml.
        #[arg(long, value_name = "SOURCE")]
        source: Option<Choice>,
    },
    /// Play the operating systems of a simulated fleet for a BMC simulator (JSON lines on standard input and output).
    ///
    /// Machines deploy and report by the same code as real ones, over disks that are only remembered and readings that are replayed;
    /// the controller marks them as simulated.
    Simulate {
        /// Folder that keeps what is installed on which machine.
        #[arg(long, value_name = "FOLDER")]
        state: std::path::PathBuf,
        /// Boot, write and retry times are divided by this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = time_scale)]
        time_scale: f64,
    },
    /// Read NVML for the agent, one sweep a line (internal: an NVML call may never return, so it has a process of its own).
    #[command(hide = true)]
    NvmlReader,
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
        Mode::Run { config, source } => {
            let config = Config::read(&config)?;
            let chosen = match (source, &config.source) {
                (Some(source), _) => source,
                (None, Some(text)) => text.parse().map_err(anyhow::Error::msg)?,
                (None, None) => Choice::Nvml,
            };
            let mut machine = ThisMachine::new(chosen.open(std::env::current_exe()?)?);
            runtime()?.block_on(helix_agent::node::run::forever(&Home::from(&config), &mut machine, Pace::default()));
            Ok(ExitCode::SUCCESS)
        }
        Mode::Simulate { state, time_scale } => {
            let input = tokio::io::BufReader::new(tokio::io::stdin());
            let runtime = runtime()?;
            let played =
                runtime.block_on(helix_agent::simulate::fleet::play(state, time_scale, input, tokio::io::stdout()));
            runtime.shutdown_background();
            played.map(|()| ExitCode::SUCCESS)
        }
        Mode::NvmlReader => {
            helix_agent::source::reader::serve()?;
            Ok(ExitCode::SUCCESS)
        }
        Mode::Facts => {
            let facts = helix_agent::machine::facts(&Root::default());
            println!("{}", serde_json::to_string_pretty(&facts)?);
            Ok(ExitCode::SUCCESS)
        }
        Mode::Version => {
            println!("helix-agent {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn time_scale(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|scale: &f64| (1.0..=100_000.0).contains(scale))
        .ok_or_else(|| "it must be a number from 1 to 100000".to_owned())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // A thread for each of a node's 224 processors would be more than the agent has work for, and more than its unit allows.
    tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()
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
