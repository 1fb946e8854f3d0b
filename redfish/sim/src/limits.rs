//! The limit of open files: raised to the hard limit at start, since every connection of a fleet is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard limit. Returns the soft limit in force and the hard limit.
#[must_use]
pub(crate) fn raise_open_files() -> (u64, u64) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        // A system that does not say has no limit we could respect.
        return (u64::MAX, u64::MAX);
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return (hard, hard);
    }
    (soft, hard)
}
