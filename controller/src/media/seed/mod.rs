//! The seed: files that make an image this node, written into the installed system by the ramdisk.
//!
//! cloud-init (NoCloud) sets name, network and SSH keys and starts the script that fetches the agent. The one secret,
//! the join token, is a file of its own that only root can read; it stands neither in user data nor in a command line.
//! Pure: values in, files out.

mod network;
mod user_data;

use std::collections::BTreeMap;

use helix_api::deploy::{BootNetwork, SeedFile};
use helix_api::machine::NicFacts;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use uuid::Uuid;

/// Where cloud-init's NoCloud source looks.
const NOCLOUD: &str = "/var/lib/cloud/seed/nocloud";
/// The agent's unit, one text for packages and seeds.
const UNIT: &str = include_str!("../../../../agent/dist/helix-agent.service");
const INSTALL: &str = include_str!("../agent-install.sh");
const INSTALL_PATH: &str = "/usr/local/sbin/helix-agent-install";
const TOKEN_PATH: &str = "/etc/helix/join.token";

/// What a seed is made from.
#[derive(Debug)]
pub struct SeedInput<'a> {
    /// The workflow: a new one makes cloud-init run anew.
    pub instance_id: Uuid,
    pub node_name: &'a str,
    /// Boot network as given at enrolment.
    pub network: Option<&'a BootNetwork>,
    /// Links that the ramdisk saw.
    pub nics: &'a [NicFacts],
    /// authorized_keys lines for the image's default user.
    pub ssh_keys: &'a [String],
    /// The admin's own user data: any format that cloud-init takes.
    pub user_data: Option<&'a str>,
    pub agent_url: &'a str,
    /// SHA-256 of the agent binary, lower-case hex.
    pub agent_sha256: &'a str,
    /// `https://HOST:PORT` of the agents listener, tried in order.
    pub controller_urls: &'a [String],
    /// Pin of the agents listener's key.
    pub controller_key_sha256: &'a str,
    pub join_token: &'a SecretString,
}

/// Contents of `/etc/helix/agent.toml`.
#[derive(Serialize)]
struct AgentToml<'a> {
    controller_urls: &'a [String],
    controller_key_sha256: &'a str,
    token_file: &'a str,
}

#[derive(Serialize)]
struct MetaData<'a> {
    #[serde(rename = "instance-id")]
    instance_id: Uuid,
    #[serde(rename = "local-hostname")]
    local_hostname: &'a str,
}

/// Why a seed could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("writing the seed's {file} as text")]
    Text { file: &'static str, why: String },
}

/// The files, in the order in which they are written.
///
/// # Errors
/// When a value cannot be written as YAML or TOML.
pub fn files(input: &SeedInput<'_>) -> Result<Vec<SeedFile>, SeedError> {
    let meta_data = MetaData { instance_id: input.instance_id, local_hostname: input.node_name };
    let toml = toml::to_string(&AgentToml {
        controller_urls: input.controller_urls,
        controller_key_sha256: input.controller_key_sha256,
        token_file: TOKEN_PATH,
    });
    let toml = toml.map_err(|error| SeedError::Text { file: "agent.toml", why: error.to_string() })?;
    let install = INSTALL.replace("@URL@", &quoted(input.agent_url)).replace("@SHA256@", &quoted(input.agent_sha256));
    let mut files = vec![
        file(format!("{NOCLOUD}/meta-data"), yaml("meta-data", &meta_data)?, 0o644),
        // Readable by root only: an admin's own part may hold passwords.
        file(format!("{NOCLOUD}/user-data"), user_data::document(input, INSTALL_PATH)?, 0o600),
    ];
    if let Some(network) = network::config(input.network, input.nics) {
        files.push(file(format!("{NOCLOUD}/network-config"), yaml("network-config", &network)?, 0o644));
    }
    files.extend([
        file("/etc/cloud/cloud.cfg.d/99-helix.cfg", "datasource_list: [NoCloud, None]\n", 0o644),
        file("/etc/helix/agent.toml", toml, 0o644),
        file(TOKEN_PATH, format!("{}\n", input.join_token.expose_secret()), 0o600),
        file("/etc/systemd/system/helix-agent.service", UNIT, 0o644),
        file(INSTALL_PATH, install, 0o755),
    ]);
    Ok(files)
}

fn file(path: impl Into<String>, text: impl Into<String>, mode: u32) -> SeedFile {
    SeedFile { path: path.into(), text: text.into(), mode }
}

/// YAML that every reader takes the same way: JSON. cloud-init reads YAML 1.1, where a plain `12:34:56:78:90:12` is a number
/// to the base of sixty and a host named `007` an integer.
fn yaml(file: &'static str, value: &impl Serialize) -> Result<String, SeedError> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(SeedError::Text { file, why: error.to_string() }),
    }
}

/// A value for between single quotes in a shell script.
fn quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

/// A map in YAML with stable order.
type Map<V> = BTreeMap<String, V>;

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(network: Option<&BootNetwork>, nics: &[NicFacts], user_data: Option<&str>) -> Vec<SeedFile> {
        files(&SeedInput {
            instance_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
            node_name: "r01u05",
            network,
            nics,
            ssh_keys: &["ssh-ed25519 AAAAC3Nza admin@example".to_owned()],
            user_data,
            agent_url: "http://10.0.0.5:8080/media/0f/helix-agent",
            agent_sha256: "aa",
            controller_urls: &["https://10.0.0.5:8444".to_owned()],
            controller_key_sha256: "bb",
            join_token: &SecretString::from("hlx_secret"),
        })
        .unwrap()
    }

    fn text<'a>(files: &'a [SeedFile], name: &str) -> &'a str {
        &files.iter().find(|file| file.path.ends_with(name)).unwrap().text
    }

    fn nic(name: &str, mac: &str, carrier: bool, address: &str) -> NicFacts {
        NicFacts {
            name: name.into(),
            mac: mac.into(),
            carrier: Some(carrier),
            addresses: if address.is_empty() { vec![] } else { vec![address.into()] },
            ..NicFacts::default()
        }
    }

    #[test]
    fn the_seed_of_a_node_with_dhcp() {
        let nics = [
            nic("eno1", "04:3f:72:00:00:01", true, "10.0.7.21/24"),
            nic("eno2", "04:3f:72:00:00:02", false, ""),
            nic("ens3", "04:3f:72:00:00:03", true, ""),
        ];
        let files = seed(None, &nics, None);
        let all: Vec<String> = files
            .iter()
            .filter(|file| !file.path.ends_with(".service") && !file.path.ends_with("-install"))
            .map(|file| format!("== {} {:o}\n{}", file.path, file.mode, file.text))
            .collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn the_network_of_a_node_with_a_static_address_on_a_vlan() {
        let network = BootNetwork {
            mac: Some("04:3F:72:00:00:01".into()),
            address: Some("10.0.7.21/24".into()),
            gateway: Some("10.0.7.1".into()),
            vlan: Some(107),
            dns: vec!["10.0.0.53".into()],
        };
        insta::assert_snapshot!(text(&seed(Some(&network), &[], None), "network-config"));
    }

    #[test]
    fn without_any_link_known_cloud_init_decides() {
        assert!(!seed(None, &[], None).iter().any(|file| file.path.ends_with("network-config")));
    }

    #[test]
    fn the_token_stands_in_one_file_that_only_root_reads() {
        let files = seed(None, &[], Some("#cloud-config\npackages: [htop]\n"));
        let holders: Vec<_> = files.iter().filter(|file| file.text.contains("hlx_secret")).collect();
        assert_eq!(holders.len(), 1);
        assert_eq!((holders[0].path.as_str(), holders[0].mode), ("/etc/helix/join.token", 0o600));
    }

    #[test]
    fn an_admins_own_cloud_config_is_merged_as_a_part_of_its_own() {
        let files = seed(None, &[], Some("#cloud-config\npackages: [htop]\n"));
        insta::assert_snapshot!(text(&files, "user-data"));
        let files = seed(None, &[], Some("#!/bin/sh\necho hello\n"));
        assert!(text(&files, "user-data").contains("Content-Type: text/x-shellscript"));
    }

    #[test]
    fn a_part_that_holds_the_boundary_gets_another_one() {
        let plain = seed(None, &[], Some("#!/bin/sh\n"));
        let boundary = text(&plain, "user-data").split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let nasty = format!("#!/bin/sh\necho '--{boundary}--'\n");
        let files = seed(None, &[], Some(&nasty));
        let document = text(&files, "user-data");
        let chosen = document.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_ne!(chosen, boundary);
        assert_eq!(document.matches(&format!("\n--{chosen}\n")).count(), 2, "two parts");
    }

    #[test]
    fn the_agents_own_reader_takes_the_configuration() {
        let files = seed(None, &[], None);
        let value: toml::Value = toml::from_str(text(&files, "agent.toml")).unwrap();
        assert_eq!(value["controller_urls"][0].as_str(), Some("https://10.0.0.5:8444"));
        assert_eq!(value["controller_key_sha256"].as_str(), Some("bb"));
        assert_eq!(value["token_file"].as_str(), Some("/etc/helix/join.token"));
        assert_eq!(value.as_table().unwrap().len(), 3, "the agent refuses keys that it does not know");
    }

    #[test]
    fn the_install_script_is_a_shell_script_and_names_no_placeholder() {
        let files = seed(None, &[], None);
        let script = text(&files, "helix-agent-install");
        assert!(script.starts_with("#!/bin/sh\n") && !script.contains('@'), "{script}");
        assert!(script.contains("url='http://10.0.0.5:8080/media/0f/helix-agent'"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        std::fs::write(&path, script).unwrap();
        let checked = std::process::Command::new("sh").arg("-n").arg(&path).status().unwrap();
        assert!(checked.success(), "sh -n");
    }
}
