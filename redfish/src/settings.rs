//! BIOS settings, Secure Boot and the logs of a machine.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bios::Bios;
use crate::client::Client;
use crate::error::RedfishError;
use crate::lenient::AttributeValue;
use crate::log_entry::{Log, LogEntry};
use crate::message::Class;
use crate::odata::Link;
use crate::operation::LongOperation;
use crate::secure_boot::SecureBoot;

/// How the firmware of a machine boots: what a plan has to know before it touches anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BootFacts {
    /// `None` where the machine does not tell.
    pub uefi: Option<bool>,
    /// Whether the next boot checks signatures; `None` where the machine does not tell.
    pub secure_boot: Option<bool>,
}

#[derive(Serialize)]
struct BiosChange<'a> {
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, AttributeValue>,
    #[serde(rename = "@Redfish.SettingsApplyTime")]
    apply_time: ApplyTime,
}

#[derive(Serialize)]
struct ApplyTime {
    #[serde(rename = "ApplyTime")]
    when: &'static str,
}

impl Client {
    /// Boot mode and Secure Boot. The mode is the BIOS attribute `BootMode`, or where that does not exist the mode that the boot
    /// override shows.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn boot_facts(&self) -> Result<BootFacts, RedfishError> {
        let told = match self.bios().await {
            Ok(bios) => bios.boot_mode().map(|mode| mode.eq_ignore_ascii_case("uefi")),
            Err(error) if error.ends_all() || error.class() == Class::Retry => return Err(error),
            // 501 and the like: there is no BIOS to ask.
            Err(_) => None,
        };
        let uefi = match told {
            Some(uefi) => Some(uefi),
            None => {
                let mode = self.system().await?.boot.and_then(|boot| boot.override_mode);
                mode.map(|mode| mode.eq_ignore_ascii_case("uefi"))
            }
        };
        let secure_boot = self.secure_boot().await?.and_then(|secure_boot| secure_boot.is_on());
        Ok(BootFacts { uefi, secure_boot })
    }

    /// BIOS settings as they hold now. While a BIOS job is pending they may show its values early.
    ///
    /// # Errors
    /// What a request can end with; `NotSupported` where the system has none.
    pub async fn bios(&self) -> Result<Bios, RedfishError> {
        let uri = self.bios_uri().await?;
        Ok(self.read(&uri).await?.value)
    }

    /// BIOS settings that wait for the next start; empty when none do.
    ///
    /// # Errors
    /// As [`Client::bios`].
    pub async fn bios_pending(&self) -> Result<Bios, RedfishError> {
        let uri = self.bios_settings_uri().await?;
        Ok(self.read(&uri).await?.value)
    }

    /// Sets BIOS attributes for the next start: all wanted ones in one go, for one BIOS job can wait. No job in the answer
    /// means that the same values were pending already.
    ///
    /// # Errors
    /// SYS011 (`Busy`) while another BIOS job is scheduled; SYS409 and its kin (`Permanent`) for a value that does not fit.
    pub async fn set_bios(&self, wanted: &BTreeMap<String, AttributeValue>) -> Result<LongOperation, RedfishError> {
        let uri = self.bios_settings_uri().await?;
        let etag = self.read::<Bios>(&uri).await?;
        let etag = etag.etag.or(etag.value.etag);
        let change = BiosChange { attributes: wanted, apply_time: ApplyTime { when: "OnReset" } };
        let answer = self.patch(&uri, &change, etag.as_deref()).await?;
        Ok(LongOperation::of(&answer))
    }

    /// Secure Boot; `None` where the system has no such resource.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn secure_boot(&self) -> Result<Option<SecureBoot>, RedfishError> {
        let uri = if self.root().await?.is_dell() {
            format!("{}/SecureBoot", self.place().await?.system)
        } else {
            let system = self.system().await?;
            let Some(uri) = system.secure_boot.as_ref().and_then(Link::uri) else { return Ok(None) };
            uri.to_owned()
        };
        match self.read(&uri).await {
            Ok(read) => Ok(Some(read.value)),
            Err(error) if error.is_missing() || error.status() == Some(501) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest entries of a log, newest first, at most `limit`. Slow on Dell: up to 18 s a page of 50.
    ///
    /// # Errors
    /// What a request can end with; `NotSupported` where there is no such log.
    pub async fn log(&self, log: Log, limit: usize) -> Result<Vec<LogEntry>, RedfishError> {
        let manager = self.dell_manager("read a log").await?;
        let uri = format!("{manager}/LogServices/{}/Entries", log.id());
        Ok(self.members_within(&uri, self.limits().slow_get, Some(limit)).await?.members)
    }

    /// Dell's path is known; elsewhere the link is followed, for one service spells it `BIOS`.
    async fn bios_uri(&self) -> Result<String, RedfishError> {
        if self.root().await?.is_dell() {
            return Ok(format!("{}/Bios", self.place().await?.system));
        }
        let system = self.system().await?;
        let uri = system.bios.as_ref().and_then(Link::uri).map(str::to_owned);
        uri.ok_or_else(|| self.not_supported("read the BIOS settings", "the system has none"))
    }

    async fn bios_settings_uri(&self) -> Result<String, RedfishError> {
        let uri = self.bios_uri().await?;
        if self.root().await?.is_dell() {
            return Ok(format!("{uri}/Settings"));
        }
        let bios = self.read::<Bios>(&uri).await?.value;
        let linked = bios.settings.and_then(|settings| settings.settings_object);
        Ok(linked.as_ref().and_then(Link::uri).map_or_else(|| format!("{uri}/Settings"), str::to_owned))
    }
}
