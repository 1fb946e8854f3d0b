//! Cooling: the subsystem with its fans, and the deprecated `Thermal` document.

use serde_json::{Value, json};

use super::{CHASSIS, View, collection, document, link, links, put, sensor};

/// `ThermalSubsystem` and everything below.
#[must_use]
pub fn subsystem(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{CHASSIS}/ThermalSubsystem");
    let ids = &view.model().fans.ids;
    match segments {
        [] => Some(document(
            path.clone(),
            "ThermalSubsystem",
            "v1_3_2",
            "ThermalSubsystem",
            "Thermal Subsystem for Chassis",
            json!({
                "Description": "Represents the properties of a Thermal Subsystem of the Chassis",
                "FanRedundancy": [{
                    "MaxSupportedInGroup": null, "MinNeededInGroup": null, "RedundancyGroup": [], "RedundancyGroup@odata.count": 0,
                    "RedundancyType": "NPlusM", "Status": {"Health": "OK", "State": "Enabled"},
                }],
                "Fans": link(format!("{path}/Fans")),
                "Status": {"Health": "OK", "State": "Enabled"},
                "ThermalMetrics": link(format!("{path}/ThermalMetrics")),
            }),
        )),
        ["ThermalMetrics"] => Some(metrics(view, &path)),
        ["Fans"] => {
            let members = ids.iter().map(|id| format!("{path}/Fans/Fan.Embedded.{id}"));
            Some(collection(format!("{path}/Fans"), "FanCollection", "Fan Collection", links(members)))
        }
        ["Fans", id] => {
            let short = ids.iter().find(|known| id.strip_prefix("Fan.Embedded.") == Some(known.as_str()))?;
            let rpm = sensor::fan_rpm(view, id);
            Some(document(
                format!("{path}/Fans/{id}"),
                "Fan",
                "v1_5_2",
                id,
                &format!("Fan {short}"),
                json!({
                    "Description": "Represents fan properties of the chassis",
                    "HotPluggable": true,
                    "Location": {"PartLocation": {"LocationType": "Bay", "ServiceLabel": format!("System Board Fan{short}")}},
                    "Oem": {"Dell": {
                        "@odata.type": "#DellOemFan.v1_0_0.DellOemFan",
                        "FanPWM": if view.state.kept.power_on { 34 } else { 0 }, "FanType": "Silver",
                    }},
                    "PhysicalContext": "SystemBoard",
                    "SpeedPercent": {"DataSourceUri": format!("{CHASSIS}/Sensors/{id}"), "SpeedRPM": rpm},
                    "Status": {"Health": "OK", "State": "Enabled"},
                }),
            ))
        }
        _ => None,
    }
}

fn metrics(view: &View<'_>, path: &str) -> Value {
    let sensors = sensor::all(view);
    let reading = |id: &str| sensors.iter().find(|sensor| sensor.id == id).and_then(|sensor| sensor.reading);
    let of = |id: &str| json!({"DataSourceUri": format!("{CHASSIS}/Sensors/{id}"), "Reading": reading(id)});
    let mut body = json!({
        "Description": "Represents the properties of Thermal Metrics of the chassis",
        "TemperatureSummaryCelsius": {
            "Exhaust": of("SystemBoardExhaustTemp"), "Intake": of("SystemBoardInletTemp"), "Internal": of("CPU1Temp"),
        },
    });
    let readings = [
        ("Internal", "CPU1Temp"),
        ("Internal", "CPU2Temp"),
        ("Intake", "SystemBoardInletTemp"),
        ("Exhaust", "SystemBoardExhaustTemp"),
    ]
    .map(|(name, id)| {
        let mut entry = of(id);
        entry["DeviceName"] = json!(name);
        entry
    });
    put(&mut body, "TemperatureReadingsCelsius", readings.to_vec());
    document(
        format!("{path}/ThermalMetrics"),
        "ThermalMetrics",
        "v1_3_1",
        "ThermalMetrics",
        "Chassis Thermal Metrics",
        body,
    )
}

/// `Thermal`, deprecated and complete.
#[must_use]
pub fn legacy(view: &View<'_>) -> Value {
    let path = format!("{CHASSIS}/Thermal");
    let fans = view
        .model()
        .fans
        .ids
        .iter()
        .enumerate()
        .map(|(index, id)| {
            let name = format!("System Board Fan{id}");
            json!({
                "@odata.id": format!("{path}#/Fans/{index}"), "@odata.type": "#Thermal.v1_7_1.Fan", "FanName": name,
                "HotPluggable": true, "LowerThresholdCritical": 480, "LowerThresholdFatal": null,
                "LowerThresholdNonCritical": 840, "MaxReadingRange": null, "MemberId": index.to_string(), "MinReadingRange": null,
                "Name": name, "PhysicalContext": "SystemBoard", "Reading": sensor::fan_rpm(view, &format!("Fan.Embedded.{id}")) as i64,
                "ReadingUnits": "RPM", "Redundancy": [], "Redundancy@odata.count": 0, "RelatedItem": [link(CHASSIS)],
                "RelatedItem@odata.count": 1, "SensorNumber": 56 + index, "Status": {"Health": "OK", "State": "Enabled"},
                "UpperThresholdCritical": null, "UpperThresholdFatal": null, "UpperThresholdNonCritical": null,
            })
        })
        .collect();
    let temperatures = sensor::all(view)
        .into_iter()
        .filter(|sensor| sensor.kind == "Temperature")
        .enumerate()
        .map(|(index, sensor)| {
            let [lower_critical, lower_caution, upper_caution, upper_critical] = sensor.thresholds;
            json!({
                "@odata.id": format!("{path}#/Temperatures/{index}"), "@odata.type": "#Thermal.v1_7_1.Temperature",
                "LowerThresholdCritical": lower_critical, "LowerThresholdNonCritical": lower_caution, "MemberId": index.to_string(),
                "Name": sensor.name, "PhysicalContext": sensor.context, "ReadingCelsius": sensor.reading,
                "RelatedItem": [link(CHASSIS)], "RelatedItem@odata.count": 1, "SensorNumber": index + 1,
                "Status": {"Health": sensor.health, "State": "Enabled"},
                "UpperThresholdCritical": upper_critical, "UpperThresholdNonCritical": upper_caution,
            })
        })
        .collect();
    let mut body = json!({
        "Description": "Represents the properties for Temperature and Cooling",
        "Redundancy": [],
        "Redundancy@odata.count": 0,
    });
    put(&mut body, "Fans", fans);
    put(&mut body, "Temperatures", temperatures);
    document(path, "Thermal", "v1_7_1", "Thermal", "Thermal", body)
}
