//! BMC credentials: set, list, delete. The secret comes by prompt or file and never comes back.

use std::path::PathBuf;

use clap::Subcommand;
use helix_api::access::CredentialSet;

use crate::args::Global;
use crate::ask;
use crate::problem::{CtlError, Exit};
use crate::table::Table;

/// Verbs of credentials.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Names and users; never secrets
    List,
    /// Create one or give it a new password
    #[command(
        after_help = "Examples:\n  helixctl credential set idrac-r01 --username root\n  helixctl credential set idrac-r01 --username \
                            root --password-file FILE"
    )]
    Set {
        /// Name that fleet.csv and `node edit --credential` use
        name: String,
        /// User on the BMC
        #[arg(long, default_value = "root")]
        username: String,
        /// Read the password from a file, - for standard input; asked for when not given
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Delete one that no BMC uses
    Delete { name: String },
}

/// `helixctl credential …`
///
/// # Errors
/// As the controller answers; no terminal for the password.
pub async fn run(global: &Global, verb: &Verb) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    match verb {
        Verb::List => {
            let page = client.credentials().await?;
            if !global.output.is_table() {
                crate::output::list(global.output, &page.items, |credential| credential.name.clone())?;
                return Ok(Exit::Done);
            }
            if page.items.is_empty() {
                eprintln!("No credential yet: helixctl credential set NAME --username root");
                return Ok(Exit::Done);
            }
            let now = chrono::Utc::now();
            let mut table = Table::new(&["NAME", "USER", ">BMCS", "CHANGED"]);
            for credential in &page.items {
                table.row(vec![
                    credential.name.clone(),
                    credential.username.clone(),
                    credential.used_by.to_string(),
                    format!("{} ago", crate::time::age(Some(credential.updated_at), now)),
                ]);
            }
            table.print(console::user_attended(), !global.no_headers);
        }
        Verb::Set { name, username, password_file } => {
            let password = match password_file {
                Some(file) => ask::secret_from_file(file)?,
                None => ask::secret(&format!("Password of {username} on the BMCs"), "--password-file")?,
            };
            let set = client.set_credential(name, &CredentialSet { username: username.clone(), password }).await?;
            if !global.quiet {
                eprintln!("Credential {} is set ({} BMCs use it).", set.name, set.used_by);
            }
        }
        Verb::Delete { name } => {
            client.delete_credential(name).await?;
            if !global.quiet {
                eprintln!("Credential {name} is deleted.");
            }
        }
    }
    Ok(Exit::Done)
}
