//! `/redfish/v1`: open without a login, and enough to tell what answers: vendor, product, on Dell even the service tag.

use serde::Deserialize;

use crate::lenient::{object, opt};
use crate::odata::{Link, Oem, path};

/// Path of the service root.
pub(crate) const ROOT: &str = "/redfish/v1";

/// The service root.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ServiceRoot {
    #[serde(rename = "@odata.type", deserialize_with = "opt")]
    pub odata_type: Option<String>,
    /// `1.20.1`.
    #[serde(deserialize_with = "opt")]
    pub redfish_version: Option<String>,
    /// `Dell`.
    #[serde(deserialize_with = "opt")]
    pub vendor: Option<String>,
    /// `Integrated Dell Remote Access Controller`.
    #[serde(deserialize_with = "opt")]
    pub product: Option<String>,
    /// Service tag on newer iDRACs.
    #[serde(deserialize_with = "opt")]
    pub service_identification: Option<String>,
    /// Absent on iDRAC.
    #[serde(rename = "UUID", deserialize_with = "opt")]
    pub uuid: Option<String>,
    #[serde(deserialize_with = "object")]
    pub systems: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub managers: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub chassis: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub session_service: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub update_service: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub job_service: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub license_service: Option<Link>,
    /// `TaskService`, under the name that the root gives it.
    #[serde(deserialize_with = "object")]
    pub tasks: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub links: Option<RootLinks>,
    #[serde(deserialize_with = "object")]
    pub protocol_features_supported: Option<ProtocolFeatures>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellServiceRoot>>,
}

/// `Links` of the root.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RootLinks {
    #[serde(deserialize_with = "object")]
    pub sessions: Option<Link>,
}

/// What the service says that it can be asked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ProtocolFeatures {
    #[serde(deserialize_with = "object")]
    pub expand_query: Option<ExpandQuery>,
    #[serde(deserialize_with = "opt")]
    pub select_query: Option<bool>,
}

/// Support of `$expand`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExpandQuery {
    #[serde(deserialize_with = "opt")]
    pub expand_all: Option<bool>,
    #[serde(deserialize_with = "opt")]
    pub levels: Option<bool>,
}

/// `Oem.Dell` of the root.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellServiceRoot {
    #[serde(deserialize_with = "opt")]
    pub service_tag: Option<String>,
    #[serde(rename = "ManagerMACAddress", deserialize_with = "opt")]
    pub manager_mac_address: Option<String>,
}

impl ServiceRoot {
    /// Whether this is a Redfish service root and not just some JSON.
    #[must_use]
    pub fn is_redfish(&self) -> bool {
        let typed = self.odata_type.as_deref().is_some_and(|name| name.contains("ServiceRoot"));
        typed || (self.redfish_version.is_some() && self.systems.is_some())
    }

    /// Whether a Dell BMC stands behind it.
    #[must_use]
    pub fn is_dell(&self) -> bool {
        self.vendor.as_deref().is_some_and(|vendor| vendor.to_ascii_lowercase().contains("dell"))
            || self.oem.as_ref().is_some_and(|oem| oem.dell.is_some())
            || self.product.as_deref().is_some_and(|product| product.contains("Dell Remote Access"))
    }

    /// Service tag, where the open root shows it.
    #[must_use]
    pub fn service_tag(&self) -> Option<&str> {
        let dell = self.oem.as_ref().and_then(|oem| oem.dell.as_ref());
        dell.and_then(|dell| dell.service_tag.as_deref())
            .or(self.service_identification.as_deref().filter(|_| self.is_dell()))
    }

    /// Whether collections may be asked to come with their members.
    #[must_use]
    pub fn can_expand(&self) -> bool {
        let query = self.protocol_features_supported.as_ref().and_then(|features| features.expand_query.as_ref());
        query.is_some_and(|query| query.expand_all == Some(true) && query.levels != Some(false))
    }

    /// Whether a resource may be asked for a few properties only.
    #[must_use]
    pub fn can_select(&self) -> bool {
        self.protocol_features_supported.as_ref().is_some_and(|features| features.select_query == Some(true))
    }

    /// Where sessions are made; `None` when the service has none and wants Basic authentication.
    #[must_use]
    pub fn sessions(&self) -> Option<String> {
        let linked = self.links.as_ref().and_then(|links| path(links.sessions.as_ref()));
        linked.map(str::to_owned).or_else(|| {
            path(self.session_service.as_ref()).map(|service| format!("{}/Sessions", service.trim_end_matches('/')))
        })
    }
}
