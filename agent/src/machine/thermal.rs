//! Temperatures: hwmon sensors, and thermal zones where there are none.
//!
//! Relies on `/sys/class/hwmon` and `/sys/class/thermal`; values there are thousandths of a degree. Readings that no sensor can
//! give (below −60 °C, above 200 °C) are left out: drivers report them for sensors that are not connected.

use helix_api::agent::TemperatureReading;

use super::root::{self, Root};

const PLAUSIBLE_CELSIUS: std::ops::RangeInclusive<f64> = -60.0..=200.0;

/// All temperatures that can be read.
pub fn read(root: &Root) -> Vec<TemperatureReading> {
    let hwmon = hwmon(root);
    if hwmon.is_empty() { zones(root) } else { hwmon }
}

fn hwmon(root: &Root) -> Vec<TemperatureReading> {
    let class = root.path("sys/class/hwmon");
    let mut readings = Vec::new();
    for chip in root::names(&class) {
        let folder = class.join(&chip);
        let name = root::text(&folder.join("name")).unwrap_or(chip);
        // Several NVMe drives all call their chip `nvme`: the device's own name tells them apart.
        let device = std::fs::canonicalize(folder.join("device"))
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let name = match device {
            Some(device) if name == "nvme" => device,
            _ => name,
        };
        for file in root::names(&folder) {
            let Some(sensor) = file.strip_suffix("_input").filter(|sensor| sensor.starts_with("temp")) else {
                continue;
            };
            let Some(temp_celsius) = celsius(&folder.join(&file)) else { continue };
            let label = root::text(&folder.join(format!("{sensor}_label"))).unwrap_or_else(|| sensor.to_owned());
            readings.push(TemperatureReading {
                sensor: format!("{name}/{label}"),
                temp_celsius,
                critical_celsius: celsius(&folder.join(format!("{sensor}_crit"))),
            });
        }
    }
    readings
}

fn zones(root: &Root) -> Vec<TemperatureReading> {
    let class = root.path("sys/class/thermal");
    root::names(&class)
        .into_iter()
        .filter(|name| name.starts_with("thermal_zone"))
        .filter_map(|zone| {
            let temp_celsius = celsius(&class.join(&zone).join("temp"))?;
            let kind = root::text(&class.join(&zone).join("type")).unwrap_or_else(|| zone.clone());
            Some(TemperatureReading { sensor: format!("{zone}/{kind}"), temp_celsius, critical_celsius: None })
        })
        .collect()
}

fn celsius(path: &std::path::Path) -> Option<f64> {
    let thousandths: f64 = root::text(path)?.parse().ok()?;
    Some(thousandths / 1000.0).filter(|celsius| PLAUSIBLE_CELSIUS.contains(celsius))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_carry_the_name_of_their_chip_and_nonsense_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let chip = folder.path().join("sys/class/hwmon/hwmon0");
        std::fs::create_dir_all(&chip).unwrap();
        for (name, text) in [
            ("name", "coretemp\n"),
            ("temp1_input", "53000\n"),
            ("temp1_label", "Package id 0\n"),
            ("temp1_crit", "102000\n"),
            ("temp2_input", "-128000\n"),
        ] {
            std::fs::write(chip.join(name), text).unwrap();
        }
        assert_eq!(
            read(&Root::at(folder.path())),
            [TemperatureReading {
                sensor: "coretemp/Package id 0".into(),
                temp_celsius: 53.0,
                critical_celsius: Some(102.0)
            }]
        );
    }
}
