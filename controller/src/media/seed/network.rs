//! Network configuration, version 2: links are known by MAC address, never by name.

use std::net::IpAddr;

use helix_api::deploy::BootNetwork;
use helix_api::machine::NicFacts;
use serde::Serialize;

use super::Map;

/// Bytes of an Ethernet address in text; InfiniBand addresses have 20 bytes.
const MAC_TEXT: usize = 17;
/// The BMC's own link to the host over USB: no way to anywhere.
const BMC_LINKS: [&str; 4] = ["cdc_ether", "cdc_ncm", "cdc_eem", "rndis_host"];

/// Name of the link below a VLAN. Only netplan finds a VLAN's link by its key in this file; the other renderers of cloud-init
/// take the key for the interface's name. So there the link gets that name, found by its MAC address all the same.
const VLAN_LINK: &str = "boot0";

#[derive(Debug, Serialize)]
pub(super) struct NetworkConfig {
    version: u8,
    ethernets: Map<Link>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    vlans: Map<Vlan>,
}

#[derive(Debug, Serialize)]
struct Link {
    #[serde(rename = "match")]
    by: ByMac,
    #[serde(rename = "set-name", skip_serializing_if = "Option::is_none")]
    set_name: Option<&'static str>,
    /// The system may be up without this link.
    #[serde(skip_serializing_if = "is_false")]
    optional: bool,
    #[serde(flatten)]
    addressing: Addressing,
}

#[derive(Debug, Serialize)]
struct ByMac {
    macaddress: String,
}

#[derive(Debug, Serialize)]
struct Vlan {
    id: u16,
    link: String,
    #[serde(flatten)]
    addressing: Addressing,
}

#[derive(Debug, Default, Serialize)]
struct Addressing {
    dhcp4: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameservers: Option<Nameservers>,
}

#[derive(Debug, Serialize)]
struct Route {
    to: String,
    via: String,
}

#[derive(Debug, Serialize)]
struct Nameservers {
    addresses: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The configuration; `None` when no link is known, and cloud-init's own default (DHCP on the first link) is best.
pub(super) fn config(network: Option<&BootNetwork>, nics: &[NicFacts]) -> Option<NetworkConfig> {
    let usable: Vec<&NicFacts> = nics
        .iter()
        .filter(|nic| nic.mac.len() == MAC_TEXT)
        .filter(|nic| nic.driver.as_deref().is_none_or(|driver| !BMC_LINKS.contains(&driver)))
        .collect();
    let given = network.cloned().unwrap_or_default();
    // The link that the node boots from: as given, else the one on which the ramdisk had an address.
    let boot_mac = given.mac.clone().or_else(|| {
        let reached = usable.iter().find(|nic| nic.addresses.iter().any(|address| is_routed(address)));
        reached.or_else(|| usable.iter().find(|nic| nic.carrier == Some(true))).map(|nic| nic.mac.clone())
    })?;
    let boot_mac = boot_mac.to_ascii_lowercase();
    let mut ethernets = Map::new();
    let mut vlans = Map::new();
    let link = |mac: &str, optional, addressing| Link {
        by: ByMac { macaddress: mac.to_owned() },
        set_name: None,
        optional,
        addressing,
    };
    match given.vlan {
        None => {
            ethernets.insert("boot".to_owned(), link(&boot_mac, false, addressing(&given)));
        }
        Some(id) => {
            let below = Link { set_name: Some(VLAN_LINK), ..link(&boot_mac, false, Addressing::default()) };
            ethernets.insert(VLAN_LINK.to_owned(), below);
            let vlan = Vlan { id, link: VLAN_LINK.to_owned(), addressing: addressing(&given) };
            vlans.insert(format!("{VLAN_LINK}.{id}"), vlan);
        }
    }
    if network.is_none_or(|network| network.mac.is_none() && network.address.is_none()) {
        // Nothing was said of the network: every other link with carrier asks DHCP too, and none holds the boot up.
        let others = usable.iter().filter(|nic| nic.carrier == Some(true) && !nic.mac.eq_ignore_ascii_case(&boot_mac));
        for (number, nic) in others.enumerate() {
            let dhcp = Addressing { dhcp4: true, ..Addressing::default() };
            ethernets.insert(format!("link{}", number + 1), link(&nic.mac.to_ascii_lowercase(), true, dhcp));
        }
    }
    Some(NetworkConfig { version: 2, ethernets, vlans })
}

fn addressing(given: &BootNetwork) -> Addressing {
    let nameservers = (!given.dns.is_empty()).then(|| Nameservers { addresses: given.dns.clone() });
    match &given.address {
        None => Addressing { dhcp4: true, nameservers, ..Addressing::default() },
        Some(address) => Addressing {
            dhcp4: false,
            addresses: vec![address.clone()],
            routes: given.gateway.iter().map(|via| Route { to: everywhere(via), via: via.clone() }).collect(),
            nameservers,
        },
    }
}

/// The default route; older renderers do not know the word `default`.
fn everywhere(gateway: &str) -> String {
    match gateway.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => "::/0".to_owned(),
        _ => "0.0.0.0/0".to_owned(),
    }
}

/// Whether an address with prefix leads beyond the link.
fn is_routed(address: &str) -> bool {
    match address.split('/').next().unwrap_or_default().parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => !v4.is_link_local() && !v4.is_loopback(),
        Ok(IpAddr::V6(v6)) => !v6.is_unicast_link_local() && !v6.is_loopback(),
        Err(_) => false,
    }
}
