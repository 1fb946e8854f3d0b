//! Whether this controller has what it takes to provision any node: for plans, before anything is touched.

use helix_inventory::plan::Refusal;

use super::deploy::DeployError;
use super::iso::DeployIso;
use crate::app::App;
use crate::chain::Chain;

/// Why no node can be provisioned by this controller at all: for plans, before anything is touched.
pub async fn refusal(app: &App) -> Option<Refusal> {
    if let Err(error) = DeployIso::open(app.config.media.deploy_iso.as_deref()).await {
        return Some(Refusal {
            code: error.code().to_owned(),
            message: format!("This controller cannot boot a node: {}.", Chain(&error)),
            next: "Build the deploy ISO (make media) and name it in helixd.toml: [media] deploy_iso = \
                   \"/path/helix-deploy.iso\"; its description helix-deploy.json lies beside it. Then make the plan again."
                .to_owned(),
        });
    }
    let agent = match &app.config.media.agent_binary {
        None => Err(DeployError::NoAgent),
        Some(path) => match tokio::fs::File::open(path).await {
            Ok(_) => Ok(()),
            Err(source) => Err(DeployError::Agent { path: path.clone(), source }),
        },
    };
    agent.err().map(|error| Refusal {
        code: error.code().to_owned(),
        message: format!("A node would come up without an agent: {}.", Chain(&error)),
        next: "Build the agent (make media) and name it in helixd.toml: [media] agent_binary = \"/path/helix-agent\". \
               Then make the plan again."
            .to_owned(),
    })
}
