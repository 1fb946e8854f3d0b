//! The state folder: one JSON file a BMC, replaced whole, so that a killed simulator leaves either the old or the new state.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::machine::Kept;

/// File of the BMC with this address.
#[must_use]
pub(crate) fn file_of(folder: &Path, address: Ipv4Addr) -> PathBuf {
    folder.join(format!("{address}.json"))
}

/// Replaces a file by writing a neighbour and renaming it.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let neighbour = path.with_extension("json.new");
    let mut file = std::fs::File::create(&neighbour)?;
    file.write_all(bytes)?;
    drop(file);
    std::fs::rename(&neighbour, path)
}

/// Reads what a BMC remembers; `None` when it is new here.
///
/// # Errors
/// When the file exists and cannot be read or understood: a damaged state must not silently become a new machine.
pub(crate) fn read(folder: &Path, address: Ipv4Addr) -> std::io::Result<Option<Kept>> {
    match std::fs::read(file_of(folder, address)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(std::io::Error::other),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
