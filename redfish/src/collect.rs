//! The whole machine in one reading, as cheaply as the service allows: about 40 requests of an iDRAC that expands collections.
//!
//! Partial is normal: what could not be read stands in `issues` and, when it was a whole part, in `unread`; an empty list means
//! "none" only when its part is not in `unread`. Nothing is written to the BMC.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures::FutureExt;
use futures::future::join_all;
use serde::de::DeserializeOwned;

use crate::bios::Bios;
use crate::bmc::Manager;
use crate::boot_option::BootOption;
use crate::chassis::Chassis;
use crate::client::Client;
use crate::dell::attributes::{AttributeGroup, DellAttributes};
use crate::dell::licence::Licence;
use crate::dell::slot::Slot;
use crate::dell::video::Video;
use crate::error::RedfishError;
use crate::ethernet_interface::EthernetInterface;
use crate::fan::{Fan, ThermalSubsystem};
use crate::firmware::Firmware;
use crate::memory::Memory;
use crate::message::Class;
use crate::network::{NetworkAdapter, NetworkPort};
use crate::odata::{Issue, Link, Resource, natural, path};
use crate::pcie::PcieDevice;
use crate::power_supply::{PowerSubsystem, PowerSupply};
use crate::processor::Processor;
use crate::profile::Profile;
use crate::read::issue;
use crate::secure_boot::SecureBoot;
use crate::snapshot::{NetworkUnit, Part, Snapshot, StorageUnit};
use crate::storage::{Drive, Storage, StorageContents, StorageController};
use crate::system::System;
use crate::transport::lock;

/// Time-outs after which the rest is not tried: at 60 s each and two in flight a node would otherwise take half an hour to fail.
const TIMEOUTS: u32 = 3;

/// Reads parts, notes what fails, and stops asking once any further request would fail too.
struct Gather<'a> {
    client: &'a Client,
    issues: Mutex<Vec<Issue>>,
    unread: Mutex<BTreeSet<Part>>,
    fatal: Mutex<Option<RedfishError>>,
    timeouts: AtomicU32,
}

impl Gather<'_> {
    fn stopped(&self) -> bool {
        lock(&self.fatal).is_some()
    }

    fn note(&self, part: Part, whole: bool, uri: &str, error: RedfishError) {
        if whole {
            lock(&self.unread).insert(part);
        }
        let timed_out = matches!(error, RedfishError::Timeout { .. });
        let too_slow = timed_out && self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS;
        if error.ends_all() || too_slow {
            lock(&self.fatal).get_or_insert(error);
        } else {
            lock(&self.issues).push(issue(uri, &error));
        }
    }

    /// One resource. Without a path the machine has no such thing.
    async fn one<T: DeserializeOwned>(&self, part: Part, uri: Option<&str>) -> Option<T> {
        let uri = uri?;
        if self.stopped() {
            return None;
        }
        match self.client.read(uri).await {
            Ok(read) => {
                lock(&self.issues).extend(read.issues);
                Some(read.value)
            }
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                self.note(part, true, uri, error);
                None
            }
        }
    }

    /// A collection that is the whole part.
    async fn many<T: Resource>(&self, part: Part, uri: Option<&str>) -> Vec<T> {
        self.collection(part, true, uri).await
    }

    /// A collection that is a piece of the part.
    async fn some<T: Resource>(&self, part: Part, uri: Option<&str>) -> Vec<T> {
        self.collection(part, false, uri).await
    }

    async fn collection<T: Resource>(&self, part: Part, whole: bool, uri: Option<&str>) -> Vec<T> {
        let Some(uri) = uri else { return Vec::new() };
        if self.stopped() {
            return Vec::new();
        }
        match self.client.members(uri).await {
            Ok(members) => {
                lock(&self.issues).extend(members.issues);
                members.members
            }
            Err(error) if is_absent(&error) => Vec::new(),
            Err(error) => {
                self.note(part, whole, uri, error);
                Vec::new()
            }
        }
    }

    async fn chassis(&self, system: &str) -> Vec<Chassis> {
        let root = match self.client.root().await {
            Ok(root) => root,
            Err(_) => return Vec::new(),
        };
        let mut chassis: Vec<Chassis> = self.many(Part::Chassis, path(root.chassis.as_ref())).await;
        chassis.sort_by_key(|chassis| !chassis.holds(system));
        chassis
    }

    async fn storage(&self, uri: Option<&str>) -> Vec<StorageUnit> {
        let storages: Vec<Storage> = self.many(Part::Storage, uri).await;
        join_all(storages.into_iter().map(|storage| self.storage_unit(storage).boxed())).await
    }

    async fn storage_unit(&self, storage: Storage) -> StorageUnit {
        let uri = storage.uri.clone().unwrap_or_default();
        let (drives, controllers) = self.storage_contents(&uri, &storage).await;
        let volumes = self.some(Part::Storage, path(storage.volumes.as_ref())).await;
        let controllers = if controllers.is_empty() { storage.storage_controllers.clone() } else { controllers };
        StorageUnit { storage, controllers, drives, volumes }
    }

    /// Drives are a list of links inside the storage resource; expanded, they and the controllers come in one request.
    async fn storage_contents(&self, uri: &str, storage: &Storage) -> (Vec<Drive>, Vec<StorageController>) {
        if self.stopped() || (storage.drives.is_empty() && storage.controllers.is_none()) {
            return (Vec::new(), Vec::new());
        }
        let body = match self.client.expanded(uri).await {
            Ok(body) => body,
            Err(error) => {
                self.note(Part::Storage, false, uri, error);
                return (Vec::new(), Vec::new());
            }
        };
        let Ok(contents) = serde_json::from_slice::<StorageContents<'_>>(&body) else {
            let what = "its drives are no list".to_owned();
            lock(&self.issues).push(Issue {
                uri: uri.to_owned(),
                field: Some("Drives".to_owned()),
                message_id: None,
                what,
            });
            return (Vec::new(), Vec::new());
        };
        let drives = match self.client.inline(uri, &contents.drives.unwrap_or_default()).await {
            Ok(drives) => {
                lock(&self.issues).extend(drives.issues);
                drives.members
            }
            Err(error) => {
                self.note(Part::Storage, false, uri, error);
                Vec::new()
            }
        };
        let inline =
            contents.controllers.and_then(|raw| serde_json::from_str::<crate::odata::Page<'_>>(raw.get()).ok());
        let controllers = match inline.and_then(|page| page.members) {
            Some(raws) => match self.client.inline(uri, &raws).await {
                Ok(controllers) => {
                    lock(&self.issues).extend(controllers.issues);
                    controllers.members
                }
                Err(error) => {
                    self.note(Part::Storage, false, uri, error);
                    Vec::new()
                }
            },
            None => self.some(Part::Storage, path(storage.controllers.as_ref())).await,
        };
        (drives, controllers)
    }

    async fn network(&self, uri: Option<&str>) -> Vec<NetworkUnit> {
        let adapters: Vec<NetworkAdapter> = self.many(Part::Network, uri).await;
        join_all(adapters.into_iter().map(|adapter| self.network_unit(adapter).boxed())).await
    }

    async fn network_unit(&self, adapter: NetworkAdapter) -> NetworkUnit {
        let functions = self.some(Part::Network, path(adapter.network_device_functions.as_ref()));
        let ports = path(adapter.ports.as_ref()).or(path(adapter.network_ports.as_ref()));
        let ports = self.some(Part::Network, ports);
        let (functions, mut ports) = futures::join!(functions, ports);
        self.unlisted_ports(&adapter, &mut ports).await;
        NetworkUnit { adapter, functions, ports }
    }

    /// Ports that a controller links to and the collection leaves out: seen on an InfiniBand card with two of them.
    async fn unlisted_ports(&self, adapter: &NetworkAdapter, ports: &mut Vec<NetworkPort>) {
        // The newer name wins where both are there: they tell of the same ports.
        let links = adapter.controllers.iter().filter_map(|controller| controller.links.as_ref());
        let links: Vec<&str> = links
            .flat_map(|links| if links.ports.is_empty() { &links.network_ports } else { &links.ports })
            .filter_map(Link::uri)
            .collect();
        for uri in links {
            let known = ports.iter().any(|port| port.uri() == uri);
            if known || self.stopped() {
                continue;
            }
            match self.client.read::<NetworkPort>(uri).await {
                Ok(read) => {
                    lock(&self.issues).extend(read.issues);
                    ports.push(read.value);
                }
                Err(error) => self.note(Part::Network, false, uri, error),
            }
        }
        ports.sort_by(|a, b| natural(a.uri(), b.uri()));
    }

    async fn power_supplies(&self, dell: bool, chassis: &str, subsystem: Option<&str>) -> Vec<PowerSupply> {
        if dell {
            return self.many(Part::PowerSupplies, Some(&format!("{chassis}/PowerSubsystem/PowerSupplies"))).await;
        }
        let subsystem: Option<PowerSubsystem> = self.one(Part::PowerSupplies, subsystem).await;
        let supplies = subsystem.and_then(|subsystem| subsystem.power_supplies);
        self.many(Part::PowerSupplies, path(supplies.as_ref())).await
    }

    async fn fans(&self, dell: bool, chassis: &str, subsystem: Option<&str>) -> Vec<Fan> {
        if dell {
            return self.many(Part::Fans, Some(&format!("{chassis}/ThermalSubsystem/Fans"))).await;
        }
        let subsystem: Option<ThermalSubsystem> = self.one(Part::Fans, subsystem).await;
        let fans = subsystem.and_then(|subsystem| subsystem.fans);
        self.many(Part::Fans, path(fans.as_ref())).await
    }
}

/// Whether the machine simply has no such thing: not found, or not built in.
fn is_absent(error: &RedfishError) -> bool {
    error.is_missing() || (error.status() == Some(501) && error.class() != Class::Retry)
}

impl Client {
    /// Reads the whole machine.
    ///
    /// # Errors
    /// When the system itself cannot be read, or when nothing further could be (login refused, certificate changed, BMC gone).
    /// Everything less stands in the snapshot's `issues`.
    pub async fn collect(&self) -> Result<Snapshot, RedfishError> {
        let started = Instant::now();
        let client = self.metered();
        let root = client.root().await?.clone();
        if client.has_credentials() {
            client.login().await?;
        }
        let place = client.place().await?.clone();
        let dell = root.is_dell();
        let system = client.read::<System>(&place.system).await?;
        let gather = Gather {
            client: &client,
            issues: Mutex::new(system.issues),
            unread: Mutex::default(),
            fatal: Mutex::default(),
            timeouts: AtomicU32::new(0),
        };
        let system = system.value;
        let chassis_uri = place.chassis.clone().unwrap_or_default();
        let (manager, chassis) = futures::join!(
            gather.one::<Manager>(Part::Manager, place.manager.as_deref()),
            gather.chassis(&place.system).boxed(),
        );
        let server = chassis.iter().find(|chassis| chassis.uri.as_deref() == Some(&chassis_uri)).cloned();
        let server = server.unwrap_or_default();
        let known = |tail: &str| dell.then(|| format!("{}/{tail}", place.system));
        let secure_boot = known("SecureBoot").or_else(|| path(system.secure_boot.as_ref()).map(str::to_owned));
        let video = known("Oem/Dell/DellVideo");
        let slots = known("Oem/Dell/DellSlots");
        let of_manager =
            |tail: &str| place.manager.as_ref().filter(|_| dell).map(|manager| format!("{manager}/{tail}"));
        let licences = of_manager("Oem/Dell/DellLicenses");
        let attributes = of_manager(&format!("Oem/Dell/DellAttributes/{}", AttributeGroup::Idrac.id()));
        let firmware = path(root.update_service.as_ref()).map(|service| format!("{service}/FirmwareInventory"));
        let boot_options = system.boot.as_ref().and_then(|boot| path(boot.options.as_ref()));
        let interfaces = manager.as_ref().and_then(|manager| path(manager.ethernet_interfaces.as_ref()));
        let parts = futures::join!(
            gather.many::<Processor>(Part::Processors, path(system.processors.as_ref())).boxed(),
            gather.many::<Memory>(Part::Memory, path(system.memory.as_ref())).boxed(),
            gather.storage(path(system.storage.as_ref())).boxed(),
            gather.network(path(server.network_adapters.as_ref())).boxed(),
            gather
                .many::<EthernetInterface>(Part::EthernetInterfaces, path(system.ethernet_interfaces.as_ref()))
                .boxed(),
            gather.many::<PcieDevice>(Part::PcieDevices, path(server.pcie_devices.as_ref())).boxed(),
            gather.power_supplies(dell, &chassis_uri, path(server.power_subsystem.as_ref())).boxed(),
            gather.fans(dell, &chassis_uri, path(server.thermal_subsystem.as_ref())).boxed(),
            gather.many::<Firmware>(Part::Firmware, firmware.as_deref()).boxed(),
            gather.one::<Bios>(Part::Bios, path(system.bios.as_ref())).boxed(),
            gather.one::<SecureBoot>(Part::SecureBoot, secure_boot.as_deref()).boxed(),
            gather.many::<BootOption>(Part::BootOptions, boot_options).boxed(),
            gather.many::<EthernetInterface>(Part::ManagerInterfaces, interfaces).boxed(),
            gather.many::<Video>(Part::Video, video.as_deref()).boxed(),
            gather.many::<Slot>(Part::Slots, slots.as_deref()).boxed(),
            gather.many::<Licence>(Part::Licences, licences.as_deref()).boxed(),
            gather.one::<DellAttributes>(Part::IdracAttributes, attributes.as_deref()).boxed(),
        );
        let Gather { issues, unread, fatal, .. } = gather;
        if let Some(error) = fatal.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Err(error);
        }
        let mut issues = issues.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        issues.sort_by(|a, b| (&a.uri, &a.field).cmp(&(&b.uri, &b.field)));
        Ok(Snapshot {
            profile: Profile::of(&root, Some(&system), manager.as_ref()),
            root,
            system,
            manager,
            chassis,
            processors: parts.0,
            memory: parts.1,
            storage: parts.2,
            network: parts.3,
            ethernet_interfaces: parts.4,
            pcie_devices: parts.5,
            power_supplies: parts.6,
            fans: parts.7,
            firmware: parts.8,
            bios: parts.9,
            secure_boot: parts.10,
            boot_options: parts.11,
            manager_interfaces: parts.12,
            video: parts.13,
            slots: parts.14,
            licences: parts.15,
            idrac_attributes: parts.16,
            unread: unread.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner),
            issues,
            requests: client.meter.requests(),
            bytes: client.meter.bytes(),
            duration: started.elapsed(),
        })
    }
}
