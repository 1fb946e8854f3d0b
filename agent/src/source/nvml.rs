//! GPU readings through the NVML reader, with a deadline.
//!
//! Starts `helix-agent nvml-reader` and asks it for one sweep at a time. A reader that does not answer in time is itself the finding
//! ("GPU management interface hung"): it is left alone, for it may be stuck where no signal reaches, and no second one is started
//! beside it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures::future::BoxFuture;
use helix_api::agent::GpuDriver;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Readings, Source};

/// Eight GPUs answer within a second once initialised. Without persistence mode the driver initialises each first, about 3 s apiece;
/// 60 s leave room for a slow start of twelve and are still within the interval at which silence is noticed.
const SWEEP_DEADLINE: Duration = Duration::from_secs(60);

/// A running reader.
struct Reader {
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// NVML in a child process.
pub struct NvmlSource {
    program: PathBuf,
    arguments: Vec<String>,
    deadline: Duration,
    reader: Option<Reader>,
    /// A reader that missed its deadline and has not ended since.
    stuck: Option<Child>,
}

impl NvmlSource {
    /// Readings by `program nvml-reader`.
    pub fn new(program: PathBuf) -> Self {
        Self { program, arguments: vec!["nvml-reader".into()], deadline: SWEEP_DEADLINE, reader: None, stuck: None }
    }

    async fn sweep(&mut self) -> Readings {
        if let Some(stuck) = &mut self.stuck {
            match stuck.try_wait() {
                Ok(None) => return failed(hung(self.deadline)),
                Ok(Some(_)) | Err(_) => self.stuck = None,
            }
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => match self.start() {
                Ok(reader) => reader,
                Err(error) => return failed(format!("the NVML reader does not start: {error}")),
            },
        };
        match tokio::time::timeout(self.deadline, ask(&mut reader)).await {
            Ok(Ok(readings)) => {
                self.reader = Some(reader);
                readings
            }
            Ok(Err(reason)) => {
                // It ended or wrote something else; the next sweep starts a new one.
                failed(format!("the NVML reader failed: {reason}"))
            }
            Err(_) => {
                let mut child = reader.child;
                if let Err(error) = child.start_kill() {
                    tracing::warn!(%error, "the stuck NVML reader cannot be killed");
                }
                self.stuck = Some(child);
                failed(hung(self.deadline))
            }
        }
    }

    fn start(&self) -> std::io::Result<Reader> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let no_pipe = || std::io::Error::other("it has no pipe");
        let requests = child.stdin.take().ok_or_else(no_pipe)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(no_pipe)?).lines();
        Ok(Reader { child, requests, answers })
    }
}

async fn ask(reader: &mut Reader) -> Result<Readings, String> {
    reader.requests.write_all(b"\n").await.map_err(|error| error.to_string())?;
    match reader.answers.next_line().await {
        Ok(Some(line)) => serde_json::from_str(&line).map_err(|error| error.to_string()),
        Ok(None) => Err("it ended".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn failed(reason: String) -> Readings {
    Readings { gpu_driver: GpuDriver::Failed { reason }, ..Readings::default() }
}

fn hung(deadline: Duration) -> String {
    format!(
        "GPU management interface hung: NVML gave no answer within {} s. The node needs a reboot, or a GPU reset",
        deadline.as_secs()
    )
}

impl Source for NvmlSource {
    fn read(&mut self) -> BoxFuture<'_, Readings> {
        Box::pin(self.sweep())
    }

    fn simulated(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> NvmlSource {
        NvmlSource {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            deadline,
            reader: None,
            stuck: None,
        }
    }

    fn reason(readings: &Readings) -> &str {
        match &readings.gpu_driver {
            GpuDriver::Failed { reason } => reason,
            other => panic!("no failure: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_reader_that_never_answers_is_itself_the_finding() {
        let mut source = shell("exec sleep 1000", Duration::from_millis(200));
        assert!(reason(&source.sweep().await).starts_with("GPU management interface hung"));
        assert!(source.reader.is_none(), "it is not asked again");
    }

    #[tokio::test]
    async fn a_reader_that_dies_is_started_again_at_the_next_sweep() {
        let mut source = shell("read line; echo '{\"memory_used_bytes\":7}'; exit 0", Duration::from_secs(20));
        assert_eq!(source.sweep().await.memory_used_bytes, Some(7));
        assert!(reason(&source.sweep().await).contains("failed"), "the first reader ended after one answer");
        assert_eq!(source.sweep().await.memory_used_bytes, Some(7), "a new one was started");
    }
}
