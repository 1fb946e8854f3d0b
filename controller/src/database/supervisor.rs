//! Keeps the private Postgres running: a thread that spawns it, waits for it, and starts it again when it dies.
//!
//! The thread lives as long as the server, for the kernel sends the death signal when the *thread* that spawned a child
//! ends. A server that ends before it ever served is not started again: whoever starts helixd is there to read why.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::watch;

use crate::chain::Chain;
use crate::database::account::Account;
use crate::database::process::{command, folder_in_child};
use crate::database::{DatabaseError, leftover};

/// The first wait before a server that died is started again, doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest such wait: a full disk is not mended sooner, and nobody should wait longer once it is.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// A server that ran this long was well; its next end counts as a first one.
const WELL: Duration = Duration::from_secs(60);
/// Lines of the server's log that are kept to explain a failed start.
const KEPT_LINES: usize = 6;
/// What the server says to those who come too early or too late: no news.
const EXPECTED: &[&str] = &[
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is not yet accepting connections",
    "terminating connection due to administrator command",
    "terminating connection due to unexpected postmaster exit",
];

/// What is run again and again.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) program: PathBuf,
    pub(crate) folder: Arc<File>,
    /// The same folder by its name, without links.
    pub(crate) pgdata: PathBuf,
    pub(crate) account: Option<Account>,
    /// Connections that the server shall allow.
    pub(crate) connections: u32,
}

/// The thread, and what it shares.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    /// Closed when the thread has ended, and with it the server.
    ended: watch::Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when `stopping` is set, so that nobody sleeps through it.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The running server; `None` between two runs. While it stands here it is not reaped, so the pid is its own.
    pid: Option<Pid>,
    stopping: bool,
    served: bool,
    last_lines: VecDeque<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supervisor {
    /// Starts the thread, and in it the server.
    pub(crate) fn start(server: Server) -> Result<Self, DatabaseError> {
        let shared = Arc::new(Shared::default());
        let (end, ended) = watch::channel(());
        let pgdata = server.pgdata.clone();
        let thread_shared = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || {
                server.supervise(&thread_shared);
                drop(end);
            })
            .map_err(|source| DatabaseError::Io { what: "start a thread for the server in", path: pgdata, source })?;
        Ok(Self { shared, ended })
    }

    /// From now on the server is started again when it ends.
    pub(crate) fn served(&self) {
        self.shared.lock().served = true;
    }

    /// What the server said last, when it ended and is not started again.
    pub(crate) fn gave_up(&self) -> Option<String> {
        self.ended.has_changed().is_err().then(|| {
            let state = self.shared.lock();
            let said: Vec<&str> = state.last_lines.iter().map(String::as_str).collect();
            if said.is_empty() { "it said nothing".to_owned() } else { said.join(" | ") }
        })
    }

    /// Ends the server with this signal, for good.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut state = self.shared.lock();
        state.stopping = true;
        self.shared.changed.notify_all();
        if let Some(pid) = state.pid
            && let Err(error) = kill(pid, signal)
        {
            tracing::warn!(%pid, %error, "cannot signal the private Postgres");
        }
    }

    /// Waits for the end of the server; `false` when it does not come in time.
    pub(crate) async fn ended_within(&mut self, limit: Duration) -> bool {
        // Nothing is ever sent: what is waited for is the closing.
        tokio::time::timeout(limit, self.ended.changed()).await.is_ok()
    }

    #[cfg(test)]
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.shared.lock().pid
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.ended.has_changed().is_ok() {
            self.signal(Signal::SIGQUIT);
        }
    }
}

impl Server {
    fn supervise(&self, shared: &Arc<Shared>) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let began = Instant::now();
            let ended = self.run(shared);
            let (stopping, served) = {
                let state = shared.lock();
                (state.stopping, state.served)
            };
            if stopping {
                return;
            }
            let why = match ended {
                Ok(Some(status)) => status.to_string(),
                Ok(None) => return,
                Err(error) => Chain(&error).to_string(),
            };
            if !served {
                note(shared, &format!("it ended with {why}"));
                return;
            }
            tracing::error!(%why, "the private Postgres ended while helixd was serving; starting it again");
            backoff = if began.elapsed() > WELL { FIRST_BACKOFF } else { (backoff * 2).min(LONGEST_BACKOFF) };
            let state = shared.lock();
            drop(shared.changed.wait_timeout_while(state, backoff, |state| !state.stopping));
        }
    }

    /// One life of the server; `None` when it was not started because helixd stops.
    fn run(&self, shared: &Arc<Shared>) -> Result<Option<ExitStatus>, DatabaseError> {
        // Children of a server that was killed may still be at work on its files.
        leftover::stop(&self.pgdata)?;
        let mut child = {
            let mut state = shared.lock();
            if state.stopping {
                return Ok(None);
            }
            state.last_lines.clear();
            let child = self.spawn()?;
            state.pid = i32::try_from(child.id()).ok().map(Pid::from_raw);
            child
        };
        let reader = child.stderr.take().map(|pipe| {
            let shared = Arc::clone(shared);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    note(&shared, &line);
                }
            })
        });
        let status = self.wait(&mut child, shared)?;
        // What outlived the server holds the pipe open; without it the reader ends.
        leftover::stop(&self.pgdata)?;
        if let Some(reader) = reader
            && reader.join().is_err()
        {
            tracing::warn!("the thread that reads Postgres's log ended badly");
        }
        Ok(Some(status))
    }

    fn spawn(&self) -> Result<Child, DatabaseError> {
        let folder = folder_in_child(&self.folder);
        let mut command = command(&self.program, &self.folder, self.account, Signal::SIGQUIT);
        command.arg("-D").arg(&folder).stdout(Stdio::null());
        for setting in [
            // Nothing but the socket in its own folder.
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={folder}"),
            "port=5432".to_owned(),
            format!("max_connections={}", self.connections),
            // A crash costs nothing: what was committed is on disk.
            "fsync=on".to_owned(),
            "synchronous_commit=on".to_owned(),
            "full_page_writes=on".to_owned(),
            // The working set of 5,000 nodes is some 50 MB; the rest is the kernel's cache.
            "shared_buffers=128MB".to_owned(),
            "max_wal_size=1GB".to_owned(),
            // Small statements only: compiling them would cost more than it saves.
            "jit=off".to_owned(),
            // Nothing outside our folder: /dev/shm is small in containers, and some systems clear it when a user logs out.
            "dynamic_shared_memory_type=mmap".to_owned(),
            // A transaction that a dead task left open would hold locks for ever.
            "idle_in_transaction_session_timeout=60s".to_owned(),
            "log_destination=stderr".to_owned(),
            "logging_collector=off".to_owned(),
            "log_line_prefix=".to_owned(),
            // Statements may hold what does not belong into a log.
            "log_min_error_statement=panic".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        command.spawn().map_err(|source| DatabaseError::Io { what: "run", path: self.program.clone(), source })
    }

    /// Waits for the end of the child. Its pid is taken out of the state before it is reaped, so that no signal ever
    /// goes to a pid that is somebody else's by now.
    fn wait(&self, child: &mut Child, shared: &Shared) -> Result<ExitStatus, DatabaseError> {
        let io = |source| DatabaseError::Io { what: "wait for", path: self.program.clone(), source };
        let pid = shared.lock().pid;
        if let Some(pid) = pid {
            loop {
                match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                    Ok(_ended) => break,
                    Err(nix::errno::Errno::EINTR) => {}
                    Err(errno) => return Err(io(errno.into())),
                }
            }
        }
        shared.lock().pid = None;
        child.wait().map_err(io)
    }
}

/// Keeps a line of the server's log, and logs it as loud as it is.
fn note(shared: &Shared, line: &str) {
    if line.trim().is_empty() {
        return;
    }
    let loud = ["FATAL:", "PANIC:", "WARNING:"].iter().any(|word| line.starts_with(word));
    if loud && !EXPECTED.iter().any(|expected| line.contains(expected)) {
        tracing::warn!(target: "postgres", "{line}");
    } else {
        tracing::debug!(target: "postgres", "{line}");
    }
    let mut state = shared.lock();
    if state.last_lines.len() == KEPT_LINES {
        state.last_lines.pop_front();
    }
    state.last_lines.push_back(line.to_owned());
}
