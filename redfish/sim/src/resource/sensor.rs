//! Sensors of the chassis. Readings are those of an idle machine with a little movement that depends on the machine and
//! the minute; a machine that is off reads its inlet temperature and its standby power.

use chrono::Utc;
use serde_json::{Value, json};

use super::{CHASSIS, View, collection, document, links};
use crate::identity::mix;

/// Watts of a server that is off while its iDRAC runs.
const STANDBY_WATTS: f64 = 22.0;

/// One sensor.
#[derive(Debug, Clone)]
pub struct Sensor {
    /// Last part of its path.
    pub id: String,
    /// Name as an iDRAC writes it.
    pub name: String,
    /// Redfish reading type.
    pub kind: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// Reading; `None` while the machine is off.
    pub reading: Option<f64>,
    /// Where it measures.
    pub context: &'static str,
    /// Lower critical, lower caution, upper caution, upper critical.
    pub thresholds: [Option<f64>; 4],
    /// Health.
    pub health: &'static str,
}

/// A value that moves by up to `part` of itself, by machine, sensor and minute.
#[must_use]
pub fn around(view: &View<'_>, id: &str, value: f64, part: f64) -> f64 {
    let minute = u64::try_from(Utc::now().timestamp() / 60).unwrap_or(0);
    let bits = mix(view.hardware.identity.bits(id) ^ minute);
    let swing = (bits % 2001) as f64 / 1000.0 - 1.0;
    value * (1.0 + swing * part)
}

/// Watts that the whole box takes now.
#[must_use]
pub fn system_watts(view: &View<'_>) -> f64 {
    if view.state.kept.power_on {
        around(view, "system watts", f64::from(view.model().system_idle_watts), 0.02).round()
    } else {
        STANDBY_WATTS
    }
}

/// Speed of a fan, revolutions a minute.
#[must_use]
pub fn fan_rpm(view: &View<'_>, id: &str) -> f64 {
    if view.state.kept.power_on {
        let rpm = f64::from(view.model().fans.idle_rpm);
        (around(view, id, rpm, 0.02) / 120.0).round() * 120.0
    } else {
        0.0
    }
}

/// All sensors.
#[must_use]
pub fn all(view: &View<'_>) -> Vec<Sensor> {
    let on = view.state.kept.power_on;
    let mut sensors = Vec::new();
    let mut add = |id: String, name: String, kind, unit, reading: Option<f64>, context, thresholds| {
        sensors.push(Sensor { id, name, kind, unit, reading, context, thresholds, health: "OK" });
    };
    let temperature = |id: &str, value: f64| on.then(|| around(view, id, value, 0.03).round());
    add(
        "SystemBoardInletTemp".into(),
        "System Board Inlet Temp".into(),
        "Temperature",
        "Cel",
        Some(around(view, "inlet", 23.0, 0.03).round()),
        "SystemBoard",
        [Some(-7.0), Some(3.0), Some(38.0), Some(42.0)],
    );
    add(
        "SystemBoardExhaustTemp".into(),
        "System Board Exhaust Temp".into(),
        "Temperature",
        "Cel",
        temperature("exhaust", 34.0),
        "SystemBoard",
        [Some(3.0), Some(8.0), Some(75.0), Some(80.0)],
    );
    for socket in 1..=2 {
        add(
            format!("CPU{socket}Temp"),
            format!("CPU{socket} Temp"),
            "Temperature",
            "Cel",
            temperature(&format!("cpu{socket}"), 43.0),
            "CPU",
            [Some(3.0), None, None, Some(102.0)],
        );
        add(
            format!("CPU{socket}VCCINVR"),
            format!("CPU{socket} VCCIN VR"),
            "Voltage",
            "V",
            on.then_some(1.78),
            "VoltageRegulator",
            [None; 4],
        );
    }
    add(
        "Temperature.DIMM_MAX".into(),
        "DIMM MAX Temp".into(),
        "Temperature",
        "Cel",
        if on { temperature("dimm", 36.0) } else { Some(-128.0) },
        "Memory",
        [None; 4],
    );
    for gpu in view.hardware.gpus() {
        let slot = gpu.place.slot;
        add(
            format!("GPUTemp{slot}"),
            format!("GPU{slot} Temp"),
            "Temperature",
            "Cel",
            temperature(&format!("gpu{slot}"), 32.0),
            "GPU",
            [None; 4],
        );
    }
    for id in &view.model().fans.ids {
        let fqdd = format!("Fan.Embedded.{id}");
        let rpm = on.then(|| fan_rpm(view, &fqdd));
        add(
            fqdd,
            format!("System Board Fan{id}"),
            "Rotational",
            "RPM",
            rpm,
            "SystemBoard",
            [Some(480.0), Some(840.0), None, None],
        );
    }
    let watts = system_watts(view);
    let supplies = view.hardware.supplies();
    let carrying = supplies.iter().filter(|supply| !supply.failed).count().max(1) as f64;
    for supply in &supplies {
        let n = supply.number;
        let share = if supply.failed { 0.0 } else { (watts / carrying * 4.0).round() / 4.0 };
        add(
            format!("PS{n}Voltage"),
            format!("PS{n} Voltage {n}"),
            "Voltage",
            "V",
            Some(if supply.failed { 0.0 } else { 230.0 }),
            "PowerSupply",
            [None; 4],
        );
        add(
            format!("PS{n}Current{n}"),
            format!("PS{n} Current {n}"),
            "Current",
            "A",
            Some((share / 230.0 * 5.0).round() / 5.0),
            "PowerSupply",
            [None; 4],
        );
        add(
            format!("{}_InputPower", supply.id),
            format!("PS{n} Input Power"),
            "Power",
            "W",
            Some(share),
            "PowerSupply",
            [None; 4],
        );
        add(
            format!("{}_OutputPower", supply.id),
            format!("PS{n} Output Power"),
            "Power",
            "W",
            Some((share * 0.93 * 4.0).round() / 4.0),
            "PowerSupply",
            [None; 4],
        );
        add(
            format!("{}_MaximumFrequency", supply.id),
            format!("PS{n} Frequency"),
            "Frequency",
            "Hz",
            Some(63.0),
            "PowerSupply",
            [None; 4],
        );
    }
    let allocated = f64::from(view.model().power_cap_max_watts);
    add(
        "SystemBoardPwrConsumption".into(),
        "System Board Pwr Consumption".into(),
        "Power",
        "W",
        Some(watts),
        "SystemBoard",
        [None, None, Some(allocated), Some((allocated * 1.077).round())],
    );
    for usage in ["CPU", "IO", "MEM", "SYS"] {
        add(
            format!("SystemBoard{usage}Usage"),
            format!("System Board {usage} Usage"),
            "Percent",
            "%",
            on.then(|| around(view, usage, 1.0, 0.9).round()),
            "SystemBoard",
            [None, None, Some(101.0), None],
        );
    }
    for sensor in &mut sensors {
        let failed = supplies.iter().any(|supply| supply.failed && sensor.id.starts_with(&format!("{}_", supply.id)));
        if failed {
            sensor.health = "Critical";
        }
    }
    sensors
}

/// `Sensors`.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{CHASSIS}/Sensors");
    match segments {
        [] => {
            let members = all(view).into_iter().map(|sensor| format!("{path}/{}", sensor.id));
            Some(collection(path.clone(), "SensorCollection", "Sensor Collection", links(members)))
        }
        [id] => all(view).into_iter().find(|sensor| sensor.id == *id).map(|sensor| one(&path, &sensor)),
        _ => None,
    }
}

fn one(path: &str, sensor: &Sensor) -> Value {
    let [lower_critical, lower_caution, upper_caution, upper_critical] = sensor.thresholds;
    let mut body = json!({
        "Description": "Instance of Sensor Id",
        "Oem": {"Dell": {
            "@odata.type": "#DellOemSensor.v1_0_0.DellOemSensor",
            "CurrentState": "Normal",
            "DeviceID": format!("iDRAC.Embedded.1#{}", sensor.id),
            "PossibleStates": ["Unknown", "Fatal", "Normal", "Upper Fatal", "Upper Critical", "Upper Non-Critical", "Lower Non-Critical", "Lower Critical", "Lower Fatal"],
            "PossibleStates@odata.count": 9,
            "RequestedState": "NotApplicable",
        }},
        "PhysicalContext": sensor.context,
        "Reading": sensor.reading,
        "ReadingType": sensor.kind,
        "ReadingUnits": sensor.unit,
        "Status": {"Health": sensor.health, "State": if sensor.reading.is_some() { "Enabled" } else { "UnavailableOffline" }},
        "Thresholds": {
            "LowerCaution": {"Reading": lower_caution}, "LowerCritical": {"Reading": lower_critical},
            "UpperCaution": {"Reading": upper_caution}, "UpperCritical": {"Reading": upper_critical},
        },
    });
    if sensor.unit == "RPM" {
        body["SpeedRPM"] = json!(sensor.reading);
    }
    document(format!("{path}/{}", sensor.id), "Sensor", "v1_9_0", &sensor.id, &sensor.name, body)
}
