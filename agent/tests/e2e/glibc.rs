//! The promise of agent/build.sh: the binary runs on glibc 2.28.

use std::path::Path;

/// RHEL 8 and Ubuntu 20.04 have 2.28 and 2.31.
const HIGHEST: (u32, u32) = (2, 28);

#[test]
fn the_built_agent_asks_for_no_newer_glibc_than_2_28() {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/agent/helix-agent");
    let Ok(bytes) = std::fs::read(&binary) else {
        eprintln!("SKIPPED: there is no {}; agent/build.sh makes it", binary.display());
        return;
    };
    let wanted: Vec<(u32, u32)> = bytes
        .split(|byte| *byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok()?.strip_prefix("GLIBC_"))
        .filter_map(|version| {
            let mut parts = version.split('.').map(str::parse);
            Some((parts.next()?.ok()?, parts.next()?.ok()?))
        })
        .collect();
    let highest = wanted.into_iter().max().expect("a dynamically linked program names versions of glibc");
    assert!(highest <= HIGHEST, "it needs glibc {}.{}", highest.0, highest.1);
}
