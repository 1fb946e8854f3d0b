//! `NetworkAdapter`, its functions and its ports: Ethernet, InfiniBand, DPU.
//!
//! Ports are `NetworkPorts` before iDRAC9 7.x and `Ports` after it; one struct reads both. InfiniBand is told by id prefix or
//! Dell's part, for `NetDevFuncType` is null there and `Disabled` on a working BlueField.

use serde::Deserialize;

use crate::lenient::{object, objects, opt, texts};
use crate::odata::{Link, Oem, Status, resource};

/// A network card.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkAdapter {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `NIC.Slot.8`, `InfiniBand.Slot.7`. May change across reboots: cards are the same by serial number or MAC.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(deserialize_with = "objects")]
    pub controllers: Vec<AdapterController>,
    #[serde(deserialize_with = "object")]
    pub network_device_functions: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub ports: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub network_ports: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

resource!(NetworkAdapter, NetworkFunction, NetworkPort);

impl NetworkAdapter {
    /// Firmware of the first controller.
    #[must_use]
    pub fn firmware_version(&self) -> Option<&str> {
        self.controllers.iter().find_map(|controller| controller.firmware_package_version.as_deref())
    }
}

/// A controller on a card.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AdapterController {
    #[serde(deserialize_with = "opt")]
    pub firmware_package_version: Option<String>,
    #[serde(deserialize_with = "object")]
    pub links: Option<ControllerLinks>,
}

/// `Links` of a controller: complete where the collections are not.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ControllerLinks {
    #[serde(deserialize_with = "objects")]
    pub network_ports: Vec<Link>,
    #[serde(deserialize_with = "objects")]
    pub ports: Vec<Link>,
}

/// `NetworkDeviceFunction`: what the operating system sees as one device.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkFunction {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `NIC.Slot.8-1-1`, `InfiniBand.Slot.7-1`.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub net_dev_func_type: Option<String>,
    #[serde(deserialize_with = "object")]
    pub ethernet: Option<FunctionEthernet>,
    #[serde(deserialize_with = "object")]
    pub infini_band: Option<FunctionInfiniBand>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub links: Option<FunctionLinks>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellFunctionOem>>,
}

impl NetworkFunction {
    /// Whether this speaks InfiniBand.
    #[must_use]
    pub fn is_infiniband(&self) -> bool {
        self.net_dev_func_type.as_deref() == Some("InfiniBand")
            || self.id.as_deref().is_some_and(|id| id.starts_with("InfiniBand."))
            || self.dell().is_some_and(|dell| dell.infiniband.is_some())
    }

    /// Dell's part.
    #[must_use]
    pub fn dell(&self) -> Option<&DellFunctionOem> {
        self.oem.as_ref()?.dell.as_ref()
    }

    /// Dell's description of the device, whichever kind it is.
    #[must_use]
    pub fn dell_device(&self) -> Option<&DellNetworkDevice> {
        let dell = self.dell()?;
        dell.infiniband.as_ref().or(dell.nic.as_ref())
    }

    /// The MAC address burnt in, or the one in use.
    #[must_use]
    pub fn mac_address(&self) -> Option<&str> {
        let ethernet = self.ethernet.as_ref()?;
        ethernet.permanent_mac_address.as_deref().or(ethernet.mac_address.as_deref())
    }
}

/// `Ethernet` of a function.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FunctionEthernet {
    #[serde(rename = "MACAddress", deserialize_with = "opt")]
    pub mac_address: Option<String>,
    #[serde(rename = "PermanentMACAddress", deserialize_with = "opt")]
    pub permanent_mac_address: Option<String>,
}

/// `InfiniBand` of a function, where a service fills it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FunctionInfiniBand {
    #[serde(rename = "NodeGUID", deserialize_with = "opt")]
    pub node_guid: Option<String>,
    #[serde(rename = "PortGUID", deserialize_with = "opt")]
    pub port_guid: Option<String>,
}

/// `Links` of a function.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FunctionLinks {
    #[serde(rename = "PCIeFunction", deserialize_with = "object")]
    pub pcie_function: Option<Link>,
}

/// `Oem.Dell` of a function: one of these is there, the others are null.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellFunctionOem {
    #[serde(rename = "DellNIC", deserialize_with = "object")]
    pub nic: Option<DellNetworkDevice>,
    #[serde(rename = "DellInfiniBand", deserialize_with = "object")]
    pub infiniband: Option<DellNetworkDevice>,
    #[serde(rename = "DellInfiniBandPortMetrics", deserialize_with = "object")]
    pub infiniband_metrics: Option<DellInfiniBandPortMetrics>,
}

/// What `DellNIC` and `DellInfiniBand` have in common.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellNetworkDevice {
    #[serde(rename = "FQDD", deserialize_with = "opt")]
    pub fqdd: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub product_name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub vendor_name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    /// Firmware.
    #[serde(deserialize_with = "opt")]
    pub family_version: Option<String>,
    /// PCI bus, decimal.
    #[serde(deserialize_with = "opt")]
    pub bus_number: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub device_number: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub function_number: Option<u32>,
    /// Hexadecimal without prefix.
    #[serde(rename = "PCIVendorID", deserialize_with = "opt")]
    pub pci_vendor_id: Option<String>,
    #[serde(rename = "PCIDeviceID", deserialize_with = "opt")]
    pub pci_device_id: Option<String>,
    #[serde(rename = "PCISubVendorID", deserialize_with = "opt")]
    pub pci_sub_vendor_id: Option<String>,
    #[serde(rename = "PCISubDeviceID", deserialize_with = "opt")]
    pub pci_sub_device_id: Option<String>,
    /// Empty on the iDRACs recorded; the node itself knows it.
    #[serde(rename = "NodeGUID", deserialize_with = "opt")]
    pub node_guid: Option<String>,
    #[serde(rename = "PermanentPortGUID", deserialize_with = "opt")]
    pub permanent_port_guid: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub protocol: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub media_type: Option<String>,
}

/// Rate of an InfiniBand port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellInfiniBandPortMetrics {
    /// `HDR`, `NDR`, `NoLink`.
    #[serde(deserialize_with = "opt")]
    pub link_speed: Option<String>,
    /// `4X`.
    #[serde(deserialize_with = "opt")]
    pub link_width: Option<String>,
}

/// `Port` or the older `NetworkPort`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkPort {
    /// The key: the id in the body may be another.
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    physical_port_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    port_id: Option<String>,
    /// `Up`, `LinkUp`, `Down`, `LinkDown`, …
    #[serde(deserialize_with = "opt")]
    pub link_status: Option<String>,
    #[serde(rename = "CurrentLinkSpeedMbps", deserialize_with = "opt")]
    current_link_speed_mbps: Option<f64>,
    #[serde(rename = "CurrentSpeedGbps", deserialize_with = "opt")]
    current_speed_gbps: Option<f64>,
    #[serde(deserialize_with = "opt")]
    active_link_technology: Option<String>,
    #[serde(deserialize_with = "opt")]
    link_network_technology: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub associated_network_addresses: Vec<String>,
    #[serde(deserialize_with = "object")]
    pub ethernet: Option<PortEthernet>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellPortOem>>,
}

impl NetworkPort {
    /// Whether the link is up; `None` when the BMC does not see it.
    #[must_use]
    pub fn link_up(&self) -> Option<bool> {
        match self.link_status.as_deref()? {
            "Up" | "LinkUp" => Some(true),
            "Down" | "LinkDown" | "NoLink" => Some(false),
            _ => None,
        }
    }

    /// The number of the port; on DPUs that of the slot.
    #[must_use]
    pub fn number(&self) -> Option<&str> {
        self.physical_port_number.as_deref().or(self.port_id.as_deref())
    }

    /// Speed in Mbit/s, by whichever property the firmware fills.
    #[must_use]
    pub fn speed_mbps(&self) -> Option<f64> {
        self.current_link_speed_mbps.or(self.current_speed_gbps.map(|gbps| gbps * 1000.0)).filter(|speed| *speed > 0.0)
    }

    /// `Ethernet` or `InfiniBand`.
    #[must_use]
    pub fn technology(&self) -> Option<&str> {
        self.link_network_technology.as_deref().or(self.active_link_technology.as_deref())
    }
}

/// `Ethernet` of a port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PortEthernet {
    #[serde(rename = "AssociatedMACAddresses", deserialize_with = "texts")]
    pub associated_mac_addresses: Vec<String>,
    #[serde(rename = "LLDPReceive", deserialize_with = "object")]
    pub lldp: Option<LldpReceive>,
}

/// What the switch says of itself; empty when nothing was heard.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LldpReceive {
    #[serde(deserialize_with = "opt")]
    pub chassis_id: Option<String>,
    /// On Dell hexadecimal of the text when `port_id_subtype` is `IfName`: `45:74:68…`.
    #[serde(deserialize_with = "opt")]
    pub port_id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub port_id_subtype: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub system_name: Option<String>,
}

/// `Oem.Dell` of a port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellPortOem {
    #[serde(rename = "DellNetworkTransceiver", deserialize_with = "object")]
    pub transceiver: Option<Transceiver>,
}

/// An optic or cable.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Transceiver {
    #[serde(deserialize_with = "opt")]
    pub vendor_name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub identifier_type: Option<String>,
}
