//! `helixctl` as a person or a script runs it, with a configuration folder of its own.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::Context;

use crate::controller::Controller;
use crate::place;

/// A signed-in command line.
#[derive(Debug, Clone)]
pub struct Ctl {
    config: PathBuf,
}

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ctl {
    /// Signs in as the first admin.
    ///
    /// # Errors
    /// When signing in is refused.
    pub fn login(controller: &Controller, config: PathBuf) -> anyhow::Result<Self> {
        let ctl = Self { config };
        let password = controller.password_file().display().to_string();
        let words = [
            "login",
            &controller.url,
            "--user",
            "admin",
            "--password-file",
            &password,
            "--fingerprint",
            &controller.fingerprint,
        ];
        let said = ctl.run(&words)?;
        anyhow::ensure!(said.code == 0, "login failed: {}", said.stderr);
        Ok(ctl)
    }

    /// A command with its own configuration.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn command(&self, words: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(place::program("helixctl")?);
        command.args(words).env("HELIX_CONFIG_DIR", &self.config).env("LANG", "C.UTF-8").stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command and collects what it says.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<Said> {
        let Output { status, stdout, stderr } = self.command(words)?.output()?;
        Ok(Said {
            code: status.code().context("helixctl was killed")?,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }
}
