//! A fleet of simulated iDRACs as a process, and its control API.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::place;
use crate::process::Process;
use crate::wait;

/// Time to start: certificates of the whole fleet are made.
const START_LIMIT: Duration = Duration::from_secs(60);

/// One BMC of a fleet.
#[derive(Debug, Clone)]
pub struct Bmc {
    pub address: String,
    pub model: &'static str,
    pub rack: &'static str,
    pub position: u8,
    /// A real virtual machine instead of a state machine.
    pub vm: bool,
}

/// How a fleet is started.
#[derive(Debug, Clone)]
pub struct FleetSetup {
    pub folder: PathBuf,
    pub bmcs: Vec<Bmc>,
    pub port: u16,
    pub control: u16,
    pub time_scale: f64,
    /// Plays the operating systems of state-machine nodes by the agent's own code.
    pub hosts: bool,
}

/// A running fleet.
pub struct Fleet {
    pub process: Process,
    pub control: String,
    http: reqwest::Client,
}

impl FleetSetup {
    /// The fleet file.
    #[must_use]
    pub fn fleet_toml(&self) -> String {
        let mut text = String::new();
        for bmc in &self.bmcs {
            // Writing to a string does not fail.
            let _unfailing = writeln!(
                text,
                "[[bmc]]\naddress = \"{}\"\nmodel = \"{}\"\nrack = \"{}\"\nposition = {}\nvm = {}\n",
                bmc.address, bmc.model, bmc.rack, bmc.position, bmc.vm
            );
        }
        text
    }

    /// The enrolment file that an admin would write.
    #[must_use]
    pub fn fleet_csv(&self, credential: &str) -> String {
        let mut text = String::from("address,credential,rack,position,labels\n");
        for bmc in &self.bmcs {
            let _unfailing = writeln!(
                text,
                "{}:{},{credential},{},{},model={}",
                bmc.address,
                self.port,
                bmc.rack,
                bmc.position,
                bmc.model.to_ascii_lowercase()
            );
        }
        text
    }

    /// Starts `idrac-sim` and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started or does not answer in time.
    pub async fn start(&self) -> anyhow::Result<Fleet> {
        std::fs::create_dir_all(&self.folder)?;
        let file = self.folder.join("fleet.toml");
        std::fs::write(&file, self.fleet_toml())?;
        let path = |path: &Path| path.display().to_string();
        let mut arguments = vec![
            "--fleet".to_owned(),
            path(&file),
            "--port".into(),
            self.port.to_string(),
            "--control".into(),
            format!("127.0.0.1:{}", self.control),
            "--time-scale".into(),
            self.time_scale.to_string(),
            "--state".into(),
            path(&self.folder.join("state")),
            "--vm-dir".into(),
            path(&self.folder.join("vm")),
        ];
        if self.hosts {
            let agent = place::program("helix-agent")?;
            arguments.push("--host-program".into());
            arguments.push(format!(
                "{} simulate --state {} --time-scale {}",
                path(&agent),
                path(&self.folder.join("hosts")),
                self.time_scale
            ));
        }
        let mut process = Process::start(
            "idrac-sim",
            &place::program("idrac-sim")?,
            &arguments,
            &[],
            &self.folder.join("idrac-sim.log"),
        )?;
        let control = format!("http://127.0.0.1:{}", self.control);
        let http = reqwest::Client::new();
        let end = tokio::time::Instant::now() + START_LIMIT;
        loop {
            process.must_run()?;
            if let Ok(answer) = http.get(format!("{control}/bmcs")).send().await
                && answer.status().is_success()
            {
                return Ok(Fleet { process, control, http });
            }
            anyhow::ensure!(tokio::time::Instant::now() < end, "idrac-sim does not answer:\n{}", process.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Fleet {
    /// State and counters of one BMC, by tag or address.
    ///
    /// # Errors
    /// When the control API does not answer.
    pub async fn bmc(&self, which: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}/bmcs/{which}", self.control)).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Switches faults of one BMC.
    ///
    /// # Errors
    /// When the control API refuses.
    pub async fn set(&self, which: &str, change: &Value) -> anyhow::Result<()> {
        let answer = self.http.patch(format!("{}/bmcs/{which}", self.control)).json(change).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "the simulator refused {change}: {status} {text}");
        Ok(())
    }

    /// One counter of a BMC.
    ///
    /// # Errors
    /// When there is no such counter.
    pub async fn counter(&self, which: &str, name: &str) -> anyhow::Result<u64> {
        let bmc = self.bmc(which).await?;
        bmc["counters"][name].as_u64().with_context(|| format!("the simulator has no counter {name}: {bmc}"))
    }

    /// Waits for a state of a BMC.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn until(
        &self,
        what: &str,
        which: &str,
        limit: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        wait::until(what, limit, || async { Ok(is(&self.bmc(which).await?).then_some(())) }).await
    }
}
