//! OS images and deploy media, and the listener that serves them.
//!
//! [`image`] keeps images, [`deploy`] makes what one boot attempt needs (medium, session, order, seed), [`router`] is the
//! media listener. The ramdisk itself speaks to `crate::agents`. Nothing here talks to a BMC.

pub mod deploy;
mod file;
#[cfg(test)]
pub(crate) mod fixture;
pub mod image;
pub(crate) mod instruction;
pub mod iso;
mod listener;
mod range;
mod readiness;
pub mod seed;
mod served;
#[cfg(test)]
mod tests;
mod url;

pub use self::image::{ImageError, ImageStore};
pub use self::listener::router;
pub use self::readiness::refusal;

use crate::app::App;
use crate::chain::Chain;

/// Clears up after a crash and says whether nodes can be provisioned. Called once at start, after the database is there and
/// before the listeners open. It never keeps the controller from starting.
pub async fn start(app: &App) {
    if let Err(error) = image::clear_leftovers(app).await {
        tracing::warn!(error = %Chain(&error), "leftovers of imports could not be cleared; the next start tries again");
    }
    match iso::DeployIso::open(app.config.media.deploy_iso.as_deref()).await {
        Ok(iso) => tracing::info!(iso = iso.words(), "deploy ISO ready"),
        Err(error) => tracing::warn!(
            error = %Chain(&error),
            "no node can be provisioned until the deploy ISO is there; plans say so"
        ),
    }
}
