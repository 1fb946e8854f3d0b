//! Where a BMC is: host and port. Pins, credentials and refusal counts all belong to this pair, because two BMCs can share one
//! host (a simulator, a port forward), and one BMC keeps its address when its board is swapped.

use std::fmt;
use std::str::FromStr;

/// The port a BMC serves HTTPS on unless it was changed.
pub const DEFAULT_PORT: u16 = 443;

/// Host (name, IPv4 or IPv6 without brackets) and TCP port of one BMC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BmcAddress {
    host: String,
    port: u16,
}

/// The text given is not `host`, `host:port` or `[ipv6]:port`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("read {given:?} as a BMC address: {why}")]
pub struct AddressError {
    given: String,
    why: &'static str,
}

impl BmcAddress {
    /// An address from its parts; the host is lowered, for names are compared as keys.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_ascii_lowercase(), port }
    }

    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the `Host` header: the port is left out when it is the default, because `HostHeaderCheck` of an iDRAC
    /// compares the text.
    #[must_use]
    pub(crate) fn host_header(&self) -> String {
        let host = self.bracketed();
        if self.port == DEFAULT_PORT { host } else { format!("{host}:{}", self.port) }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for BmcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bracketed(), self.port)
    }
}

impl FromStr for BmcAddress {
    type Err = AddressError;

    fn from_str(given: &str) -> Result<Self, AddressError> {
        let fail = |why| AddressError { given: given.to_owned(), why };
        let text = given.trim();
        let text = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, tail) = rest.split_once(']').ok_or_else(|| fail("the bracket is not closed"))?;
            (host, tail.strip_prefix(':'))
        } else if text.matches(':').count() > 1 {
            (text, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = match port {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| fail("the port is no number from 1 to 65535"))?,
            None => DEFAULT_PORT,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@') {
            return Err(fail("the host is no name and no IP address"));
        }
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("10.0.7.11", "10.0.7.11", 443),
            ("10.0.7.11:4443", "10.0.7.11", 4443),
            ("https://iDRAC-HLX0001.mgmt/", "idrac-hlx0001.mgmt", 443),
            ("[fd00::7]:8443", "fd00::7", 8443),
            ("fd00::7", "fd00::7", 443),
        ] {
            let address: BmcAddress = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
        }
        for text in ["", "host:0", "host:99999", "a b", "[fd00::7", "user@host", ":443"] {
            assert!(text.parse::<BmcAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_header_leaves_the_default_port_out() {
        assert_eq!(BmcAddress::new("10.0.7.11", 443).host_header(), "10.0.7.11");
        assert_eq!(BmcAddress::new("fd00::7", 4443).host_header(), "[fd00::7]:4443");
    }
}
