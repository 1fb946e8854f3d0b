//! `EthernetInterface`: of the host (one per Ethernet function, InfiniBand is missing) and of the BMC.

use serde::Deserialize;

use crate::lenient::{object, objects, opt};
use crate::odata::{Status, resource};

/// An Ethernet interface.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EthernetInterface {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(rename = "MACAddress", deserialize_with = "opt")]
    pub mac_address: Option<String>,
    #[serde(rename = "PermanentMACAddress", deserialize_with = "opt")]
    pub permanent_mac_address: Option<String>,
    /// `LinkUp`, `LinkDown`, `NoLink`.
    #[serde(deserialize_with = "opt")]
    pub link_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub speed_mbps: Option<u64>,
    #[serde(deserialize_with = "opt")]
    pub interface_enabled: Option<bool>,
    #[serde(deserialize_with = "opt")]
    pub host_name: Option<String>,
    #[serde(rename = "UefiDevicePath", deserialize_with = "opt")]
    pub uefi_device_path: Option<String>,
    #[serde(rename = "IPv4Addresses", deserialize_with = "objects")]
    pub ipv4_addresses: Vec<Ipv4Address>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

resource!(EthernetInterface);

/// An IPv4 address of the BMC.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ipv4Address {
    #[serde(deserialize_with = "opt")]
    pub address: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub subnet_mask: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub gateway: Option<String>,
    /// `DHCP`, `Static`.
    #[serde(deserialize_with = "opt")]
    pub address_origin: Option<String>,
}
