//! No field of any resource can cost the resource: every field that serde knows is given every kind of nonsense. Fields are asked of
//! the types themselves, so that a new one without its lenient reader fails here.

use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor, value::Error};
use serde::forward_to_deserialize_any;

use crate::{
    bios, bmc, boot_option, chassis, dell, ethernet_interface, fan, firmware, log_entry, memory, message, network,
};
use crate::{odata, pcie, power_supply, processor, secure_boot, service_root, storage, system, task, virtual_media};

/// What a BMC could send instead of what belongs there.
const ODD: &[&str] = &[
    "null",
    "\"\"",
    "\"nonsense\"",
    "[]",
    "[7]",
    "[{}]",
    "[null]",
    "{}",
    "{\"a\":1}",
    "-1",
    "3.5",
    "99999999999999999999",
    "true",
];

/// Answers nothing, but notes what a struct asks for.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only asked"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn survives<T: DeserializeOwned>() -> usize {
    let mut fields: &'static [&'static str] = &[];
    assert!(T::deserialize(Asked(&mut fields)).is_err());
    let name = std::any::type_name::<T>();
    assert!(!fields.is_empty(), "{name} is no struct");
    for field in fields {
        for odd in ODD {
            let text = format!("{{\"{field}\":{odd},\"@odata.unknown\":[{{\"x\":null}}]}}");
            if let Err(error) = super::parse::<T>(text.as_bytes()) {
                panic!("{name} is lost to {text}: {error}");
            }
        }
    }
    fields.len()
}

macro_rules! all {
    ($($type:ty),* $(,)?) => { [$(survives::<$type>()),*].iter().sum::<usize>() };
}

#[test]
fn no_field_of_any_resource_costs_the_resource() {
    let fields = all!(
        bios::Bios,
        bmc::Manager,
        bmc::ManagerLinks,
        bmc::DellManagerLinks,
        bmc::ManagerActions,
        boot_option::BootOption,
        chassis::Chassis,
        chassis::ChassisLinks,
        chassis::PhysicalSecurity,
        dell::attributes::DellAttributes,
        dell::job::Job,
        dell::licence::Licence,
        dell::lifecycle::LifecycleStatus,
        dell::slot::Slot,
        dell::video::Video,
        ethernet_interface::EthernetInterface,
        ethernet_interface::Ipv4Address,
        fan::Fan,
        fan::FanSpeed,
        fan::ThermalSubsystem,
        firmware::DellFirmwareOem,
        firmware::DellSoftwareInventory,
        firmware::Firmware,
        log_entry::DellLogEntry,
        log_entry::LogEntry,
        log_entry::LogLinks,
        memory::DellMemory,
        memory::DellMemoryOem,
        memory::Memory,
        message::Message,
        network::AdapterController,
        network::ControllerLinks,
        network::DellFunctionOem,
        network::DellInfiniBandPortMetrics,
        network::DellNetworkDevice,
        network::DellPortOem,
        network::FunctionEthernet,
        network::FunctionInfiniBand,
        network::FunctionLinks,
        network::LldpReceive,
        network::NetworkAdapter,
        network::NetworkFunction,
        network::NetworkPort,
        network::PortEthernet,
        network::Transceiver,
        odata::Link,
        odata::Oem<dell::job::Job>,
        odata::Status,
        pcie::PcieDevice,
        pcie::PcieInterface,
        pcie::PcieSlot,
        power_supply::PowerSubsystem,
        power_supply::PowerSupply,
        processor::Processor,
        processor::ProcessorId,
        processor::ProcessorLinks,
        secure_boot::SecureBoot,
        service_root::DellServiceRoot,
        service_root::ExpandQuery,
        service_root::ProtocolFeatures,
        service_root::RootLinks,
        service_root::ServiceRoot,
        storage::DellDrive,
        storage::DellDriveOem,
        storage::Drive,
        storage::Identifier,
        storage::PartLocation,
        storage::PhysicalLocation,
        storage::Storage,
        storage::StorageController,
        storage::Volume,
        storage::VolumeLinks,
        system::Boot,
        system::BootProgress,
        system::DellSystem,
        system::DellSystemLinks,
        system::DellSystemOem,
        system::MemorySummary,
        system::ProcessorSummary,
        system::ResetAction,
        system::Settings,
        system::System,
        system::SystemActions,
        system::SystemLinks,
        system::TrustedModule,
        task::Task,
        virtual_media::VirtualMedia,
    );
    assert!(fields > 400, "only {fields} fields were tried");
}
