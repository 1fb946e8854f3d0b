//! `provision`: puts an operating system on a node and brings it into service.

use helix_inventory::plan::StepKind;

use super::registry::Registry;

/// Its steps in order.
pub(super) const STEPS: &[StepKind] = &[
    StepKind::CheckPlan,
    StepKind::PowerOff,
    StepKind::InsertDeployMedia,
    StepKind::BootDeployRamdisk,
    StepKind::WriteImage,
    StepKind::EjectMedia,
    StepKind::BootFromDisk,
    StepKind::WaitForAgent,
    StepKind::Validate,
];

/// Adds the workflow to the registry.
pub(super) fn register(_registry: &mut Registry) {}
