//! Controllers that the command line knows, and the token for each.
//!
//! `~/.config/helix/config.toml` holds contexts (URL, pinned fingerprint), `credentials.toml` beside it the tokens, 0600.
//! Order: flag, `HELIX_*` environment, context, default.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use helix_api::client::{Client, Trust};
use serde::{Deserialize, Serialize};

use crate::args::Global;
use crate::output::Format;
use crate::problem::{CtlError, Exit};
use crate::table::Table;

/// Verbs of contexts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Controllers known here
    List,
    /// Make one the default
    Use { name: String },
    /// Forget one and its token
    Remove { name: String },
}

/// The configuration file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub default: Option<String>,
    pub contexts: BTreeMap<String, Context>,
}

/// One controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    pub url: String,
    /// SHA-256 of the controller's certificate, pinned at login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// PEM file of a certificate authority instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// The file of tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Tokens {
    tokens: BTreeMap<String, String>,
}

/// Folder of both files.
fn folder() -> Result<PathBuf, CtlError> {
    if let Some(folder) = std::env::var_os("HELIX_CONFIG_DIR") {
        return Ok(PathBuf::from(folder));
    }
    std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))
        .map(|base| base.join("helix"))
        .ok_or_else(|| {
            CtlError::new(Exit::Usage, "config_folder_unknown", "neither HOME nor HELIX_CONFIG_DIR is set")
                .next("export HELIX_CONFIG_DIR=/some/folder")
        })
}

fn read<T: Default + serde::de::DeserializeOwned>(path: &Path) -> Result<T, CtlError> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| {
            CtlError::new(Exit::Usage, "config_invalid", format!("{} does not parse", path.display()))
                .because(error.to_string())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(CtlError::file(path, "read", &error)),
    }
}

/// Written beside and renamed, so that a crash leaves the old file.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), CtlError> {
    let text = toml::to_string_pretty(value)
        .map_err(|error| CtlError::new(Exit::Failed, "config_unwritable", error.to_string()))?;
    let attempt = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let fresh = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    attempt().map_err(|error| CtlError::file(path, "write", &error))
}

impl Config {
    /// Reads the configuration; none is an empty one.
    ///
    /// # Errors
    /// A file that cannot be read or does not parse.
    pub fn load() -> Result<Self, CtlError> {
        read(&folder()?.join("config.toml"))
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self) -> Result<(), CtlError> {
        write(&folder()?.join("config.toml"), self)
    }

    /// The context that is meant: by flag or environment, else the default, else the only one.
    ///
    /// # Errors
    /// No context at all, or one that is not known.
    pub fn choose(&self, wanted: Option<&str>) -> Result<(String, Context), CtlError> {
        let name = wanted.map(str::to_owned).or_else(|| self.default.clone()).or_else(|| {
            let mut names = self.contexts.keys();
            names.next().filter(|_| names.next().is_none()).cloned()
        });
        let Some(name) = name else {
            return Err(CtlError::new(Exit::NotAllowed, "not_signed_in", "no controller is known here")
                .next("helixctl login https://HOST:8443"));
        };
        match self.contexts.get(&name) {
            Some(context) => Ok((name, context.clone())),
            None => {
                let known: Vec<_> = self.contexts.keys().cloned().collect();
                Err(CtlError::new(Exit::Nothing, "context_unknown", format!("no controller is called \"{name}\" here"))
                    .because(format!("known: {}", known.join(", ")))
                    .next("helixctl context list"))
            }
        }
    }
}

/// Keeps a token for a context.
///
/// # Errors
/// A folder that cannot be written.
pub fn keep_token(name: &str, token: Option<&str>) -> Result<(), CtlError> {
    let path = folder()?.join("credentials.toml");
    let mut tokens: Tokens = read(&path)?;
    match token {
        Some(token) => tokens.tokens.insert(name.to_owned(), token.to_owned()),
        None => tokens.tokens.remove(name),
    };
    write(&path, &tokens)
}

/// How a context trusts its controller.
///
/// # Errors
/// A certificate authority file that cannot be read.
pub fn trust(context: &Context) -> Result<Trust, CtlError> {
    if let Some(file) = &context.ca_file {
        return fs::read_to_string(file).map(Trust::Ca).map_err(|error| CtlError::file(file, "read", &error));
    }
    Ok(context.fingerprint.clone().map_or(Trust::Probe, Trust::Pinned))
}

/// A client for the chosen controller, signed in. `HELIX_URL`, `HELIX_FINGERPRINT` and `HELIX_TOKEN_FILE` come before the
/// configuration, for scripts.
///
/// # Errors
/// No controller known, not signed in, files that cannot be read.
pub fn client(global: &Global) -> Result<Client, CtlError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let from_file =
        variable("HELIX_TOKEN_FILE").map(|file| crate::ask::secret_from_file(Path::new(&file))).transpose()?;
    if let Some(url) = variable("HELIX_URL") {
        let context = Context {
            url,
            fingerprint: variable("HELIX_FINGERPRINT"),
            ca_file: variable("HELIX_CA_FILE").map(Into::into),
        };
        return Ok(Client::new(&context.url, trust(&context)?, from_file)?);
    }
    let (name, context) = Config::load()?.choose(global.context.as_deref())?;
    let token = match from_file {
        Some(token) => token,
        None => {
            let tokens: Tokens = read(&folder()?.join("credentials.toml"))?;
            tokens.tokens.get(&name).cloned().ok_or_else(|| {
                CtlError::new(Exit::NotAllowed, "not_signed_in", format!("not signed in to {name} ({})", context.url))
                    .next(format!("helixctl login {}", context.url))
            })?
        }
    };
    Ok(Client::new(&context.url, trust(&context)?, Some(token))?)
}

/// `helixctl context …`
///
/// # Errors
/// An unknown name, files that cannot be written.
pub fn run(global: &Global, verb: &Verb) -> Result<Exit, CtlError> {
    let mut config = Config::load()?;
    match verb {
        Verb::List => {
            if global.output.is_table() {
                let mut table = Table::new(&["NAME", "URL", "FINGERPRINT", ""]);
                for (name, context) in &config.contexts {
                    let default = config.default.as_deref() == Some(name);
                    table.row(vec![
                        name.clone(),
                        context.url.clone(),
                        context.fingerprint.as_deref().map(|f| f[..16.min(f.len())].to_owned()).unwrap_or_default(),
                        if default { "default".to_owned() } else { " ".to_owned() },
                    ]);
                }
                table.print(console::user_attended(), !global.no_headers);
            } else {
                match global.output {
                    Format::Name => config.contexts.keys().for_each(|name| crate::output::line(name)),
                    format => crate::output::object(format, &config, "")?,
                }
            }
        }
        Verb::Use { name } => {
            config.choose(Some(name))?;
            config.default = Some(name.clone());
            config.save()?;
        }
        Verb::Remove { name } => {
            config.choose(Some(name))?;
            config.contexts.remove(name);
            if config.default.as_deref() == Some(name) {
                config.default = None;
            }
            config.save()?;
            keep_token(name, None)?;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(url: &str) -> Context {
        Context { url: url.into(), fingerprint: None, ca_file: None }
    }

    #[test]
    fn the_only_context_needs_no_name() {
        let mut config = Config::default();
        config.contexts.insert("lon".into(), context("https://lon:8443"));
        assert_eq!(config.choose(None).unwrap().0, "lon");
        config.contexts.insert("ams".into(), context("https://ams:8443"));
        assert_eq!(config.choose(None).unwrap_err().code, "not_signed_in");
        config.default = Some("ams".into());
        assert_eq!(config.choose(None).unwrap().0, "ams");
        assert_eq!(config.choose(Some("lon")).unwrap().0, "lon");
    }

    #[test]
    fn an_unknown_context_lists_those_known() {
        let mut config = Config::default();
        config.contexts.insert("lon".into(), context("https://lon:8443"));
        let error = config.choose(Some("lno")).unwrap_err();
        assert_eq!(error.exit, Exit::Nothing);
        assert_eq!(error.why.as_deref(), Some("known: lon"));
    }
}
