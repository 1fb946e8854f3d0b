//! Making an installed image this node's own: cloud-init's seed, and nothing left of where the image was made.
//!
//! Works on the mounted root file system. The seed's files come from the controller and are written as they are. What two nodes
//! from one image must not share is dropped: machine id, SSH host keys, random seed, cloud-init's memory of an earlier boot.

use std::path::{Path, PathBuf};

use helix_api::deploy::SeedFile;

use super::failure::Failure;
use super::inside::Inside;

/// Where cloud-init is told to look nowhere else: without this it would ask the network for a metadata service for minutes.
const DATASOURCE_FILE: &str = "/etc/cloud/cloud.cfg.d/99-helix.cfg";

/// Used when the controller sends no such file.
const DATASOURCE_TEXT: &str = "datasource_list: [NoCloud, None]\n";

/// systemd makes a new id when this file is there and empty.
const MACHINE_ID: &str = "/etc/machine-id";

/// Removed where they are: D-Bus's copy of the machine id, random seeds, cloud-init's instances and state.
const DROPPED: [&str; 7] = [
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances",
    "/var/lib/cloud/data",
    "/var/lib/cloud/sem",
    "/var/lib/cloud/seed/nocloud",
];

/// Writes the seed into the system mounted at `root`.
///
/// # Errors
/// `Seed`, with the path.
pub fn plant(root: &Path, seed: &[SeedFile]) -> Result<(), Failure> {
    let inside = Inside::new(root);
    let failed = |what, path: &str| {
        let path = PathBuf::from(path);
        move |source| Failure::Seed { what, path, source }
    };
    for path in DROPPED {
        inside.remove(path).map_err(failed("remove", path))?;
    }
    for key in host_keys(&inside) {
        inside.remove(&key).map_err(failed("remove", &key))?;
    }
    inside.empty(MACHINE_ID).map_err(failed("empty", MACHINE_ID))?;
    for file in seed {
        inside.write(&file.path, file.text.as_bytes(), file.mode).map_err(failed("write", &file.path))?;
    }
    if !seed.iter().any(|file| file.path == DATASOURCE_FILE) {
        inside.write(DATASOURCE_FILE, DATASOURCE_TEXT.as_bytes(), 0o644).map_err(failed("write", DATASOURCE_FILE))?;
    }
    Ok(())
}

fn host_keys(inside: &Inside) -> Vec<String> {
    let Ok(folder) = inside.resolve("/etc/ssh") else { return Vec::new() };
    crate::machine::root::names(&folder)
        .into_iter()
        .filter(|name| name.starts_with("ssh_host_") && (name.ends_with("_key") || name.ends_with("_key.pub")))
        .map(|name| format!("/etc/ssh/{name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn file(path: &str, text: &str, mode: u32) -> SeedFile {
        SeedFile { path: path.into(), text: text.into(), mode }
    }

    #[test]
    fn the_seed_is_written_as_it_came_with_its_permissions() {
        let root = system(&[]);
        let seed = [
            file("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: wf-7Q2M4K\n", 0o644),
            file("/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n", 0o600),
        ];
        plant(root.path(), &seed).unwrap();
        let user_data = root.path().join("var/lib/cloud/seed/nocloud/user-data");
        assert_eq!(fs::read_to_string(&user_data).unwrap(), "#cloud-config\n");
        assert_eq!(fs::metadata(user_data).unwrap().permissions().mode() & 0o777, 0o600, "it holds a token");
        let sources = fs::read_to_string(root.path().join("etc/cloud/cloud.cfg.d/99-helix.cfg")).unwrap();
        assert_eq!(sources, "datasource_list: [NoCloud, None]\n");
    }

    #[test]
    fn nothing_that_two_nodes_must_not_share_is_left() {
        let root = system(&[
            ("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("/etc/ssh/ssh_host_ed25519_key", "secret"),
            ("/etc/ssh/ssh_host_ed25519_key.pub", "public"),
            ("/etc/ssh/sshd_config", "Port 22\n"),
            ("/var/lib/systemd/random-seed", "x"),
            ("/var/lib/cloud/instances/i-old/sem/x", "x"),
            ("/var/lib/cloud/data/instance-id", "i-old\n"),
        ]);
        plant(root.path(), &[]).unwrap();
        assert_eq!(
            fs::read_to_string(root.path().join("etc/machine-id")).unwrap(),
            "",
            "empty, so that systemd makes a new one"
        );
        for gone in [
            "var/lib/dbus/machine-id",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_ed25519_key.pub",
            "var/lib/systemd/random-seed",
            "var/lib/cloud/instances",
            "var/lib/cloud/data",
        ] {
            assert!(!root.path().join(gone).exists(), "{gone} is left");
        }
        assert!(root.path().join("etc/ssh/sshd_config").exists(), "the server's settings stay");
    }

    #[test]
    fn the_controllers_own_datasource_file_wins() {
        let root = system(&[]);
        plant(root.path(), &[file(DATASOURCE_FILE, "datasource_list: [NoCloud]\n", 0o644)]).unwrap();
        let text = fs::read_to_string(root.path().join("etc/cloud/cloud.cfg.d/99-helix.cfg")).unwrap();
        assert_eq!(text, "datasource_list: [NoCloud]\n");
    }
}
