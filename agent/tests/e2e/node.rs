//! The installed agent: join, report, renew over mutual TLS, by the program itself and its configuration file.

use std::process::Stdio;

use helix_api::agent::GpuDriver;
use tokio::process::{Child, Command};

use crate::controller::TestController;

/// A folder with the agent's configuration and token.
fn configured(controller: &TestController, token: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "controller_urls = [\"{}\"]\ncontroller_key_sha256 = \"{}\"\ntoken_file = \"{}\"\nstate_dir = \"{}\"\n",
        controller.url,
        controller.key_sha256,
        folder.path().join("join.token").display(),
        folder.path().join("state").display()
    );
    std::fs::write(folder.path().join("agent.toml"), text).unwrap();
    std::fs::write(folder.path().join("join.token"), format!("{token}\n")).unwrap();
    folder
}

fn agent(folder: &tempfile::TempDir, source: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_helix-agent"))
        .args(["run", "--source", source, "--config"])
        .arg(folder.path().join("agent.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_reports_and_is_the_same_after_a_restart() {
    let controller = TestController::start().await;
    let folder = configured(&controller, "join-token");
    let mut running = agent(&folder, "none");
    let seen = controller.until("two reports", |seen| seen.agent_reports.len() >= 2).await;
    assert_eq!(seen.joins.len(), 1);
    assert!(!folder.path().join("join.token").exists(), "the spent token is gone");
    let report = &seen.agent_reports[0].0;
    assert!(!report.simulated);
    assert_eq!(report.gpu_driver, GpuDriver::Absent);
    assert!(!report.boot_id.is_empty() && !report.os.kernel.is_empty(), "{report:?}");
    running.kill().await.unwrap();

    let before = controller.seen().agent_reports.len();
    let _again = agent(&folder, "none");
    let seen = controller.until("a report after the restart", |seen| seen.agent_reports.len() > before).await;
    assert_eq!(seen.joins.len(), 1, "it did not join again");
    assert_eq!(seen.agent_reports[0].1, seen.agent_reports[before].1, "it shows the same certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_driver_nvml_is_a_state_and_no_error() {
    if std::path::Path::new("/proc/driver/nvidia/version").exists() {
        eprintln!("SKIPPED: this machine has an NVIDIA driver");
        return;
    }
    let controller = TestController::start().await;
    let folder = configured(&controller, "join-token");
    let _running = agent(&folder, "nvml");
    let seen = controller.until("a report", |seen| !seen.agent_reports.is_empty()).await;
    assert_eq!(seen.agent_reports[0].0.gpu_driver, GpuDriver::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_readings_are_marked_as_simulated() {
    let controller = TestController::start().await;
    let folder = configured(&controller, "join-token");
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/replay/xe9680.jsonl");
    let _running = agent(&folder, &format!("replay:{recording}"));
    let seen = controller.until("a report", |seen| !seen.agent_reports.is_empty()).await;
    assert!(seen.joins[0].simulated);
    let report = &seen.agent_reports[0].0;
    assert!(report.simulated);
    assert_eq!(report.gpus.len(), 8);
    assert_eq!(report.infiniband.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_before_it_expires() {
    let controller = TestController::start().await;
    // Issued 24 h in the past and valid for another hour: deep in its last third.
    controller.certificates_live(3600);
    let folder = configured(&controller, "join-token");
    let _running = agent(&folder, "none");
    controller.until("two renewals", |seen| seen.renewals >= 2).await;
    controller.certificates_live(90 * 86_400);
    let renewals = controller.seen().renewals;
    let certificate = |seen: &crate::controller::Seen| seen.agent_reports.last().map(|report| report.1.clone());
    let before = controller.seen().agent_reports.len();
    let seen = controller.until("reports with the new certificate", |seen| seen.agent_reports.len() > before + 2).await;
    assert!(seen.renewals <= renewals + 2, "a certificate with months left is not renewed again");
    assert_ne!(certificate(&seen), Some(seen.agent_reports[0].1.clone()), "reports carry the renewed certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_says_what_to_do() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let controller = TestController::start().await;
    let folder = configured(&controller, "guessed");
    let mut running = agent(&folder, "none");
    let line = BufReader::new(running.stderr.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    assert!(line.contains("join_token_unknown"), "{line}");
    assert!(!line.contains("guessed"), "the token is a secret");
    assert!(folder.path().join("join.token").exists(), "a token that was not taken stays");
}
