//! InfiniBand ports from `/sys/class/infiniband`.
//!
//! Every read of a file under `counters/` is a command to the adapter's firmware, so only the few that are reported are read. Ports
//! that firmware owns answer EINVAL, and the kernel logs each try: a counter that failed once is not read again by the same
//! [`Ports`]. Data counters count words of four bytes and are reported as bytes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use helix_api::agent::InfinibandReading;

use super::root::{self, Root};

/// The counters `port_*_data` count 32-bit words (InfiniBand architecture, PortCountersExtended).
const BYTES_PER_WORD: u64 = 4;

/// Reads ports and remembers which counters cannot be read.
#[derive(Debug, Default)]
pub struct Ports {
    unreadable: HashSet<PathBuf>,
}

impl Ports {
    /// All ports of all devices.
    pub fn read(&mut self, root: &Root) -> Vec<InfinibandReading> {
        let class = root.path("sys/class/infiniband");
        let mut readings = Vec::new();
        for device in root::names(&class) {
            let folder = class.join(&device);
            let pci_address = std::fs::canonicalize(folder.join("device"))
                .ok()
                .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
            for port in root::names(&folder.join("ports")) {
                let Ok(number) = port.parse() else { continue };
                let reading = InfinibandReading {
                    device: device.clone(),
                    port: number,
                    pci_address: pci_address.clone(),
                    ..self.port(&folder, &folder.join("ports").join(&port))
                };
                readings.push(reading);
            }
        }
        readings
    }

    fn counter(&mut self, path: PathBuf) -> Option<u64> {
        if self.unreadable.contains(&path) {
            return None;
        }
        let value = root::number(&path);
        if value.is_none() {
            self.unreadable.insert(path);
        }
        value
    }

    fn port(&mut self, device: &Path, port: &Path) -> InfinibandReading {
        let mut counter = |name: &str| self.counter(port.join("counters").join(name));
        InfinibandReading {
            link_layer: root::text(&port.join("link_layer")),
            state: root::text(&port.join("state")).map(after_colon),
            physical_state: root::text(&port.join("phys_state")).map(after_colon),
            rate_gbps: root::text(&port.join("rate")).and_then(|text| text.split_whitespace().next()?.parse().ok()),
            node_guid: root::text(&device.join("node_guid")).map(guid),
            firmware_version: root::text(&device.join("fw_ver")),
            lid: root::text(&port.join("lid"))
                .and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()),
            symbol_errors: counter("symbol_error"),
            link_downed: counter("link_downed"),
            port_rcv_errors: counter("port_rcv_errors"),
            port_rcv_data_bytes: counter("port_rcv_data").map(|words| words.saturating_mul(BYTES_PER_WORD)),
            port_xmit_data_bytes: counter("port_xmit_data").map(|words| words.saturating_mul(BYTES_PER_WORD)),
            ..InfinibandReading::default()
        }
    }
}

/// `4: ACTIVE` → `ACTIVE`.
fn after_colon(text: String) -> String {
    text.split_once(": ").map_or(text.clone(), |(_, word)| word.to_owned())
}

/// `b8ce:f603:0000:0001` → `0xb8cef60300000001`, the form that subnet managers and BMCs print.
fn guid(text: String) -> String {
    format!("0x{}", text.replace(':', "").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_read_as_sysfs_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("sys/class/infiniband/mlx5_0");
        let port = device.join("ports/1");
        std::fs::create_dir_all(port.join("counters")).unwrap();
        for (path, text) in [
            ("node_guid", "b8ce:f603:0000:0001\n"),
            ("fw_ver", "28.39.1002\n"),
            ("ports/1/state", "4: ACTIVE\n"),
            ("ports/1/phys_state", "5: LinkUp\n"),
            ("ports/1/rate", "400 Gb/sec (4X NDR)\n"),
            ("ports/1/lid", "0x1f\n"),
            ("ports/1/link_layer", "InfiniBand\n"),
            ("ports/1/counters/port_rcv_data", "250\n"),
        ] {
            std::fs::write(device.join(path), text).unwrap();
        }
        let mut reader = Ports::default();
        let ports = reader.read(&Root::at(folder.path()));
        assert_eq!(ports.len(), 1);
        let port = &ports[0];
        assert_eq!(port.state.as_deref(), Some("ACTIVE"));
        assert_eq!(port.physical_state.as_deref(), Some("LinkUp"));
        assert_eq!(port.rate_gbps, Some(400.0));
        assert_eq!(port.lid, Some(31));
        assert_eq!(port.node_guid.as_deref(), Some("0xb8cef60300000001"));
        assert_eq!(port.port_rcv_data_bytes, Some(1000), "250 words of four bytes");
        assert_eq!(port.symbol_errors, None, "a counter that cannot be read is left out");
        std::fs::write(device.join("ports/1/counters/symbol_error"), "5\n").unwrap();
        let again = reader.read(&Root::at(folder.path()));
        assert_eq!(again[0].symbol_errors, None, "and not asked for again");
    }
}
