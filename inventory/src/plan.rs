//! Plans: ordered, printable steps made from what a node is and what it should be.
//!
//! Pure: [`provision`] and [`inspect`] look at values only. A plan is frozen with the digest of the facts it rests on; the
//! workflow compares the digest before the first effect and stops when the facts moved. What makes a run impossible is
//! said as a refusal before anything is touched.

use serde::{Deserialize, Serialize};

use crate::hardware::{BootMode, Hardware};
use crate::profile::ProvisionSpec;
use crate::words::{Lifecycle, Power};

/// The steps that exist, in the words of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    ReadHardware,
    CheckPlan,
    Drain,
    PowerOff,
    InsertDeployMedia,
    BootDeployRamdisk,
    WriteImage,
    EjectMedia,
    BootFromDisk,
    WaitForAgent,
    Validate,
}

impl StepKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::ReadHardware,
        Self::CheckPlan,
        Self::Drain,
        Self::PowerOff,
        Self::InsertDeployMedia,
        Self::BootDeployRamdisk,
        Self::WriteImage,
        Self::EjectMedia,
        Self::BootFromDisk,
        Self::WaitForAgent,
        Self::Validate,
    ];

    /// The value as the API and the database spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadHardware => "read_hardware",
            Self::CheckPlan => "check_plan",
            Self::Drain => "drain",
            Self::PowerOff => "power_off",
            Self::InsertDeployMedia => "insert_deploy_media",
            Self::BootDeployRamdisk => "boot_deploy_ramdisk",
            Self::WriteImage => "write_image",
            Self::EjectMedia => "eject_media",
            Self::BootFromDisk => "boot_from_disk",
            Self::WaitForAgent => "wait_for_agent",
            Self::Validate => "validate",
        }
    }

    /// The title that people see.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ReadHardware => "Read hardware",
            Self::CheckPlan => "Check the plan again",
            Self::Drain => "Drain",
            Self::PowerOff => "Power off",
            Self::InsertDeployMedia => "Insert deploy media",
            Self::BootDeployRamdisk => "Boot deploy ramdisk",
            Self::WriteImage => "Write image",
            Self::EjectMedia => "Eject media",
            Self::BootFromDisk => "Boot from disk",
            Self::WaitForAgent => "Wait for agent",
            Self::Validate => "Validate",
        }
    }

    /// What skipping the step means, for steps that may be skipped.
    #[must_use]
    pub fn skip_consequence(self) -> Option<&'static str> {
        match self {
            Self::Drain => Some("jobs that still run on the node are killed by the power-off"),
            Self::EjectMedia => Some(
                "the deploy medium stays inserted; it holds no secret that still works, and is ejected by the next run",
            ),
            Self::WaitForAgent => Some("the node goes on without a sign of life from its operating system"),
            Self::Validate => Some("the node goes into service without being checked"),
            _ => None,
        }
    }
}

impl std::str::FromStr for StepKind {
    type Err = crate::words::UnknownWord;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| crate::words::UnknownWord { kind: "step", text: text.to_owned() })
    }
}

/// What kind of workflow a plan makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkflowKind {
    Inspect,
    Provision,
}

impl WorkflowKind {
    /// The value as the API and the database spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Provision => "provision",
        }
    }
}

impl std::str::FromStr for WorkflowKind {
    type Err = crate::words::UnknownWord;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "inspect" => Ok(Self::Inspect),
            "provision" => Ok(Self::Provision),
            _ => Err(crate::words::UnknownWord { kind: "workflow kind", text: text.to_owned() }),
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlannedStep {
    pub kind: StepKind,
    pub title: String,
    /// What it does to the node, in words: `ERASES the BOSS volume`, `no effect on the host`.
    pub effect: String,
    /// Erases data or cuts power: wants the louder confirmation.
    pub destructive: bool,
}

/// Why a plan cannot be run, found before anything is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub next: String,
}

/// A frozen plan for one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    pub kind: WorkflowKind,
    pub steps: Vec<PlannedStep>,
    /// Digest of the facts that the plan rests on.
    pub facts_digest: String,
    pub refusals: Vec<Refusal>,
    pub warnings: Vec<String>,
    /// The wish, frozen with the plan; for `provision` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<ProvisionSpec>,
}

impl Plan {
    /// Whether nothing speaks against running it.
    #[must_use]
    pub fn is_runnable(&self) -> bool {
        self.refusals.is_empty()
    }

    /// Whether it erases data.
    #[must_use]
    pub fn is_destructive(&self) -> bool {
        self.steps.iter().any(|step| step.destructive)
    }
}

fn step(kind: StepKind, effect: impl Into<String>, destructive: bool) -> PlannedStep {
    PlannedStep { kind, title: kind.title().to_owned(), effect: effect.into(), destructive }
}

/// Plan of an inspection: reads, writes nothing.
#[must_use]
pub fn inspect() -> Plan {
    Plan {
        kind: WorkflowKind::Inspect,
        steps: vec![step(StepKind::ReadHardware, "reads over Redfish; no effect on the host", false)],
        facts_digest: String::new(),
        refusals: Vec::new(),
        warnings: Vec::new(),
        spec: None,
    }
}

/// What the planner must know of a node besides its hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFacts<'a> {
    pub name: &'a str,
    pub state: Lifecycle,
    pub power: Power,
    /// Jobs must be drained first: a scheduler is set for the node.
    pub scheduler: bool,
}

/// Plan of a provision run.
#[must_use]
pub fn provision(node: NodeFacts<'_>, hardware: Option<&Hardware>, spec: &ProvisionSpec) -> Plan {
    let mut refusals = Vec::new();
    let mut warnings = Vec::new();
    let mut refuse = |code: &str, message: String, next: String| {
        refusals.push(Refusal { code: code.to_owned(), message, next });
    };
    let name = node.name;
    if !crate::lifecycle::may_be_provisioned(node.state) {
        refuse(
            "provision_state",
            format!("{name} is {}: it cannot be provisioned from there.", node.state.word()),
            format!("helixctl node show {name}"),
        );
    }
    match hardware {
        None => refuse(
            "hardware_unknown",
            format!("The hardware of {name} has not been read yet."),
            format!("helixctl node inspect {name}"),
        ),
        Some(hardware) => {
            match hardware.boot.mode {
                Some(BootMode::Legacy) => refuse(
                    "boot_mode_legacy",
                    format!(
                        "{name} boots in legacy BIOS mode (BIOS attribute BootMode = Bios); Helix installs UEFI only. \
                         Nothing was touched."
                    ),
                    "Set BootMode to Uefi on the iDRAC (Configuration, BIOS Settings, Boot Settings). That is a BIOS job \
                     and a reboot, up to 15 min. Then inspect the node again."
                        .to_owned(),
                ),
                Some(BootMode::Uefi) => {}
                None => warnings.push(format!(
                    "The BMC of {name} does not say whether the host boots in UEFI mode; Helix assumes that it does."
                )),
            }
            if hardware.boot.secure_boot == Some(true) {
                refuse(
                    "secure_boot_enabled",
                    format!(
                        "Secure Boot is enabled on {name} (BIOS attribute SecureBoot = Enabled); the deploy medium is not \
                         signed yet and would not start. Nothing was touched."
                    ),
                    "Set SecureBoot to Disabled on the iDRAC (Configuration, BIOS Settings, System Security). That is a \
                     BIOS job and a reboot, up to 15 min. Then inspect the node again."
                        .to_owned(),
                );
            }
            disk_outlook(name, hardware, spec, &mut refuse, &mut warnings);
        }
    }
    let power_off = match node.power {
        Power::Off => step(StepKind::PowerOff, "is off already", false),
        _ => step(StepKind::PowerOff, "POWERS OFF the host: asks the operating system first, 90 s, then forces", true),
    };
    let mut steps = vec![step(StepKind::CheckPlan, "reads the node again; stops when the facts moved", false)];
    if node.scheduler {
        steps.push(step(StepKind::Drain, "waits until the scheduler's jobs have left", false));
    }
    let wipe = if spec.wipe_conflicting { "; clears signatures of conflicting disks" } else { "" };
    steps.extend([
        power_off,
        step(StepKind::InsertDeployMedia, "no effect on the host", false),
        step(StepKind::BootDeployRamdisk, "boots the deploy medium once", false),
        step(StepKind::WriteImage, format!("ERASES {} and writes {}{wipe}", spec.disk.in_words(), spec.image), true),
        step(StepKind::EjectMedia, "no effect on the host", false),
        step(StepKind::BootFromDisk, "boots the new operating system", false),
        step(StepKind::WaitForAgent, "waits until the agent on the node reports", false),
        step(StepKind::Validate, "compares what the agent reports with what was installed", false),
    ]);
    Plan {
        kind: WorkflowKind::Provision,
        steps,
        facts_digest: hardware.map(Hardware::provision_digest).unwrap_or_default(),
        refusals,
        warnings,
        spec: Some(spec.clone()),
    }
}

/// Says early what the ramdisk would find: nothing matches the wish, or BOSS drives without a volume.
fn disk_outlook(
    name: &str,
    hardware: &Hardware,
    spec: &ProvisionSpec,
    refuse: &mut impl FnMut(&str, String, String),
    warnings: &mut Vec<String>,
) {
    if !hardware.section_is_complete("drives") {
        warnings
            .push(format!("The drives of {name} could not be read completely; the ramdisk decides by what it finds."));
        return;
    }
    if let Some(serial) = &spec.disk.serial {
        let known = hardware.drives.iter().any(|drive| drive.serial.as_deref() == Some(serial));
        if !known && !hardware.drives.is_empty() {
            let seen: Vec<_> = hardware.drives.iter().filter_map(|drive| drive.serial.as_deref()).collect();
            refuse(
                "disk_none_matches",
                format!("{name} has no drive with serial {serial}. Serials seen: {}.", seen.join(", ")),
                format!("helixctl node show {name} --hardware"),
            );
        }
        return;
    }
    let boss_drives = hardware.drives.iter().filter(|drive| drive.boss).count();
    let boss_volumes = hardware.volumes.iter().filter(|volume| volume.boss).count();
    if spec.disk.is_empty() && boss_drives > 1 && boss_volumes == 0 {
        refuse(
            "disk_ambiguous",
            format!(
                "{name} has {boss_drives} M.2 drives behind BOSS and no volume: it is not clear which one to take."
            ),
            "Create the RAID 1 volume on the BOSS controller, or name a drive with --disk-serial.".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{BootFacts, Drive, Volume};

    fn node() -> NodeFacts<'static> {
        NodeFacts { name: "r01u05", state: Lifecycle::Ready, power: Power::On, scheduler: false }
    }

    fn uefi() -> Hardware {
        Hardware { boot: BootFacts { mode: Some(BootMode::Uefi), secure_boot: Some(false) }, ..Hardware::default() }
    }

    fn spec() -> ProvisionSpec {
        ProvisionSpec { image: "debian-12".into(), ..ProvisionSpec::default() }
    }

    #[test]
    fn a_provision_has_the_steps_of_the_design_in_order() {
        let plan = provision(node(), Some(&uefi()), &spec());
        let titles: Vec<_> = plan.steps.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "Check the plan again",
                "Power off",
                "Insert deploy media",
                "Boot deploy ramdisk",
                "Write image",
                "Eject media",
                "Boot from disk",
                "Wait for agent",
                "Validate"
            ]
        );
        assert!(plan.is_runnable());
        assert!(plan.is_destructive());
    }

    #[test]
    fn legacy_boot_and_secure_boot_are_refused_and_name_the_attribute() {
        let mut hardware = uefi();
        hardware.boot = BootFacts { mode: Some(BootMode::Legacy), secure_boot: Some(true) };
        let plan = provision(node(), Some(&hardware), &spec());
        let codes: Vec<_> = plan.refusals.iter().map(|refusal| refusal.code.as_str()).collect();
        assert_eq!(codes, ["boot_mode_legacy", "secure_boot_enabled"]);
        assert!(plan.refusals[0].message.contains("BootMode = Bios"));
        assert!(plan.refusals[1].next.contains("up to 15 min"));
    }

    #[test]
    fn a_node_that_was_never_read_is_refused_with_the_command_to_read_it() {
        let plan = provision(node(), None, &spec());
        assert_eq!(plan.refusals[0].next, "helixctl node inspect r01u05");
    }

    #[test]
    fn two_bare_boss_drives_are_ambiguous_and_a_volume_settles_it() {
        let boss = |id: &str| Drive { id: id.into(), serial: Some(id.into()), boss: true, ..Drive::default() };
        let mut hardware = uefi();
        hardware.drives = vec![boss("a"), boss("b")];
        assert_eq!(provision(node(), Some(&hardware), &spec()).refusals[0].code, "disk_ambiguous");
        hardware.volumes = vec![Volume { id: "v".into(), boss: true, ..Volume::default() }];
        assert!(provision(node(), Some(&hardware), &spec()).is_runnable());
    }

    #[test]
    fn a_serial_that_no_drive_has_is_refused_with_those_seen() {
        let mut hardware = uefi();
        hardware.drives = vec![Drive { id: "a".into(), serial: Some("S1".into()), ..Drive::default() }];
        let mut wish = spec();
        wish.disk.serial = Some("S9".into());
        let plan = provision(node(), Some(&hardware), &wish);
        assert!(plan.refusals[0].message.contains("Serials seen: S1"));
    }
}
