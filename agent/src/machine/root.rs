//! Where `/sys`, `/proc` and `/dev` lie: `/` on a node, a folder of recorded files in tests.
//!
//! All readers of the machine take a [`Root`], so that every rule about sysfs can be tested without the hardware.

use std::path::{Path, PathBuf};

/// A folder that stands for `/`.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// A root other than `/`.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The path below the root; a leading slash of `path` is dropped.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A small text file, trimmed; `None` when it is not there, empty or cannot be read (which sysfs does for what a device lacks).
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        text(&self.path(path))
    }

    /// Names in a folder, sorted; empty when it is not there.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        names(&self.path(path))
    }
}

/// A small text file, trimmed; `None` when missing, empty or unreadable.
pub fn text(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
    (!text.is_empty()).then_some(text)
}

/// A number from a small text file.
pub fn number(path: &Path) -> Option<u64> {
    text(path)?.parse().ok()
}

/// Names in a folder, sorted; empty when it is not there.
pub fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}
