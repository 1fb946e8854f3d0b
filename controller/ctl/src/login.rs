//! Signing in and out, and the password.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use helix_api::access::{LoginRequest, PasswordChange};
use helix_api::client::{Client, Trust, clean_fingerprint, fingerprint_in_words};

use crate::args::Global;
use crate::ask;
use crate::context::{self, Config, Context};
use crate::problem::{CtlError, Exit};

/// `helixctl login`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  helixctl login https://helix.example:8443\n  helixctl login https://10.0.0.5:8443 --user admin \
                        --password-file admin-password --fingerprint 3F:9A:…"
)]
pub struct Login {
    /// Address of the controller, https://HOST:PORT
    pub url: String,
    /// Name for it here; the host name when not given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// User; asked for when not given
    #[arg(long)]
    pub user: Option<String>,
    /// Read the password from a file, - for standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// SHA-256 of the controller's certificate, as helixd printed it at its first start
    #[arg(long, value_name = "SHA256")]
    pub fingerprint: Option<String>,
    /// Certificate authority that signed the controller's certificate
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    pub ca_file: Option<PathBuf>,
}

/// `helixctl password`
#[derive(Debug, Args)]
pub struct Password {
    /// Read the old password from a file
    #[arg(long, value_name = "FILE")]
    pub old_file: Option<PathBuf>,
    /// Read the new password from a file
    #[arg(long, value_name = "FILE")]
    pub new_file: Option<PathBuf>,
}

/// Signs in: trusts the certificate once, keeps a token.
///
/// # Errors
/// Controller not reachable, certificate not confirmed, login refused.
pub async fn login(global: &Global, login: &Login) -> Result<Exit, CtlError> {
    let mut config = Config::load()?;
    let probe = Client::new(&login.url, Trust::Probe, None)?;
    let url = probe.url().as_str().trim_end_matches('/').to_owned();
    let host = probe.url().host_str().unwrap_or("helix").trim_matches(['[', ']']).to_owned();
    let name = login
        .name
        .clone()
        .or_else(|| config.contexts.iter().find(|(_, known)| known.url == url).map(|(name, _)| name.clone()))
        .unwrap_or(host);
    let fingerprint = match (&login.fingerprint, &login.ca_file, config.contexts.get(&name)) {
        (Some(given), _, _) => Some(clean_fingerprint(given).ok_or_else(|| {
            CtlError::new(Exit::Usage, "fingerprint_invalid", format!("\"{given}\" is no SHA-256 fingerprint"))
                .next("64 hexadecimal digits, with or without colons; helixd prints it at its first start")
        })?),
        (None, Some(_), _) => None,
        (None, None, Some(known)) if known.url == url && known.fingerprint.is_some() => known.fingerprint.clone(),
        (None, None, _) => Some(first_contact(&url).await?),
    };
    let context = Context { url: url.clone(), fingerprint, ca_file: login.ca_file.clone() };
    let client = Client::new(&url, context::trust(&context)?, None)?;
    let user = match &login.user {
        Some(user) => user.clone(),
        None if std::io::stdin().is_terminal() => {
            dialoguer::Input::new().with_prompt("User").default("admin".to_owned()).interact_text().map_err(
                |error| CtlError::new(Exit::Usage, "user_required", "no user was read").because(error.to_string()),
            )?
        }
        None => {
            return Err(CtlError::new(Exit::Usage, "user_required", "a user is needed, and there is no terminal")
                .next("--user NAME --password-file FILE"));
        }
    };
    let password = match &login.password_file {
        Some(file) => ask::secret_from_file(file)?,
        None => ask::secret(&format!("Password of {user}"), "--password-file")?,
    };
    let machine = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let answer =
        client.login(&LoginRequest { user, password, token_name: Some(format!("helixctl on {machine}")) }).await?;
    config.contexts.insert(name.clone(), context);
    config.default = Some(name.clone());
    config.save()?;
    context::keep_token(&name, Some(&answer.token))?;
    if !global.quiet {
        eprintln!("Signed in to {name} ({url}) as {} ({}).", answer.user.name, answer.user.role);
        if answer.user.must_change_password {
            eprintln!("The first password should be changed now: helixctl password");
        }
    }
    Ok(Exit::Done)
}

/// First contact with a self-signed controller shows the fingerprint and asks.
async fn first_contact(url: &str) -> Result<String, CtlError> {
    let fingerprint = Client::probe(url).await?;
    let shown = fingerprint_in_words(&fingerprint);
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(CtlError::new(Exit::Unreachable, "controller_certificate", format!("{url} is not known yet"))
            .because(format!("its certificate is {shown}"))
            .next(format!("helixctl login {url} --fingerprint {fingerprint}")));
    }
    eprintln!("{url} is not known yet. The SHA-256 fingerprint of its certificate:\n  {shown}");
    eprintln!("helixd printed it at its first start; 'helixd check-config' on the controller prints it again.");
    let yes = dialoguer::Confirm::new().with_prompt("Is it the same?").default(false).interact().unwrap_or(false);
    if yes {
        Ok(fingerprint)
    } else {
        Err(CtlError::new(Exit::Usage, "not_confirmed", "not confirmed: nothing was sent to the controller"))
    }
}

/// Gives the token back and forgets it.
///
/// # Errors
/// Not signed in, controller not reachable (the token is forgotten here all the same).
pub async fn logout(global: &Global) -> Result<Exit, CtlError> {
    let (name, _) = Config::load()?.choose(global.context.as_deref())?;
    let answer = context::client(global)?.logout().await;
    context::keep_token(&name, None)?;
    answer?;
    Ok(Exit::Done)
}

/// Says who is signed in where.
///
/// # Errors
/// Not signed in, controller not reachable.
pub async fn whoami(global: &Global) -> Result<Exit, CtlError> {
    let client = context::client(global)?;
    let who = client.whoami().await?;
    if global.output.is_table() {
        let url = client.url().as_str().trim_end_matches('/').to_owned();
        crate::output::line(&format!("{} ({}) on {url}, helixd {}", who.name, who.role, who.server_version));
    } else {
        crate::output::object(global.output, &who, &who.name)?;
    }
    Ok(Exit::Done)
}

/// Changes the password of who is signed in.
///
/// # Errors
/// Refused by the controller: the old one is wrong, the new one too weak.
pub async fn password(global: &Global, password: &Password) -> Result<Exit, CtlError> {
    let client = context::client(global)?;
    let old = match &password.old_file {
        Some(file) => ask::secret_from_file(file)?,
        None => ask::secret("Old password", "--old-file")?,
    };
    let new = match &password.new_file {
        Some(file) => ask::secret_from_file(file)?,
        None => {
            let first = ask::secret("New password", "--new-file")?;
            if ask::secret("New password again", "--new-file")? != first {
                return Err(CtlError::new(
                    Exit::Usage,
                    "passwords_differ",
                    "the two new passwords differ: nothing was changed",
                ));
            }
            first
        }
    };
    client.change_password(&PasswordChange { old, new }).await?;
    if !global.quiet {
        eprintln!("Password changed.");
    }
    Ok(Exit::Done)
}
