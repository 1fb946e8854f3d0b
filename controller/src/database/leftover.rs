//! Finds processes of an earlier private Postgres in our database folder and stops them.
//!
//! A process is ours when its program is `postgres` and its working folder is our database folder; a pid in a file
//! proves nothing, for pids are used again. Everything here waits: call it off the runtime's threads. The data folder's lock is held, so nobody else's server can be meant.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::database::DatabaseError;

/// A fast shutdown writes what is in memory (128 MB at most) to disk; 20 s is ten times what a slow disk needs.
const FAST: Duration = Duration::from_secs(20);
/// An immediate shutdown writes nothing.
const IMMEDIATE: Duration = Duration::from_secs(5);
/// Killed processes go at once, unless the kernel waits for a disk.
const KILLED: Duration = Duration::from_secs(5);
/// How often we look.
const LOOK: Duration = Duration::from_millis(20);

/// Processes of Postgres whose working folder is `pgdata` (a path without links).
pub(crate) fn occupants(pgdata: &Path) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let folder = std::fs::read_link(entry.path().join("cwd")).ok()?;
            let program = std::fs::read_link(entry.path().join("exe")).ok()?;
            // A program that an upgrade replaced is shown as "postgres (deleted)".
            let name = program.file_name()?.to_str()?;
            (folder == pgdata && name.split(' ').next() == Some("postgres")).then(|| Pid::from_raw(pid))
        })
        .collect()
}

/// The pid in `postmaster.pid`, whoever has it now.
pub(crate) fn recorded(pgdata: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok().map(Pid::from_raw)
}

/// Stops what is left over from before and removes the stale pid file. The main process is asked first; what outlives
/// it is told, and at last killed.
pub(crate) fn stop(pgdata: &Path) -> Result<(), DatabaseError> {
    let there = occupants(pgdata);
    if !there.is_empty() {
        tracing::warn!(pids = %list(&there), "a Postgres of an earlier helixd still runs in our folder; stopping it");
        let main = recorded(pgdata).filter(|pid| there.contains(pid));
        if let Some(main) = main {
            send(&[main], Signal::SIGINT);
            if !gone(pgdata, FAST) {
                send(&[main], Signal::SIGQUIT);
            }
        }
        // Without the main process the others end by themselves as soon as they notice.
        if !gone(pgdata, IMMEDIATE) {
            send(&occupants(pgdata), Signal::SIGQUIT);
        }
        if !gone(pgdata, IMMEDIATE) {
            send(&occupants(pgdata), Signal::SIGKILL);
        }
        if !gone(pgdata, KILLED) {
            return Err(DatabaseError::Leftover { folder: pgdata.to_owned(), pids: list(&occupants(pgdata)) });
        }
    }
    let pid_file = pgdata.join("postmaster.pid");
    match std::fs::remove_file(&pid_file) {
        Ok(()) => tracing::info!("removed the pid file of a Postgres that is gone"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(DatabaseError::Io { what: "remove the stale", path: pid_file, source }),
    }
    Ok(())
}

fn send(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // One that is gone already is what we want.
        if let Err(error) = kill(*pid, signal)
            && error != nix::errno::Errno::ESRCH
        {
            tracing::warn!(%pid, %signal, %error, "cannot signal a leftover Postgres");
        }
    }
}

fn gone(pgdata: &Path, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    loop {
        if occupants(pgdata).is_empty() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::park_timeout(LOOK);
    }
}

fn list(pids: &[Pid]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
