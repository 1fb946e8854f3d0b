//! Boot device for the next start.
//!
//! Only target and `Enabled` are ever written: writing the mode, even unchanged, makes a BIOS job and reboots. They go to the
//! resource whose `Boot` carries the list of allowed targets: the system itself, or on iDRAC10 its settings object, which on
//! iDRAC9 exists too but refuses them.

use serde::Serialize;

use crate::client::Client;
use crate::error::RedfishError;
use crate::message::Class;
use crate::odata::Link;
use crate::read::Read;
use crate::system::{Boot, System};

/// A boot device class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BootTarget {
    /// No override.
    None,
    Pxe,
    /// Virtual or real optical drive.
    Cd,
    Hdd,
    BiosSetup,
    UefiHttp,
}

impl BootTarget {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Pxe => "Pxe",
            Self::Cd => "Cd",
            Self::Hdd => "Hdd",
            Self::BiosSetup => "BiosSetup",
            Self::UefiHttp => "UefiHttp",
        }
    }
}

/// The override as a fresh read shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootOverride {
    /// Where it is set.
    pub uri: String,
    /// `Cd`, `None`, …
    pub target: Option<String>,
    /// `Once`, `Continuous`, `Disabled`.
    pub enabled: Option<String>,
}

impl BootOverride {
    /// Whether the next start, and only that, goes to the target.
    #[must_use]
    pub fn is_once(&self, target: BootTarget) -> bool {
        self.shows(target) && self.enabled.as_deref() == Some("Once")
    }

    /// Whether the service knows lasting overrides only: the caller has to set the disk again after the boot.
    #[must_use]
    pub fn is_continuous(&self, target: BootTarget) -> bool {
        self.shows(target) && self.enabled.as_deref() == Some("Continuous")
    }

    fn shows(&self, target: BootTarget) -> bool {
        self.target.as_deref() == Some(target.as_str())
    }
}

#[derive(Serialize)]
struct Change {
    #[serde(rename = "Boot")]
    boot: BootChange,
}

#[derive(Serialize)]
struct BootChange {
    #[serde(rename = "BootSourceOverrideTarget")]
    target: &'static str,
    #[serde(rename = "BootSourceOverrideEnabled")]
    enabled: &'static str,
}

/// Where an override is written.
struct BootPlace {
    uri: String,
    etag: Option<String>,
    boot: Boot,
}

impl Client {
    /// The override as it stands.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn boot_override(&self) -> Result<BootOverride, RedfishError> {
        let place = self.boot_place().await?;
        Ok(shown(place))
    }

    /// Sets the device of the next start and reads back what the service made of it. Set it last: any reboot uses it up, also
    /// one that a job makes.
    ///
    /// # Errors
    /// `NotSupported` when the target is not among the allowed ones; SYS011 (`Busy`) while a BIOS job is pending; what a
    /// request can end with.
    pub async fn set_boot_once(&self, target: BootTarget) -> Result<BootOverride, RedfishError> {
        self.write_override(target, "Once").await
    }

    /// Sets a lasting device: for services that know no `Once` and go back to the disk only when told.
    ///
    /// # Errors
    /// As [`Client::set_boot_once`].
    pub async fn set_boot_continuous(&self, target: BootTarget) -> Result<BootOverride, RedfishError> {
        self.write_override(target, "Continuous").await
    }

    /// Takes the override back.
    ///
    /// # Errors
    /// As [`Client::set_boot_once`].
    pub async fn clear_boot_override(&self) -> Result<BootOverride, RedfishError> {
        self.write_override(BootTarget::None, "Disabled").await
    }

    async fn write_override(&self, target: BootTarget, enabled: &'static str) -> Result<BootOverride, RedfishError> {
        let mut place = self.boot_place().await?;
        let allowed = &place.boot.allowable_targets;
        // Some lists leave `None` out although it is what they show at rest.
        if target != BootTarget::None && !allowed.is_empty() && !allowed.iter().any(|name| name == target.as_str()) {
            let why = format!("{} is not among the devices that it allows: {}", target.as_str(), allowed.join(", "));
            return Err(self.not_supported("set the boot device", &why));
        }
        let change = Change { boot: BootChange { target: target.as_str(), enabled } };
        let outcome = self.patch(&place.uri, &change, place.etag.as_deref()).await;
        match outcome {
            Ok(_) => {}
            // Somebody changed the resource since it was read: read it again, write it again, once.
            Err(error) if error.status() == Some(412) && error.class() == Class::Retry => {
                place = self.boot_place().await?;
                self.patch(&place.uri, &change, place.etag.as_deref()).await?;
            }
            Err(error) => return Err(error),
        }
        self.boot_override().await
    }

    /// The system, unless only its settings object lists the allowed targets.
    async fn boot_place(&self) -> Result<BootPlace, RedfishError> {
        let uri = self.place().await?.system.clone();
        let system = self.read::<System>(&uri).await?;
        let settings = system.value.settings.as_ref().and_then(|settings| settings.settings_object.as_ref());
        let settings = settings.and_then(Link::uri).map(str::to_owned);
        let here = place_of(uri, system);
        if !here.boot.allowable_targets.is_empty() {
            return Ok(here);
        }
        let Some(settings) = settings else { return Ok(here) };
        match self.read::<System>(&settings).await {
            Ok(read) => {
                let there = place_of(settings, read);
                Ok(if there.boot.allowable_targets.is_empty() { here } else { there })
            }
            Err(error) if error.ends_all() => Err(error),
            Err(_) => Ok(here),
        }
    }
}

fn place_of(uri: String, read: Read<System>) -> BootPlace {
    // The header is the exact tag; the body's is its copy. A gateway's compression suffix is no part of it.
    let etag = read.etag.or(read.value.etag).map(|etag| etag.replace("-gzip", ""));
    BootPlace { uri, etag, boot: read.value.boot.unwrap_or_default() }
}

fn shown(place: BootPlace) -> BootOverride {
    BootOverride { uri: place.uri, target: place.boot.override_target, enabled: place.boot.override_enabled }
}
