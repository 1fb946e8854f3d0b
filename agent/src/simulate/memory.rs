//! What is installed on a simulated machine, kept over restarts.
//!
//! One JSON file a machine, written as a whole and readable by the owner only, for a seed holds tokens. The agent's key and
//! certificate live in a folder beside it, as they would on the machine's disk, and go with it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use helix_api::deploy::SeedFile;
use serde::{Deserialize, Serialize};

/// An installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The image's name, from which the system's words are made.
    pub image: String,
    /// SHA-256 of the raw image.
    pub digest: String,
    /// Serial number of the disk it lies on.
    pub disk_serial: Option<String>,
    pub seed: Vec<SeedFile>,
    /// It can be started: every step up to the boot entry was done.
    pub complete: bool,
    /// cloud-init ran: the join token was written.
    pub first_boot_done: bool,
}

/// A system that is running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub boot_id: String,
    pub since: DateTime<Utc>,
}

/// The state folder's part for one machine.
#[derive(Debug, Clone)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// The machine with this service tag below `state`.
    pub fn of(state: &Path, node: &str) -> Self {
        // A tag comes from another process: it names a file here and must not lead elsewhere.
        let safe: String = node.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        Self { folder: state.join(safe) }
    }

    /// What is installed. A file that cannot be read counts as nothing installed.
    pub fn installed(&self) -> Option<Installed> {
        serde_json::from_slice(&std::fs::read(self.file()).ok()?).ok()
    }

    /// The system that runs: a machine keeps running while this process is started anew.
    pub fn running(&self) -> Option<Running> {
        serde_json::from_slice(&std::fs::read(self.folder.join("running.json")).ok()?).ok()
    }

    /// Remembers that a system runs, or that none does.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn set_running(&self, running: Option<&Running>) -> std::io::Result<()> {
        let file = self.folder.join("running.json");
        match running {
            Some(running) => std::fs::write(file, serde_json::to_vec(running)?),
            None => match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Remembers what is installed.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn remember(&self, installed: &Installed) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let new = self.file().with_extension("new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(installed)?)?;
        std::fs::rename(new, self.file())
    }

    /// The disk was wiped: nothing is installed, no agent has a key.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn forget(&self) -> std::io::Result<()> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where the installed agent keeps key and certificate.
    pub fn agent_folder(&self) -> PathBuf {
        self.folder.join("agent")
    }

    /// Where cloud-init writes the join token.
    pub fn token_file(&self) -> PathBuf {
        self.folder.join("join.token")
    }

    fn file(&self) -> PathBuf {
        self.folder.join("installed.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_outlives_a_restart_and_not_a_wipe() {
        let state = tempfile::tempdir().unwrap();
        let installed = Installed {
            image: "debian-12".into(),
            digest: "d".into(),
            disk_serial: Some("S1".into()),
            seed: Vec::new(),
            complete: true,
            first_boot_done: false,
        };
        Memory::of(state.path(), "HLX0001").remember(&installed).unwrap();
        assert_eq!(Memory::of(state.path(), "HLX0001").installed(), Some(installed));
        assert_eq!(Memory::of(state.path(), "HLX0002").installed(), None);
        Memory::of(state.path(), "HLX0001").forget().unwrap();
        assert_eq!(Memory::of(state.path(), "HLX0001").installed(), None);
    }

    #[test]
    fn a_tag_cannot_lead_out_of_the_folder() {
        assert_eq!(Memory::of(Path::new("/state"), "../../etc").folder, Path::new("/state/______etc"));
    }
}
