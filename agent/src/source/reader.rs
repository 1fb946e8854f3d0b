//! `helix-agent nvml-reader`: a child process that reads NVML, one sweep for each line on its standard input.
//!
//! An NVML call can block for minutes or never return when the GPU's firmware is wedged; a process that is stuck in the kernel
//! cannot be killed. So the agent proper never calls NVML: this child does, and [`super::nvml`] gives it a deadline. GPUs are read one
//! after another, for all calls take one lock in the driver. Values that a GPU refuses are left out and named.

use std::io::{BufRead, Write};

use helix_api::agent::{GpuDriver, GpuReading};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::{Device, Nvml};

use super::Readings;
use crate::deploy::failure::chain;

/// `NVML_FI_DEV_MEMORY_TEMP`: temperature of the memory, which no plain call gives.
const FIELD_MEMORY_TEMP: FieldId = FieldId(82);
/// `NVML_FI_DEV_REMAPPED_PENDING`: rows wait to be remapped at the next reset.
const FIELD_REMAPPED_PENDING: FieldId = FieldId(144);

/// Serves requests until standard input ends.
///
/// # Errors
/// When standard output is gone.
pub fn serve() -> std::io::Result<()> {
    let mut nvml = Err(GpuDriver::Absent);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        // A driver may be installed while the agent runs, so an absent one is looked for again.
        if nvml.is_err() {
            nvml = Nvml::init().map_err(|error| driver_state(&error));
        }
        let readings = match &nvml {
            Ok(nvml) => sweep(nvml),
            Err(state) => Readings { gpu_driver: state.clone(), ..Readings::default() },
        };
        serde_json::to_writer(&mut out, &readings)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

/// What a failed start of NVML means.
fn driver_state(error: &NvmlError) -> GpuDriver {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => GpuDriver::Absent,
        NvmlError::DriverNotLoaded => {
            GpuDriver::Failed { reason: "the NVIDIA driver is installed but its kernel module is not loaded".into() }
        }
        NvmlError::LibRmVersionMismatch => GpuDriver::Failed {
            reason: "the NVIDIA libraries were upgraded while the older kernel module is loaded: reboot the node"
                .into(),
        },
        other => GpuDriver::Failed { reason: chain(other) },
    }
}

fn sweep(nvml: &Nvml) -> Readings {
    let cuda = nvml.sys_cuda_driver_version().ok().map(|version| {
        format!(
            "{}.{}",
            nvml_wrapper::cuda_driver_version_major(version),
            nvml_wrapper::cuda_driver_version_minor(version)
        )
    });
    let count = match nvml.device_count() {
        Ok(count) => count,
        Err(error) => {
            return Readings { gpu_driver: GpuDriver::Failed { reason: chain(&error) }, ..Readings::default() };
        }
    };
    let gpus = (0..count)
        .map(|index| match nvml.device_by_index(index) {
            Ok(device) => gpu(index, &device),
            // A GPU that fell off the bus still has its place in the list.
            Err(error) => {
                GpuReading { index, unavailable: vec![format!("GPU: {}", chain(&error))], ..GpuReading::default() }
            }
        })
        .collect();
    Readings {
        gpu_driver: GpuDriver::Loaded {
            driver_version: nvml.sys_driver_version().unwrap_or_default(),
            cuda_version: cuda,
            nvml_version: nvml.sys_nvml_version().ok(),
        },
        gpus,
        ..Readings::default()
    }
}

/// Takes values and notes those that were refused.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn take<T>(&mut self, what: &str, value: Result<T, NvmlError>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(format!("{what}: {error}"));
                None
            }
        }
    }
}

fn gpu(index: u32, device: &Device<'_>) -> GpuReading {
    let mut notes = Notes::default();
    let milliwatts = |value: u32| f64::from(value) / 1000.0;
    let memory = notes.take("memory", device.memory_info());
    let ecc = |kind| device.total_ecc_errors(kind, EccCounter::Aggregate);
    // Results are matched by position: newer drivers answer with another number than was asked for.
    let mut fields =
        device.field_values_for(&[FIELD_MEMORY_TEMP, FIELD_REMAPPED_PENDING]).unwrap_or_default().into_iter().map(
            |sample| {
                sample.and_then(|sample| sample.value).map(|value| match value {
                    SampleValue::F64(value) => value,
                    SampleValue::U32(value) => f64::from(value),
                    SampleValue::U64(value) => value as f64,
                    SampleValue::I64(value) => value as f64,
                })
            },
        );
    let mut field = || fields.next().unwrap_or(Err(NvmlError::NotSupported));
    let (memory_temp, remapped_pending) = (field(), field());
    let pci = notes.take("PCI address", device.pci_info());
    GpuReading {
        index,
        name: notes.take("name", device.name()).unwrap_or_default(),
        uuid: notes.take("UUID", device.uuid()).unwrap_or_default(),
        serial: notes.take("serial number", device.serial()),
        pci_bus_id: pci.map(|pci| pci.bus_id).unwrap_or_default(),
        vbios_version: notes.take("VBIOS version", device.vbios_version()),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        utilization_percent: notes.take("utilization", device.utilization_rates()).map(|rates| f64::from(rates.gpu)),
        power_watts: notes.take("power", device.power_usage()).map(milliwatts),
        power_limit_watts: notes.take("power limit", device.enforced_power_limit()).map(milliwatts),
        temp_celsius: notes.take("temperature", device.temperature(TemperatureSensor::Gpu)).map(f64::from),
        memory_temp_celsius: notes.take("memory temperature", memory_temp).filter(|celsius| *celsius > 0.0),
        sm_clock_mhz: notes.take("SM clock", device.clock_info(Clock::SM)),
        ecc_uncorrected_total: notes.take("uncorrected ECC errors", ecc(MemoryError::Uncorrected)),
        ecc_corrected_total: notes.take("corrected ECC errors", ecc(MemoryError::Corrected)),
        remapped_rows_pending: notes.take("pending row remaps", remapped_pending).map(|pending| pending > 0.0),
        pcie_link_generation: notes.take("PCIe generation", device.current_pcie_link_gen()),
        pcie_link_width: notes.take("PCIe width", device.current_pcie_link_width()),
        throttle_reasons: notes
            .take("clock event reasons", device.current_throttle_reasons())
            .map(reasons)
            .unwrap_or_default(),
        unavailable: notes.0,
    }
}

fn reasons(mask: ThrottleReasons) -> Vec<String> {
    const WORDS: [(ThrottleReasons, &str); 9] = [
        (ThrottleReasons::GPU_IDLE, "gpu_idle"),
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "clocks_setting"),
        (ThrottleReasons::SW_POWER_CAP, "power_cap"),
        (ThrottleReasons::HW_SLOWDOWN, "hw_slowdown"),
        (ThrottleReasons::SYNC_BOOST, "sync_boost"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "sw_thermal"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw_thermal"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hw_power_brake"),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display_clocks"),
    ];
    WORDS.iter().filter(|(bit, _)| mask.contains(*bit)).map(|(_, word)| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_a_state_and_a_mismatch_names_the_way_out() {
        assert_eq!(driver_state(&NvmlError::LibraryNotFound), GpuDriver::Absent);
        let GpuDriver::Failed { reason } = driver_state(&NvmlError::LibRmVersionMismatch) else {
            panic!("must be a failure")
        };
        assert!(reason.contains("reboot the node"), "{reason}");
    }

    #[test]
    fn clock_event_reasons_carry_the_field_s_words() {
        assert_eq!(
            reasons(ThrottleReasons::GPU_IDLE | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
            ["gpu_idle", "hw_power_brake"]
        );
    }
}
