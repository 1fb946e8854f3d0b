//! What the steps share about the deploy medium and its session: names in the memory, addresses, errors as outcomes.

use std::net::IpAddr;

use helix_api::deploy::{BootNetwork, DeployReport};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::media::deploy::DeployError;
use crate::store::deploy_sessions::{self, DeploySessionRow};
use crate::workflow::context::StepContext;
use crate::workflow::outcome::{Outcome, Stop, Trouble};

/// Memory: the medium prepared last.
pub(super) const MEDIA: &str = "media";
/// Memory: the BMC knows lasting boot overrides only.
pub(super) const BOOT_CONTINUOUS: &str = "boot_continuous";
/// Memory: the ramdisk was told to write, so the disk may hold anything.
pub(super) const WRITE_ORDERED: &str = "write_ordered";
/// Memory: the disk that the ramdisk chose.
pub(super) const DISK: &str = "disk";

/// The medium of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Medium {
    /// Attempt of the step that prepared it.
    pub(super) attempt: i32,
    pub(super) session_id: Uuid,
    pub(super) url: String,
}

impl Medium {
    /// Whether what a slot shows is this medium: by the part of the URL that nobody else has.
    pub(super) fn is(&self, shown: Option<&str>) -> bool {
        let own = self.url.find("/media/").map_or(self.url.as_str(), |at| &self.url[at..]);
        shown.is_some_and(|shown| shown.ends_with(own))
    }
}

/// The session of the medium in the memory.
pub(super) async fn session(
    ctx: &StepContext,
    conn: &mut PgConnection,
) -> Result<Option<(Medium, DeploySessionRow)>, Stop> {
    let Some(medium) = ctx.recall::<Medium>(MEDIA) else { return Ok(None) };
    let session = deploy_sessions::find(conn, medium.session_id).await?;
    Ok(session.map(|session| (medium, session)))
}

/// What the ramdisk said last.
pub(super) fn report(session: &DeploySessionRow) -> Option<DeployReport> {
    serde_json::from_value(session.report.clone()?).ok()
}

/// The network that the ramdisk is told.
pub(super) fn boot_network(ctx: &StepContext) -> Option<BootNetwork> {
    serde_json::from_value(ctx.node.boot_network.clone()?).ok()
}

/// The BMC's address, to choose what it is told to dial.
pub(super) async fn bmc_address(ctx: &StepContext) -> Result<IpAddr, Stop> {
    let host = &ctx.node.bmc_host;
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let port = u16::try_from(ctx.node.bmc_port).unwrap_or(redfish_client::DEFAULT_PORT);
    let found = tokio::net::lookup_host((host.as_str(), port)).await.ok().and_then(|mut all| all.next());
    found.map(|address| address.ip()).ok_or_else(|| {
        Outcome::Retry(Trouble::new("bmc_name_unknown", format!("The name {host} of the BMC could not be resolved.")))
            .into()
    })
}

/// An error of the media part as an outcome.
pub(super) fn stop(error: DeployError) -> Stop {
    match error {
        DeployError::Store(error) => Stop::Store(error),
        DeployError::Closed => Outcome::Retry(Trouble::new(
            "deploy_session_closed",
            "The deploy medium of this attempt is not valid any more; a new attempt makes a new one.",
        ))
        .into(),
        error => {
            let text = crate::chain::Chain(&error).to_string();
            let trouble = Trouble::new(error.code(), format!("The deploy medium or its order cannot be made: {text}."))
                .next("helixd check-config");
            Outcome::NeedsHuman(trouble).into()
        }
    }
}
