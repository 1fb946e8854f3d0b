//! The QEMU process: its command line, its start, its end.
//!
//! The flags come from runs on machines without KVM: TCG with several threads, and nothing in the machine that is not needed,
//! because each device costs boot time under emulation.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{oneshot, watch};

use super::folder::Folder;
use super::{BootDevice, VmError, VmSpec};

const QEMU: &str = "qemu-system-x86_64";
const SETPRIV: &str = "setpriv";
const FIRMWARE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// Template of the firmware's variables, copied for each node.
pub(super) const FIRMWARE_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// The processor under emulation; newer distributions need these beyond the plain 64-bit one.
const TCG_PROCESSOR: &str = "qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt";
/// QEMU's name of the CD drive.
pub(super) const CD_DEVICE: &str = "cd";

/// What is missing on this machine to run virtual machines, with the packages that have it; `None` when all is there.
#[must_use]
pub fn unavailable() -> Option<String> {
    let on_path = |program: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    };
    let mut missing = Vec::new();
    if !on_path(QEMU) {
        missing.push(format!("{QEMU} (Debian package qemu-system-x86)"));
    }
    if !Path::new(FIRMWARE_CODE).is_file() || !Path::new(FIRMWARE_VARIABLES).is_file() {
        missing.push(format!("{FIRMWARE_CODE} (Debian package ovmf)"));
    }
    if !on_path(SETPRIV) {
        missing.push(format!("{SETPRIV} (Debian package util-linux)"));
    }
    (!missing.is_empty()).then(|| format!("missing: {}", missing.join(", ")))
}

/// A path or word inside one of QEMU's comma-separated options.
pub(super) fn option_value(value: &(impl AsRef<Path> + ?Sized)) -> String {
    value.as_ref().to_string_lossy().replace(',', ",,")
}

/// QEMU's command line for one start.
pub(super) fn arguments(spec: &VmSpec, folder: &Folder, device: &BootDevice, medium: Option<&Path>) -> Vec<OsString> {
    let (accelerator, processor) = if spec.kvm { ("kvm", "host") } else { ("tcg,thread=multi", TCG_PROCESSOR) };
    let text = |value: &str| option_value(value);
    let (cd_index, disk_index) = match device {
        BootDevice::Disk => (String::new(), ",bootindex=1"),
        BootDevice::Cd(_) => (",bootindex=1".to_owned(), ",bootindex=2"),
    };
    let medium = medium.map_or(String::new(), |path| format!(",format=raw,readonly=on,file={}", option_value(path)));
    let mut line: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["-name", &format!("helix-{}", text(&spec.service_tag))]);
    add(&["-machine", "q35", "-accel", accelerator, "-cpu", processor]);
    add(&["-smp", &spec.cpus.to_string(), "-m", &spec.memory_mib.to_string()]);
    // A guest's reset ends the process: the next start has the boot order of its time, not that of this one.
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    add(&["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE_CODE}")]);
    add(&["-drive", &format!("if=pflash,unit=1,format=raw,file={}", option_value(&folder.variables()))]);
    // The host's page cache is as safe as a disk's own cache for a machine that dies with the test.
    let disk = option_value(&folder.disk());
    add(&["-drive", &format!("if=none,id=disk,format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file={disk}")]);
    add(&["-device", &format!("nvme,drive=disk,serial={}{disk_index}", text(&spec.disk_serial))]);
    add(&["-drive", &format!("if=none,id=cdrom,media=cdrom{medium}")]);
    add(&["-device", &format!("ide-cd,id={CD_DEVICE},bus=ide.0,drive=cdrom{cd_index}")]);
    // Every guest is 10.0.2.15 in a network of its own and reaches our 127.0.0.1 as 10.0.2.2.
    add(&["-netdev", "user,id=lan", "-device", &format!("virtio-net-pci,netdev=lan,romfile=,mac={}", text(&spec.mac))]);
    // The firmware would try to boot from the network for minutes before it says that nothing boots.
    add(&["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n"]);
    add(&["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"]);
    add(&["-device", "virtio-rng-pci"]);
    let (tag, model) = (text(&spec.service_tag), text(&spec.model));
    add(&["-smbios", &format!("type=1,manufacturer=Dell Inc.,product={model},serial={tag},uuid={}", spec.uuid)]);
    add(&["-smbios", &format!("type=3,manufacturer=Dell Inc.,serial={tag}")]);
    add(&["-chardev", &format!("file,id=console,append=on,path={}", option_value(&folder.console()))]);
    add(&["-serial", "chardev:console"]);
    add(&["-qmp", "stdio"]);
    line.into_iter().map(OsString::from).collect()
}

/// QEMU's two pipes, which carry QMP.
pub(super) type Pipes = (ChildStdin, ChildStdout);

/// A started QEMU.
pub(super) struct Process {
    pid: u32,
    ended: watch::Receiver<bool>,
}

impl Process {
    /// Starts QEMU under `setpriv`, which has the kernel kill it when the thread that started it ends. That thread is one of its
    /// own and waits for the process: it ends with us, and not before QEMU.
    pub(super) async fn spawn(
        spec: &VmSpec,
        folder: &Folder,
        arguments: Vec<OsString>,
    ) -> Result<(Self, Pipes), VmError> {
        let failed = |source: io::Error| VmError::Spawn { source };
        let log = OpenOptions::new().create(true).append(true).open(folder.qemu_log()).map_err(failed)?;
        let mut command = Command::new(SETPRIV);
        command.arg("--pdeathsig").arg("KILL");
        if let Some(name) = &spec.user {
            let user = User::from_name(name).map_err(|errno| failed(errno.into()))?;
            let user = user.ok_or_else(|| failed(io::Error::other(format!("there is no user {name}"))))?;
            let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
            command.args(["--reuid", &uid, "--regid", &gid, "--init-groups"]);
        }
        command.arg(QEMU).args(arguments).current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);

        let (started, start) = oneshot::channel();
        let (ending, ended) = watch::channel(false);
        let thread = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
            if started.send(Ok((child.id(), stdin, stdout))).is_err() {
                drop(child.kill());
            }
            if let Err(error) = child.wait() {
                tracing::warn!(%error, "QEMU could not be waited for");
            }
            ending.send_replace(true);
        };
        std::thread::Builder::new().name(format!("vm-{}", spec.service_tag)).spawn(thread).map_err(failed)?;
        let (pid, stdin, stdout) =
            start.await.map_err(|_| failed(io::Error::other("the starting thread is gone")))?.map_err(failed)?;
        let process = Self { pid, ended };
        folder.record(pid).map_err(failed)?;
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => {
                let stdin = ChildStdin::from_std(stdin).map_err(failed)?;
                let stdout = ChildStdout::from_std(stdout).map_err(failed)?;
                Ok((process, (stdin, stdout)))
            }
            _ => Err(failed(io::Error::other("QEMU has no pipes"))),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns when the process has ended and was reaped.
    pub(super) async fn wait(&self) {
        // An error means that the waiting thread is gone, and with it the process.
        drop(self.ended.clone().wait_for(|ended| *ended).await);
    }

    /// Takes the power away. A process that was reaped is left alone: its id may be another's by now.
    pub(super) fn kill(&self) {
        if !*self.ended.borrow()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
