//! What can go wrong when talking to a BMC, told by what the caller can do about it.

use std::time::Duration;

use crate::address::BmcAddress;
use crate::message::{self, Class, Message};
use crate::tls::Fingerprint;

/// Why a TCP connection or TLS handshake did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// Nothing answered in time.
    NoAnswer,
    /// The host answered that nothing listens on the port.
    Refused,
    /// No way to the host, or its name is not known.
    NoRoute,
    /// The name could not be resolved.
    UnknownHost,
    /// Something answered, but the TLS handshake failed.
    Handshake,
}

/// A request that the BMC answered with an error.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// HTTP status. Not what to decide by.
    pub status: u16,
    /// The BMC's messages, the telling one first.
    pub messages: Vec<Message>,
    /// What the BMC asked to wait, when it did.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The id that tells most, without its registry: Dell's when there is one.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.messages.first().map(Message::key).filter(|key| !key.is_empty())
    }

    /// Class by MessageId, and only where no id is known by HTTP status.
    #[must_use]
    pub fn class(&self) -> Class {
        let told = self
            .messages
            .iter()
            .filter(|message| message.key() != "InternalError")
            .find_map(|message| message.class().filter(|class| !matches!(class, Class::Done | Class::Info)));
        told.unwrap_or(match self.status {
            401 | 403 => Class::Auth,
            409 | 423 => Class::Busy,
            408 | 412 | 425 | 429 | 500 | 502..=504 => Class::Retry,
            _ => Class::Permanent,
        })
    }

    /// Whether this is a 500 that names no cause known to pass.
    pub(crate) fn is_bare_500(&self) -> bool {
        self.status == 500
            && self
                .messages
                .iter()
                .all(|message| message.key() == "InternalError" || message.class() != Some(Class::Retry))
    }

    fn told(&self) -> String {
        self.messages.first().map_or_else(|| "it gave no explanation".to_owned(), ToString::to_string)
    }
}

/// An error of the client.
#[derive(Debug, thiserror::Error)]
pub enum RedfishError {
    /// No connection.
    #[error("connect to {address}: {}", unreachable(*why))]
    Unreachable {
        address: BmcAddress,
        why: Unreachable,
        #[source]
        source: Option<std::io::Error>,
    },

    /// Connected, asked, and no whole answer within the deadline. The request may have been carried out.
    #[error("{method} {uri} on {address}: no answer within {} s", after.as_secs())]
    Timeout { address: BmcAddress, method: String, uri: String, after: Duration },

    /// The connection broke before the whole answer was there. The request may have been carried out.
    #[error("{method} {uri} on {address}: the connection broke before the answer was complete")]
    Interrupted {
        address: BmcAddress,
        method: String,
        uri: String,
        #[source]
        source: Option<hyper::Error>,
    },

    /// Another certificate than the one known for this address.
    #[error("connect to {address}: it shows certificate {seen} instead of the known {pinned}")]
    CertificateChanged { address: BmcAddress, pinned: Fingerprint, seen: Fingerprint },

    /// What answers is no Redfish service.
    #[error("read the Redfish service root of {address}: {why}")]
    NotRedfish { address: BmcAddress, why: String },

    /// The BMC refused user name or password.
    #[error("log in to {address}: user name or password was refused")]
    LoginRefused {
        address: BmcAddress,
        /// Refusals of this client so far.
        refused: u32,
        message: Option<Box<Message>>,
    },

    /// No login was tried, because the gate or the client's own limit forbids it.
    #[error("log in to {address}: not tried, {reason}")]
    LoginStopped { address: BmcAddress, reason: String },

    /// The client has no credentials and the resource is not open.
    #[error("{method} {uri} on {address}: it needs a login and no credentials are set")]
    NoCredentials { address: BmcAddress, method: String, uri: String },

    /// The session table of the BMC is full (RAC0218).
    #[error("log in to {address}: all sessions of the BMC are taken")]
    SessionsFull { address: BmcAddress, refusal: Box<Refusal> },

    /// Answered with an error.
    #[error("{} {} on {address}: {} (HTTP {})", refusal.method, refusal.uri, refusal.told(), refusal.status)]
    Refused { address: BmcAddress, refusal: Box<Refusal> },

    /// Answered with something that is no such resource.
    #[error("read {uri} of {address}: {why}")]
    Unreadable {
        address: BmcAddress,
        uri: String,
        why: String,
        #[source]
        source: Option<serde_json::Error>,
    },

    /// This BMC has no such thing: no virtual media, no such reset type, no job queue.
    #[error("{what} on {address}: {why}")]
    NotSupported { address: BmcAddress, what: &'static str, why: String },

    /// The address serves more than one system (or none) and it is not said which is meant.
    #[error("find the system of {address}: the service lists {found}, and one address must be one node")]
    SystemAmbiguous { address: BmcAddress, found: usize },
}

fn unreachable(why: Unreachable) -> &'static str {
    match why {
        Unreachable::NoAnswer => "no answer",
        Unreachable::Refused => "nothing listens on that port",
        Unreachable::NoRoute => "there is no way to that host",
        Unreachable::UnknownHost => "the name is not known",
        Unreachable::Handshake => "it answers, but not with TLS as a BMC speaks it",
    }
}

impl RedfishError {
    /// Stable code of the variant, in snake_case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { why: Unreachable::Handshake, .. } => "bmc_tls_failed",
            Self::Unreachable { .. } => "bmc_unreachable",
            Self::Timeout { .. } => "bmc_timeout",
            Self::Interrupted { .. } => "bmc_interrupted",
            Self::CertificateChanged { .. } => "bmc_certificate_changed",
            Self::NotRedfish { .. } => "bmc_not_redfish",
            Self::LoginRefused { .. } => "bmc_login_refused",
            Self::LoginStopped { .. } => "bmc_login_stopped",
            Self::NoCredentials { .. } => "bmc_no_credentials",
            Self::SessionsFull { .. } => "bmc_sessions_full",
            Self::Refused { .. } => "bmc_refused",
            Self::Unreadable { .. } => "bmc_unreadable",
            Self::NotSupported { .. } => "bmc_not_supported",
            Self::SystemAmbiguous { .. } => "bmc_system_ambiguous",
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Interrupted { .. } | Self::SessionsFull { .. } => {
                Class::Retry
            }
            Self::LoginRefused { .. } | Self::LoginStopped { .. } | Self::NoCredentials { .. } => Class::Auth,
            Self::Refused { refusal, .. } => refusal.class(),
            Self::CertificateChanged { .. }
            | Self::NotRedfish { .. }
            | Self::Unreadable { .. }
            | Self::NotSupported { .. }
            | Self::SystemAmbiguous { .. } => Class::Permanent,
        }
    }

    /// The BMC's own message, when it sent one.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Refused { refusal, .. } | Self::SessionsFull { refusal, .. } => refusal.messages.first(),
            Self::LoginRefused { message, .. } => message.as_deref(),
            _ => None,
        }
    }

    /// Its MessageId without the registry: `SYS403`. Dell's where there are several.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.message().map(Message::key).filter(|key| !key.is_empty())
    }

    /// What the BMC says to do about it.
    #[must_use]
    pub fn resolution(&self) -> Option<&str> {
        self.message().and_then(|message| message.resolution.as_deref())
    }

    /// HTTP status of a refused request. Not what to decide by.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { refusal, .. } | Self::SessionsFull { refusal, .. } => Some(refusal.status),
            _ => None,
        }
    }

    /// Whether the resource asked for does not exist (404, SYS403).
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.status() == Some(404) && self.class() == Class::Permanent
    }

    /// Whether the request may have been carried out although this error came back: look before doing it again.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Interrupted { .. })
            || self.status().is_some_and(|status| matches!(status, 500 | 502..=504) && self.class() == Class::Retry)
    }

    /// Whether any further request would fail in the same way, so that reading on is pointless.
    pub(crate) fn ends_all(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::CertificateChanged { .. }
            | Self::NotRedfish { .. }
            | Self::LoginRefused { .. }
            | Self::LoginStopped { .. }
            | Self::NoCredentials { .. }
            | Self::SessionsFull { .. } => true,
            Self::Refused { refusal, .. } => refusal.status == 401 && refusal.class() == Class::Auth,
            _ => false,
        }
    }

    /// The class that the table gives a MessageId; here so that callers need not know where the table is.
    #[must_use]
    pub fn class_of(message_id: &str) -> Option<Class> {
        message::classify(message_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, ids: &[&str]) -> RedfishError {
        let messages = ids.iter().map(|id| Message { id: Some((*id).to_owned()), ..Message::default() }).collect();
        let refusal =
            Refusal { method: "GET".into(), uri: "/redfish/v1/Systems".into(), status, messages, retry_after: None };
        RedfishError::Refused { address: BmcAddress::new("10.0.7.11", 443), refusal: Box::new(refusal) }
    }

    #[test]
    fn not_ready_as_400_is_transient() {
        assert_eq!(refused(400, &["IDRAC.2.8.SWC0700"]).class(), Class::Retry);
        assert_eq!(refused(400, &["IDRAC.2.8.SYS409"]).class(), Class::Permanent);
    }

    #[test]
    fn a_missing_licence_as_403_is_no_authentication_failure() {
        let error = refused(403, &["IDRAC.2.9.LIC501", "Base.1.12.InsufficientPrivilege"]);
        assert_eq!(error.class(), Class::Licence);
        assert_eq!(error.message_id(), Some("LIC501"));
        assert!(!error.ends_all());
    }

    #[test]
    fn without_a_known_message_the_status_decides() {
        assert_eq!(refused(503, &[]).class(), Class::Retry);
        assert_eq!(refused(404, &[]).class(), Class::Permanent);
        assert_eq!(refused(403, &["Vendor.1.0.Odd"]).class(), Class::Auth);
        assert!(refused(404, &["IDRAC.2.9.SYS403"]).is_missing());
    }

    #[test]
    fn the_text_names_what_was_tried_and_what_the_bmc_said() {
        let text = refused(404, &["IDRAC.2.9.SYS403"]).to_string();
        assert_eq!(text, "GET /redfish/v1/Systems on 10.0.7.11:443: SYS403 (HTTP 404)");
    }
}
