//! Reaching the controller from the ramdisk.
//!
//! With a `mac` in the block that one interface is used; without it every Ethernet link with carrier. With an address it is static;
//! without it DHCP is tried on all at once, and the first link over which the controller's port opens is kept, the others are taken
//! down. The ramdisk's busybox does the work (`ip`, `udhcpc` with its script); this decides, waits, and says what it found.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::ToSocketAddrs;
use std::process::Stdio;
use std::time::Duration;

use helix_api::deploy::BootNetwork;
use helix_api::machine::NicFacts;
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::machine::nic;
use crate::machine::root::Root;

/// 25 and 100 GbE links with forward error correction train for several seconds, and some switch ports take 10 s more.
const CARRIER_WAIT: Duration = Duration::from_secs(20);

/// DHCP behind a switch port without edge mode needs the spanning tree's 30 s first.
const DHCP_WAIT: Duration = Duration::from_secs(45);

/// How often links and addresses are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A first packet may have to wait for address resolution; three SYNs fit.
const CONNECT_WAIT: Duration = Duration::from_secs(8);

/// How one link is to be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The hardware's interface.
    pub interface: String,
    pub mac: String,
    /// The interface that carries the address: the VLAN's, when there is one.
    pub carries: String,
    pub vlan: Option<u16>,
    pub setting: Setting,
}

/// Where the address comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    Dhcp,
    Static { address: String, gateway: Option<String> },
}

/// Decides which links to try: pure.
///
/// # Errors
/// Words for the console: no such MAC, no carrier, no interface at all.
pub fn plan(nics: &[NicFacts], network: &BootNetwork) -> Result<Vec<Link>, String> {
    if nics.is_empty() {
        return Err(
            "this machine shows no Ethernet interface: is the card supported by the deploy ramdisk's kernel?".into()
        );
    }
    let wanted: Vec<&NicFacts> = match &network.mac {
        Some(mac) => {
            let found: Vec<&NicFacts> = nics.iter().filter(|nic| nic.mac.eq_ignore_ascii_case(mac.trim())).collect();
            if found.is_empty() {
                return Err(format!("no interface has the MAC address {mac} that the node's boot_mac names"));
            }
            found
        }
        None => nics.iter().collect(),
    };
    let up: Vec<&NicFacts> = wanted.iter().copied().filter(|nic| nic.carrier == Some(true)).collect();
    if up.is_empty() {
        return Err(match &network.mac {
            Some(mac) => format!(
                "the interface with MAC address {mac} has no carrier: is the cable plugged in and the switch port up?"
            ),
            None => "no Ethernet interface has carrier: are cables plugged in and switch ports up?".into(),
        });
    }
    // Two links with one static address would answer for each other.
    let up = if network.address.is_some() { &up[..1] } else { &up[..] };
    Ok(up
        .iter()
        .map(|nic| Link {
            interface: nic.name.clone(),
            mac: nic.mac.clone(),
            carries: network.vlan.map_or_else(|| nic.name.clone(), |vlan| format!("{}.{vlan}", nic.name)),
            vlan: network.vlan,
            setting: match &network.address {
                Some(address) => Setting::Static { address: address.clone(), gateway: network.gateway.clone() },
                None => Setting::Dhcp,
            },
        })
        .collect())
}

/// A network that reaches the controller; its DHCP client renews the lease as long as it lives.
#[derive(Debug)]
pub struct Network {
    pub link: Link,
    pub addresses: Vec<String>,
    _client: Option<Child>,
}

/// Brings the network up once.
///
/// # Errors
/// A table for the console: MACs, carrier, DHCP, what the controller's port said.
pub async fn bring_up(root: &Root, network: &BootNetwork, controller_urls: &[String]) -> Result<Network, String> {
    let nics = links_up(root, network).await;
    let links = plan(&nics, network).map_err(|why| console_table(&why, &nics, &BTreeMap::new()))?;
    write_resolver(root, &network.dns);
    let mut results = BTreeMap::new();
    let mut clients = BTreeMap::new();
    for link in &links {
        match configure(link).await {
            Ok(client) => {
                clients.insert(link.carries.clone(), client);
            }
            Err(why) => {
                results.insert(link.interface.clone(), why);
            }
        }
    }
    if let Some((link, addresses)) = first_that_reaches(&links, controller_urls, &mut results).await {
        let kept = clients.remove(&link.carries).flatten();
        drop(clients);
        for other in links.iter().filter(|other| other.carries != link.carries) {
            flush(other).await;
            attempt(&["link", "set", &other.carries, "down"]).await;
        }
        return Ok(Network { link, addresses, _client: kept });
    }
    // The links stay up, so that they need not train again for the next try.
    drop(clients);
    for link in &links {
        flush(link).await;
    }
    Err(console_table("no link reaches the controller", &nics, &results))
}

/// Tries all links that have an address, again and again, until one reaches the controller or DHCP's time is over. A switch port may
/// carry nothing for its first half minute, with a static address as well.
async fn first_that_reaches(
    links: &[Link],
    controller_urls: &[String],
    results: &mut BTreeMap<String, String>,
) -> Option<(Link, Vec<String>)> {
    let began = Instant::now();
    while began.elapsed() < DHCP_WAIT {
        let mut all = addresses_now();
        let with_address: Vec<(&Link, Vec<String>)> =
            links.iter().filter_map(|link| Some((link, all.remove(&link.carries)?))).collect();
        let tries = with_address.iter().map(|(link, _)| reaches(&link.carries, controller_urls));
        let outcomes = futures::future::join_all(tries).await;
        for ((link, addresses), outcome) in with_address.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => return Some((link.clone(), addresses)),
                Err(why) => {
                    results.insert(link.interface.clone(), format!("has {}; {why}", addresses.join(", ")));
                }
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    for link in links {
        results
            .entry(link.interface.clone())
            .or_insert_with(|| format!("DHCP: no answer within {} s", DHCP_WAIT.as_secs()));
    }
    None
}

/// Sets the wanted interfaces up and waits until carrier had its time to come.
async fn links_up(root: &Root, network: &BootNetwork) -> Vec<NicFacts> {
    let ethernet = || -> Vec<NicFacts> {
        nic::read(root).into_iter().filter(|found| nic::is_ethernet(root, &found.name)).collect()
    };
    let wanted = |found: &NicFacts| network.mac.as_ref().is_none_or(|mac| mac.trim().eq_ignore_ascii_case(&found.mac));
    for found in ethernet().iter().filter(|found| wanted(found)) {
        if let Err(why) = ip(&["link", "set", &found.name, "up"]).await {
            tracing::warn!(interface = found.name, why, "cannot bring the link up");
        }
    }
    let began = Instant::now();
    loop {
        let nics = ethernet();
        let relevant: Vec<&NicFacts> = nics.iter().filter(|found| wanted(found)).collect();
        let all = !relevant.is_empty() && relevant.iter().all(|found| found.carrier == Some(true));
        let some = relevant.iter().any(|found| found.carrier == Some(true));
        // With one link up the others get a quarter of the time: unplugged ports are the rule, not the exception.
        let patience = if some { CARRIER_WAIT / 4 } else { CARRIER_WAIT };
        if all || began.elapsed() >= patience {
            return nics;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Configures a link; with DHCP the client that now runs is returned.
async fn configure(link: &Link) -> Result<Option<Child>, String> {
    if let Some(vlan) = link.vlan
        && !std::path::Path::new("/sys/class/net").join(&link.carries).exists()
    {
        let id = vlan.to_string();
        ip(&["link", "add", "link", &link.interface, "name", &link.carries, "type", "vlan", "id", &id]).await?;
    }
    ip(&["link", "set", &link.carries, "up"]).await?;
    match &link.setting {
        Setting::Static { address, gateway } => {
            ip(&["addr", "flush", "dev", &link.carries]).await?;
            ip(&["addr", "add", address, "dev", &link.carries]).await?;
            if let Some(gateway) = gateway {
                ip(&["route", "replace", "default", "via", gateway, "dev", &link.carries]).await?;
            }
            Ok(None)
        }
        Setting::Dhcp => Command::new("udhcpc")
            .args(["-i", &link.carries, "-f", "-t", "10", "-T", "3", "-A", "5"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map(Some)
            .map_err(|error| format!("DHCP: udhcpc does not start: {error}")),
    }
}

fn addresses_now() -> HashMap<String, Vec<String>> {
    nic::addresses()
}

/// Whether one of the controller's ports opens over this interface.
async fn reaches(interface: &str, urls: &[String]) -> Result<(), String> {
    let mut failures = Vec::new();
    for url in urls {
        let Some((host, port)) = url::Url::parse(url)
            .ok()
            .and_then(|url| Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?)))
        else {
            failures.push(format!("{url} is no address"));
            continue;
        };
        let resolved = tokio::task::spawn_blocking(move || {
            (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
        })
        .await;
        let addresses = match resolved {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => {
                failures.push(format!("{url}: {error}"));
                continue;
            }
            Err(_) => continue,
        };
        for address in addresses {
            match connect(interface, address).await {
                Ok(()) => return Ok(()),
                Err(error) => failures.push(format!("{address}: {error}")),
            }
        }
    }
    Err(format!("the controller does not answer over it ({})", failures.join("; ")))
}

async fn connect(interface: &str, address: std::net::SocketAddr) -> std::io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind_device(Some(interface.as_bytes()))?;
    match tokio::time::timeout(CONNECT_WAIT, socket.connect(address)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {} s", CONNECT_WAIT.as_secs()),
        )),
    }
}

async fn flush(link: &Link) {
    attempt(&["addr", "flush", "dev", &link.carries]).await;
}

/// A change whose failure matters to nobody: it takes back what may not be there.
async fn attempt(arguments: &[&str]) {
    if let Err(why) = ip(arguments).await {
        tracing::debug!(why, "not taken back");
    }
}

fn write_resolver(root: &Root, dns: &[String]) {
    if dns.is_empty() {
        return;
    }
    let text: String = dns.iter().fold(String::new(), |mut text, server| {
        text.push_str("nameserver ");
        text.push_str(server);
        text.push('\n');
        text
    });
    if let Err(error) = std::fs::write(root.path("run/resolv.conf"), text) {
        tracing::warn!(%error, "cannot write the resolver's configuration");
    }
}

async fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| format!("ip {}: {error}", arguments.join(" ")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// What stands on the console when nothing works.
fn console_table(why: &str, nics: &[NicFacts], results: &BTreeMap<String, String>) -> String {
    let mut text = format!("network: {why}\n");
    for found in nics {
        let carrier = match found.carrier {
            Some(true) => "carrier",
            Some(false) => "no carrier",
            None => "down",
        };
        let result = results.get(&found.name).map(String::as_str).unwrap_or("not tried");
        // Writing to a string cannot fail.
        if writeln!(text, "  {:<16} {}  {carrier:<10}  {result}", found.name, found.mac).is_err() {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, mac: &str, carrier: bool) -> NicFacts {
        NicFacts { name: name.into(), mac: mac.into(), carrier: Some(carrier), ..NicFacts::default() }
    }

    fn machine() -> Vec<NicFacts> {
        vec![
            found("eno1", "02:00:5e:00:00:01", true),
            found("eno2", "02:00:5e:00:00:02", false),
            found("ens3", "02:00:5e:00:00:03", true),
        ]
    }

    fn interfaces(network: &BootNetwork) -> Result<Vec<String>, String> {
        plan(&machine(), network).map(|links| links.into_iter().map(|link| link.carries).collect())
    }

    #[test]
    fn without_a_mac_every_link_with_carrier_is_tried() {
        assert_eq!(interfaces(&BootNetwork::default()).unwrap(), ["eno1", "ens3"]);
    }

    #[test]
    fn the_mac_in_the_block_names_the_one_link_and_its_vlan() {
        let network = BootNetwork { mac: Some("02:00:5E:00:00:03".into()), vlan: Some(40), ..BootNetwork::default() };
        assert_eq!(interfaces(&network).unwrap(), ["ens3.40"]);
    }

    #[test]
    fn a_static_address_is_given_to_one_link_only() {
        let network = BootNetwork { address: Some("10.0.7.21/24".into()), ..BootNetwork::default() };
        assert_eq!(interfaces(&network).unwrap(), ["eno1"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_mac() {
        let unknown = BootNetwork { mac: Some("02:00:5e:00:00:99".into()), ..BootNetwork::default() };
        assert!(interfaces(&unknown).unwrap_err().contains("02:00:5e:00:00:99"));
        let unplugged = BootNetwork { mac: Some("02:00:5e:00:00:02".into()), ..BootNetwork::default() };
        assert!(interfaces(&unplugged).unwrap_err().contains("no carrier"));
        assert!(plan(&[], &BootNetwork::default()).unwrap_err().contains("no Ethernet interface"));
    }

    #[test]
    fn the_console_lists_each_interface_with_carrier_and_result() {
        let results = BTreeMap::from([("eno1".to_owned(), "DHCP: no answer within 45 s".to_owned())]);
        let text = console_table("no link reaches the controller", &machine(), &results);
        assert!(text.contains("eno1             02:00:5e:00:00:01  carrier     DHCP: no answer"), "{text}");
        assert!(text.contains("eno2             02:00:5e:00:00:02  no carrier"), "{text}");
    }
}
