//! Real boots of a hand-made payload, and the command line that they come from.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::sync::broadcast;

use super::payload::{self, Then};
use super::{BootDevice, VmError, VmEvent, VmHost, VmSpec, VmState};

/// A boot of the firmware takes 4 s under emulation on a free core; on a busy machine ten times that.
const BOOT_WAIT: Duration = Duration::from_secs(120);

fn spec(folder: &Path) -> VmSpec {
    VmSpec {
        service_tag: "VMTEST1".into(),
        uuid: uuid::Uuid::from_u128(0x4c4c_4544_0056_4d10_8054_4553_5431_0001),
        model: "PowerEdge R660".into(),
        mac: "52:54:00:56:4d:01".into(),
        state_dir: folder.join("vm"),
        disk_size_bytes: 12 << 30,
        disk_serial: "BOSSVMTEST1".into(),
        memory_mib: 512,
        cpus: 1,
        user: None,
        kvm: false,
    }
}

/// Says why a boot cannot be tried here, so that nobody takes a skipped test for a passed one.
fn skipped() -> bool {
    let missing = super::unavailable().or_else(payload::unavailable);
    if let Some(missing) = &missing {
        eprintln!("SKIPPED: no virtual machine can be booted here: {missing}");
    }
    missing.is_some()
}

async fn next(events: &mut broadcast::Receiver<VmEvent>) -> VmEvent {
    tokio::time::timeout(BOOT_WAIT, events.recv()).await.expect("an event in time").expect("an event")
}

fn overwrite_disk(host_folder: &Path, image: &Path) {
    let mut disk = OpenOptions::new().write(true).open(host_folder.join("vm/disk.raw")).unwrap();
    disk.write_all(&fs::read(image).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cd_boots_once_and_a_restart_by_the_guest_boots_the_disk() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cd = payload::iso(folder.path(), "HELLO FROM THE CD", Then::Reset);
    let disk = payload::disk(folder.path(), "HELLO FROM THE DISK", Then::PowerOff);
    let host = VmHost::new(spec(folder.path())).await.unwrap();
    overwrite_disk(folder.path(), &disk);
    let mut events = host.events();

    host.power_on(BootDevice::Cd(cd)).await.unwrap();
    assert_eq!(host.state(), VmState::On);
    assert!(matches!(host.power_on(BootDevice::Disk).await, Err(VmError::AlreadyOn)));
    assert_eq!(next(&mut events).await, VmEvent::Reset);
    assert_eq!(next(&mut events).await, VmEvent::PoweredOff);
    assert_eq!(host.state(), VmState::Off);

    let console = fs::read_to_string(host.console_path()).unwrap();
    let (cd, disk) = (console.find("HELLO FROM THE CD"), console.find("HELLO FROM THE DISK"));
    assert!(cd.is_some() && cd < disk, "{console}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_keeps_its_disk_and_takes_media_while_it_runs() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cd = payload::iso(folder.path(), "HELLO FROM THE CD", Then::PowerOff);
    let disk = payload::disk(folder.path(), "HELLO FROM THE DISK", Then::PowerOff);
    {
        let host = VmHost::new(spec(folder.path())).await.unwrap();
        // Nothing to boot yet: the firmware waits, and power goes only by force.
        host.power_on(BootDevice::Disk).await.unwrap();
        host.insert_media(Some(cd.clone())).await.unwrap();
        host.insert_media(None).await.unwrap();
        host.insert_media(Some(cd)).await.unwrap();
        let missing = host.insert_media(Some(folder.path().join("absent.iso"))).await.unwrap_err();
        assert_eq!(missing.code(), "vm_refused", "{missing}");
        let mut events = host.events();
        host.power_off(true).await.unwrap();
        assert_eq!(host.state(), VmState::Off);
        assert_eq!(next(&mut events).await, VmEvent::PoweredOff);
        overwrite_disk(folder.path(), &disk);
        assert!(matches!(VmHost::new(spec(folder.path())).await, Err(VmError::InUse { .. })));
    }
    let host = VmHost::new(spec(folder.path())).await.unwrap();
    let mut events = host.events();
    host.power_on(BootDevice::Disk).await.unwrap();
    assert_eq!(next(&mut events).await, VmEvent::PoweredOff);
    let console = fs::read_to_string(host.console_path()).unwrap();
    assert!(console.contains("HELLO FROM THE DISK") && !console.contains("HELLO FROM THE CD"), "{console}");
}

#[tokio::test]
async fn a_machine_that_an_earlier_simulator_left_running_is_stopped() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    drop(VmHost::new(spec(folder.path())).await.unwrap());
    let record = folder.path().join("vm/qemu.pid");

    // Process ids come round again: a stranger's is left alone.
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(&record, stranger.id().to_string()).unwrap();
    drop(VmHost::new(spec(folder.path())).await.unwrap());
    assert!(stranger.try_wait().unwrap().is_none(), "a process that is not ours was stopped");
    stranger.kill().unwrap();
    stranger.wait().unwrap();

    // Anything with this machine's disk on its command line is this machine.
    let disk = folder.path().join("vm/disk.raw");
    let mut leftover = Command::new("sh");
    leftover.args(["-c", "echo up; read never", "left-over"]).arg(disk).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut leftover = leftover.spawn().unwrap();
    let mut up = [0; 3];
    leftover.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    fs::write(&record, leftover.id().to_string()).unwrap();
    drop(VmHost::new(spec(folder.path())).await.unwrap());
    let status = leftover.try_wait().unwrap();
    assert!(status.is_some_and(|status| status.signal() == Some(9)), "{status:?}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_in_words() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let small = VmSpec { disk_size_bytes: 1 << 30, ..spec(folder.path()) };
    let error = VmHost::new(small).await.err().unwrap();
    assert_eq!(error.code(), "vm_settings");
    assert!(error.to_string().contains("too small"), "{error}");
    let mac = VmSpec { mac: "52:54:00".into(), ..spec(folder.path()) };
    assert_eq!(VmHost::new(mac).await.err().unwrap().code(), "vm_settings");
}
