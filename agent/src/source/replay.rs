//! Recorded readings, played in a loop.
//!
//! A recording is JSON lines, one [`Readings`] a line, or a JSON array of them. It can be laid over the hardware of a certain machine,
//! so that a fleet plays one recording and each GPU still has its own serial number.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use helix_api::agent::{GpuReading, InfinibandReading};

use super::{Readings, Source};

/// Why a recording could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read the recording {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("line {line} of the recording {name} is not a set of readings: {reason}")]
    Parse { name: String, line: usize, reason: String },
    /// There is nothing in it.
    #[error("the recording {0} is empty")]
    Empty(String),
}

/// A recording, shared by all that play it.
#[derive(Debug, Clone)]
pub struct Recording(Arc<Vec<Readings>>);

impl Recording {
    /// Reads a recording from its text; `name` is for messages.
    ///
    /// # Errors
    /// Names the line that is wrong.
    pub fn parse(name: &str, text: &str) -> Result<Self, ReplayError> {
        let readings = if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map_err(|error| ReplayError::Parse {
                name: name.to_owned(),
                line: error.line(),
                reason: error.to_string(),
            })?
        } else {
            text.lines()
                .enumerate()
                .filter(|(_, line)| !line.trim().is_empty())
                .map(|(index, line)| {
                    serde_json::from_str(line).map_err(|error| ReplayError::Parse {
                        name: name.to_owned(),
                        line: index + 1,
                        reason: error.to_string(),
                    })
                })
                .collect::<Result<Vec<Readings>, _>>()?
        };
        if readings.is_empty() {
            return Err(ReplayError::Empty(name.to_owned()));
        }
        Ok(Self(Arc::new(readings)))
    }

    /// The recording that comes with the agent for this product, if there is one.
    pub fn for_product(product: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(name, _)| product.contains(name))?;
        // The files are part of the program and checked by a test, so a failure here is no input error.
        Self::parse(name, text).ok()
    }
}

/// Recordings by product, see agent/replay/README.md for how they were made.
const BUILT_IN: [(&str, &str); 4] = [
    ("XE9680", include_str!("../../replay/xe9680.jsonl")),
    ("XE8640", include_str!("../../replay/xe8640.jsonl")),
    ("R760xa", include_str!("../../replay/r760xa.jsonl")),
    ("R660", include_str!("../../replay/r660.jsonl")),
];

/// Hardware that a recording is laid over.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    pub gpus: Vec<GpuReading>,
    pub infiniband: Vec<InfinibandReading>,
}

/// Plays a recording.
#[derive(Debug, Clone)]
pub struct Replay {
    recording: Recording,
    overlay: Option<Overlay>,
    next: usize,
}

impl Replay {
    /// Opens a recording.
    ///
    /// # Errors
    /// When it cannot be read or is not one.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let text = std::fs::read_to_string(path).map_err(|source| ReplayError::Io { path: path.to_owned(), source })?;
        Ok(Self { recording: Recording::parse(&path.display().to_string(), &text)?, overlay: None, next: 0 })
    }

    /// Plays a recording as the readings of a machine with this hardware, beginning at any place.
    pub fn over(recording: Recording, overlay: Overlay, begin: usize) -> Self {
        Self { recording, overlay: Some(overlay), next: begin }
    }

    /// The next set of readings.
    pub fn step(&mut self) -> Readings {
        let all = &self.recording.0;
        let mut readings = all[self.next % all.len()].clone();
        self.next = self.next.wrapping_add(1);
        if let Some(overlay) = &self.overlay {
            lay_over(&mut readings, overlay);
        }
        readings
    }
}

/// Values from the recording, identity from the machine. A machine with more GPUs than the recording plays some twice; one with
/// fewer (a GPU fell off the bus) shows fewer.
fn lay_over(readings: &mut Readings, overlay: &Overlay) {
    let recorded = std::mem::take(&mut readings.gpus);
    readings.gpus = overlay
        .gpus
        .iter()
        .enumerate()
        .filter_map(|(index, own)| {
            let values = recorded.get(index % recorded.len().max(1))?;
            let share = own
                .memory_total_bytes
                .zip(values.memory_total_bytes)
                .map(|(own, recorded)| own as f64 / recorded.max(1) as f64);
            Some(GpuReading {
                index: own.index,
                name: own.name.clone(),
                uuid: own.uuid.clone(),
                serial: own.serial.clone().or_else(|| values.serial.clone()),
                pci_bus_id: own.pci_bus_id.clone(),
                memory_total_bytes: own.memory_total_bytes.or(values.memory_total_bytes),
                memory_used_bytes: values.memory_used_bytes.map(|used| (used as f64 * share.unwrap_or(1.0)) as u64),
                ..values.clone()
            })
        })
        .collect();
    let ports = readings.infiniband.take().unwrap_or_default();
    let own = overlay.infiniband.iter().enumerate().map(|(index, own)| {
        let values = ports.get(index % ports.len().max(1)).cloned().unwrap_or_default();
        InfinibandReading {
            device: own.device.clone(),
            port: own.port.max(1),
            node_guid: own.node_guid.clone().or(values.node_guid.clone()),
            rate_gbps: own.rate_gbps.or(values.rate_gbps),
            pci_address: own.pci_address.clone().or(values.pci_address.clone()),
            ..values
        }
    });
    readings.infiniband = Some(own.collect());
}

impl Source for Replay {
    fn read(&mut self) -> BoxFuture<'_, Readings> {
        let readings = self.step();
        Box::pin(async move { readings })
    }

    fn simulated(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helix_api::agent::GpuDriver;

    #[test]
    fn every_recording_that_comes_along_parses_and_has_the_models_gpus() {
        for (product, gpus, name) in [
            ("PowerEdge XE9680", 8, "NVIDIA H100 80GB HBM3"),
            ("PowerEdge XE8640", 4, "NVIDIA H100 80GB HBM3"),
            ("PowerEdge R760xa", 4, "NVIDIA L40"),
            ("PowerEdge R660", 0, ""),
        ] {
            let mut replay = Replay { recording: Recording::for_product(product).unwrap(), overlay: None, next: 0 };
            for _ in 0..replay.recording.0.len() {
                let readings = replay.step();
                assert_eq!(readings.gpus.len(), gpus, "{product}");
                assert!(readings.gpus.iter().all(|gpu| gpu.name == name), "{product}");
                assert_eq!(readings.gpus.is_empty(), readings.gpu_driver == GpuDriver::Absent, "{product}");
            }
        }
    }

    #[test]
    fn a_recording_plays_in_a_loop_and_is_called_simulated() {
        let text = "{\"memory_used_bytes\":1}\n{\"memory_used_bytes\":2}\n";
        let mut replay = Replay { recording: Recording::parse("x", text).unwrap(), overlay: None, next: 0 };
        let played: Vec<Option<u64>> = (0..3).map(|_| replay.step().memory_used_bytes).collect();
        assert_eq!(played, [Some(1), Some(2), Some(1)]);
        assert!(replay.simulated());
    }

    #[test]
    fn a_machine_keeps_its_own_serial_numbers_and_a_gone_gpu_stays_gone() {
        let own = |index: u32| GpuReading {
            index,
            name: "NVIDIA H100 80GB HBM3".into(),
            uuid: format!("GPU-{index}"),
            serial: Some(format!("16{index}")),
            pci_bus_id: format!("00000000:{index:02}:00.0"),
            ..GpuReading::default()
        };
        let overlay = Overlay { gpus: vec![own(0), own(5)], infiniband: Vec::new() };
        let readings = Replay::over(Recording::for_product("PowerEdge XE9680").unwrap(), overlay, 3).step();
        let serials: Vec<&str> = readings.gpus.iter().filter_map(|gpu| gpu.serial.as_deref()).collect();
        assert_eq!(serials, ["160", "165"]);
        assert!(readings.gpus.iter().all(|gpu| gpu.power_watts.is_some()), "values are the recording's");
        assert_eq!(readings.infiniband, Some(Vec::new()), "a machine without InfiniBand shows none");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = Recording::parse("x.jsonl", "{}\n{\"gpus\":3}\n").unwrap_err().to_string();
        assert!(error.starts_with("line 2 of the recording x.jsonl"), "{error}");
    }
}
