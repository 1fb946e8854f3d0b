//! The invariants of the architecture, read off `cargo metadata` and the source tree.
//!
//! Each test names what must be absent. It relies on the committed lock file and on no network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec!["--locked".into(), "--filter-platform".into(), "x86_64-unknown-linux-gnu".into()])
        .exec()
        .expect("cargo metadata")
}

/// Names of all packages that a package is built with, directly or not; tests' own dependencies are left out.
fn built_with(metadata: &Metadata, package: &str) -> BTreeSet<String> {
    let names: BTreeMap<&PackageId, &str> = metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let start = metadata.packages.iter().find(|p| p.name.as_str() == package).expect(package);
    let mut open = vec![&start.id];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        let node = resolve.nodes.iter().find(|node| &node.id == id).expect("a node of the graph");
        for dep in &node.deps {
            let normal = dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            if normal && seen.insert(names[&dep.pkg].to_owned()) {
                open.push(&dep.pkg);
            }
        }
    }
    seen
}

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["inventory", "redfish", "agent", "controller", "tests"].iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                files.push((name, std::fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    assert!(files.len() > 40, "only {} source files found: the test looks in the wrong place", files.len());
    files
}

#[test]
fn inventory_does_no_input_or_output() {
    let built_with = built_with(&metadata(), "helix-inventory");
    for absent in ["tokio", "reqwest", "sqlx", "hyper", "axum", "redfish-client"] {
        assert!(!built_with.contains(absent), "helix-inventory is built with {absent}");
    }
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("inventory/src")) {
        for absent in ["std::fs", "std::net", "std::process", "std::env::", "Utc::now", "SystemTime::now"] {
            assert!(!text.contains(absent), "{name} uses {absent}");
        }
    }
}

#[test]
fn the_redfish_client_knows_neither_the_domain_nor_the_database() {
    let built_with = built_with(&metadata(), "redfish-client");
    for absent in ["helix-inventory", "helix-api", "helix-controller", "sqlx"] {
        assert!(!built_with.contains(absent), "redfish-client is built with {absent}");
    }
}

#[test]
fn the_simulator_shares_nothing_with_the_client() {
    let built_with = built_with(&metadata(), "redfish-sim");
    for absent in ["redfish-client", "helix-inventory", "helix-api", "helix-agent", "helix-controller"] {
        assert!(!built_with.contains(absent), "redfish-sim is built with {absent}");
    }
}

#[test]
fn agent_and_command_line_never_see_the_controller() {
    let metadata = metadata();
    for package in ["helix-agent", "helixctl"] {
        let built_with = built_with(&metadata, package);
        for absent in ["helix-controller", "sqlx", "redfish-client"] {
            assert!(!built_with.contains(absent), "{package} is built with {absent}");
        }
    }
}

#[test]
fn only_the_controller_talks_to_postgres_and_only_in_its_store() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let direct = package.dependencies.iter().any(|dependency| dependency.name == "sqlx");
        assert_eq!(direct, package.name.as_str() == "helix-controller", "{} and sqlx", package.name);
    }
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("controller/src")) {
        // The database's own start and its listener are no queries of nouns.
        if name.starts_with("controller/src/store/") || name.starts_with("controller/src/database/") {
            continue;
        }
        // Tests may look at rows directly.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        if name.ends_with("tests.rs") || name.ends_with("fixture.rs") || name.contains("/tests/") {
            continue;
        }
        for absent in
            ["query!(", "query_as!(", "query_scalar!(", "sqlx::query(", "sqlx::query_as", "sqlx::query_scalar"]
        {
            assert!(!text.contains(absent), "{name} holds SQL ({absent}); it belongs into store/");
        }
    }
}

#[test]
fn one_tls_library_is_in_the_tree() {
    let metadata = metadata();
    for absent in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"] {
        assert!(!metadata.packages.iter().any(|p| p.name.as_str() == absent), "{absent} is in the tree");
    }
}

#[test]
fn no_file_is_a_drawer() {
    for (name, text) in sources() {
        let stem = Path::new(&name).file_stem().unwrap().to_string_lossy().into_owned();
        for absent in ["common", "util", "utils", "manager", "helper", "helpers", "misc"] {
            assert_ne!(stem, absent, "{name} has no noun");
        }
        let lines = text.lines().count();
        assert!(lines <= 800, "{name} has {lines} lines: split it by its nouns");
        assert!(text.starts_with("//!"), "{name} does not say what it is in its first line");
    }
}

#[test]
fn the_top_level_is_what_the_design_says() {
    let allowed = ["agent", "controller", "inventory", "migrations", "redfish", "tests", "web"];
    let listed = std::process::Command::new("git").args(["ls-files"]).current_dir(root()).output().expect("git");
    let listed = String::from_utf8(listed.stdout).expect("names in UTF-8");
    for file in listed.lines() {
        if let Some((folder, _)) = file.split_once('/') {
            assert!(allowed.contains(&folder) || folder.starts_with('.'), "{folder}/ is not in the layout");
        }
    }
}
