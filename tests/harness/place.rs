//! Where things lie: the workspace, its programs, the media that `make media` made.

use std::path::{Path, PathBuf};

/// Root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A program of the workspace, beside the one that runs: the same build.
///
/// # Errors
/// When it was not built, with the command that builds it.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    // A test lies in `debug/deps`, the demo in `debug`.
    let folders = own.ancestors().skip(1).take(2);
    for folder in folders {
        let candidate = folder.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    anyhow::bail!("{name} is not built: cargo build --workspace --bins")
}

/// What `make media` made: agent for old C libraries, deploy medium, OS image.
#[derive(Debug, Clone)]
pub struct Media {
    pub agent: PathBuf,
    pub deploy_iso: PathBuf,
    pub os_image: PathBuf,
}

/// The media, when all of them are there.
#[must_use]
pub fn media() -> Option<Media> {
    let build = workspace().join("build");
    let media = Media {
        agent: build.join("agent/helix-agent"),
        deploy_iso: build.join("media/helix-deploy.iso"),
        os_image: build.join("media/debian-12.raw.zst"),
    };
    [&media.agent, &media.deploy_iso, &media.os_image].iter().all(|file| file.is_file()).then_some(media)
}
