//! The folder of everything that one controller keeps, and the lock that gives it to one process.
//!
//! The lock covers the folder also when the database is the site's own: the instance id lies here, and two processes
//! with one instance id would take each other's leases.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use uuid::Uuid;

use crate::access::private_file::{self, PrivateFileError};

/// What keeps a process from using the folder.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process holds it.
    #[error(
        "the data folder {path} is in use by another helixd (pid {pid}); stop it first, or give this one a folder of its own with --data-dir"
    )]
    InUse { path: PathBuf, pid: String },
    /// The folder cannot be made, or a file in it cannot be used.
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The instance id cannot be read or written.
    #[error("the instance id of this controller cannot be used")]
    Instance(#[from] PrivateFileError),
    /// The instance id is no id.
    #[error("{0} holds no id: remove it when no other controller was ever started from a copy of this folder")]
    NotAnId(PathBuf),
}

impl DataFolderError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "data_folder_in_use",
            Self::Io { .. } => "data_folder_io",
            Self::Instance(error) => error.code(),
            Self::NotAnId(_) => "instance_id_unreadable",
        }
    }
}

/// The folder, held by this process until it ends.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// The kernel gives it back when the process ends, however it ends.
    _lock: Flock<File>,
}

impl DataFolder {
    /// Takes the folder; makes it (0700) on first use.
    ///
    /// # Errors
    /// [`DataFolderError::InUse`] with the pid of who holds it, or when it cannot be made.
    pub fn take(path: &Path) -> Result<Self, DataFolderError> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| DataFolderError::Io {
            what: "make the data folder",
            path: path.to_owned(),
            source,
        })?;
        let path = path.canonicalize().map_err(|source| DataFolderError::Io {
            what: "find the data folder",
            path: path.to_owned(),
            source,
        })?;
        let lock = path.join("lock");
        let io = |source| DataFolderError::Io { what: "lock", path: lock.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .map_err(io)?;
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(io)?;
        let mut held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let pid = if holder.trim().is_empty() { "unknown" } else { holder.trim() };
                return Err(DataFolderError::InUse { path, pid: pid.to_owned() });
            }
            Err((_, errno)) => return Err(io(errno.into())),
        };
        held.set_len(0).map_err(io)?;
        held.rewind().map_err(io)?;
        held.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(io)?;
        Ok(Self { path, _lock: held })
    }

    /// The folder, with all links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of this controller: made once per folder, so that a restart finds its own leases and BMC sessions.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn instance(&self) -> Result<Uuid, DataFolderError> {
        let path = self.path.join("instance-id");
        if let Some(bytes) = private_file::read(&path)? {
            let text = String::from_utf8_lossy(&bytes);
            return Uuid::parse_str(text.trim()).map_err(|_| DataFolderError::NotAnId(path));
        }
        let id = Uuid::now_v7();
        private_file::write(&path, format!("{id}\n").as_bytes())?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_names_the_process_that_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataFolder::take(&path).unwrap();
        let error = DataFolder::take(&path).unwrap_err();
        assert_eq!(error.code(), "data_folder_in_use");
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        DataFolder::take(&path).unwrap();
    }

    #[test]
    fn the_instance_id_stays_with_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::take(folder.path()).unwrap().instance().unwrap();
        assert_eq!(DataFolder::take(folder.path()).unwrap().instance().unwrap(), first);
    }
}
