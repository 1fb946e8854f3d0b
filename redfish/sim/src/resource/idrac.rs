//! The iDRAC itself: manager, its network, and the Lifecycle Controller service.

use serde_json::{Value, json};

use super::{CHASSIS, MANAGER, SYSTEM, View, collection, document, firmware, link, links, put};
use crate::clock;

/// `Managers/iDRAC.Embedded.1`.
#[must_use]
pub fn document_of(view: &View<'_>) -> Value {
    let model = view.model();
    let started = view.state.kept.bmc_started.unwrap_or_default();
    let address = view.bmc.address();
    let mut links_of = json!({
        "ActiveSoftwareImage": link(firmware::installed_idrac(view)),
        "ManagerForChassis": [link(CHASSIS)], "ManagerForChassis@odata.count": 1,
        "ManagerForServers": [link(SYSTEM)], "ManagerForServers@odata.count": 1,
        "ManagerInChassis": link(CHASSIS),
        "Oem": {"Dell": {
            "@odata.type": "#DellOem.v1_3_0.DellOemLinks",
            "DellJobService": link(format!("{MANAGER}/Oem/Dell/DellJobService")),
            "DellLCService": link(format!("{MANAGER}/Oem/Dell/DellLCService")),
            "DellLicenseCollection": link(format!("{MANAGER}/Oem/Dell/DellLicenses")),
            "Jobs": link(format!("{MANAGER}/Oem/Dell/Jobs")),
        }},
    });
    let groups = ["iDRAC.Embedded.1", "System.Embedded.1", "LifecycleController.Embedded.1"];
    let attributes = groups.map(|group| format!("{MANAGER}/Oem/Dell/DellAttributes/{group}"));
    put(&mut links_of["Oem"]["Dell"], "DellAttributes", links(attributes));
    put(&mut links_of, "SoftwareImages", links(firmware::idrac_images(view)));
    document(
        MANAGER,
        "Manager",
        "v1_19_1",
        "iDRAC.Embedded.1",
        "Manager",
        json!({
            "Actions": {"#Manager.Reset": {
                "ResetType@Redfish.AllowableValues": ["GracefulRestart"],
                "target": format!("{MANAGER}/Actions/Manager.Reset"),
            }},
            "CommandShell": {
                "ConnectTypesSupported": ["SSH", "IPMI"], "ConnectTypesSupported@odata.count": 2, "MaxConcurrentSessions": 5,
                "ServiceEnabled": true,
            },
            "DateTime": super::system::now(),
            "DateTimeLocalOffset": clock::IDRAC_OFFSET,
            "Description": "BMC",
            "EthernetInterfaces": link(format!("{MANAGER}/EthernetInterfaces")),
            "FirmwareVersion": model.firmware.idrac,
            "GraphicalConsole": {
                "ConnectTypesSupported": ["KVMIP"], "ConnectTypesSupported@odata.count": 1, "MaxConcurrentSessions": 6,
                "ServiceEnabled": true,
            },
            "LastResetTime": clock::with_offset(started),
            "Links": links_of,
            "LogServices": link(format!("{MANAGER}/LogServices")),
            "ManagerType": "BMC",
            "Model": model.generation,
            "NetworkProtocol": link(format!("{MANAGER}/NetworkProtocol")),
            "Oem": {"Dell": {
                "@odata.type": "#DellManager.v1_3_0.DellManager",
                "DelliDRACCard": document(
                    format!("{MANAGER}/Oem/Dell/DelliDRACCard/iDRAC.Embedded.1-1_0x23_IDRACinfo"), "DelliDRACCard", "v1_1_0",
                    "iDRAC.Embedded.1-1_0x23_IDRACinfo", "DelliDRACCard",
                    json!({
                        "Description": "An instance of DelliDRACCard will have data specific to the Integrated Dell Remote Access Controller (iDRAC) in the managed system.",
                        "IPMIVersion": "2.0", "LastSystemInventoryTime": view.inventory_time(), "LastUpdateTime": view.inventory_time(),
                        "URLString": format!("https://{address}:443"),
                    }),
                ),
            }},
            "PowerState": "On",
            "Redundancy": [],
            "Redundancy@odata.count": 0,
            "ServiceIdentification": view.tag,
            "Status": {"Health": "OK", "State": "Enabled"},
            "TimeZoneName": "CST6CDT",
            "UUID": view.hardware.identity.platform_guid(&view.tag),
            "VirtualMedia": link(format!("{MANAGER}/VirtualMedia")),
        }),
    )
}

/// `Managers/…/EthernetInterfaces`.
#[must_use]
pub fn ethernet_interfaces(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{MANAGER}/EthernetInterfaces");
    match segments {
        [] => Some(collection(
            path.clone(),
            "EthernetInterfaceCollection",
            "Ethernet Network Interface Collection",
            links([format!("{path}/NIC.1")]),
        )),
        ["NIC.1"] => {
            let mac = view.hardware.identity.mac(0).to_lowercase();
            // Unused rows are filled with `::`, which a client has to skip.
            let row = |address: &str| json!({"Address": address, "AddressOrigin": null, "AddressState": null, "PrefixLength": 64});
            let rows: Vec<Value> = (0..4).map(|_| row("::")).collect();
            let mut body = json!({
                "AutoNeg": true,
                "Description": "Management Network Interface",
                "EthernetInterfaceType": "Physical",
                "FQDN": "",
                "FullDuplex": true,
                "HostName": format!("idrac-{}", view.tag),
                "IPv4Addresses": [{
                    "Address": view.bmc.address().to_string(), "AddressOrigin": "Static", "Gateway": "127.0.0.1", "SubnetMask": "255.0.0.0",
                }],
                "IPv4Addresses@odata.count": 1,
                "IPv6AddressPolicyTable": [], "IPv6AddressPolicyTable@odata.count": 0,
                "IPv6DefaultGateway": "::",
                "IPv6StaticAddresses": [{"Address": "::", "PrefixLength": 64}], "IPv6StaticAddresses@odata.count": 1,
                "InterfaceEnabled": true,
                "Links": {"Chassis": link(CHASSIS)},
                "MACAddress": mac,
                "MTUSize": 1500,
                "MaxIPv6StaticAddresses": 1,
                "NameServers": ["0.0.0.0", "0.0.0.0", "::", "::"], "NameServers@odata.count": 4,
                "PermanentMACAddress": mac,
                "SpeedMbps": 1000,
                "Status": {"Health": "OK", "State": "Enabled"},
                "VLAN": {"VLANEnable": false, "VLANId": 1},
            });
            put(&mut body, "IPv6Addresses", rows);
            Some(document(
                format!("{path}/NIC.1"),
                "EthernetInterface",
                "v1_12_1",
                "NIC.1",
                "Manager Ethernet Interface",
                body,
            ))
        }
        _ => None,
    }
}

/// `Managers/…/NetworkProtocol`.
#[must_use]
pub fn network_protocol(view: &View<'_>) -> Value {
    let on = |port: u16| json!({"Port": port, "ProtocolEnabled": true});
    document(
        format!("{MANAGER}/NetworkProtocol"),
        "ManagerNetworkProtocol",
        "v1_9_1",
        "NetworkProtocol",
        "Manager Network Protocol",
        json!({
            "DHCP": {"ProtocolEnabled": false},
            "DHCPv6": {"ProtocolEnabled": false},
            "Description": "Manager Network Service Status",
            "FQDN": "",
            "HTTP": on(80),
            "HTTPS": on(443),
            "HostName": format!("idrac-{}", view.tag),
            "IPMI": {"Port": 623, "ProtocolEnabled": false},
            "KVMIP": on(5900),
            "NTP": {"NTPServers": [], "NTPServers@odata.count": 0, "ProtocolEnabled": false},
            "RFB": {"Port": 5901, "ProtocolEnabled": false},
            "SNMP": on(161),
            "SSH": on(22),
            "Status": {"Health": "OK", "HealthRollup": "OK", "State": "Enabled"},
            "Telnet": {"Port": 23, "ProtocolEnabled": false},
            "VirtualMedia": {"Port": null, "ProtocolEnabled": true},
        }),
    )
}

/// `DellLCService`.
#[must_use]
pub fn lifecycle_service() -> Value {
    let path = format!("{MANAGER}/Oem/Dell/DellLCService");
    document(
        path.clone(),
        "DellLCService",
        "v1_3_0",
        "DellLCService",
        "DellLCService",
        json!({
            "Actions": {"#DellLCService.GetRemoteServicesAPIStatus": {
                "target": format!("{path}/Actions/DellLCService.GetRemoteServicesAPIStatus"),
            }},
            "Description": "The DellLCService resource provides some actions to support Lifecycle Controller functionality.",
        }),
    )
}
