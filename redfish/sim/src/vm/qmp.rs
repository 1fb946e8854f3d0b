//! QEMU's machine protocol over its standard input and output: commands with their answers, and the events that matter here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::VmError;
use super::process::Pipes;

/// QEMU answers in milliseconds. With two cores and several machines in their firmware it may take seconds, never this long.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Why QEMU ended the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ShutdownReason {
    GuestShutdown,
    GuestReset,
    GuestPanic,
    #[serde(other)]
    Other,
}

/// What QEMU tells by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QmpEvent {
    Shutdown(ShutdownReason),
}

#[derive(Deserialize)]
struct Line {
    id: Option<u64>,
    #[serde(rename = "return")]
    answer: Option<Value>,
    error: Option<Refusal>,
    event: Option<String>,
    data: Option<Value>,
}

#[derive(Deserialize)]
struct Refusal {
    desc: String,
}

type Answer = Result<Value, String>;

/// Commands whose answer has not come yet; `None` once QEMU is gone and nothing more will come.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

/// A connection to one QEMU.
#[derive(Clone)]
pub(super) struct Qmp {
    stdin: Arc<tokio::sync::Mutex<Writer>>,
    waiting: Waiting,
}

struct Writer {
    stdin: ChildStdin,
    last_id: u64,
}

impl Qmp {
    /// Takes the pipes and switches QEMU to command mode. The receiver ends when QEMU does.
    pub(super) async fn connect((stdin, stdout): Pipes) -> Result<(Self, mpsc::UnboundedReceiver<QmpEvent>), VmError> {
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (events, received) = mpsc::unbounded_channel();
        tokio::spawn(read(stdout, Arc::clone(&waiting), events));
        let qmp = Self { stdin: Arc::new(tokio::sync::Mutex::new(Writer { stdin, last_id: 0 })), waiting };
        qmp.execute("qmp_capabilities", None).await?;
        Ok((qmp, received))
    }

    /// Runs one command.
    ///
    /// # Errors
    /// When QEMU refuses it, ends, or stays silent.
    pub(super) async fn execute(&self, command: &str, arguments: Option<Value>) -> Result<Value, VmError> {
        let gone = || VmError::Gone { command: command.to_owned() };
        let exchange = async {
            let answer = {
                let mut writer = self.stdin.lock().await;
                writer.last_id += 1;
                let id = writer.last_id;
                let (sender, answer) = oneshot::channel();
                lock(&self.waiting).as_mut().ok_or_else(gone)?.insert(id, sender);
                let mut request = serde_json::json!({ "execute": command, "id": id });
                if let Some(arguments) = arguments {
                    request["arguments"] = arguments;
                }
                let mut line = request.to_string();
                line.push('\n');
                writer.stdin.write_all(line.as_bytes()).await.map_err(|_| gone())?;
                writer.stdin.flush().await.map_err(|_| gone())?;
                answer
            };
            match answer.await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(said)) => Err(VmError::Refused { command: command.to_owned(), said }),
                Err(_) => Err(gone()),
            }
        };
        tokio::time::timeout(ANSWER_WAIT, exchange)
            .await
            .unwrap_or_else(|_| Err(VmError::Silent { command: command.to_owned(), seconds: ANSWER_WAIT.as_secs() }))
    }
}

async fn read(stdout: ChildStdout, waiting: Waiting, events: mpsc::UnboundedSender<QmpEvent>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let line = match serde_json::from_str::<Line>(&text) {
            Ok(line) => line,
            Err(error) => {
                debug!(%error, "QEMU said something that is no QMP");
                continue;
            }
        };
        if let Some(name) = line.event {
            debug!(event = %name, "QEMU");
            if name == "SHUTDOWN" {
                let reason = line.data.and_then(|data| data.get("reason").cloned());
                let reason = reason.and_then(|reason| serde_json::from_value(reason).ok());
                // Nobody is left to tell when the host was dropped.
                let _ = events.send(QmpEvent::Shutdown(reason.unwrap_or(ShutdownReason::Other)));
            }
        } else if let Some(id) = line.id {
            let answer = line.error.map_or(Ok(line.answer.unwrap_or(Value::Null)), |refusal| Err(refusal.desc));
            let sender = lock(&waiting).as_mut().and_then(|waiting| waiting.remove(&id));
            if let Some(sender) = sender {
                // The caller may have given up.
                drop(sender.send(answer));
            }
        }
    }
    lock(&waiting).take();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
