//! Network adapters of the chassis with their functions and ports, and the two views of the system on them.
//! InfiniBand shows as on an iDRAC: no function type, no GUIDs, no serial; the rate stands in Dell's port metrics.

use serde_json::{Value, json};

use super::{CHASSIS, SYSTEM, View, collection, document, link, links, ok_status, put};
use crate::hardware::Port;
use crate::model::{Adapter, AdapterKind};

fn path_of(adapter: &Adapter) -> String {
    format!("{CHASSIS}/NetworkAdapters/{}", adapter.id)
}

/// The MAC of a port, with the fault `short_macs` as `2:50:40:0:1:1`.
fn mac_of(view: &View<'_>, port: &Port) -> String {
    if !view.state.kept.faults.short_macs {
        return port.mac.clone();
    }
    let short = port.mac.split(':').map(|byte| byte.strip_prefix('0').unwrap_or(byte));
    short.collect::<Vec<_>>().join(":")
}

fn affinity(adapter: &Adapter) -> Value {
    json!({"Dell": {
        "@odata.type": "#DellOem.v1_3_0.DellOemLinks",
        "CPUAffinity": [link(format!("{SYSTEM}/Processors/CPU.Socket.{}", adapter.socket))],
        "CPUAffinity@odata.count": 1,
    }})
}

/// `NetworkAdapters` and everything below.
#[must_use]
pub fn adapters(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let (id, rest) = match segments {
        [] => {
            let paths = view.model().adapters.iter().map(path_of);
            return Some(collection(
                format!("{CHASSIS}/NetworkAdapters"),
                "NetworkAdapterCollection",
                "Network Adapter Collection",
                links(paths),
            ));
        }
        [id, rest @ ..] => (*id, rest),
    };
    let adapter = view.model().adapters.iter().find(|adapter| adapter.id == id)?;
    let path = path_of(adapter);
    let ports = view.hardware.ports_of(adapter);
    match rest {
        [] => Some(adapter_document(view, adapter, &ports)),
        ["NetworkDeviceFunctions"] => {
            let base = format!("{path}/NetworkDeviceFunctions");
            let members = ports.iter().map(|port| format!("{base}/{}", port.function));
            Some(collection(
                base.clone(),
                "NetworkDeviceFunctionCollection",
                "Network Device Function Collection",
                links(members),
            ))
        }
        ["NetworkDeviceFunctions", function] => {
            ports.iter().find(|port| port.function == *function).map(|port| function_document(view, adapter, port))
        }
        ["NetworkPorts"] => {
            let base = format!("{path}/NetworkPorts");
            let members = ports.iter().map(|port| format!("{base}/{}", port.id));
            Some(collection(base.clone(), "NetworkPortCollection", "Network Port Collection", links(members)))
        }
        ["NetworkPorts", id] => ports.iter().find(|port| port.id == *id).map(|port| old_port(view, adapter, port)),
        ["Ports"] => {
            let base = format!("{path}/Ports");
            let members = ports.iter().map(|port| format!("{base}/{}", port.id));
            Some(collection(base.clone(), "PortCollection", "Port Collection", links(members)))
        }
        ["Ports", id] => ports.iter().find(|port| port.id == *id).map(|port| new_port(adapter, port)),
        _ => None,
    }
}

fn adapter_document(view: &View<'_>, adapter: &Adapter, ports: &[Port]) -> Value {
    let path = path_of(adapter);
    let infiniband = adapter.kind == AdapterKind::Infiniband;
    let bare = infiniband || adapter.embedded;
    let mut controller = json!({
        "ControllerCapabilities": {
            "DataCenterBridging": {"Capable": infiniband},
            "NPAR": {"NparCapable": false, "NparEnabled": false},
            "NPIV": {"MaxDeviceLogins": null, "MaxPortLogins": null},
            "NetworkDeviceFunctionCount": ports.len(),
            "NetworkPortCount": ports.len(),
            "VirtualizationOffload": {
                "SRIOV": {"SRIOVVEPACapable": false},
                "VirtualFunction": {"DeviceMaxCount": null, "MinAssignmentGroupSize": null, "NetworkPortMaxCount": null},
            },
        },
        "FirmwarePackageVersion": adapter.firmware,
        "Links": {"Oem": affinity(adapter)},
    });
    let functions = ports.iter().map(|port| format!("{path}/NetworkDeviceFunctions/{}", port.function));
    put(&mut controller["Links"], "NetworkDeviceFunctions", links(functions));
    put(
        &mut controller["Links"],
        "NetworkPorts",
        links(ports.iter().map(|port| format!("{path}/NetworkPorts/{}", port.id))),
    );
    put(&mut controller["Links"], "PCIeDevices", links([super::pcie::device_path(&format!("{}-0", adapter.bus))]));
    put(&mut controller["Links"], "Ports", links(ports.iter().map(|port| format!("{path}/Ports/{}", port.id))));
    document(
        path.clone(),
        "NetworkAdapter",
        "v1_11_0",
        &adapter.id,
        "Network Adapter View",
        json!({
            "Controllers": [controller],
            "Controllers@odata.count": 1,
            "Description": "Network Adapter View",
            "Manufacturer": adapter.vendor,
            "Model": if bare { Value::Null } else { json!(adapter.product) },
            "NetworkDeviceFunctions": link(format!("{path}/NetworkDeviceFunctions")),
            "NetworkPorts": link(format!("{path}/NetworkPorts")),
            "PartNumber": if bare { Value::Null } else { json!(format!("0{}A01", adapter.device_id.to_uppercase())) },
            "Ports": link(format!("{path}/Ports")),
            "SerialNumber": if bare { Value::Null } else { json!(view.hardware.adapter_serial(adapter)) },
            "Status": ok_status(),
        }),
    )
}

fn function_document(view: &View<'_>, adapter: &Adapter, port: &Port) -> Value {
    let path = format!("{}/NetworkDeviceFunctions/{}", path_of(adapter), port.function);
    let infiniband = adapter.kind == AdapterKind::Infiniband;
    // With this fault the port is linked by the name of its card, where nothing is.
    let dangling = infiniband && view.state.kept.faults.dangling_links;
    let assigned = link(format!("{}/NetworkPorts/{}", path_of(adapter), if dangling { &adapter.id } else { &port.id }));
    let common = json!({
        "BusNumber": adapter.bus, "DataBusWidth": if adapter.embedded { "Unknown" } else { "16XOrX16" },
        "DeviceDescription": description(adapter, port), "EFIVersion": "22.5.8", "FQDD": port.function,
        "FamilyVersion": adapter.firmware, "InstanceID": port.function, "LastSystemInventoryTime": view.inventory_time(),
        "LastUpdateTime": view.inventory_time(), "MediaType": adapter.media, "PCIDeviceID": adapter.device_id,
        "PCISubDeviceID": adapter.subdevice_id, "PCISubVendorID": adapter.subvendor_id, "PCIVendorID": adapter.vendor_id,
        "SlotLength": if adapter.embedded { "Unknown" } else { "LongLength" },
        "SlotType": if adapter.embedded { "Unknown" } else { "PCIExpressGen5" }, "VendorName": adapter.vendor,
    });
    let (key, oem) = if infiniband {
        let mut oem = common;
        for (name, value) in [
            ("DeviceNumber", json!(0)),
            ("FunctionNumber", json!(port.number - 1)),
            ("InfiniBandOSDriverVersion", Value::Null),
            ("NodeGUID", json!("")),
            ("NumberOfPorts", json!(adapter.ports)),
            ("PermanentPortGUID", json!("")),
            ("PrimaryStatus", json!("OK")),
            ("ProductName", json!(adapter.product)),
            ("Protocol", json!("RDMA,InfiniBand")),
            ("VirtNodeGUID", json!("")),
            ("VirtPortGUID", Value::Null),
        ] {
            oem[name] = value;
        }
        (
            "DellInfiniBand",
            document(
                format!("{path}/Oem/Dell/DellInfiniBand/{}", port.function),
                "DellInfiniBand",
                "v1_2_0",
                &port.function,
                "DellInfiniBand",
                oem,
            ),
        )
    } else {
        let mut oem = common;
        for (name, value) in [
            ("LinkDuplex", json!(if port.link_up { "FullDuplex" } else { "Unknown" })),
            ("NicMode", json!("Unknown")),
            ("PartNumber", Value::Null),
            ("ProductName", json!(format!("{} - {}", adapter.product, port.mac))),
            ("Protocol", json!("NIC")),
            ("SerialNumber", if adapter.embedded { Value::Null } else { json!(view.hardware.adapter_serial(adapter)) }),
        ] {
            oem[name] = value;
        }
        (
            "DellNIC",
            document(
                format!("{path}/Oem/Dell/DellNIC/{}", port.function),
                "DellNIC",
                "v1_6_0",
                &port.function,
                "DellNIC",
                oem,
            ),
        )
    };
    let mut dell = json!({"@odata.type": "#DellOem.v1_3_0.DellOemResources", "DellNIC": null, "DellFC": null, "DellInfiniBand": null});
    dell[key] = oem;
    if infiniband {
        dell["DellInfiniBandPortMetrics"] = document(
            format!("{path}/Oem/Dell/DellInfiniBandPortMetrics/{}", port.function),
            "DellInfiniBandPortMetrics",
            "v1_0_0",
            &port.function,
            "DellInfiniBandPortMetrics",
            json!({
                "DiscardedPkts": 0, "FQDD": port.function, "LinkDowned": 0, "LinkErrorRecovery": 0,
                "LinkSpeed": if port.link_up { rate_word(adapter.speed_mbps) } else { "NoLink" },
                "LinkWidth": if port.link_up { "4X" } else { "Nowidth" },
                "PortReceiveErrors": 0, "PortTransmitWait": 0, "SymbolError": 0, "VL15Dropped": 0,
            }),
        );
    }
    let mut body = json!({
        "Description": "NetworkDeviceFunction",
        "Ethernet": {
            "MACAddress": mac_of(view, port), "MTUSize": null, "PermanentMACAddress": mac_of(view, port),
            "VLAN": if infiniband { json!({}) } else { json!({"VLANEnable": false, "VLANId": 1}) },
        },
        "Links": {"Oem": affinity(adapter), "PhysicalPortAssignment": assigned},
        "MaxVirtualFunctions": null,
        "NetDevFuncType": if infiniband { Value::Null } else { json!("Ethernet") },
        "Oem": {"Dell": dell},
    });
    let capabilities = if infiniband { vec![] } else { vec![json!("Disabled"), json!("Ethernet")] };
    put(&mut body, "NetDevFuncCapabilities", capabilities);
    put(&mut body, "AssignablePhysicalPorts", vec![assigned]);
    put(&mut body, "AssignablePhysicalNetworkPorts", vec![link(format!("{}/Ports/{}", path_of(adapter), port.id))]);
    document(path, "NetworkDeviceFunction", "v1_9_2", &port.function, "NetworkDeviceFunction", body)
}

/// InfiniBand's word for a rate.
fn rate_word(mbps: u64) -> &'static str {
    match mbps {
        400_000.. => "NDR",
        200_000.. => "HDR",
        100_000.. => "EDR",
        _ => "Unknown",
    }
}

fn description(adapter: &Adapter, port: &Port) -> String {
    let number = port.number;
    match (adapter.slot, adapter.embedded, adapter.kind) {
        (Some(slot), _, AdapterKind::Infiniband) => format!("InfiniBand in Slot {slot} Port {number}"),
        (Some(slot), ..) => format!("NIC in Slot {slot} Port {number}"),
        (None, true, _) => format!("Embedded NIC {number} Port 1 Partition 1"),
        (None, false, _) => format!("Integrated NIC 1 Port {number} Partition 1"),
    }
}

fn old_port(view: &View<'_>, adapter: &Adapter, port: &Port) -> Value {
    let infiniband = adapter.kind == AdapterKind::Infiniband;
    let technology = if infiniband { "InfiniBand" } else { "Ethernet" };
    let speed = if infiniband { Value::Null } else { json!(if port.link_up { adapter.speed_mbps } else { 0 }) };
    let mut body = json!({
        "ActiveLinkTechnology": technology,
        "AssociatedNetworkAddresses": [port.mac],
        "CurrentLinkSpeedMbps": speed,
        "Description": "Network Port View",
        "EEEEnabled": null,
        "FlowControlConfiguration": null,
        "FlowControlStatus": null,
        "LinkStatus": if port.link_up { "Up" } else { "Down" },
        "PhysicalPortNumber": port.number.to_string(),
        "Status": ok_status(),
        "SupportedEthernetCapabilities": [],
        "SupportedEthernetCapabilities@odata.count": 0,
        "SupportedLinkCapabilities": [{"AutoSpeedNegotiation": null, "LinkNetworkTechnology": technology, "LinkSpeedMbps": speed}],
        "SupportedLinkCapabilities@odata.count": 1,
        "VendorId": adapter.vendor_id,
        "WakeOnLANEnabled": null,
    });
    if infiniband {
        let id = format!("NetworkTransceiver.Integrated.1:{}", port.id);
        let own = format!("{}/NetworkPorts/{}/Oem/Dell/DellNetworkTransceivers/{id}", path_of(adapter), port.id);
        body["Oem"] = json!({"Dell": {
            "@odata.type": "#DellOem.v1_3_0.DellOemResources",
            "DellNetworkTransceiver": document(own, "DellNetworkTransceiver", "v1_1_0", &id, "DellNetworkTransceiver", json!({
                "DeviceDescription": format!("Network Transceiver in {}", description(adapter, port)),
                "FQDD": id,
                "IdentifierType": "QSFP28OrLater",
                "InterfaceType": "OpticalFiber",
                "PartNumber": "MMA4Z00-NS400",
                "Revision": "A3",
                "SerialNumber": format!("MT{}", view.hardware.identity.serial(&format!("optic {}", port.id), 11)),
                "VendorName": "Mellanox",
            })),
        }});
    }
    document(
        format!("{}/NetworkPorts/{}", path_of(adapter), port.id),
        "NetworkPort",
        "v1_4_3",
        &port.id,
        "Network Port View",
        body,
    )
}

fn new_port(adapter: &Adapter, port: &Port) -> Value {
    let infiniband = adapter.kind == AdapterKind::Infiniband;
    let path = format!("{}/Ports/{}", path_of(adapter), port.id);
    let mut body = json!({
        "CurrentSpeedGbps": if port.link_up { adapter.speed_mbps / 1000 } else { 0 },
        "Description": "Network Port View",
        "LinkNetworkTechnology": if infiniband { "InfiniBand" } else { "Ethernet" },
        "LinkStatus": if port.link_up { "LinkUp" } else { "LinkDown" },
        "PortId": port.number.to_string(),
        "Status": ok_status(),
    });
    if !infiniband {
        let mut ethernet = json!({
            "FlowControlConfiguration": null, "FlowControlStatus": null, "LLDPReceive": {}, "WakeOnLANEnabled": null,
        });
        put(&mut ethernet, "AssociatedMACAddresses", vec![json!(port.mac)]);
        body["Ethernet"] = ethernet;
    }
    document(path, "Port", "v1_12_0", &port.id, "Network Port View", body)
}

/// `Systems/…/EthernetInterfaces`: one per Ethernet function; InfiniBand functions are missing.
#[must_use]
pub fn ethernet_interfaces(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/EthernetInterfaces");
    let ports: Vec<Port> =
        view.hardware.ports().into_iter().filter(|port| port.adapter.kind == AdapterKind::Ethernet).collect();
    match segments {
        [] => {
            let members = ports.iter().map(|port| format!("{path}/{}", port.function));
            Some(collection(
                path.clone(),
                "EthernetInterfaceCollection",
                "System Ethernet Interface Collection",
                links(members),
            ))
        }
        [id] => {
            let port = ports.iter().find(|port| port.function == *id)?;
            Some(document(
                format!("{path}/{id}"),
                "EthernetInterface",
                "v1_12_1",
                id,
                "System Ethernet Interface",
                json!({
                    "AutoNeg": false,
                    "Description": description(port.adapter, port),
                    "EthernetInterfaceType": "Physical",
                    "FQDN": null,
                    "FullDuplex": port.link_up,
                    "HostName": null,
                    "IPv4Addresses": [], "IPv4Addresses@odata.count": 0,
                    "IPv6AddressPolicyTable": [], "IPv6AddressPolicyTable@odata.count": 0,
                    "IPv6Addresses": [], "IPv6Addresses@odata.count": 0,
                    "IPv6DefaultGateway": null,
                    "IPv6StaticAddresses": [], "IPv6StaticAddresses@odata.count": 0,
                    "InterfaceEnabled": true,
                    "LinkStatus": if port.link_up { "LinkUp" } else { "LinkDown" },
                    "Links": {"Chassis": link(CHASSIS)},
                    "MACAddress": mac_of(view, port),
                    "MTUSize": null,
                    "MaxIPv6StaticAddresses": null,
                    "NameServers": [], "NameServers@odata.count": 0,
                    "PermanentMACAddress": mac_of(view, port),
                    "SpeedMbps": if port.link_up { port.adapter.speed_mbps } else { 0 },
                    "Status": {"Health": "OK", "State": "Enabled"},
                    "UefiDevicePath": format!("PciRoot(0x0)/Pci(0x1C,0x5)/Pci(0x0,0x{:X})/MAC({},0x1)", port.number - 1, port.mac.replace(':', "")),
                    "VLAN": {},
                }),
            ))
        }
        _ => None,
    }
}

/// `Systems/…/NetworkInterfaces`.
#[must_use]
pub fn network_interfaces(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/NetworkInterfaces");
    match segments {
        [] => {
            // These links end in a slash, which a client has to take off.
            let members = view.model().adapters.iter().map(|adapter| format!("{path}/{}/", adapter.id));
            Some(collection(path.clone(), "NetworkInterfaceCollection", "Network Interface Collection", links(members)))
        }
        [id] => {
            let adapter = view.model().adapters.iter().find(|adapter| adapter.id == *id)?;
            Some(document(
                format!("{path}/{id}"),
                "NetworkInterface",
                "v1_2_1",
                id,
                "Network Device View",
                json!({
                    "Description": "Network Device View",
                    "Links": {"NetworkAdapter": link(path_of(adapter))},
                    "NetworkDeviceFunctions": link(format!("{}/NetworkDeviceFunctions", path_of(adapter))),
                    "NetworkPorts": link(format!("{}/NetworkPorts", path_of(adapter))),
                    "Ports": link(format!("{}/Ports", path_of(adapter))),
                    "Status": ok_status(),
                }),
            ))
        }
        _ => None,
    }
}
