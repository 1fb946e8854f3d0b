//! The installed system of a simulated machine: what cloud-init would do with the seed, and the agent that it would start.
//!
//! Reads the agent's configuration and token out of the seed (files written directly, or `write_files` of the user data), checks that
//! the agent program can be fetched where the seed says, and runs the real agent loop over replayed readings.

use base64::Engine as _;
use chrono::{TimeDelta, Utc};
use helix_api::agent::{AgentReport, OsFacts};
use helix_api::deploy::SeedFile;
use helix_api::machine::MachineFacts;
use secrecy::SecretString;
use serde::Deserialize;

use super::machine::Machine;
use super::memory::{Installed, Running};
use crate::node::config::Config;
use crate::node::run::Subject;
use crate::source::Readings;
use crate::source::replay::{Recording, Replay};

/// Where the seed puts the agent's configuration.
const AGENT_CONFIG: &str = "/etc/helix/agent.toml";

/// Name of the agent's program at the end of its URL.
const AGENT_PROGRAM: &str = "/helix-agent";

/// What cloud-init makes of the seed.
#[derive(Debug, Clone)]
pub struct FirstBoot {
    pub config: Config,
    pub token: SecretString,
    /// Where the agent program is to be fetched, if anywhere.
    pub agent_url: Option<String>,
    pub hostname: Option<String>,
    pub instance_id: Option<String>,
}

/// The part of a cloud-config that matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CloudConfig {
    hostname: Option<String>,
    write_files: Vec<WriteFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WriteFile {
    path: String,
    content: String,
    encoding: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MetaData {
    #[serde(rename = "instance-id")]
    instance_id: Option<String>,
    #[serde(rename = "local-hostname")]
    local_hostname: Option<String>,
}

/// Reads a seed.
///
/// # Errors
/// In words: what is missing, so that a wrong seed shows in a simulated fleet before it shows on hardware.
pub fn first_boot(seed: &[SeedFile]) -> Result<FirstBoot, String> {
    let text = |name: &str| seed.iter().find(|file| file.path.ends_with(name)).map(|file| file.text.as_str());
    let user_data = text("/user-data").unwrap_or_default();
    let meta: MetaData =
        serde_norway::from_str(text("/meta-data").unwrap_or("{}")).map_err(|error| format!("meta-data: {error}"))?;
    let cloud: CloudConfig = if user_data.starts_with("#cloud-config") {
        serde_norway::from_str(user_data).map_err(|error| format!("user-data: {error}"))?
    } else {
        CloudConfig::default()
    };
    let file = |path: &str| -> Result<Option<String>, String> {
        if let Some(direct) = seed.iter().find(|file| file.path == path) {
            return Ok(Some(direct.text.clone()));
        }
        cloud.write_files.iter().find(|file| file.path == path).map(WriteFile::text).transpose()
    };
    let config = file(AGENT_CONFIG)?.ok_or_else(|| format!("the seed writes no {AGENT_CONFIG}"))?;
    let config = Config::parse(&config)?;
    let token_path = config.token_file.to_string_lossy().into_owned();
    let token = file(&token_path)?.ok_or_else(|| format!("the seed writes no {token_path}"))?;
    Ok(FirstBoot {
        config,
        token: token.into(),
        agent_url: seed.iter().find_map(|file| agent_url(&file.text)),
        hostname: cloud.hostname.or(meta.local_hostname),
        instance_id: meta.instance_id,
    })
}

impl WriteFile {
    fn text(&self) -> Result<String, String> {
        match self.encoding.as_deref() {
            None | Some("text/plain") => Ok(self.content.clone()),
            Some("b64" | "base64") => {
                let compact: String = self.content.split_whitespace().collect();
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(compact)
                    .map_err(|error| format!("{}: {error}", self.path))?;
                String::from_utf8(bytes).map_err(|_| format!("{} is no text", self.path))
            }
            Some(other) => Err(format!("{}: encoding {other} is not known here", self.path)),
        }
    }
}

/// The first URL in a file of the seed that ends with the program's name.
fn agent_url(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '[' | ']'))
        .find(|word| word.starts_with("http") && word.ends_with(AGENT_PROGRAM))
        .map(str::to_owned)
}

/// A simulated machine with its system running.
pub struct RunningSystem {
    machine: Machine,
    running: Running,
    os: OsFacts,
    time_scale: f64,
    replay: Option<Replay>,
}

impl RunningSystem {
    /// The system as it is after its start.
    pub fn new(machine: Machine, installed: &Installed, first: &FirstBoot, running: Running, time_scale: f64) -> Self {
        let product = machine.product.clone().unwrap_or_default();
        // Each node begins elsewhere in the recording, so that a fleet does not breathe in step.
        let begin = machine.service_tag.as_deref().unwrap_or_default().bytes().map(usize::from).sum();
        let replay =
            Recording::for_product(&product).map(|recording| Replay::over(recording, machine.overlay(), begin));
        Self { running, os: os(&installed.image, first), machine, time_scale, replay }
    }
}

impl RunningSystem {
    fn uptime_seconds(&self) -> u64 {
        let up = (Utc::now() - self.running.since).to_std().unwrap_or_default();
        (up.as_secs_f64() * self.time_scale) as u64
    }
}

/// An operating system after the image's name: `debian-12` is Debian 12. The kernel is the one such an image usually has.
fn os(image: &str, first: &FirstBoot) -> OsFacts {
    let known = [
        ("debian", "12", "Debian GNU/Linux 12 (bookworm)", "6.1.0-40-amd64"),
        ("ubuntu", "24.04", "Ubuntu 24.04.3 LTS", "6.8.0-79-generic"),
        ("rocky", "9", "Rocky Linux 9.6 (Blue Onyx)", "5.14.0-570.el9.x86_64"),
        ("rhel", "9", "Red Hat Enterprise Linux 9.6 (Plow)", "5.14.0-570.el9.x86_64"),
    ];
    let lower = image.to_ascii_lowercase();
    let (id, version, name, kernel) = known.into_iter().find(|(id, ..)| lower.contains(id)).unwrap_or((
        "linux",
        "1",
        "Linux (simulated)",
        "6.1.0-simulated",
    ));
    OsFacts {
        name: name.to_owned(),
        id: id.to_owned(),
        version: Some(version.to_owned()),
        kernel: kernel.to_owned(),
        hostname: first.hostname.clone().unwrap_or_else(|| "localhost".to_owned()),
        instance_id: first.instance_id.clone(),
    }
}

impl Subject for RunningSystem {
    fn machine(&self) -> MachineFacts {
        self.machine.facts()
    }

    fn boot_id(&self) -> String {
        self.running.boot_id.clone()
    }

    fn simulated(&self) -> bool {
        true
    }

    async fn report(&mut self) -> AgentReport {
        let readings = self.replay.as_mut().map_or_else(Readings::default, Replay::step);
        let facts = self.machine.facts();
        AgentReport {
            taken_at: Some(Utc::now() + TimeDelta::seconds(self.machine.clock_offset_seconds)),
            boot_id: self.running.boot_id.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            simulated: true,
            os: self.os.clone(),
            uptime_seconds: self.uptime_seconds(),
            load_average: readings.load_average.unwrap_or_default(),
            memory_used_bytes: readings.memory_used_bytes.unwrap_or(facts.memory_bytes / 50),
            gpu_driver: readings.gpu_driver,
            gpus: readings.gpus,
            infiniband: readings.infiniband.unwrap_or_default(),
            temperatures: readings.temperatures.unwrap_or_default(),
            nics: self.machine.nic_facts(),
            disks: facts.disks.clone(),
            machine: MachineFacts { nics: Vec::new(), disks: Vec::new(), ..facts },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn file(path: &str, text: &str) -> SeedFile {
        SeedFile { path: path.into(), text: text.into(), mode: 0o600 }
    }

    fn user_data() -> String {
        format!(
            "#cloud-config\nhostname: r01u05\nwrite_files:\n- path: /etc/helix/agent.toml\n  content: |\n    controller_urls = [\"https://127.0.0.1:8444\"]\n    \
             controller_key_sha256 = \"{}\"\n    token_file = \"/etc/helix/join.token\"\n- path: /etc/helix/join.token\n  encoding: b64\n  content: dDBrM24=\n\
             runcmd:\n- [curl, -o, /usr/local/bin/helix-agent, \"http://127.0.0.1:8080/media/x/helix-agent\"]\n",
            "ab".repeat(32)
        )
    }

    #[test]
    fn the_agent_is_set_up_from_the_user_data_as_cloud_init_would() {
        let seed = [
            file("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: wf-7Q2M4K\nlocal-hostname: other\n"),
            file("/var/lib/cloud/seed/nocloud/user-data", &user_data()),
        ];
        let first = first_boot(&seed).unwrap();
        assert_eq!(first.token.expose_secret(), "t0k3n");
        assert_eq!(first.hostname.as_deref(), Some("r01u05"));
        assert_eq!(first.instance_id.as_deref(), Some("wf-7Q2M4K"));
        assert_eq!(first.agent_url.as_deref(), Some("http://127.0.0.1:8080/media/x/helix-agent"));
    }

    #[test]
    fn files_that_the_seed_writes_itself_come_first_and_the_program_may_stand_in_any_of_them() {
        let config = format!(
            "controller_urls = [\"https://127.0.0.1:8444\"]\ncontroller_key_sha256 = \"{}\"\ntoken_file = \"/etc/helix/join.token\"\n",
            "ab".repeat(32)
        );
        let seed = [
            file(
                "/var/lib/cloud/seed/nocloud/meta-data",
                "{\"instance-id\": \"i1\", \"local-hostname\": \"r01u05\"}\n",
            ),
            file("/var/lib/cloud/seed/nocloud/user-data", "Content-Type: multipart/mixed\n"),
            file("/etc/helix/agent.toml", &config),
            file("/etc/helix/join.token", "t0k3n\n"),
            file("/usr/local/sbin/helix-agent-install", "#!/bin/sh\nurl='http://127.0.0.1:8080/media/x/helix-agent'\n"),
        ];
        let first = first_boot(&seed).unwrap();
        assert_eq!((first.token.expose_secret().trim(), first.hostname.as_deref()), ("t0k3n", Some("r01u05")));
        assert_eq!(first.agent_url.as_deref(), Some("http://127.0.0.1:8080/media/x/helix-agent"));
    }

    #[test]
    fn a_seed_without_the_agents_configuration_says_so() {
        let error = first_boot(&[file("/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n{}\n")]).unwrap_err();
        assert!(error.contains("/etc/helix/agent.toml"), "{error}");
    }
}
