//! Looks at a BMC: is it one, is its certificate the right one, does the credential work, which machine is behind it.
//!
//! Writes nothing to it but login and logout. The certificate is pinned before the password is sent, and the count of
//! refused logins is kept by the pool's gate.

use std::time::Instant;

use helix_inventory::id::ServiceTag;
use redfish_client::{BmcAddress, Client, Fingerprint, Pin, PowerState, RedfishError};
use uuid::Uuid;

use super::failure::{Ended, Failure};
use crate::app::App;
use crate::bmc::BmcError;
use crate::store::bmcs::{self, About};

/// Tries of one credential: an iDRAC locks the sender's address out at the third refusal, and one that has just started
/// may refuse the first good login.
const LOGIN_TRIES: usize = 2;

/// What a BMC is and which machine is behind it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) service_tag: ServiceTag,
    pub(crate) vendor: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) redfish_version: Option<String>,
    pub(crate) manufacturer: Option<String>,
    pub(crate) model: Option<String>,
    /// `on`, `off`, …, `unknown`.
    pub(crate) power: &'static str,
}

/// A BMC to look at.
#[derive(Debug, Clone)]
pub(crate) struct Target<'a> {
    /// Its row.
    pub(crate) bmc: Uuid,
    pub(crate) address: BmcAddress,
    /// The pin that the row has.
    pub(crate) pinned: Option<Fingerprint>,
    /// What a person says that it must be: beats the pin of a BMC that no node has.
    pub(crate) expected: Option<Fingerprint>,
    /// Name of the credential, for the words.
    pub(crate) credential: &'a str,
}

/// Looks without logging in; pins the certificate at first contact.
pub(crate) async fn certificate(app: &App, target: &Target<'_>) -> Result<redfish_client::Probe, Ended> {
    let tls = app.bmcs.tls().map_err(|error| Failure::new(error.code(), error.to_string()))?;
    let pin = target.expected.or(target.pinned).map_or(Pin::Unknown, Pin::Sha256);
    let begun = Instant::now();
    let probe = match Client::probe(tls, &target.address, pin).await {
        Ok(probe) => probe,
        Err(RedfishError::CertificateChanged { pinned, seen, .. }) => {
            return Err(changed(app, target, &pinned.to_string(), &seen.to_string()).await?.into());
        }
        Err(other) => return Err(Failure::redfish(&other, &target.address, begun.elapsed()).into()),
    };
    let mut conn = app.db.acquire().await?;
    if target.pinned != Some(probe.fingerprint) {
        bmcs::trust(&mut conn, target.bmc, &probe.fingerprint.0).await?;
    }
    // It answers: an open breaker closes.
    bmcs::contact(&mut conn, target.bmc).await?;
    Ok(probe)
}

/// Another certificate than the pinned one stops contact until a person has looked; one that only differs from a list does
/// not.
async fn changed(app: &App, target: &Target<'_>, pinned: &str, seen: &str) -> Result<Failure, Ended> {
    if target.expected.is_some() {
        return Ok(Failure::certificate(pinned, seen, "which was given for it"));
    }
    let failure = Failure::certificate(pinned, seen, "which is pinned");
    let mut conn = app.db.acquire().await?;
    bmcs::stop(&mut conn, target.bmc, "certificate_changed", &failure.message).await?;
    drop(conn);
    app.bmcs.forget(target.bmc).await;
    Ok(failure)
}

/// Looks, logs in, and reads which machine it is.
pub(crate) async fn identify(app: &App, target: &Target<'_>) -> Result<Identity, Ended> {
    let probe = certificate(app, target).await?;
    let begun = Instant::now();
    let words = |error: BmcError| Failure::bmc(error, &target.address, target.credential, begun.elapsed());
    let bmc = app.bmcs.client(target.bmc).await.map_err(words)?;
    for attempt in 1..=LOGIN_TRIES {
        match bmc.told(bmc.login().await).await {
            Ok(()) => break,
            Err(BmcError::Redfish { source, .. })
                if attempt < LOGIN_TRIES && matches!(*source, RedfishError::LoginRefused { .. }) => {}
            Err(error) => return Err(words(error)),
        }
    }
    let system = bmc.told(bmc.system().await).await.map_err(words)?;
    let service_tag = system.identity().and_then(ServiceTag::new).ok_or_else(|| {
        Failure::new("no_identity", "the BMC names neither a service tag nor a serial number of its machine")
            .next("Set the service tag on the BMC, then enrol again.")
    })?;
    let identity = Identity {
        service_tag,
        vendor: probe.root.vendor.clone(),
        product: probe.root.product.clone(),
        redfish_version: probe.root.redfish_version.clone(),
        manufacturer: system.manufacturer.clone(),
        model: system.model.clone(),
        power: power_word(system.power_state.as_ref()),
    };
    Ok(identity)
}

/// Notes what the BMC says of itself. In the transaction that takes it on.
pub(crate) fn about(identity: &Identity) -> About<'_> {
    About {
        service_tag: Some(identity.service_tag.as_str()),
        vendor: identity.vendor.as_deref(),
        product: identity.product.as_deref(),
        firmware_version: None,
        redfish_version: identity.redfish_version.as_deref(),
    }
}

/// Power as the vocabulary spells it.
pub(crate) fn power_word(power: Option<&PowerState>) -> &'static str {
    match power {
        Some(PowerState::On) => "on",
        Some(PowerState::Off) => "off",
        Some(PowerState::PoweringOn) => "turning_on",
        Some(PowerState::PoweringOff) => "turning_off",
        Some(PowerState::Other(_)) | None => "unknown",
    }
}
