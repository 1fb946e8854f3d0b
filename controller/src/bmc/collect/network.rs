//! Network ports: one for each function of each card, with the link of its port.
//!
//! InfiniBand is recognised by id or by Dell's own part, never by `NetDevFuncType`, which is null there (quirk 76).

use helix_inventory::hardware::{NetworkPort, PortKind};
use redfish_client::{NetworkFunction, NetworkPort as RedfishPort, NetworkUnit, Snapshot, natural};

use super::text::{self, clean};

/// All ports. Where a BMC shows no adapters at all, the Ethernet interfaces of the system are what is known.
pub(super) fn ports(snapshot: &Snapshot) -> Vec<NetworkPort> {
    let mut all: Vec<_> = snapshot.network.iter().flat_map(of_card).collect();
    if all.is_empty() {
        all = snapshot.ethernet_interfaces.iter().map(of_interface).collect();
    }
    all.sort_by(|a, b| natural(&a.id, &b.id));
    all
}

fn of_card(unit: &NetworkUnit) -> Vec<NetworkPort> {
    let adapter = text::id(unit.adapter.id.as_deref(), unit.adapter.uri.as_deref());
    if unit.functions.is_empty() {
        return unit.ports.iter().map(|port| of_port(unit, &adapter, port)).collect();
    }
    unit.functions.iter().map(|function| of_function(unit, &adapter, function)).collect()
}

fn of_function(unit: &NetworkUnit, adapter: &str, function: &NetworkFunction) -> NetworkPort {
    let id = text::id(function.id.as_deref(), function.uri.as_deref());
    let port = unit.ports.iter().find(|port| belongs(&text::id(port.id.as_deref(), port.uri.as_deref()), &id));
    let device = function.dell_device();
    let infiniband = function.is_infiniband();
    let guid =
        function.infini_band.as_ref().and_then(|ib| ib.port_guid.as_deref().or(ib.node_guid.as_deref())).or_else(
            || device.and_then(|device| device.permanent_port_guid.as_deref().or(device.node_guid.as_deref())),
        );
    NetworkPort {
        kind: if infiniband { PortKind::InfiniBand } else { PortKind::Ethernet },
        model: clean(unit.adapter.model.as_deref())
            .or_else(|| device.and_then(|device| clean(device.product_name.as_deref()))),
        mac: function.mac_address().and_then(text::mac),
        guid: clean(guid),
        link_up: port.and_then(RedfishPort::link_up),
        speed_gbps: port.and_then(speed),
        serial: clean(unit.adapter.serial_number.as_deref())
            .or_else(|| device.and_then(|device| clean(device.serial_number.as_deref()))),
        firmware_version: clean(unit.adapter.firmware_version())
            .or_else(|| device.and_then(|device| clean(device.family_version.as_deref()))),
        adapter: adapter.to_owned(),
        id,
    }
}

fn of_port(unit: &NetworkUnit, adapter: &str, port: &RedfishPort) -> NetworkPort {
    let id = text::id(port.id.as_deref(), port.uri.as_deref());
    let infiniband = id.starts_with("InfiniBand.") || port.technology() == Some("InfiniBand");
    let macs = port.ethernet.as_ref().map(|ethernet| &ethernet.associated_mac_addresses);
    let address = macs.and_then(|macs| macs.first()).or_else(|| port.associated_network_addresses.first());
    NetworkPort {
        kind: if infiniband { PortKind::InfiniBand } else { PortKind::Ethernet },
        model: clean(unit.adapter.model.as_deref()),
        mac: address.and_then(|mac| text::mac(mac)),
        guid: None,
        link_up: port.link_up(),
        speed_gbps: speed(port),
        serial: clean(unit.adapter.serial_number.as_deref()),
        firmware_version: clean(unit.adapter.firmware_version()),
        adapter: adapter.to_owned(),
        id,
    }
}

fn of_interface(interface: &redfish_client::EthernetInterface) -> NetworkPort {
    let address = interface.permanent_mac_address.as_deref().or(interface.mac_address.as_deref());
    NetworkPort {
        id: text::id(interface.id.as_deref(), interface.uri.as_deref()),
        adapter: String::new(),
        kind: PortKind::Ethernet,
        mac: address.and_then(text::mac),
        link_up: interface.link_status.as_deref().map(|status| status == "LinkUp"),
        speed_gbps: interface
            .speed_mbps
            .filter(|speed| *speed > 0)
            .and_then(|speed| u32::try_from(speed.div_ceil(1000)).ok()),
        ..NetworkPort::default()
    }
}

/// Whether a port carries a function: port ids drop the partition (`NIC.Slot.8-1` carries `NIC.Slot.8-1-1`), and cards
/// without partitions have equal ids.
fn belongs(port: &str, function: &str) -> bool {
    port == function || function.strip_prefix(port).is_some_and(|rest| rest.starts_with('-'))
}

fn speed(port: &RedfishPort) -> Option<u32> {
    text::whole(port.speed_mbps()? / 1000.0).filter(|gbps| *gbps > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_carries_its_partitions_and_not_its_neighbours() {
        assert!(belongs("NIC.Slot.8-1", "NIC.Slot.8-1-1"));
        assert!(belongs("InfiniBand.Slot.7-1", "InfiniBand.Slot.7-1"));
        assert!(!belongs("NIC.Slot.8-1", "NIC.Slot.8-2-1"));
        assert!(!belongs("NIC.Slot.8-1", "NIC.Slot.8-10-1"));
    }
}
