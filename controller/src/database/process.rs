//! Starts one program of Postgres the way this machine wants it: unprivileged, in a session of its own, and never
//! outliving helixd.
//!
//! The database folder may lie where an unprivileged user cannot go (below `/root`, say). So the program is given the
//! folder as an open descriptor and told `/proc/self/fd/N`: it needs no right on the way to it, and a socket made there
//! has a short name however deep the folder lies.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setgid, setgroups, setsid, setuid};

use crate::database::account::Account;

/// The name of the folder inside a child: the descriptor keeps its number.
pub(crate) fn folder_in_child(folder: &File) -> String {
    format!("/proc/self/fd/{}", folder.as_raw_fd())
}

/// A command for a program of Postgres that finds `folder` under [`folder_in_child`]. Its environment is empty but for
/// the search path: the database URL and other settings of helixd are none of its business.
///
/// The child gets `on_parent_death` when the *thread* that spawns it ends, so spawn from a thread that lives as long as
/// the child may.
pub(crate) fn command(
    program: &Path,
    folder: &Arc<File>,
    account: Option<Account>,
    on_parent_death: Signal,
) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let folder = Arc::clone(folder);
    let parent = nix::unistd::getpid();
    let prepare = move || prepare(&folder, account, parent, on_parent_death);
    #[expect(
        unsafe_code,
        reason = "what runs between fork and exec is a handful of system calls, none of which allocates"
    )]
    unsafe {
        command.pre_exec(prepare);
    }
    command
}

/// Runs in the child, between fork and exec.
fn prepare(folder: &File, account: Option<Account>, parent: Pid, on_parent_death: Signal) -> std::io::Result<()> {
    // The program shall find it open.
    fcntl(folder, FcntlArg::F_SETFD(FdFlag::empty()))?;
    // A session of its own: Ctrl-C in helixd's terminal is for helixd, which stops Postgres last.
    setsid()?;
    if let Some(account) = account {
        setgroups(&[])?;
        setgid(account.gid)?;
        setuid(account.uid)?;
    }
    // After the change of user, which clears it.
    prctl::set_pdeathsig(on_parent_death)?;
    // Died between fork and here: nobody would ever signal this child.
    if getppid() != parent {
        return Err(std::io::Error::other("helixd ended while it started Postgres"));
    }
    Ok(())
}
