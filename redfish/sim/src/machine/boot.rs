//! What the next boot takes: the override (`Once`, `Continuous`), the boot order, and the choice at the end of POST.
//! An override is spent by *any* boot, also one that a job makes, and proves nothing about what was booted.

use serde::{Deserialize, Serialize};

use super::State;

/// `BootSourceOverrideTarget@Redfish.AllowableValues`, in the order of an iDRAC9.
pub const TARGETS: [&str; 10] =
    ["None", "Pxe", "Floppy", "Cd", "Hdd", "BiosSetup", "Utilities", "UefiTarget", "SDCard", "UefiHttp"];

/// `BootSourceOverrideEnabled` values.
pub const ENABLED: [&str; 3] = ["Disabled", "Once", "Continuous"];

/// The override as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootOverride {
    /// One of [`ENABLED`].
    pub enabled: String,
    /// One of [`TARGETS`].
    pub target: String,
    /// Device path for `UefiTarget`.
    pub uefi_path: Option<String>,
}

impl Default for BootOverride {
    fn default() -> Self {
        Self { enabled: "Disabled".to_owned(), target: "None".to_owned(), uefi_path: None }
    }
}

/// What runs on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootedFrom {
    /// The boot disk.
    Disk,
    /// Virtual media: slot index and URL.
    Cd {
        /// 0 or 1.
        slot: usize,
        /// The image.
        url: String,
    },
}

/// What the BIOS does at the end of POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Boots something.
    Boot(BootedFrom),
    /// Waits in F2 setup.
    Setup,
    /// Waits in the Lifecycle Controller.
    LifecycleController,
    /// Waits for a key at an F1/F2 prompt.
    Halt,
}

/// Chooses, and spends the override. `visible` tells which slots the BIOS saw when POST began.
pub fn choose(state: &mut State, visible: [bool; 2]) -> Choice {
    let boot = state.kept.boot.clone();
    if boot.enabled != "Disabled" && boot.enabled != "Continuous" {
        state.kept.boot = BootOverride::default();
    }
    // The older way to boot virtual media once: it is used up, and on this firmware it boots nothing (quirk 69).
    let once =
        state.kept.attributes.get("iDRAC.Embedded.1 ServerBoot.1.BootOnce").is_none_or(|value| value == "Enabled");
    if once {
        state.kept.attributes.remove("iDRAC.Embedded.1 ServerBoot.1.FirstBootDevice");
    }
    state.live.dirty = true;
    if state.kept.faults.post_halts {
        return Choice::Halt;
    }
    if boot.enabled == "Disabled" {
        return Choice::Boot(BootedFrom::Disk);
    }
    match boot.target.as_str() {
        "BiosSetup" => Choice::Setup,
        "Utilities" => Choice::LifecycleController,
        "Cd" if !state.kept.faults.boots_wrong_device => {
            let found = (0..2).find_map(|slot| {
                let media = &state.kept.media[slot];
                (visible[slot] && media.is_optical()).then(|| media.image.clone().map(|url| (slot, url)))?
            });
            match found {
                Some((slot, url)) => Choice::Boot(BootedFrom::Cd { slot, url }),
                None => Choice::Boot(BootedFrom::Disk),
            }
        }
        // Network targets find no server here and fall through to the disk, as a BIOS does after its time-outs.
        _ => Choice::Boot(BootedFrom::Disk),
    }
}
