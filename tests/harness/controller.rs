//! A controller as a process, on its embedded database or a given one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use helix_api::access::LoginRequest;
use helix_api::client::{Client, Trust};
use serde::Deserialize;

use crate::place;
use crate::process::Process;

/// First start: cluster, migrations, keys.
const START_LIMIT: Duration = Duration::from_secs(90);

/// How a controller is started.
#[derive(Debug, Clone)]
pub struct ControllerSetup {
    pub data_dir: PathBuf,
    pub time_scale: f64,
    /// Ports of api, agents and media; 0 lets the system choose.
    pub ports: [u16; 3],
    /// Network of BMCs whose hosts are virtual machines behind user-mode networking: they reach this machine as 10.0.2.2.
    pub vm_network: Option<String>,
    /// More lines for the configuration file.
    pub extra: String,
    /// `helixd`, or the one that dies on purpose.
    pub program: String,
    /// More environment.
    pub environment: Vec<(String, String)>,
}

impl Default for ControllerSetup {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            time_scale: 1.0,
            ports: [0, 0, 0],
            vm_network: None,
            extra: String::new(),
            program: "helixd".into(),
            environment: Vec::new(),
        }
    }
}

/// A running controller.
pub struct Controller {
    pub process: Process,
    pub url: String,
    pub fingerprint: String,
    pub data_dir: PathBuf,
}

/// What `helixd` writes about its listeners.
#[derive(Debug, Deserialize)]
struct Listeners {
    api: std::net::SocketAddr,
}

impl ControllerSetup {
    /// The configuration file.
    ///
    /// # Errors
    /// When the media are not there.
    pub fn config(&self) -> anyhow::Result<String> {
        let [api, agents, media_port] = self.ports;
        let media = place::media().context("the deploy medium is not built: make media")?;
        // A virtual machine can only be told fixed ports.
        let advertise = |port: u16| match &self.vm_network {
            Some(network) => {
                format!("advertise = {{ \"{network}\" = \"10.0.2.2:{port}\", default = \"127.0.0.1:{port}\" }}")
            }
            None => String::new(),
        };
        Ok(format!(
            "data_dir = \"{}\"\ntime_scale = {}\n\n[api]\nlisten = \"127.0.0.1:{api}\"\n\n[agents]\nlisten = \"127.0.0.1:{agents}\"\n{}\n\n\
             [media]\nlisten = \"127.0.0.1:{media_port}\"\ndeploy_iso = \"{}\"\nagent_binary = \"{}\"\n\n{}\n",
            self.data_dir.display(),
            self.time_scale,
            advertise(agents),
            media.deploy_iso.display(),
            media.agent.display(),
            self.extra
        ))
    }

    /// Starts `helixd` and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started or does not answer in time.
    pub async fn start(&self) -> anyhow::Result<Controller> {
        std::fs::create_dir_all(&self.data_dir)?;
        let file = self.data_dir.with_extension("toml");
        std::fs::write(&file, self.config()?)?;
        let listeners = self.data_dir.join("listeners.json");
        if listeners.exists() {
            std::fs::remove_file(&listeners)?;
        }
        let arguments = ["serve".to_owned(), "--config".into(), file.display().to_string()];
        let log = self.data_dir.with_extension("log");
        let mut process =
            Process::start(&self.program, &place::program(&self.program)?, &arguments, &self.environment, &log)?;
        let end = tokio::time::Instant::now() + START_LIMIT;
        loop {
            process.must_run()?;
            if let Ok(text) = std::fs::read_to_string(&listeners)
                && let Ok(listeners) = serde_json::from_str::<Listeners>(&text)
            {
                let url = format!("https://{}", listeners.api);
                if let Ok(fingerprint) = Client::probe(&url).await {
                    return Ok(Controller { process, url, fingerprint, data_dir: self.data_dir.clone() });
                }
            }
            anyhow::ensure!(tokio::time::Instant::now() < end, "helixd does not answer:\n{}", process.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Controller {
    /// File with the first admin's password, until it is changed.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.data_dir.join("admin-password")
    }

    /// A client, signed in as the first admin.
    ///
    /// # Errors
    /// When signing in is refused.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let password = read_secret(&self.password_file())?;
        let client = Client::new(&self.url, Trust::Pinned(self.fingerprint.clone()), None)?;
        let login = LoginRequest { user: "admin".into(), password, token_name: Some("tests".into()) };
        let answer = client.login(&login).await?;
        Ok(client.with_token(answer.token))
    }
}

fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}
