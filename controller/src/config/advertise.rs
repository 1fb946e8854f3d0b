//! Under which address others reach this controller.
//!
//! `media` is what a BMC dials, `agents` what a node dials, `api` what people dial; each may be given, also by subnet of
//! the BMC. Without a setting it is the source address of the route to that BMC, which the kernel tells by connecting a
//! datagram socket; nothing is sent. It opens no listener.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;

use ipnet::IpNet;

use crate::config::Config;

/// A host name or address, with a port when it is not the listener's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// The port others dial; `None` means the listener's.
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let wrong = || format!("{text:?} is no HOST or HOST:PORT, such as \"10.0.7.2:8080\" (without http://)");
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(wrong()),
                port => Ok(Self { host: address.ip().to_string(), port: Some(port) }),
            };
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?)),
            None => (text, None),
        };
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if host.len() <= 253 && host.split('.').all(label) {
            Ok(Self { host: host.to_ascii_lowercase(), port })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => f.write_str(&join(&self.host, port)),
            None => f.write_str(&self.host),
        }
    }
}

/// `HOST:PORT`, with brackets around an IPv6 address.
fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What a listener's `advertise` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdvertiseSetting {
    /// Not set: the source address of the route to who dials.
    Automatic,
    /// One address for all.
    One(HostPort),
    /// By subnet of the BMC, narrowest first; `default` for all others, without it they are `Automatic`.
    BySubnet { subnets: Vec<(IpNet, HostPort)>, default: Option<HostPort> },
}

impl AdvertiseSetting {
    /// The given address for who dials from (or is managed at) `ip`; `None` when the route decides.
    fn given(&self, ip: IpAddr) -> Option<&HostPort> {
        match self {
            Self::Automatic => None,
            Self::One(address) => Some(address),
            Self::BySubnet { subnets, default } => {
                subnets.iter().find(|(net, _)| net.contains(&ip)).map(|(_, address)| address).or(default.as_ref())
            }
        }
    }

    /// Every address that stands in the setting.
    fn all(&self) -> Vec<&HostPort> {
        match self {
            Self::Automatic => Vec::new(),
            Self::One(address) => vec![address],
            Self::BySubnet { subnets, default } => {
                subnets.iter().map(|(_, address)| address).chain(default.as_ref()).collect()
            }
        }
    }
}

impl fmt::Display for AdvertiseSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("(source address of the route to each BMC)"),
            Self::One(address) => address.fmt(f),
            Self::BySubnet { subnets, default } => {
                for (net, address) in subnets {
                    write!(f, "{net}={address},")?;
                }
                match default {
                    Some(address) => write!(f, "default={address}"),
                    None => f.write_str("others by route"),
                }
            }
        }
    }
}

/// Why no address can be named to somebody who should dial this controller.
#[derive(Debug, thiserror::Error)]
pub enum AdvertiseError {
    /// The kernel knows no way to that address.
    #[error(
        "there is no route from this controller to {ip}; add one, or set {setting} to the address that is reachable from there"
    )]
    NoRoute {
        ip: IpAddr,
        setting: &'static str,
        #[source]
        source: std::io::Error,
    },
}

impl AdvertiseError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoute { .. } => "no_route_to_bmc",
        }
    }
}

/// One listener as others see it.
#[derive(Debug, Clone)]
struct Reach {
    name: &'static str,
    listen: SocketAddr,
    setting: AdvertiseSetting,
}

impl Reach {
    fn address_for(&self, ip: IpAddr) -> Result<String, AdvertiseError> {
        if let Some(given) = self.setting.given(ip) {
            return Ok(join(&given.host, given.port.unwrap_or(self.listen.port())));
        }
        if !self.listen.ip().is_unspecified() {
            return Ok(join(&self.listen.ip().to_string(), self.listen.port()));
        }
        let source = source_address(ip).map_err(|source| AdvertiseError::NoRoute { ip, setting: self.name, source })?;
        Ok(join(&source.to_string(), self.listen.port()))
    }
}

/// The local address that the kernel would send from to reach `ip`. Connecting a datagram socket sends nothing.
fn source_address(ip: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Any port will do; 443 is where a BMC listens.
    socket.connect((ip, 443))?;
    Ok(socket.local_addr()?.ip())
}

/// Addresses under which this controller is reached, with the ports that its listeners really have.
#[derive(Debug, Clone)]
pub struct Advertise {
    api: Reach,
    agents: Reach,
    media: Reach,
    hostname: String,
}

impl Advertise {
    /// With the ports of the configuration, for `check-config` and before the listeners are open.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        Self::new(config, config.api.listen, config.agents.listen, config.media.listen)
    }

    /// With the addresses that the listeners were bound to.
    #[must_use]
    pub fn new(config: &Config, api: SocketAddr, agents: SocketAddr, media: SocketAddr) -> Self {
        let reach = |name, listen, setting: &AdvertiseSetting| Reach { name, listen, setting: setting.clone() };
        Self {
            api: reach("api.advertise", api, &config.api.advertise),
            agents: reach("agents.advertise", agents, &config.agents.advertise),
            media: reach("media.advertise", media, &config.media.advertise),
            hostname: nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "localhost".to_owned()),
        }
    }

    /// `HOST:PORT` that the BMC at `bmc` dials for media.
    ///
    /// # Errors
    /// When nothing is set for it and there is no route to it.
    pub fn media_for(&self, bmc: IpAddr) -> Result<String, AdvertiseError> {
        self.media.address_for(bmc)
    }

    /// `HOST:PORT` that the node behind the BMC at `bmc` dials for its image and its agent: media's port on the host that
    /// it dials as an agent, for management and data network are seldom the same.
    ///
    /// # Errors
    /// When nothing is set for it and there is no route to its BMC.
    pub fn node_media_for(&self, bmc: IpAddr) -> Result<String, AdvertiseError> {
        let agents = self.agents.address_for(bmc)?;
        let host = agents.rsplit_once(':').map_or(agents.as_str(), |(host, _)| host);
        let media = self.media.address_for(bmc)?;
        let port = media.rsplit_once(':').map_or("", |(_, port)| port);
        Ok(format!("{host}:{port}"))
    }

    /// `HOST:PORT`s that the node behind the BMC at `bmc` dials, best first.
    ///
    /// # Errors
    /// When nothing is set for it and there is no route to its BMC.
    pub fn agents_for(&self, bmc: IpAddr) -> Result<Vec<String>, AdvertiseError> {
        self.agents.address_for(bmc).map(|address| vec![address])
    }

    /// The URL of API and dashboard, without a slash at its end.
    #[must_use]
    pub fn api(&self) -> String {
        let port = self.api.listen.port();
        let address = match self.api.setting.all().last() {
            Some(given) => join(&given.host, given.port.unwrap_or(port)),
            None if self.api.listen.ip().is_unspecified() => join(&self.hostname, port),
            None => join(&self.api.listen.ip().to_string(), port),
        };
        format!("https://{address}")
    }

    /// The names that the server certificates are made for.
    #[must_use]
    pub fn certificate_names(&self) -> CertificateNames {
        let mut needed = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        for reach in [&self.api, &self.agents] {
            needed.extend(reach.setting.all().into_iter().map(|address| address.host.clone()));
            if !reach.listen.ip().is_unspecified() {
                needed.push(reach.listen.ip().to_string());
            }
        }
        needed.push(self.hostname.to_ascii_lowercase());
        needed.sort();
        needed.dedup();
        let mut local: Vec<String> = local_addresses().into_iter().map(|address| address.to_string()).collect();
        local.retain(|name| !needed.contains(name));
        local.sort();
        local.dedup();
        CertificateNames { needed, local }
    }
}

/// Names for the server certificates.
#[derive(Debug, Clone, Default)]
pub struct CertificateNames {
    /// What is advertised, where listeners listen, this machine's name, loopback. A certificate without one of them is
    /// made anew.
    pub needed: Vec<String>,
    /// Addresses of the interfaces at present, put in as well. They come and go, and people have compared the
    /// certificate's fingerprint: for them alone none is made anew.
    pub local: Vec<String>,
}

impl CertificateNames {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.needed.iter().chain(&self.local).cloned().collect()
    }
}

/// Addresses of this machine's interfaces; what an automatic advertisement may name. Link-local ones need a zone and
/// cannot stand in a certificate.
fn local_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            if let Some(v4) = address.as_sockaddr_in() {
                return Some(IpAddr::V4(v4.ip()));
            }
            address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
        })
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_narrowest_subnet_decides_and_a_missing_port_is_the_listeners() {
        let mut config = Config::default();
        config.media.advertise =
            crate::config::value::Given::Text("10.0.0.0/8=10.0.0.1,10.0.7.0/24=10.0.7.2:9000,default=helix.example")
                .advertise()
                .unwrap();
        let advertise = Advertise::from_config(&config);
        assert_eq!(advertise.media_for(ip("10.0.7.55")).unwrap(), "10.0.7.2:9000");
        assert_eq!(advertise.media_for(ip("10.9.1.1")).unwrap(), "10.0.0.1:8080");
        assert_eq!(advertise.media_for(ip("192.0.2.1")).unwrap(), "helix.example:8080");
    }

    #[test]
    fn a_node_fetches_its_image_from_the_host_that_its_agent_dials() {
        let mut config = Config::default();
        config.agents.advertise = crate::config::value::Given::Text("127.20.0.0/16=10.0.2.2:9444").advertise().unwrap();
        let advertise = Advertise::from_config(&config);
        assert_eq!(advertise.node_media_for(ip("127.20.0.9")).unwrap(), "10.0.2.2:8080");
        assert_eq!(advertise.media_for(ip("127.20.0.9")).unwrap(), "127.0.0.1:8080");
    }

    #[test]
    fn without_a_setting_the_route_to_the_bmc_decides() {
        let advertise = Advertise::from_config(&Config::default());
        assert_eq!(advertise.media_for(ip("127.20.0.9")).unwrap(), "127.0.0.1:8080");
        assert_eq!(advertise.agents_for(ip("127.20.0.9")).unwrap(), ["127.0.0.1:8444"]);
    }

    #[test]
    fn a_listener_on_one_address_is_reached_there_only() {
        let mut config = Config::default();
        config.agents.listen = "127.0.0.7:8444".parse().unwrap();
        let advertise = Advertise::from_config(&config);
        assert_eq!(advertise.agents_for(ip("10.1.1.1")).unwrap(), ["127.0.0.7:8444"]);
        assert!(advertise.certificate_names().needed.contains(&"127.0.0.7".to_owned()));
    }

    #[test]
    fn advertised_names_stand_in_the_certificate() {
        let mut config = Config::default();
        config.api.advertise = AdvertiseSetting::One("Helix.Example.COM:443".parse().unwrap());
        let advertise = Advertise::from_config(&config);
        assert_eq!(advertise.api(), "https://helix.example.com:443");
        assert!(advertise.certificate_names().needed.contains(&"helix.example.com".to_owned()));
    }

    #[test]
    fn an_address_with_a_scheme_or_port_zero_is_refused_in_words() {
        for text in ["http://10.0.0.1:8080", "10.0.0.1:0", "host:port", "a b"] {
            let error = HostPort::from_str(text).unwrap_err();
            assert!(error.contains("HOST:PORT"), "{error}");
        }
        assert_eq!(HostPort::from_str("[fd00::1]:8080").unwrap().to_string(), "[fd00::1]:8080");
        assert_eq!(HostPort::from_str("fd00::1").unwrap().host, "fd00::1");
    }
}
