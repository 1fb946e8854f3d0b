//! Checks the lines of an enrolment: each on its own, then against each other. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use helix_api::deploy::BootNetwork;
use helix_api::enrol::{EnrolLine, RefusedLine};
use redfish_client::BmcAddress;
use serde::{Deserialize, Serialize};

/// Positions in a rack: racks are up to 60 units high; the schema allows 99.
const POSITIONS: std::ops::RangeInclusive<i32> = 1..=99;
/// Longest host name label (RFC 1035).
const LONGEST_NAME: usize = 63;
/// Longest rack name: it is part of host names.
const LONGEST_RACK: usize = 32;
/// Longest key and value of a label, and how many there may be.
const LONGEST_LABEL: usize = 63;
const LONGEST_VALUE: usize = 255;
const LABELS: usize = 64;

/// A line that may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoodLine {
    pub(crate) line: u32,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Name of a credential; the line's own or the request's.
    pub(crate) credential: String,
    /// The name given, or made of rack and position; without both the service tag becomes the name.
    pub(crate) name: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) position: Option<i32>,
    /// Absent when the line says nothing of labels: those of a known node stay.
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) boot_network: Option<BootNetwork>,
}

impl GoodLine {
    pub(crate) fn address(&self) -> BmcAddress {
        BmcAddress::new(&self.host, self.port)
    }
}

/// Why a value cannot be taken: code and words.
pub(crate) type Wrong = (&'static str, String);

fn refused(line: &EnrolLine, (code, message): Wrong) -> RefusedLine {
    let label = line.name.clone().filter(|name| !name.is_empty()).or_else(|| place(line));
    RefusedLine {
        line: line.line,
        label: label.unwrap_or_else(|| line.address.clone()),
        code: code.to_owned(),
        message,
    }
}

fn place(line: &EnrolLine) -> Option<String> {
    Some(place_name(line.rack.as_deref()?, line.position?))
}

/// `r07` and 5 → `r07u05`.
pub(crate) fn place_name(rack: &str, position: i32) -> String {
    format!("{}u{position:02}", rack.to_ascii_lowercase())
}

/// Checks all lines; a line that is wrong is told with its number, the others go on.
pub(crate) fn check(lines: &[EnrolLine], credential: Option<&str>) -> (Vec<GoodLine>, Vec<RefusedLine>) {
    let mut good: Vec<GoodLine> = Vec::new();
    let mut bad = Vec::new();
    let mut by_address: HashMap<BmcAddress, u32> = HashMap::new();
    let mut by_name: HashMap<String, u32> = HashMap::new();
    for line in lines {
        let checked = one(line, credential).and_then(|checked| {
            if let Some(first) = by_address.get(&checked.address()) {
                return Err(("duplicate_address", format!("same BMC as line {first} ({})", line.address.trim())));
            }
            if let Some((name, first)) = checked.name.as_ref().and_then(|name| by_name.get_key_value(name)) {
                return Err(("duplicate_name", format!("same name as line {first} ({name})")));
            }
            Ok(checked)
        });
        match checked {
            Ok(checked) => {
                by_address.insert(checked.address(), checked.line);
                by_name.extend(checked.name.clone().map(|name| (name, checked.line)));
                good.push(checked);
            }
            Err(wrong) => bad.push(refused(line, wrong)),
        }
    }
    (good, bad)
}

fn one(line: &EnrolLine, credential: Option<&str>) -> Result<GoodLine, Wrong> {
    let address = address(&line.address)?;
    let credential = line
        .credential
        .as_deref()
        .filter(|name| !name.trim().is_empty())
        .or(credential)
        .map(|name| name.trim().to_owned())
        .ok_or_else(|| {
            ("credential_missing", "no credential: neither the line nor the command names one".to_owned())
        })?;
    let rack = line.rack.as_deref().map(str::trim).filter(|rack| !rack.is_empty()).map(rack).transpose()?;
    let position = line.position.map(position).transpose()?;
    let name = match line.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        Some(given) => Some(name(given)?),
        None => match (&rack, position) {
            (Some(rack), Some(position)) => Some(name(&place_name(rack, position))?),
            _ => None,
        },
    };
    let boot_network =
        line.boot_network.as_ref().map(boot_network).transpose()?.filter(|n| *n != BootNetwork::default());
    Ok(GoodLine {
        line: line.line,
        host: address.host().to_owned(),
        port: address.port(),
        credential,
        name,
        rack,
        position,
        labels: (!line.labels.is_empty()).then(|| labels(&line.labels)).transpose()?,
        boot_network,
    })
}

/// `host`, `host:port`, `[ipv6]:port`: an IP address or a host name.
pub(crate) fn address(text: &str) -> Result<BmcAddress, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return Err(("address_missing", "no address".to_owned()));
    }
    let wrong = |why: String| ("address_invalid", why);
    if text.contains("://") && !text.starts_with("https://") {
        return Err(wrong(format!("{text} is no address: BMCs are spoken to over https, give host or host:port")));
    }
    let address: BmcAddress = text.parse().map_err(|_| wrong(format!("{text} is neither host nor host:port")))?;
    let host = address.host();
    if host.parse::<IpAddr>().is_ok() {
        return Ok(address);
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') || host.contains(':') {
        return Err(wrong(format!("{host} is not an IP address")));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= LONGEST_NAME
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.len() > 253 || !host.trim_end_matches('.').split('.').all(label) {
        return Err(wrong(format!("{host} is neither an IP address nor a host name")));
    }
    Ok(address)
}

/// A node's name: it becomes the host name.
pub(crate) fn name(text: &str) -> Result<String, Wrong> {
    let good = !text.is_empty()
        && text.len() <= LONGEST_NAME
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if good {
        Ok(text.to_owned())
    } else {
        Err((
            "name_invalid",
            format!("{text} is no host name: a-z, 0-9 and \"-\" inside, at most {LONGEST_NAME} characters"),
        ))
    }
}

/// A rack's name.
pub(crate) fn rack(text: &str) -> Result<String, Wrong> {
    let good = text.len() <= LONGEST_RACK
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if good {
        Ok(text.to_owned())
    } else {
        Err((
            "rack_invalid",
            format!("{text} is no rack: letters, digits, \"-\", \"_\", \".\", at most {LONGEST_RACK} characters"),
        ))
    }
}

/// A place in a rack.
pub(crate) fn position(number: i32) -> Result<i32, Wrong> {
    if POSITIONS.contains(&number) {
        Ok(number)
    } else {
        Err(("position_invalid", format!("{number} is no position: {} to {} are", POSITIONS.start(), POSITIONS.end())))
    }
}

/// Labels as they may be kept.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Wrong> {
    let wrong = |why: String| ("label_invalid", why);
    if labels.len() > LABELS {
        return Err(wrong(format!("{} labels are too many: at most {LABELS}", labels.len())));
    }
    for (key, value) in labels {
        let good = !key.is_empty()
            && key.len() <= LONGEST_LABEL
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/'));
        if !good {
            return Err(wrong(format!("\"{key}\" is no label: letters, digits, \"-\", \"_\", \".\", \"/\"")));
        }
        if value.len() > LONGEST_VALUE || value.contains(char::is_control) {
            return Err(wrong(format!(
                "the value of label {key} is longer than {LONGEST_VALUE} bytes or has line breaks"
            )));
        }
    }
    Ok(labels.clone())
}

/// How the ramdisk reaches the network.
pub(crate) fn boot_network(network: &BootNetwork) -> Result<BootNetwork, Wrong> {
    let clean =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let mac = clean(&network.mac).map(|text| mac(&text)).transpose()?;
    let address = clean(&network.address);
    if let Some(text) = &address {
        let good = text.split_once('/').is_some_and(|(ip, length)| {
            let bits = match ip.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            length.parse::<u8>().is_ok_and(|length| (1..=bits).contains(&length))
        });
        if !good {
            return Err((
                "boot_ip_invalid",
                format!("{text} is no boot_ip: an address with prefix, such as 10.0.7.21/24"),
            ));
        }
    }
    let gateway = clean(&network.gateway);
    if let Some(text) = &gateway {
        if text.parse::<IpAddr>().is_err() {
            return Err(("boot_gateway_invalid", format!("{text} is no boot_gateway: an IP address is expected")));
        }
        if address.is_none() {
            return Err((
                "boot_gateway_invalid",
                format!("boot_gateway {text} needs a boot_ip; without one DHCP is used"),
            ));
        }
    }
    if let Some(vlan) = network.vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
        return Err(("boot_vlan_invalid", format!("{vlan} is no boot_vlan: 1 to 4094 are")));
    }
    if let Some(text) = network.dns.iter().find(|text| text.trim().parse::<IpAddr>().is_err()) {
        return Err(("boot_dns_invalid", format!("{text} is no boot_dns: IP addresses are expected")));
    }
    let dns = network.dns.iter().map(|text| text.trim().to_owned()).collect();
    Ok(BootNetwork { mac, address, gateway, vlan: network.vlan, dns })
}

fn mac(text: &str) -> Result<String, Wrong> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    if digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let lower = digits.to_ascii_lowercase();
        Ok(lower.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(":"))
    } else {
        Err(("boot_mac_invalid", format!("{text} is no boot_mac: twelve hexadecimal digits are expected")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u32, address: &str) -> EnrolLine {
        EnrolLine { line: number, address: address.into(), ..EnrolLine::default() }
    }

    fn refusal(line: EnrolLine) -> (String, String) {
        let (good, mut bad) = check(&[line], Some("idrac"));
        assert!(good.is_empty(), "it was taken: {good:?}");
        let refused = bad.remove(0);
        (refused.code, refused.message)
    }

    #[test]
    fn an_address_that_looks_like_one_and_is_none_says_so() {
        assert_eq!(
            refusal(line(17, "10.0.2.300")),
            ("address_invalid".into(), "10.0.2.300 is not an IP address".into())
        );
        assert_eq!(refusal(line(2, "http://10.0.0.1")).0, "address_invalid");
        assert_eq!(refusal(line(2, "10.0.0.1:99999")).1, "10.0.0.1:99999 is neither host nor host:port");
        assert_eq!(refusal(line(2, "bmc_1")).1, "bmc_1 is neither an IP address nor a host name");
        assert_eq!(refusal(line(2, " ")).0, "address_missing");
    }

    #[test]
    fn names_v4_and_v6_addresses_with_and_without_port_are_taken() {
        let lines = [line(2, "10.0.0.1"), line(3, "10.0.0.1:4443"), line(4, "[fd00::1]:4443"), line(5, "Idrac-1.mgmt")];
        let (good, bad) = check(&lines, Some("idrac"));
        assert!(bad.is_empty(), "{bad:?}");
        let addresses: Vec<String> = good.iter().map(|line| line.address().to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1:443", "10.0.0.1:4443", "[fd00::1]:4443", "idrac-1.mgmt:443"]);
    }

    #[test]
    fn the_same_bmc_twice_names_the_other_line() {
        let (good, bad) = check(&[line(12, "10.0.1.21"), line(41, "10.0.1.21:443")], Some("idrac"));
        assert_eq!(good.len(), 1);
        assert_eq!((bad[0].line, bad[0].message.as_str()), (41, "same BMC as line 12 (10.0.1.21:443)"));
    }

    #[test]
    fn the_name_is_made_of_rack_and_position_and_must_be_free() {
        let at = |number, address: &str, position| EnrolLine {
            rack: Some("R07".into()),
            position: Some(position),
            ..line(number, address)
        };
        let (good, bad) = check(&[at(2, "10.0.0.1", 5), at(3, "10.0.0.2", 5)], Some("idrac"));
        assert_eq!(good[0].name.as_deref(), Some("r07u05"));
        assert_eq!(bad[0].message, "same name as line 2 (r07u05)");
    }

    #[test]
    fn what_does_not_become_a_host_name_is_refused() {
        for name in ["Gpu1", "gpu_1", "-gpu", "gpu-", &"a".repeat(64)] {
            assert_eq!(
                refusal(EnrolLine { name: Some(name.into()), ..line(2, "10.0.0.1") }).0,
                "name_invalid",
                "{name}"
            );
        }
    }

    #[test]
    fn boot_network_values_are_checked_one_by_one() {
        let with = |network| refusal(EnrolLine { boot_network: Some(network), ..line(2, "10.0.0.1") }).0;
        let network = BootNetwork::default;
        assert_eq!(with(BootNetwork { mac: Some("aa:bb".into()), ..network() }), "boot_mac_invalid");
        assert_eq!(with(BootNetwork { address: Some("10.0.0.1".into()), ..network() }), "boot_ip_invalid");
        assert_eq!(with(BootNetwork { address: Some("10.0.0.1/33".into()), ..network() }), "boot_ip_invalid");
        assert_eq!(with(BootNetwork { gateway: Some("10.0.0.1".into()), ..network() }), "boot_gateway_invalid");
        assert_eq!(with(BootNetwork { vlan: Some(4095), ..network() }), "boot_vlan_invalid");
        assert_eq!(with(BootNetwork { dns: vec!["ns1".into()], ..network() }), "boot_dns_invalid");
    }

    #[test]
    fn a_mac_is_kept_in_one_spelling() {
        let network = BootNetwork { mac: Some("AABB.CCDD.EEFF".into()), ..BootNetwork::default() };
        assert_eq!(boot_network(&network).unwrap().mac.as_deref(), Some("aa:bb:cc:dd:ee:ff"));
    }

    #[test]
    fn a_line_without_any_credential_is_refused() {
        let (_, bad) = check(&[line(2, "10.0.0.1")], None);
        assert_eq!(bad[0].code, "credential_missing");
    }
}
