//! nv-redfish, a strict client that nobody here wrote, walks the simulator: what it cannot parse, an iDRAC would not say.

use std::sync::Arc;

use nv_redfish::ServiceRoot;
use nv_redfish::bmc_http::reqwest::{Client, ClientParams};
use nv_redfish::bmc_http::{BmcCredentials, CacheSettings, HttpBmc};
use redfish_sim::Fleet;
use url::Url;

/// Each model with its processors (CPUs and GPUs) and memory modules, as its data sheet has them.
const MODELS: [(&str, usize); 4] = [("XE9680", 10), ("XE8640", 6), ("R760xa", 6), ("R660", 2)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nv_redfish_walks_every_model_of_the_simulator() -> anyhow::Result<()> {
    crate::site::tls()?;
    let mut builder = Fleet::builder().seed(7).time_scale(100.0);
    let addresses: Vec<String> = (1..=MODELS.len()).map(|last| format!("127.77.7.{last}")).collect();
    for (address, (model, _)) in addresses.iter().zip(MODELS) {
        builder = builder.bmc(address, model);
    }
    let fleet = builder.start().await?;
    for (address, (model, processors)) in addresses.iter().zip(MODELS) {
        walk(&format!("https://{address}:{}", fleet.port()), model, processors)
            .await
            .map_err(|error| error.context(format!("nv-redfish on the simulated {model}")))?;
    }
    fleet.shutdown().await;
    Ok(())
}

async fn walk(url: &str, model: &str, processors: usize) -> anyhow::Result<()> {
    let http = Client::with_params(ClientParams::new().accept_invalid_certs(true))?;
    let credentials = BmcCredentials::username_password("root".to_owned(), Some("calvin".to_owned()));
    let bmc = Arc::new(HttpBmc::new(http, Url::parse(url)?, credentials, CacheSettings::default()));
    let root = ServiceRoot::new(bmc).await?;
    assert_eq!(root.vendor().map(|vendor| vendor.to_string()), Some("Dell".to_owned()));

    let systems = root.systems().await?.expect("systems").members().await?;
    assert_eq!(systems.len(), 1);
    let system = &systems[0];
    let raw = system.raw();
    assert_eq!(raw.model.clone().flatten().map(|text| text.replace("PowerEdge ", "")), Some(model.to_owned()));
    let found = system.processors().await?.expect("processors");
    assert_eq!(found.len(), processors, "processors of {model}");
    assert!(!system.memory_modules().await?.expect("memory").is_empty());
    let mut drives = 0;
    for storage in system.storage_controllers().await?.expect("storage") {
        drives += storage.drives().await?.map_or(0, |drives| drives.len());
        storage.controllers().await?;
    }
    assert!(drives >= 2, "{model} has {drives} drives");
    assert!(system.bios().await?.is_some());
    assert!(system.secure_boot().await?.is_some());
    assert!(!system.boot_options().await?.expect("boot options").members().await?.is_empty());
    assert!(!system.ethernet_interfaces().await?.expect("interfaces").members().await?.is_empty());

    let mut supplies = 0;
    let mut functions = 0;
    for chassis in root.chassis().await?.expect("chassis").members().await? {
        supplies += chassis.power_supplies().await?.len();
        if let Some(devices) = chassis.pcie_devices().await? {
            devices.members().await?;
        }
        for adapter in chassis.network_adapters().await?.unwrap_or_default() {
            if let Some(list) = adapter.network_device_functions().await? {
                functions += list.members().await?.len();
            }
        }
    }
    assert!(supplies >= 2, "{model} has {supplies} power supplies");
    assert!(functions >= 2, "{model} has {functions} network functions");

    let managers = root.managers().await?.expect("managers").members().await?;
    assert_eq!(managers.len(), 1);
    for service in managers[0].log_services().await?.unwrap_or_default() {
        service.entries().await?;
    }
    let firmware = root.update_service().await?.expect("update service").firmware_inventories().await?;
    assert!(firmware.expect("firmware").len() >= 10);
    Ok(())
}
