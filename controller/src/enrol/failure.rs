//! Why a BMC could not be taken on, in the words that a person reads beside its line.

use std::time::Duration;

use helix_inventory::message;
use redfish_client::{BmcAddress, RedfishError, Unreachable};

use crate::bmc::BmcError;
use crate::store::StoreError;

/// A reason with a stable code and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) next: Option<String>,
}

/// What ends the work on a BMC.
#[derive(Debug)]
pub(crate) enum Ended {
    /// A person must know.
    Failed(Failure),
    /// The database went away: the line stays claimed and is tried again.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), next: None }
    }

    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A refused login, with what the controller does about it.
    pub(crate) fn wrong_password(credential: &str) -> Self {
        Self::new(
            "wrong_password",
            "wrong password: stopped after 2 tries (iDRAC would lock out this controller's address)",
        )
        .next(format!("helixctl credential set {credential}"))
    }

    /// A certificate that is not the expected one.
    pub(crate) fn certificate(pinned: &str, seen: &str, why: &str) -> Self {
        Self::new("certificate_changed", format!("certificate changed: it shows {seen} instead of {pinned}, {why}"))
    }

    /// From an error of the client; `waited` is how long the attempt took.
    pub(crate) fn redfish(error: &RedfishError, address: &BmcAddress, waited: Duration) -> Self {
        let port = address.port();
        let seconds = waited.as_secs_f64().round().max(1.0);
        match error {
            RedfishError::Unreachable { why, .. } => match why {
                Unreachable::NoAnswer => Self::new("bmc_unreachable", format!("no answer on {port} in {seconds} s"))
                    .next("Check address, cable and the management network between this controller and the BMC."),
                Unreachable::Refused => {
                    Self::new("bmc_unreachable", format!("nothing listens on {port} (refused at once)"))
                        .next("Check the address and whether the BMC's web server is enabled.")
                }
                Unreachable::NoRoute => Self::new("bmc_unreachable", format!("no route to {}", address.host()))
                    .next("Give this controller a route into the management network."),
                Unreachable::UnknownHost => {
                    Self::new("bmc_unreachable", format!("the name {} is not known", address.host()))
                        .next("Correct the name, or use the IP address.")
                }
                Unreachable::Handshake => {
                    Self::new("not_redfish", format!("not a Redfish service: {port} answers, but not with TLS"))
                        .next("Check address and port.")
                }
            },
            RedfishError::Timeout { uri, after, .. } => Self::new(
                "bmc_unreachable",
                format!("connected on {port}, but no answer to {uri} in {} s", after.as_secs()),
            )
            .next("If it stays so, restart the BMC (racadm racreset), wait 5 min and try again."),
            RedfishError::NotRedfish { why, .. } => {
                Self::new("not_redfish", format!("not a Redfish service: {why}")).next("Check address and port.")
            }
            RedfishError::SessionsFull { .. } => Self::new("bmc_sessions_full", "all sessions of the BMC are taken")
                .next("Close sessions on the BMC, or wait 30 min until idle ones end, and try again."),
            RedfishError::SystemAmbiguous { found, .. } => Self::new(
                "bmc_system_ambiguous",
                format!("this service manages {found} systems; Helix takes one node per address"),
            ),
            other => {
                let failure = Self::new(other.code(), other.to_string());
                let explained = other.message_id().and_then(message::explain).map(|known| known.next.clone());
                match explained.or_else(|| other.resolution().map(str::to_owned)) {
                    Some(next) => failure.next(next),
                    None => failure,
                }
            }
        }
    }

    /// From an error of the pool.
    pub(crate) fn bmc(error: BmcError, address: &BmcAddress, credential: &str, waited: Duration) -> Ended {
        match &error {
            BmcError::Redfish { source, .. } => match &**source {
                RedfishError::LoginRefused { .. } | RedfishError::LoginStopped { .. } => {
                    Self::wrong_password(credential).into()
                }
                RedfishError::CertificateChanged { pinned, seen, .. } => {
                    Self::certificate(&pinned.to_string(), &seen.to_string(), "which is pinned").into()
                }
                other => Self::redfish(other, address, waited).into(),
            },
            BmcError::Stopped { code, .. } if code == "wrong_password" => Self::wrong_password(credential).into(),
            BmcError::Stopped { code, reason, .. } => Self::new(code, reason.clone()).into(),
            BmcError::Store(_) => match error {
                BmcError::Store(error) => Ended::Store(error),
                other => Self::new(other.code(), other.to_string()).into(),
            },
            other => Self::new(other.code(), other.to_string()).into(),
        }
    }
}
