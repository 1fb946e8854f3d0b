//! What `helixd check-config` prints: every setting with its value, source and meaning, how helixd is reached, and what
//! would not work.
//!
//! It looks at files and programs and changes nothing: no folder is made, no port bound, no server asked.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::access::given_certificate;
use crate::chain::Chain;
use crate::config::Config;
use crate::config::advertise::Advertise;
use crate::config::load::{Loaded, Source, variable};
use crate::config::setting::SETTINGS;
use crate::database;

/// The effective configuration as text. `bmcs` are addresses to show the advertised URLs for.
#[must_use]
pub fn report(loaded: &Loaded, bmcs: &[IpAddr]) -> String {
    let mut out = String::new();
    for setting in SETTINGS {
        let source = loaded.sources.get(setting.key).unwrap_or(&Source::Default);
        let value = (setting.show)(&loaded.config);
        out.push_str(&format!(
            "{} = {value}\n    from: {source} (variable {})\n    {}\n\n",
            setting.key,
            variable(setting.key),
            setting.about
        ));
    }
    let config = &loaded.config;
    let advertise = Advertise::from_config(config);
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line("Listeners".to_owned());
    line(format!("  api     https  {}  reached at {}", config.api.listen, advertise.api()));
    line(format!("  agents  tls    {}  nodes dial {}", config.agents.listen, config.agents.advertise));
    line(format!("  media   http   {}  BMCs dial {}", config.media.listen, config.media.advertise));
    for bmc in bmcs {
        let media = advertise
            .media_for(*bmc)
            .map_or_else(|error| error.to_string(), |address| format!("http://{address}/media/…"));
        let agents = advertise
            .agents_for(*bmc)
            .map_or_else(|error| error.to_string(), |addresses| format!("https://{}", addresses.join(", https://")));
        line(format!("  for the BMC {bmc}: media {media}, agents {agents}"));
    }
    line(format!("Names in the server certificates: {}", advertise.certificate_names().all().join(", ")));
    out
}

/// What is not right on this machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What keeps `helixd serve` from starting.
    pub errors: Vec<String>,
    /// What it starts with, but will not do.
    pub warnings: Vec<String>,
}

/// Looks at what the settings name.
#[must_use]
pub fn findings(config: &Config) -> Findings {
    let mut findings = Findings::default();
    if let Err(error) = given_certificate::load(&config.api) {
        findings.errors.push(Chain(&error).to_string());
    }
    if let Err(error) = database::check(config) {
        findings.errors.push(Chain(&error).to_string());
    }
    let iso = config.media.deploy_iso.as_ref();
    let description = iso.map(|iso| iso.with_extension("json"));
    for (setting, file) in [
        ("media.deploy_iso", iso),
        ("media.deploy_iso (its description)", description.as_ref()),
        ("media.agent_binary", config.media.agent_binary.as_ref()),
    ] {
        if let Some(why) = missing(file) {
            findings
                .warnings
                .push(format!("{setting} {why}: nodes can be enrolled and inspected, but not provisioned"));
        }
    }
    findings
}

fn missing(file: Option<&PathBuf>) -> Option<String> {
    match file {
        None => Some("is not set".to_owned()),
        Some(path) if !path.is_file() => Some(format!("names {}, which is not there", path.display())),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_to_provision_is_told_and_keeps_nothing_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.database.url = Some("postgres://helix@db/helix".into());
        config.media.deploy_iso = Some(folder.path().join("helix-deploy.iso"));
        std::fs::write(folder.path().join("helix-deploy.iso"), "").unwrap();
        let found = findings(&config);
        assert_eq!(found.errors, [""; 0]);
        assert_eq!(found.warnings.len(), 2, "{found:?}");
        assert!(found.warnings[0].contains("helix-deploy.json, which is not there"), "{found:?}");
        assert!(found.warnings[1].starts_with("media.agent_binary is not set"), "{found:?}");
    }

    #[test]
    fn half_a_certificate_keeps_it_from_starting() {
        let mut config = Config::default();
        config.database.url = Some("postgres://helix@db/helix".into());
        config.api.certificate = Some(PathBuf::from("/etc/helix/site.pem"));
        assert!(findings(&config).errors[0].contains("set both or neither"));
    }
}
