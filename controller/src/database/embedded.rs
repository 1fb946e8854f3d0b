//! The private Postgres: started, watched, stopped with helixd.
//!
//! It listens on a Unix socket in its own folder and nowhere else; only the user that runs helixd may connect. Making
//! the folder is `cluster`'s, keeping the server alive is `supervisor`'s, what is done when helixd dies stands in
//! `process` (a death signal) and `leftover` (the next start).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::database::supervisor::{Server, Supervisor};
use crate::database::{DatabaseError, account, binaries, cluster, leftover};

/// Name of the database and of its owner inside the server.
pub(crate) const NAME: &str = "helix";
/// The port is only part of the socket's file name.
const PORT: u16 = 5432;
/// Connections beside the pool: listeners, administration, and Postgres's own reserve of three.
const SPARE_CONNECTIONS: u32 = 12;
/// Recovery after a crash replays at most `max_wal_size` (1 GB); 10 min is what the slowest disk needs.
const READY: Duration = Duration::from_secs(600);
/// How often a starting server is tried.
const LOOK: Duration = Duration::from_millis(30);
/// Says that it still waits this often.
const STILL_WAITING: Duration = Duration::from_secs(10);
/// A fast shutdown ends sessions and writes what is in memory (128 MB at most) to disk.
const STOP: Duration = Duration::from_secs(30);
/// Bytes of a Unix socket's path that the kernel takes, less the name of the socket file.
const SOCKET_FOLDER: usize = 107 - "/.s.PGSQL.5432".len();

/// A running private Postgres. Dropped without `stop`, it is told to end at once and recovers at its next start.
#[derive(Debug)]
pub(crate) struct Embedded {
    folder: Arc<File>,
    pgdata: PathBuf,
    supervisor: Supervisor,
}

impl Embedded {
    /// Starts the server in `data_dir/postgres`, after making it or stopping what is left over there. The caller holds
    /// the data folder's lock.
    ///
    /// # Errors
    /// When there are no programs or other ones than made the folder, no user to run as, or the server does not start.
    pub(crate) async fn start(data_dir: &Path, pool_connections: u32) -> Result<Self, DatabaseError> {
        let pgdata = data_dir.join("postgres");
        let (in_data_dir, in_pgdata) = (data_dir.to_owned(), pgdata.clone());
        // Programs are run and processes waited for: not on the runtime's threads.
        let prepared = tokio::task::spawn_blocking(move || {
            let binaries = binaries::find(&in_pgdata)?;
            let account = account::find()?;
            cluster::prepare(&in_data_dir, &in_pgdata, &binaries, account)?;
            leftover::stop(&in_pgdata)?;
            let folder = cluster::open(&in_pgdata)?;
            Ok::<_, DatabaseError>((binaries, account, Arc::new(folder)))
        });
        let (binaries, account, folder) = prepared
            .await
            .map_err(|error| DatabaseError::Start { folder: pgdata.clone(), said: error.to_string() })??;
        let server = Server {
            program: binaries.program("postgres"),
            folder: Arc::clone(&folder),
            pgdata: pgdata.clone(),
            account,
            connections: pool_connections + SPARE_CONNECTIONS,
        };
        let supervisor = Supervisor::start(server)?;
        let embedded = Self { folder, pgdata, supervisor };
        embedded.ready().await?;
        embedded.supervisor.served();
        tracing::info!(folder = %embedded.pgdata.display(), version = binaries.major, "the private Postgres is running");
        Ok(embedded)
    }

    /// How to connect.
    pub(crate) fn options(&self) -> PgConnectOptions {
        options(&self.pgdata, &self.folder)
    }

    /// Where it lies, for messages.
    pub(crate) fn place(&self) -> String {
        format!("in {}", self.pgdata.display())
    }

    /// Waits until the server answers; for as long as it lives, for recovery takes its time.
    async fn ready(&self) -> Result<(), DatabaseError> {
        let began = Instant::now();
        let mut told = began;
        let options = self.options().database("postgres");
        loop {
            match PgConnection::connect_with(&options).await {
                Ok(connection) => {
                    // It answered; how it closes is the server's matter.
                    drop(connection.close().await);
                    return Ok(());
                }
                Err(source) if began.elapsed() > READY => {
                    return Err(DatabaseError::Connect { at: self.place(), source });
                }
                Err(_not_yet) => {}
            }
            if let Some(said) = self.supervisor.gave_up() {
                return Err(DatabaseError::Start { folder: self.pgdata.clone(), said });
            }
            if told.elapsed() > STILL_WAITING {
                told = Instant::now();
                tracing::info!("waiting for the private Postgres, which may be recovering from a crash");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops the server in good order; it is told to end at once when that takes too long.
    pub(crate) async fn stop(mut self) {
        self.supervisor.signal(Signal::SIGINT);
        if self.supervisor.ended_within(STOP).await {
            tracing::info!("the private Postgres has stopped");
            return;
        }
        tracing::warn!("the private Postgres takes too long to stop; ending it at once, it recovers at its next start");
        self.supervisor.signal(Signal::SIGQUIT);
        if !self.supervisor.ended_within(STOP).await {
            tracing::error!("the private Postgres does not end; the kernel ends it with helixd");
        }
    }

    /// The process id of the running server.
    #[cfg(test)]
    pub(crate) fn pid(&self) -> Option<nix::unistd::Pid> {
        self.supervisor.pid()
    }
}

/// How to connect to the server in `pgdata`, which the descriptor holds open.
fn options(pgdata: &Path, folder: &File) -> PgConnectOptions {
    let socket = if pgdata.as_os_str().len() <= SOCKET_FOLDER {
        pgdata.to_owned()
    } else {
        // Too long for a socket's path; the descriptor is a short name for the same folder.
        PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
    };
    PgConnectOptions::new_without_pgpass().socket(socket).port(PORT).username(NAME).database(NAME)
}

/// How to connect to the server that another helixd runs in this data folder. The descriptor must stay open as long as
/// connections are made.
pub(crate) fn running(data_dir: &Path) -> Result<(PgConnectOptions, File), DatabaseError> {
    let pgdata = data_dir.join("postgres");
    let folder = cluster::open(&pgdata)?;
    Ok((options(&pgdata, &folder), folder))
}
