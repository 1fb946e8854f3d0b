//! `helixctl node power on|off|restart|cycle|status`.

use clap::{Args, Subcommand};
use helix_api::node::{PowerAction, PowerRequest};

use crate::args::{Follow, Global};
use crate::ask::{self, Change};
use crate::problem::{CtlError, Exit};
use crate::selection::{Select, exactly, names};
use crate::table::Table;
use crate::time;

/// Verbs of power.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Switch on
    On(Act),
    /// Ask the operating system to stop; --force cuts power
    Off(Act),
    /// Ask the operating system to restart; --force resets
    Restart(Act),
    /// Off and on again
    Cycle(Act),
    /// As last seen
    Status {
        #[command(flatten)]
        select: Select,
    },
}

/// One action on a selection.
#[derive(Debug, Args)]
pub struct Act {
    #[command(flatten)]
    pub select: Select,
    /// Without asking the operating system
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub follow: Follow,
}

/// `helixctl node power …`
///
/// # Errors
/// Nothing selected, not confirmed; as the controller answers.
pub async fn run(global: &Global, verb: &Verb) -> Result<Exit, CtlError> {
    let (act, action, words) = match verb {
        Verb::Status { select } => return status(global, select).await,
        Verb::On(act) => (act, PowerAction::On, "Switch on"),
        Verb::Off(act) if act.force => (act, PowerAction::ForceOff, "CUT POWER of"),
        Verb::Off(act) => (act, PowerAction::Off, "Power off"),
        Verb::Restart(act) if act.force => (act, PowerAction::ForceRestart, "RESET"),
        Verb::Restart(act) => (act, PowerAction::Restart, "Restart"),
        Verb::Cycle(act) => (act, PowerAction::Cycle, "Power cycle"),
    };
    let client = crate::context::client(global)?;
    let nodes = act.select.nodes(&client).await?;
    let names = names(&nodes);
    let question = match &names[..] {
        [only] => format!("{words} {only}?"),
        many => format!("{words} {} nodes?", many.len()),
    };
    let destructive = action != PowerAction::On;
    ask::confirm(global, &Change { question: &question, names: &names, destructive })?;
    let bulk = client.power(&PowerRequest { selection: exactly(&nodes), action }).await?;
    crate::follow::bulk::started(global, &client, bulk, &act.follow, true).await
}

async fn status(global: &Global, select: &Select) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let nodes = select.nodes(&client).await?;
    if !global.output.is_table() {
        crate::output::list(global.output, &nodes, |node| node.name.clone())?;
        return Ok(Exit::Done);
    }
    let now = chrono::Utc::now();
    let mut table = Table::new(&["NAME", "POWER", ">WATTS", ">SEEN"]);
    for node in &nodes {
        table.row(vec![
            node.name.clone(),
            node.power.word().to_owned(),
            node.power_watts.map(|watts| format!("{watts:.0}")).unwrap_or_default(),
            time::age(node.power_seen_at, now),
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
    Ok(Exit::Done)
}
