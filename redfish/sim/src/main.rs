//! `idrac-sim`: a fleet of simulated iDRACs from a file or counted out, with its control API.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use redfish_sim::fleet::{BmcConfig, FleetError, count_out, read_file};
use redfish_sim::machine::real::VmSettings;
use redfish_sim::{Fleet, FleetBuilder};
use tokio::signal::unix::{SignalKind, signal};

/// Simulated iDRACs: one process, one socket, every BMC on its own 127.x.y.z address. User root, password calvin.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    which: Which,
    /// Address of the control API.
    #[arg(long, default_value = "127.0.0.1:4480")]
    control: SocketAddr,
    /// How much faster than real life the machines run.
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// Delay of every answer, milliseconds. A real iDRAC takes about 200.
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// Program that plays the operating systems of the machines.
    #[arg(long)]
    host_program: Option<String>,
    /// Folder of the virtual machines (disks, firmware variables, consoles).
    #[arg(long)]
    vm_dir: Option<PathBuf>,
    /// Memory of a virtual machine, MiB.
    #[arg(long, default_value_t = 1024)]
    vm_memory: u32,
    /// Processors of a virtual machine.
    #[arg(long, default_value_t = 2)]
    vm_cpus: u32,
    /// User that QEMU runs as.
    #[arg(long)]
    vm_user: Option<String>,
    /// Let QEMU use KVM. Only where it is known to boot guests: an open /dev/kvm proves nothing.
    #[arg(long)]
    vm_kvm: bool,
}

#[derive(Debug, Clone, Args)]
struct Which {
    /// Fleet file.
    #[arg(long, global = true)]
    fleet: Option<PathBuf>,
    /// Number of BMCs, when there is no fleet file.
    #[arg(long, global = true)]
    count: Option<usize>,
    /// First address of a counted fleet.
    #[arg(long, global = true, default_value = "127.10.0.1")]
    base: Ipv4Addr,
    /// Models of a counted fleet and their proportion.
    #[arg(long, global = true, default_value = "XE9680=4,XE8640=4,R760xa=4,R660=4")]
    mix: String,
    /// Address of a BMC whose host is a virtual machine; may be given several times. In a fleet file: vm = true.
    #[arg(long = "vm", global = true)]
    vms: Vec<Ipv4Addr>,
    /// Port of all BMCs.
    #[arg(long, global = true, default_value_t = 4443)]
    port: u16,
    /// Tags, serial numbers, MAC addresses and keys derive from it.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Folder in which the state of the fleet is kept.
    #[arg(long, global = true)]
    state: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints one JSON line a BMC and ends.
    List,
}

impl Which {
    fn bmcs(&self) -> Result<Vec<BmcConfig>, FleetError> {
        let mut bmcs = match (&self.fleet, self.count) {
            (Some(path), _) => read_file(path)?,
            (None, Some(count)) => count_out(count, self.base, &self.mix)?,
            (None, None) => return Err(FleetError::Empty),
        };
        for address in &self.vms {
            let bmc = bmcs.iter_mut().find(|bmc| bmc.address == *address).ok_or(FleetError::NotInFleet(*address))?;
            bmc.vm = true;
        }
        Ok(bmcs)
    }

    fn builder(&self) -> Result<FleetBuilder, FleetError> {
        let mut builder = Fleet::builder().bmcs(self.bmcs()?).seed(self.seed).port(self.port);
        if let Some(folder) = &self.state {
            builder = builder.state_dir(folder);
        }
        Ok(builder)
    }
}

fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    match cli.command {
        Some(Command::List) => list(&cli.which),
        None => runtime.block_on(run(cli)),
    }
}

fn list(which: &Which) -> anyhow::Result<()> {
    let fleet = which.builder()?.build()?;
    let mut out = std::io::stdout().lock();
    for bmc in fleet.bmcs() {
        match writeln!(out, "{}", redfish_sim::control::summary(bmc, which.port)) {
            // Whoever reads has enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            written => written.context("print the fleet")?,
        }
    }
    Ok(())
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let mut builder = cli
        .which
        .builder()?
        .control(cli.control)
        .time_scale(cli.time_scale)
        .latency(Duration::from_millis(cli.latency));
    if let Some(command) = cli.host_program {
        builder = builder.host_program(command);
    }
    if let Some(folder) = cli.vm_dir {
        let mut settings = VmSettings::in_folder(folder);
        settings.memory_mib = cli.vm_memory;
        settings.cpus = cli.vm_cpus;
        settings.user = cli.vm_user;
        settings.kvm = cli.vm_kvm;
        builder = builder.vms(settings);
    }
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let fleet = builder.start().await?;
    tracing::info!(bmcs = fleet.fleet().bmcs().len(), port = fleet.port(), control = %cli.control, "the fleet is up");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    fleet.shutdown().await;
    Ok(())
}
