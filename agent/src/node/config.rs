//! The agent's configuration file, `/etc/helix/agent.toml`.
//!
//! Written by the seed at provisioning; unknown keys are refused, so that a misspelt one does not go unnoticed.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where key and certificate live when the configuration says nothing.
const STATE_FOLDER: &str = "/var/lib/helix-agent";

/// What the agent needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Base URLs of the agents listener, tried in order.
    pub controller_urls: Vec<String>,
    /// SHA-256 of the controller's public key, hex.
    pub controller_key_sha256: String,
    /// File with the one-time token; removed after the join.
    pub token_file: PathBuf,
    /// Folder for key and certificate.
    #[serde(default = "state_folder")]
    pub state_dir: PathBuf,
    /// `nvml`, `none` or `replay:FILE`; the command line wins.
    #[serde(default)]
    pub source: Option<String>,
}

fn state_folder() -> PathBuf {
    STATE_FOLDER.into()
}

/// Why the configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It is no TOML, or a key is missing, unknown or wrong.
    #[error("the configuration {path} is wrong: {reason}")]
    Parse { path: PathBuf, reason: String },
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// Names file, line and key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| ConfigError::Parse { path: path.to_owned(), reason })
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// Names line and key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        if config.controller_urls.is_empty() {
            return Err("controller_urls is empty: name at least one address such as https://10.0.0.5:8444".into());
        }
        let key = config.controller_key_sha256.replace(':', "");
        if key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("controller_key_sha256 is not 64 hexadecimal digits".into());
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        format!(
            "controller_urls = [\"https://10.0.0.5:8444\"]\ncontroller_key_sha256 = \"{}\"\ntoken_file = \"/etc/helix/join.token\"\n",
            "ab".repeat(32)
        )
    }

    #[test]
    fn the_seeds_three_keys_are_enough() {
        let config = Config::parse(&text()).unwrap();
        assert_eq!(config.state_dir, Path::new("/var/lib/helix-agent"));
    }

    #[test]
    fn a_misspelt_key_and_a_short_fingerprint_are_named() {
        let misspelt = Config::parse(&format!("{}tokenfile = \"x\"\n", text())).unwrap_err();
        assert!(misspelt.contains("tokenfile"), "{misspelt}");
        let short = Config::parse(&text().replace("abab", "ab")).unwrap_err();
        assert!(short.contains("controller_key_sha256"), "{short}");
    }
}
