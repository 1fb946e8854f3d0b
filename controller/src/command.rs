//! The command line of `helixd`.
//!
//! Here and not in `main`, so that a test's own `main` is this one with hooks. Exit codes: 0 done, 1 it failed, 2 the
//! command line or the configuration is wrong.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use secrecy::ExposeSecret;

use crate::access::first_admin;
use crate::chain::Chain;
use crate::config::{Loaded, load, report};
use crate::data_folder::{DataFolder, DataFolderError};
use crate::database::{Database, migrate};
use crate::logging;
use crate::serve::{self, Hooks, ServeError, ServeOptions};

/// Read when no other file is named and it is there.
const USUAL_FILE: &str = "/etc/helix/helixd.toml";

/// The Helix controller.
#[derive(Debug, Parser)]
#[command(
    name = "helixd",
    version,
    about,
    after_help = "Settings come from the file, then the environment (HELIXD_API__LISTEN=…), then --set. helixd check-config lists them."
)]
struct CommandLine {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Settings {
    /// Configuration file (TOML); /etc/helix/helixd.toml when it is there.
    #[arg(long, short, global = true, env = "HELIXD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of database, keys and images (setting data_dir).
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Sets anything that the file can set, e.g. --set api.listen=127.0.0.1:0.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller until SIGTERM.
    Serve,
    /// Bring the database to this version's schema, and end.
    Migrate,
    /// Check the configuration and print what is in force.
    CheckConfig {
        /// Also print which URLs a BMC at this address, and the node behind it, would be given.
        #[arg(long, value_name = "ADDRESS")]
        bmc: Vec<IpAddr>,
    },
    /// Print the description of the API (OpenAPI).
    Openapi,
    /// Help for who sits at this machine.
    Admin {
        #[command(subcommand)]
        command: Admin,
    },
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Give a user a new random password, print it, and end all logins of that user.
    ResetPassword {
        /// Name of the user.
        user: String,
    },
}

/// What ends a command.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    #[error("helixd would not start like this: {0} of the lines above begin with ERROR")]
    Check(usize),
}

/// Runs `helixd` with the process's own arguments and environment.
#[must_use]
pub fn main(hooks: Hooks) -> ExitCode {
    // A second provider cannot be there: this is the first thing that the process does.
    drop(rustls::crypto::ring::default_provider().install_default());
    let line = CommandLine::parse();
    if matches!(line.command, Command::Openapi) {
        // Needs neither configuration nor database: it says what this version is.
        return match std::io::stdout().write_all(crate::http::openapi().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let loaded = match configuration(&line.settings) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("helixd: the configuration is not right\n{}", Chain(&error));
            return ExitCode::from(2);
        }
    };
    logging::init(&loaded.config.log);
    match run(line.command, loaded, hooks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("helixd: {}", Chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn configuration(settings: &Settings) -> Result<Loaded, crate::config::ConfigError> {
    let usual = PathBuf::from(USUAL_FILE);
    let file = settings.config.clone().or_else(|| usual.exists().then_some(usual));
    let mut flags = settings.set.clone();
    if let Some(folder) = &settings.data_dir {
        flags.push(format!("data_dir={}", folder.display()));
    }
    load(file.as_deref(), std::env::vars().filter(|(name, _)| name != "HELIXD_CONFIG"), &flags)
}

/// Prints what is in force, then what is not right. What keeps `serve` from starting is a failure, the rest is not.
fn check(loaded: &Loaded, bmcs: &[IpAddr]) -> Result<(), CommandError> {
    let mut text = report::report(loaded, bmcs);
    let findings = report::findings(&loaded.config);
    for (word, lines) in [("WARNING", &findings.warnings), ("ERROR", &findings.errors)] {
        for line in lines {
            text.push_str(&format!("{word}: {line}\n"));
        }
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(CommandError::Output)?;
    match findings.errors.len() {
        0 => Ok(()),
        count => Err(CommandError::Check(count)),
    }
}

fn run(command: Command, loaded: Loaded, hooks: Hooks) -> Result<(), CommandError> {
    if let Command::CheckConfig { bmc } = command {
        return check(&loaded, &bmc);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let config = loaded.config;
    runtime.block_on(async {
        match command {
            Command::Serve => serve::run(ServeOptions { config }, hooks).await?,
            Command::Migrate => {
                let folder = DataFolder::take(&config.data_dir).map_err(ServeError::from)?;
                let database = Database::open(&config, folder.path()).await.map_err(ServeError::from)?;
                let applied = migrate::migrate(&database.pool).await;
                database.close().await;
                let applied = applied.map_err(ServeError::from)?;
                println!("schema {}: {applied} steps applied", migrate::known());
            }
            Command::Admin { command: Admin::ResetPassword { user } } => {
                // A running helixd holds the folder and serves the database; else it is started for this moment.
                let (database, folder) = match DataFolder::take(&config.data_dir) {
                    Ok(folder) => {
                        let database = Database::open(&config, folder.path()).await.map_err(ServeError::from)?;
                        (database, Some(folder))
                    }
                    Err(DataFolderError::InUse { path, .. }) => {
                        (Database::join(&config, &path).await.map_err(ServeError::from)?, None)
                    }
                    Err(error) => return Err(ServeError::from(error).into()),
                };
                let password = first_admin::reset(&database.pool, &config.data_dir, &user).await;
                database.close().await;
                drop(folder);
                let password = password.map_err(ServeError::from)?;
                println!("new password of {user}: {}", password.expose_secret());
            }
            Command::CheckConfig { .. } | Command::Openapi => {}
        }
        Ok(())
    })
}
