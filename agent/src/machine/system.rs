//! The running system: kernel, operating system, uptime, load, memory, boot id.
//!
//! Relies on procfs and `/etc/os-release`. Missing files give empty values: a report with a gap beats none.

use helix_api::agent::OsFacts;

use super::root::Root;

/// Memory as `/proc/meminfo` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// What the kernel manages, bytes.
    pub total_bytes: u64,
    /// Total less what is available for new programs, bytes.
    pub used_bytes: u64,
}

/// Memory of the machine.
pub fn memory(root: &Root) -> Memory {
    let text = root.text("proc/meminfo").unwrap_or_default();
    let field = |name: &str| -> u64 {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024)
    };
    let total_bytes = field("MemTotal");
    Memory { total_bytes, used_bytes: total_bytes.saturating_sub(field("MemAvailable")) }
}

/// Online logical processors.
pub fn logical_processors(root: &Root) -> u32 {
    let text = root.text("proc/cpuinfo").unwrap_or_default();
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The kernel's id of this boot; empty when it cannot be read.
pub fn boot_id(root: &Root) -> String {
    root.text("proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Seconds since boot.
pub fn uptime_seconds(root: &Root) -> u64 {
    let text = root.text("proc/uptime").unwrap_or_default();
    text.split(['.', ' ']).next().and_then(|whole| whole.parse().ok()).unwrap_or(0)
}

/// Load averages over 1, 5 and 15 minutes.
pub fn load_average(root: &Root) -> [f64; 3] {
    let text = root.text("proc/loadavg").unwrap_or_default();
    let mut values = text.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
    std::array::from_fn(|_| values.next().unwrap_or(0.0))
}

/// Operating system, kernel, host name and the installation's own id.
pub fn os(root: &Root) -> OsFacts {
    let release = root.text("etc/os-release").or_else(|| root.text("usr/lib/os-release")).unwrap_or_default();
    let field = |name: &str| os_release_field(&release, name);
    OsFacts {
        name: field("PRETTY_NAME").or_else(|| field("NAME")).unwrap_or_default(),
        id: field("ID").unwrap_or_default(),
        version: field("VERSION_ID"),
        kernel: root.text("proc/sys/kernel/osrelease").unwrap_or_default(),
        hostname: root.text("proc/sys/kernel/hostname").unwrap_or_default(),
        instance_id: root.text("var/lib/cloud/data/instance-id"),
    }
}

/// One value of an os-release file; quotes as a shell would take them off.
fn os_release_field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let value = value.trim();
    let bare = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .or_else(|| value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')))
        .unwrap_or(value);
    (!bare.is_empty()).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_as_procfs_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:       2113929216 kB\nMemFree: 1 kB\nMemAvailable:   2013929216 kB\n");
        write("proc/loadavg", "1.50 0.75 0.25 2/1234 5678\n");
        write("proc/uptime", "12345.67 99999.00\n");
        write("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID='12'\n");
        let root = Root::at(folder.path());
        assert_eq!(memory(&root), Memory { total_bytes: 2_113_929_216 * 1024, used_bytes: 100_000_000 * 1024 });
        assert_eq!(load_average(&root), [1.5, 0.75, 0.25]);
        assert_eq!(uptime_seconds(&root), 12_345);
        let os = os(&root);
        assert_eq!((os.name.as_str(), os.id.as_str()), ("Debian GNU/Linux 12 (bookworm)", "debian"));
        assert_eq!(os.version.as_deref(), Some("12"));
    }
}
