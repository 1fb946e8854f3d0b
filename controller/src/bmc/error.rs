//! Why a BMC could not be talked to, in words that name the node.

use std::time::Duration;

use chrono::{DateTime, Utc};
use redfish_client::RedfishError;

use crate::store::StoreError;

/// An error of the pool or of a call.
#[derive(Debug, thiserror::Error)]
pub enum BmcError {
    /// No such row.
    #[error("there is no such BMC")]
    Unknown,
    /// No credential is assigned.
    #[error("the BMC of {node} at {address} has no credential")]
    NoCredential { node: String, address: String },
    /// The credential cannot be opened.
    #[error("open the credential of the BMC of {node}")]
    Credential {
        node: String,
        #[source]
        source: crate::access::secrets::SecretsError,
    },
    /// Contact was stopped on purpose.
    #[error("contact with the BMC of {node} at {address} is stopped: {reason}")]
    Stopped { node: String, address: String, code: String, reason: String },
    /// It failed a moment ago; the next try is later. `pause` is the time until then, before the time scale.
    #[error("the BMC of {node} at {address} could not be reached {failures} times in a row: {failure}")]
    Resting { node: String, address: String, failures: i32, failure: String, until: DateTime<Utc>, pause: Duration },
    /// A call ended with an error.
    #[error("the BMC of {node}: {source}")]
    Redfish {
        node: String,
        #[source]
        source: Box<RedfishError>,
    },
    /// TLS could not be set up in this process.
    #[error("set up TLS for BMCs: {0}")]
    Tls(String),
    #[error("look up a BMC")]
    Store(#[from] StoreError),
}

impl BmcError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unknown => "bmc_unknown",
            Self::NoCredential { .. } => "bmc_no_credential",
            Self::Credential { source, .. } => source.code(),
            Self::Stopped { code, .. } => match code.as_str() {
                "wrong_password" => "bmc_wrong_password",
                "certificate_changed" => "bmc_certificate_changed",
                "board_swapped" => "bmc_board_swapped",
                _ => "bmc_stopped",
            },
            Self::Resting { .. } => "bmc_unreachable",
            Self::Redfish { source, .. } => source.code(),
            Self::Tls(_) => "bmc_tls",
            Self::Store(error) => error.code(),
        }
    }

    /// The Redfish error inside, when a call was made.
    #[must_use]
    pub fn redfish(&self) -> Option<&RedfishError> {
        match self {
            Self::Redfish { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the request may have been carried out although this came back.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        self.redfish().is_some_and(RedfishError::outcome_unknown)
    }
}
