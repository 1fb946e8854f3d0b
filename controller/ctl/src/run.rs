//! From a parsed command line to an exit code.

use crate::args::{Cli, Global, Noun};
use crate::problem::{CtlError, Exit};

/// Runs a command; what fails is printed here, once.
pub async fn run(cli: Cli) -> Exit {
    let global = cli.global.clone();
    match dispatch(cli).await {
        Ok(exit) => exit,
        Err(error) => {
            error.print(global.output, global.verbose);
            error.exit
        }
    }
}

async fn dispatch(cli: Cli) -> Result<Exit, CtlError> {
    let global = &cli.global;
    match &cli.noun {
        Noun::Login(login) => crate::login::login(global, login).await,
        Noun::Logout => crate::login::logout(global).await,
        Noun::Whoami => crate::login::whoami(global).await,
        Noun::Password(password) => crate::login::password(global, password).await,
        Noun::Node(verb) => Box::pin(crate::node::run(global, verb)).await,
        Noun::Workflow(verb) => Box::pin(crate::workflow::run(global, verb)).await,
        Noun::Bulk(verb) => Box::pin(crate::follow::bulk::run(global, verb)).await,
        Noun::Image(verb) => Box::pin(crate::image::run(global, verb)).await,
        Noun::Credential(verb) => crate::credential::run(global, verb).await,
        Noun::Context(verb) => crate::context::run(global, verb),
        Noun::Explain { word } => crate::explain::run(global, word),
        Noun::Api { method, path, file } => api(global, method, path, file.as_deref()).await,
        Noun::Completion { shell } => {
            crate::completion::print(*shell);
            Ok(Exit::Done)
        }
        Noun::Version => version(global).await,
        Noun::Reprovision(provision) => Box::pin(crate::node::provision::run(global, provision, true)).await,
    }
}

async fn api(global: &Global, method: &str, path: &str, file: Option<&std::path::Path>) -> Result<Exit, CtlError> {
    let body = match file {
        Some(file) => {
            let text = crate::ask::secret_from_file(file)?;
            Some(serde_json::from_str(&text).map_err(|error| {
                CtlError::new(Exit::Usage, "body_invalid", format!("{} is no JSON", file.display()))
                    .because(error.to_string())
            })?)
        }
        None => None,
    };
    let answer = crate::context::client(global)?.raw(method, path, body.as_ref()).await?;
    if !answer.is_null() {
        let format = if global.output.is_table() { crate::output::Format::Json } else { global.output };
        crate::output::object(format, &answer, "")?;
    }
    Ok(Exit::Done)
}

async fn version(global: &Global) -> Result<Exit, CtlError> {
    crate::output::line(&format!("helixctl {}", env!("CARGO_PKG_VERSION")));
    // Without a controller the first line is all there is to say.
    if let Ok(client) = crate::context::client(global) {
        match client.whoami().await {
            Ok(who) => crate::output::line(&format!("helixd   {} at {}", who.server_version, client.url())),
            Err(error) => eprintln!("helixd   not reached: {error}"),
        }
    }
    Ok(Exit::Done)
}
