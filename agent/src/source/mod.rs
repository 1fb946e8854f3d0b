//! Where GPU readings come from: NVML, a recording, or nowhere.
//!
//! A source gives [`Readings`]; the report takes from them what the source has and measures the rest itself. Readings that are not
//! measured on this machine say so ([`Source::simulated`]), and every report made with them carries it.

pub mod nvml;
pub mod reader;
pub mod replay;

use futures::future::BoxFuture;
use helix_api::agent::{GpuDriver, GpuReading, InfinibandReading, TemperatureReading};
use serde::{Deserialize, Serialize};

/// One look at the hardware. `None` means: this source does not read that, measure it yourself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// The state of the driver.
    #[serde(default)]
    pub gpu_driver: GpuDriver,
    /// GPUs in the order of their PCI bus.
    #[serde(default)]
    pub gpus: Vec<GpuReading>,
    /// InfiniBand ports, in a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infiniband: Option<Vec<InfinibandReading>>,
    /// Temperatures, in a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperatures: Option<Vec<TemperatureReading>>,
    /// Load averages over 1, 5 and 15 minutes, in a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_average: Option<[f64; 3]>,
    /// Memory in use, bytes, in a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
}

/// Something that gives readings.
pub trait Source: Send {
    /// The next readings. Never hangs: a source that can has a deadline of its own.
    fn read(&mut self) -> BoxFuture<'_, Readings>;

    /// Whether the readings are replayed or invented.
    fn simulated(&self) -> bool;
}

/// No GPU readings at all.
#[derive(Debug, Default)]
pub struct Nothing;

impl Source for Nothing {
    fn read(&mut self) -> BoxFuture<'_, Readings> {
        Box::pin(async { Readings::default() })
    }

    fn simulated(&self) -> bool {
        false
    }
}

/// How `--source` is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Nvml,
    Replay(std::path::PathBuf),
    Nothing,
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "nvml" => Ok(Self::Nvml),
            None if text == "none" => Ok(Self::Nothing),
            Some(("replay", file)) if !file.is_empty() => Ok(Self::Replay(file.into())),
            _ => Err(format!("\"{text}\" is no source; use nvml, none or replay:FILE")),
        }
    }
}

impl Choice {
    /// Opens the source; `program` is this program's own path, which the NVML reader is started from.
    ///
    /// # Errors
    /// When a recording cannot be read.
    pub fn open(&self, program: std::path::PathBuf) -> Result<Box<dyn Source>, replay::ReplayError> {
        Ok(match self {
            Self::Nvml => Box::new(nvml::NvmlSource::new(program)),
            Self::Replay(file) => Box::new(replay::Replay::open(file)?),
            Self::Nothing => Box::new(Nothing),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_the_help_says() {
        assert_eq!("nvml".parse(), Ok(Choice::Nvml));
        assert_eq!("replay:/a/b:c.jsonl".parse(), Ok(Choice::Replay("/a/b:c.jsonl".into())));
        assert!("replay:".parse::<Choice>().unwrap_err().contains("replay:FILE"));
    }
}
