//! What kind of service answers, and where its one system, manager and chassis are.
//!
//! On Dell the paths are the same on every box since 12 years, so they are not looked up: that saves three requests a node and
//! keeps an iDRAC whose collections are empty for two minutes (after its job queue was cleared by force) from looking like a
//! rack of missing machines. Elsewhere the links are followed.

use crate::bmc::Manager;
use crate::client::Client;
use crate::error::RedfishError;
use crate::odata::Link;
use crate::service_root::{ROOT, ServiceRoot};
use crate::system::System;

/// How a BMC is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// An iDRAC.
    Dell { generation: Generation },
    /// Anything else: the standard and nothing more.
    #[default]
    Generic,
}

/// Generation of an iDRAC. Firmware versions are compared only within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Generation {
    /// Not told yet: the open root does not say.
    Unknown,
    /// 13G and older.
    Idrac8,
    /// 14G to 16G.
    Idrac9,
    /// 17G and newer.
    Idrac10,
}

impl Generation {
    /// From `16G Monolithic`, as manager and system write it.
    #[must_use]
    pub fn of_box(text: &str) -> Self {
        let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
        let followed_by_g = text.trim()[digits.len()..].starts_with(['G', 'g']);
        match digits.parse::<u32>() {
            Ok(number) if followed_by_g => match number {
                0..=13 => Self::Idrac8,
                14..=16 => Self::Idrac9,
                _ => Self::Idrac10,
            },
            _ => Self::Unknown,
        }
    }
}

impl Profile {
    /// As far as the open root tells.
    #[must_use]
    pub fn of_root(root: &ServiceRoot) -> Self {
        if root.is_dell() { Self::Dell { generation: Generation::Unknown } } else { Self::Generic }
    }

    /// The whole truth, once system or manager have been read.
    #[must_use]
    pub fn of(root: &ServiceRoot, system: Option<&System>, manager: Option<&Manager>) -> Self {
        if !root.is_dell() {
            return Self::Generic;
        }
        let told = system.and_then(System::dell).and_then(|dell| dell.system_generation.as_deref());
        let told = told.or(manager.and_then(|manager| manager.model.as_deref()));
        Self::Dell { generation: told.map_or(Generation::Unknown, Generation::of_box) }
    }

    /// Whether it is an iDRAC.
    #[must_use]
    pub fn is_dell(self) -> bool {
        matches!(self, Self::Dell { .. })
    }
}

/// Paths of the one system, its manager and its chassis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) system: String,
    pub(crate) manager: Option<String>,
    pub(crate) chassis: Option<String>,
}

impl Client {
    /// Path of the collection of systems.
    pub(crate) async fn systems_uri(&self) -> Result<String, RedfishError> {
        let root = self.root().await?;
        Ok(root.systems.as_ref().and_then(Link::uri).map_or_else(|| format!("{ROOT}/Systems"), str::to_owned))
    }

    /// Where things are, found once.
    pub(crate) async fn place(&self) -> Result<&Place, RedfishError> {
        self.shared.place.get_or_try_init(|| self.find_place()).await
    }

    async fn find_place(&self) -> Result<Place, RedfishError> {
        let root = self.root().await?;
        if root.is_dell() {
            return Ok(Place {
                system: format!("{ROOT}/Systems/System.Embedded.1"),
                manager: Some(format!("{ROOT}/Managers/iDRAC.Embedded.1")),
                chassis: Some(format!("{ROOT}/Chassis/System.Embedded.1")),
            });
        }
        let systems = self.references(&self.systems_uri().await?).await?;
        let [system] = systems.as_slice() else {
            return Err(RedfishError::SystemAmbiguous { address: self.address().clone(), found: systems.len() });
        };
        let links = self.read::<System>(system).await?.value.links.unwrap_or_default();
        Ok(Place {
            manager: self.first(&links.managed_by, root.managers.as_ref()).await?,
            chassis: self.first(&links.chassis, root.chassis.as_ref()).await?,
            system: system.clone(),
        })
    }

    /// The first link, or the only member of the collection where the system names none.
    async fn first(&self, links: &[Link], collection: Option<&Link>) -> Result<Option<String>, RedfishError> {
        if let Some(uri) = links.iter().find_map(Link::uri) {
            return Ok(Some(uri.to_owned()));
        }
        let Some(collection) = collection.and_then(Link::uri) else { return Ok(None) };
        match self.references(collection).await {
            Ok(members) => Ok(members.into_iter().next()),
            Err(error) if error.ends_all() => Err(error),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_read_from_the_box_and_not_from_firmware_numbers() {
        for (text, generation) in [
            ("15G Monolithic", Generation::Idrac9),
            ("16G Monolithic", Generation::Idrac9),
            ("17G Monolithic", Generation::Idrac10),
            ("18G Modular", Generation::Idrac10),
            ("13G Monolithic", Generation::Idrac8),
            ("PowerEdge", Generation::Unknown),
            ("16", Generation::Unknown),
        ] {
            assert_eq!(Generation::of_box(text), generation, "{text}");
        }
    }
}
