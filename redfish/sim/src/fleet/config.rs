//! Which BMCs a fleet has: read from a file or counted out.

use std::net::Ipv4Addr;

use serde::Deserialize;

use super::FleetError;

/// One line of a fleet file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BmcConfig {
    /// Address of the BMC, 127.x.y.z.
    pub address: Ipv4Addr,
    /// Model name.
    pub model: String,
    /// Rack, for listings.
    #[serde(default)]
    pub rack: String,
    /// Position in the rack, for listings.
    #[serde(default)]
    pub position: u32,
    /// Whether the host is a real virtual machine.
    #[serde(default)]
    pub vm: bool,
    /// Whether the host is on when the fleet is new.
    #[serde(default)]
    pub powered_on: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetFile {
    #[serde(default)]
    bmc: Vec<BmcConfig>,
}

/// Reads a fleet file.
///
/// # Errors
/// When it cannot be read or understood.
pub fn read_file(path: &std::path::Path) -> Result<Vec<BmcConfig>, FleetError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| FleetError::Read { path: shown.clone(), source })?;
    let file: FleetFile =
        toml::from_str(&text).map_err(|source| FleetError::Parse { path: shown, source: Box::new(source) })?;
    Ok(file.bmc)
}

/// Counts out a fleet: `count` BMCs from `base` upwards, models in the proportion of `mix` (`XE9680=4,R660=2`).
/// Addresses that end in .0 or .255 are left out, so that they look like addresses; racks of twelve.
///
/// # Errors
/// When the mix is not understood.
pub fn count_out(count: usize, base: Ipv4Addr, mix: &str) -> Result<Vec<BmcConfig>, FleetError> {
    let mut pattern = Vec::new();
    for part in mix.split(',').filter(|part| !part.trim().is_empty()) {
        let (name, number) = part.split_once('=').ok_or_else(|| FleetError::Mix(mix.to_owned()))?;
        let number: usize = number.trim().parse().map_err(|_| FleetError::Mix(mix.to_owned()))?;
        pattern.extend(std::iter::repeat_n(name.trim().to_owned(), number));
    }
    if pattern.is_empty() {
        return Err(FleetError::Mix(mix.to_owned()));
    }
    let addresses = (u32::from(base)..).map(Ipv4Addr::from).filter(|address| !matches!(address.octets()[3], 0 | 255));
    Ok(addresses
        .take(count)
        .enumerate()
        .map(|(number, address)| BmcConfig {
            address,
            model: pattern[number % pattern.len()].clone(),
            rack: format!("r{:02}", number / 12 + 1),
            position: u32::try_from(number % 12 * 3 + 1).unwrap_or(1),
            vm: false,
            powered_on: false,
        })
        .collect())
}
