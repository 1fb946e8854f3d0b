//! `provision`: puts an operating system on a node and brings it into service.
//!
//! ```text
//! Check the plan again      nothing is touched before the facts are still the planned ones
//! Power off                 the operating system is asked first, 90 s, then forced
//! Insert deploy media       eject, insert, wait until the host can see it
//! Boot deploy ramdisk       boot override once, power on, the ramdisk claims with this attempt's token
//! Write image               the ramdisk owns it: disk, bytes, read-back, growth, seed, boot entry
//! Eject media               the ramdisk powers off first: never under its feet
//! Boot from disk            power on in the normal order
//! Wait for agent            the new operating system reports
//! Validate                  new boot, expected system, then into service
//! ```
//!
//! One step a file. What each effect leaves behind is settled in `settle`; `ending` says what an end means for the node.

mod agent;
mod boot_deploy_ramdisk;
mod boot_from_disk;
mod check_plan;
mod deploy;
mod eject_media;
mod ending;
mod host;
mod insert_deploy_media;
mod power;
mod power_off;
mod settle;
mod validate;
mod wait_for_agent;
mod write_image;

use helix_inventory::plan::{StepKind, WorkflowKind};

use super::registry::Registry;

/// Its steps in order. `Drain` joins them with the first scheduler.
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
pub(super) fn register(registry: &mut Registry) {
    registry.add_step(check_plan::CheckPlan);
    registry.add_step(power_off::PowerOff);
    registry.add_step(insert_deploy_media::InsertDeployMedia);
    registry.add_step(boot_deploy_ramdisk::BootDeployRamdisk);
    registry.add_step(write_image::WriteImage);
    registry.add_step(eject_media::EjectMedia);
    registry.add_step(boot_from_disk::BootFromDisk);
    registry.add_step(wait_for_agent::WaitForAgent);
    registry.add_step(validate::Validate);
    settle::register(registry);
    registry.set_course(WorkflowKind::Provision, ending::Provision);
}
