//! Network interfaces with hardware behind them: Ethernet ports, InfiniBand interfaces.
//!
//! Relies on `/sys/class/net`; addresses come from the kernel and are read only for the real root. Bridges, bonds, VLANs, tunnels
//! and other interfaces without a device are left out: they are configuration, not hardware.

use std::collections::HashMap;

use helix_api::machine::NicFacts;

use super::root::{self, Root};

/// All interfaces with a device, by name.
pub fn read(root: &Root) -> Vec<NicFacts> {
    let mut addresses = addresses();
    let class = root.path("sys/class/net");
    root::names(&class)
        .into_iter()
        .filter_map(|name| {
            let folder = class.join(&name);
            let device = std::fs::canonicalize(folder.join("device")).ok()?;
            let mac = root::text(&folder.join("address"))?;
            let driver = std::fs::read_link(device.join("driver"))
                .ok()
                .and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
            // The kernel answers EINVAL to a read of `carrier` and -1 to one of `speed` while the interface is down.
            let carrier = root::text(&folder.join("carrier")).map(|value| value == "1");
            let speed_mbps =
                root::text(&folder.join("speed")).and_then(|value| value.parse().ok()).filter(|speed| *speed > 0);
            Some(NicFacts {
                addresses: addresses.remove(&name).unwrap_or_default(),
                name,
                mac: mac.to_ascii_lowercase(),
                carrier,
                driver,
                pci_address: device.ancestors().find_map(pci_address),
                speed_mbps,
            })
        })
        .collect()
}

/// Whether the interface is Ethernet (ARPHRD 1) and not InfiniBand (32).
pub fn is_ethernet(root: &Root, name: &str) -> bool {
    root.text(format!("sys/class/net/{name}/type")).as_deref() == Some("1")
}

/// The folder's name when it is that of a PCI function (`0000:1a:00.0`).
fn pci_address(path: &std::path::Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let shape =
        name.len() == 12 && name.as_bytes()[4] == b':' && name.as_bytes()[7] == b':' && name.as_bytes()[10] == b'.';
    shape.then(|| name.to_owned())
}

/// Addresses with prefix length of each interface; link-local IPv6 is left out.
pub fn addresses() -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return found };
    for interface in all {
        let (Some(address), Some(mask)) = (interface.address, interface.netmask) else { continue };
        let text = if let (Some(address), Some(mask)) = (address.as_sockaddr_in(), mask.as_sockaddr_in()) {
            format!("{}/{}", address.ip(), u32::from(mask.ip()).count_ones())
        } else if let (Some(address), Some(mask)) = (address.as_sockaddr_in6(), mask.as_sockaddr_in6()) {
            if address.ip().is_unicast_link_local() {
                continue;
            }
            format!("{}/{}", address.ip(), u128::from(mask.ip()).count_ones())
        } else {
            continue;
        };
        found.entry(interface.interface_name).or_default().push(text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interfaces_with_hardware_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let pci = folder.path().join("sys/devices/pci0000:15/0000:15:05.0/0000:1a:00.0");
        std::fs::create_dir_all(&pci).unwrap();
        let class = folder.path().join("sys/class/net");
        for (name, has_device) in [("eno1", true), ("bond0", false)] {
            let interface = class.join(name);
            std::fs::create_dir_all(&interface).unwrap();
            std::fs::write(interface.join("address"), "02:00:5E:00:00:01\n").unwrap();
            std::fs::write(interface.join("carrier"), "1\n").unwrap();
            std::fs::write(interface.join("speed"), "25000\n").unwrap();
            if has_device {
                std::os::unix::fs::symlink(&pci, interface.join("device")).unwrap();
            }
        }
        let nics = read(&Root::at(folder.path()));
        assert_eq!(nics.len(), 1, "{nics:?}");
        assert_eq!(nics[0].mac, "02:00:5e:00:00:01");
        assert_eq!(nics[0].carrier, Some(true));
        assert_eq!(nics[0].speed_mbps, Some(25_000));
        assert_eq!(nics[0].pci_address.as_deref(), Some("0000:1a:00.0"));
    }
}
