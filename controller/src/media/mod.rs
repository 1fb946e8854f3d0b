//! OS images and deploy media, and the listener that serves them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::App;
use crate::config::Config;

/// Where OS images lie.
#[derive(Debug)]
pub struct ImageStore {
    folder: PathBuf,
}

impl ImageStore {
    /// Opens the image folder of the data folder, and makes it on first use.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(config: &Config) -> Result<Self, std::io::Error> {
        let folder = config.data_dir.join("images");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The folder images lie in.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }
}

/// Routes of the media listener.
pub fn router(app: Arc<App>) -> axum::Router {
    axum::Router::new().with_state(app)
}
