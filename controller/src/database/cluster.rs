//! The folder of the private Postgres: made once, owned by the user it runs as, open to nobody else.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::database::DatabaseError;
use crate::database::account::{self, Account};
use crate::database::binaries::Binaries;
use crate::database::embedded::NAME;
use crate::database::process::{command, folder_in_child};

/// Makes the folder when it is not there, gives it to the right user, and writes who may connect.
pub(crate) fn prepare(
    data_dir: &Path,
    pgdata: &Path,
    binaries: &Binaries,
    account: Option<Account>,
) -> Result<(), DatabaseError> {
    if !pgdata.join("PG_VERSION").exists() {
        make(data_dir, pgdata, binaries, account)?;
    }
    own(pgdata, account)?;
    write_access_rules(pgdata, account)
}

/// Opens the folder, so that it can be handed to a child that has no right on the way to it.
pub(crate) fn open(path: &Path) -> Result<File, DatabaseError> {
    File::open(path).map_err(|source| DatabaseError::Io { what: "open", path: path.to_owned(), source })
}

/// Makes the database beside its place and moves it there when it is whole: a crash on the way leaves nothing half-made.
fn make(data_dir: &Path, pgdata: &Path, binaries: &Binaries, account: Option<Account>) -> Result<(), DatabaseError> {
    let beside = data_dir.join("postgres.new");
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| DatabaseError::Io { what, path, source }
    };
    match std::fs::remove_dir_all(&beside) {
        Ok(()) => tracing::info!("removed a database that was left half-made"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(DatabaseError::Io { what: "remove the half-made", path: beside, source }),
    }
    tracing::info!(folder = %pgdata.display(), version = binaries.major, "making the private database");
    std::fs::DirBuilder::new().mode(0o700).create(&beside).map_err(io("make", &beside))?;
    if let Some(account) = account {
        chown(&beside, account)?;
    }
    let folder = Arc::new(open(&beside)?);
    let program = binaries.program("initdb");
    let output = command(&program, &folder, account, Signal::SIGKILL)
        .arg("-D")
        .arg(folder_in_child(&folder))
        .args(["--username", NAME, "--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C"])
        .args(["--data-checksums", "--no-instructions"])
        .output()
        .map_err(io("run", &program))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ");
        return Err(DatabaseError::Initdb { said: if said.is_empty() { output.status.to_string() } else { said } });
    }
    std::fs::rename(&beside, pgdata).map_err(io("move the new database to", pgdata))?;
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(io("write", data_dir))
}

/// Gives the folder to the user that the server runs as; a folder that was made by another user is handed over when
/// helixd may do that, else refused.
fn own(pgdata: &Path, account: Option<Account>) -> Result<(), DatabaseError> {
    let owner = std::fs::metadata(pgdata)
        .map_err(|source| DatabaseError::Io { what: "look at", path: pgdata.to_owned(), source })?
        .uid();
    match account {
        Some(account) if account.uid.as_raw() != owner => {
            tracing::info!(from = owner, to = %account.uid, "handing the private database over to another user");
            hand_over(pgdata, account)
        }
        None if geteuid().as_raw() != owner => {
            Err(DatabaseError::Owner { folder: pgdata.to_owned(), owner, user: geteuid().as_raw() })
        }
        _ => Ok(()),
    }
}

fn hand_over(path: &Path, account: Account) -> Result<(), DatabaseError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| DatabaseError::Io { what: "hand over", path, source }
    };
    chown(path, account)?;
    if std::fs::symlink_metadata(path).map_err(io(path))?.is_dir() {
        for entry in std::fs::read_dir(path).map_err(io(path))? {
            hand_over(&entry.map_err(io(path))?.path(), account)?;
        }
    }
    Ok(())
}

/// Changes the owner of a file, folder or link itself.
fn chown(path: &Path, account: Account) -> Result<(), DatabaseError> {
    std::os::unix::fs::lchown(path, Some(account.uid.as_raw()), Some(account.gid.as_raw()))
        .map_err(|source| DatabaseError::Io { what: "change the owner of", path: path.to_owned(), source })
}

/// Only the user that runs helixd may connect, and only as the database's owner. Written at every start, for that user
/// may have changed.
fn write_access_rules(pgdata: &Path, account: Option<Account>) -> Result<(), DatabaseError> {
    let rules = [
        ("pg_hba.conf", format!("# Written by helixd at every start.\nlocal all {NAME} peer map=helixd\n")),
        ("pg_ident.conf", format!("# Written by helixd at every start.\nhelixd \"{}\" {NAME}\n", account::own_name())),
    ];
    for (name, text) in rules {
        let path: PathBuf = pgdata.join(name);
        let io = |source| DatabaseError::Io { what: "write", path: path.clone(), source };
        // The server reads them before anybody could connect, and nothing in them is needed after a crash.
        std::fs::write(&path, text).map_err(io)?;
        if let Some(account) = account {
            chown(&path, account)?;
        }
    }
    Ok(())
}
