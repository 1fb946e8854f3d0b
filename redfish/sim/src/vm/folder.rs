//! A virtual machine's folder: the disk, the firmware's variables, the console, and the record of the running process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use tracing::warn;

use super::process::FIRMWARE_VARIABLES;
use super::{VmError, VmSpec};

/// Beyond this the console file begins anew at the next start: some 40 boots, and a test reads it in one go.
const CONSOLE_MAX_BYTES: u64 = 4 << 20;
/// How much of QEMU's own words goes into an error.
const LOG_TAIL_BYTES: i64 = 600;
/// A killed process is gone in milliseconds; on a machine with no time left, in a few seconds.
const LEFTOVER_WAIT: Duration = Duration::from_secs(10);
/// A simulator that was told to end does so in milliseconds; one that goes on running keeps the lock for hours.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// The folder, held by a lock for as long as this value lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    /// Takes the folder, makes what is missing in it, and stops a process that an earlier simulator left.
    pub(super) async fn open(spec: &VmSpec) -> Result<Self, VmError> {
        // QEMU resolves relative paths against its own folder.
        let path = std::path::absolute(&spec.state_dir).map_err(|source| failed(&spec.state_dir, source))?;
        fs::create_dir_all(&path).map_err(|source| failed(&path, source))?;
        let lock = take_lock(&path).await?;
        let folder = Self { path, _lock: lock };
        folder.stop_leftover().await?;
        folder.make_files(spec).map_err(|source| failed(&folder.path, source))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.path.join("disk.raw")
    }

    pub(super) fn variables(&self) -> PathBuf {
        self.path.join("nvram.fd")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.path.join("console.log")
    }

    pub(super) fn qemu_log(&self) -> PathBuf {
        self.path.join("qemu.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.path.join("qemu.pid")
    }

    /// Called before each start: keeps the console from growing for ever, empties QEMU's own log.
    pub(super) fn prepare_start(&self, spec: &VmSpec) -> Result<(), VmError> {
        let prepare = || -> io::Result<()> {
            let console = OpenOptions::new().create(true).append(true).open(self.console())?;
            if console.metadata()?.len() > CONSOLE_MAX_BYTES {
                console.set_len(0)?;
            }
            File::create(self.qemu_log())?;
            self.give_to_user(spec)
        };
        prepare().map_err(|source| failed(&self.path, source))
    }

    /// Remembers the running process, for the next simulator should this one die.
    pub(super) fn record(&self, pid: u32) -> io::Result<()> {
        fs::write(self.pid_file(), pid.to_string())
    }

    /// The end of what QEMU said on its standard error.
    pub(super) fn qemu_log_tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(self.qemu_log())?;
            let back = LOG_TAIL_BYTES.min(i64::try_from(file.metadata()?.len()).unwrap_or(LOG_TAIL_BYTES));
            file.seek(SeekFrom::End(-back))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        match read() {
            Ok(text) if text.is_empty() => "nothing".to_owned(),
            Ok(text) => text,
            Err(error) => format!("(its log cannot be read: {error})"),
        }
    }

    fn make_files(&self, spec: &VmSpec) -> io::Result<()> {
        let disk = OpenOptions::new().create(true).truncate(false).write(true).open(self.disk())?;
        if disk.metadata()?.len() < spec.disk_size_bytes {
            disk.set_len(spec.disk_size_bytes)?; // sparse: takes no room until it is written
        }
        if !self.variables().exists() {
            let unfinished = self.path.join("nvram.new");
            fs::copy(FIRMWARE_VARIABLES, &unfinished)?;
            fs::rename(unfinished, self.variables())?;
        }
        Ok(())
    }

    /// Another user's QEMU has to write these.
    fn give_to_user(&self, spec: &VmSpec) -> io::Result<()> {
        let Some(name) = &spec.user else { return Ok(()) };
        let user = User::from_name(name)?.ok_or_else(|| io::Error::other(format!("there is no user {name}")))?;
        let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        for path in [self.path.clone(), self.disk(), self.variables(), self.console(), self.qemu_log()] {
            chown(path, uid, gid)?;
        }
        Ok(())
    }

    /// Ends the process in the pid file if it is still the QEMU of this folder.
    async fn stop_leftover(&self) -> Result<(), VmError> {
        let Ok(text) = fs::read_to_string(self.pid_file()) else { return Ok(()) };
        let Ok(pid) = text.trim().parse::<i32>() else { return Ok(()) };
        if !self.is_ours(pid) {
            return Ok(());
        }
        warn!(pid, folder = %self.path.display(), "stopping a machine that an earlier simulator left running");
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(failed(&self.path, errno.into())),
        }
        let gone = async {
            while lives(pid) {
                tokio::time::sleep(POLL).await;
            }
        };
        let late = |_| failed(&self.path, io::Error::other(format!("process {pid} does not end")));
        tokio::time::timeout(LEFTOVER_WAIT, gone).await.map_err(late)
    }

    /// Process ids come round again: only a process with this folder's disk on its command line is ours.
    fn is_ours(&self, pid: i32) -> bool {
        let disk = super::process::option_value(&self.disk());
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&disk))
    }
}

/// Locks the folder. Waits a little, for a simulator that is just ending.
async fn take_lock(path: &Path) -> Result<Flock<File>, VmError> {
    let mut file = File::create(path.join("lock")).map_err(|source| failed(path, source))?;
    let patience = Instant::now() + LOCK_WAIT;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EWOULDBLOCK)) if Instant::now() < patience => file = again,
            Err((_, Errno::EWOULDBLOCK)) => return Err(VmError::InUse { path: path.to_owned() }),
            Err((_, errno)) => return Err(failed(path, errno.into())),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the process still holds its files: its command line is gone earlier than they are.
fn lives(pid: i32) -> bool {
    let state = |stat: String| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with(['Z', 'X']));
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| state(stat) == Some(false))
}

fn failed(path: &Path, source: io::Error) -> VmError {
    VmError::Folder { path: path.to_owned(), source }
}
