//! User data: Helix's own cloud-config, and the admin's beside it as a part of its own.
//!
//! cloud-init merges parts in order; the merge type lets lists of both grow together, so that an admin's `runcmd` does
//! not push Helix's out.

use serde::Serialize;

use super::{SeedError, SeedInput, yaml};

/// Lists are appended, maps merged, and what was set first stays.
const MERGE: &str = "list(append)+dict(no_replace,recurse_list)+str()";

#[derive(Serialize)]
struct CloudConfig<'a> {
    hostname: &'a str,
    preserve_hostname: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ssh_authorized_keys: &'a [String],
    runcmd: Vec<Vec<&'a str>>,
}

/// The document.
pub(super) fn document(input: &SeedInput<'_>, install: &str) -> Result<String, SeedError> {
    let own = CloudConfig {
        hostname: input.node_name,
        preserve_hostname: false,
        ssh_authorized_keys: input.ssh_keys,
        runcmd: vec![vec![install]],
    };
    let own = format!("#cloud-config\n{}", yaml("user-data", &own)?);
    let Some(other) = input.user_data.filter(|text| !text.trim().is_empty()) else { return Ok(own) };
    let boundary = boundary(input, &[&own, other]);
    let mut document = format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    document.push_str(&format!("--{boundary}\n{}{}\n", headers("text/cloud-config", "helix.cfg"), own.trim_end()));
    document.push_str(&format!("--{boundary}\n{}{}\n", part_headers(other), other.trim_end()));
    document.push_str(&format!("--{boundary}--\n"));
    Ok(document)
}

/// Headers by the first line, as cloud-init itself tells formats apart. A part with MIME headers of its own keeps them.
fn part_headers(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let kind = if first.starts_with("Content-Type:") || first.starts_with("MIME-Version:") {
        return String::new();
    } else if first.starts_with("#!") {
        "text/x-shellscript"
    } else if first.starts_with("#include-once") {
        "text/x-include-once-url"
    } else if first.starts_with("#include") {
        "text/x-include-url"
    } else if first.starts_with("## template:") {
        "text/jinja2"
    } else if first.starts_with("#cloud-boothook") {
        "text/cloud-boothook"
    } else if first.starts_with("#cloud-config-archive") {
        "text/cloud-config-archive"
    } else {
        "text/cloud-config"
    };
    headers(kind, "site.cfg")
}

fn headers(kind: &str, name: &str) -> String {
    let merge = if kind == "text/cloud-config" { format!("Merge-Type: {MERGE}\n") } else { String::new() };
    format!("Content-Type: {kind}; charset=\"utf-8\"\nContent-Disposition: attachment; filename=\"{name}\"\n{merge}\n")
}

/// A boundary that stands in no part.
fn boundary(input: &SeedInput<'_>, parts: &[&str]) -> String {
    let base = format!("helix-{}", input.instance_id.simple());
    let candidates = std::iter::once(base.clone()).chain((1..).map(|number: u32| format!("{base}-{number}x")));
    // Text is finite, so one of the candidates is free; the first one nearly always.
    candidates.into_iter().find(|candidate| !parts.iter().any(|part| part.contains(candidate.as_str()))).unwrap_or(base)
}
