//! Finds the server programs of Postgres on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::database::{DatabaseError, OLDEST};

/// The package to install; Debian 12 has 15, which is what Helix is tested with.
const PACKAGE: &str = "postgresql-15 (Debian 12; postgresql-16 on Ubuntu 24.04)";

/// One installed Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) folder: PathBuf,
    /// 15, 16, …
    pub(crate) major: u32,
}

impl Binaries {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Every folder that may hold the programs: Debian's and Red Hat's own places, then the search path.
fn folders(roots: &[&Path], search_path: &OsStr) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for root in roots {
        let Ok(entries) = std::fs::read_dir(root) else { continue };
        let mut inside: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            // Red Hat's are /usr/pgsql-15/bin, Debian's /usr/lib/postgresql/15/bin.
            .filter(|path| {
                root.ends_with("postgresql")
                    || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgsql-"))
            })
            .map(|path| path.join("bin"))
            .collect();
        inside.sort();
        folders.extend(inside);
    }
    folders.extend(std::env::split_paths(search_path));
    folders.retain(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file());
    folders
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    number.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn installed(folders: Vec<PathBuf>) -> Vec<Binaries> {
    let mut found: Vec<Binaries> = Vec::new();
    for folder in folders {
        let Ok(output) = Command::new(folder.join("postgres")).arg("--version").env_clear().output() else { continue };
        let Some(major) = major(&String::from_utf8_lossy(&output.stdout)) else { continue };
        if !found.iter().any(|other| other.major == major) {
            found.push(Binaries { folder, major });
        }
    }
    found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    found
}

/// The programs for a database folder: those that made it, or the newest when there is none yet.
pub(crate) fn find(pgdata: &Path) -> Result<Binaries, DatabaseError> {
    let roots = [Path::new("/usr/lib/postgresql"), Path::new("/usr")];
    choose(pgdata, installed(folders(&roots, &std::env::var_os("PATH").unwrap_or_default())))
}

fn choose(pgdata: &Path, installed: Vec<Binaries>) -> Result<Binaries, DatabaseError> {
    let usable: Vec<Binaries> = installed.into_iter().filter(|binaries| binaries.major >= OLDEST).collect();
    let made_by = match std::fs::read_to_string(pgdata.join("PG_VERSION")) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(DatabaseError::Io { what: "read", path: pgdata.join("PG_VERSION"), source }),
    };
    let none = || DatabaseError::NoBinaries { wanted: OLDEST, package: PACKAGE };
    match made_by {
        None => usable.into_iter().next().ok_or_else(none),
        Some(_) if usable.is_empty() => Err(none()),
        Some(found) => match usable.iter().find(|binaries| binaries.major.to_string() == found) {
            Some(binaries) => Ok(binaries.clone()),
            None => {
                let installed: Vec<String> = usable.iter().map(|binaries| binaries.major.to_string()).collect();
                Err(DatabaseError::OtherMajor { folder: pgdata.to_owned(), found, installed: installed.join(", ") })
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binaries(majors: &[u32]) -> Vec<Binaries> {
        majors
            .iter()
            .map(|major| Binaries { folder: PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")), major: *major })
            .collect()
    }

    #[test]
    fn without_postgres_the_admin_is_told_the_package_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let error = choose(folder.path(), binaries(&[13])).unwrap_err();
        assert_eq!(error.code(), "postgres_missing");
        let said = error.to_string();
        assert!(said.contains("apt-get install postgresql-15") && said.contains("create_main_cluster"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn a_folder_of_another_major_version_names_both() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("PG_VERSION"), "13\n").unwrap();
        let said = choose(folder.path(), binaries(&[16, 15])).unwrap_err().to_string();
        assert!(said.contains("made by Postgres 13, installed is Postgres 16, 15"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn an_old_folder_keeps_its_own_programs_when_newer_ones_arrive() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(choose(folder.path(), binaries(&[17, 15])).unwrap().major, 17);
        std::fs::write(folder.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(choose(folder.path(), binaries(&[17, 15])).unwrap().major, 15);
    }

    #[test]
    fn versions_are_read_as_debian_and_others_write_them() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major("something else"), None);
    }
}
