//! What can go wrong with images, with a stable code and the words that the admin sees.

use std::io;
use std::path::{Path, PathBuf};

use helix_api::deploy::Compression;
use helix_api::problem::Problem;

use super::unpack::word;
use crate::store::StoreError;

/// Why something about an image was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(
        "\"{0}\" is no name for an image: lower-case letters, digits, dots, dashes and underscores, at most 127, begins with a letter or digit"
    )]
    BadName(String),
    #[error("\"{0}\" is no SHA-256: 64 hexadecimal digits are expected")]
    BadChecksum(String),
    #[error("{0} is no address of an image: http:// or https:// is expected")]
    BadUrl(String),
    #[error("there is an image named {name} already ({state})")]
    NameTaken { name: String, state: String },
    #[error("there is no image {0}")]
    NotFound(String),
    #[error("image {name} is in use: {workflows} workflow(s) under way write it")]
    InUse { name: String, workflows: u32 },
    #[error("image {name} is not ready: {state}")]
    NotReady { name: String, state: String },
    #[error("the file does not match its checksum: expected {expected}, got {found} over {bytes} bytes")]
    ChecksumMismatch { expected: String, found: String, bytes: u64 },
    #[error("the image is incomplete: {0}")]
    Truncated(String),
    #[error("the image has no GUID partition table: Helix installs disk images that boot by UEFI")]
    NoGpt,
    #[error("the image has no EFI system partition: {0}")]
    NoEsp(String),
    #[error("the image has no cloud-init: {0}")]
    NoCloudInit(String),
    #[error("the root file system of the image cannot be used: {0}")]
    Root(String),
    #[error("the image cannot be read: {0}")]
    Unreadable(String),
    #[error("unpacking the {} archive", word(*compression))]
    Unpack {
        compression: Compression,
        #[source]
        source: io::Error,
    },
    #[error("the image has more than {} GB when unpacked; no root disk is that large", limit_bytes / 1_000_000_000)]
    TooLarge { limit_bytes: u64 },
    #[error("the image is a qcow2 file, and qemu-img, which converts it, is not installed on the controller")]
    NoQemuImg,
    #[error("qemu-img could not {what}: {said}")]
    QemuImg { what: &'static str, said: String },
    #[error("fetching {url}")]
    Fetch {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} answered {status}")]
    FetchRefused { url: String, status: u16 },
    #[error("{what} {}", path.display())]
    Work {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{what} in the image store")]
    Object {
        what: &'static str,
        #[source]
        source: object_store::Error,
    },
    #[error("the image store {url} cannot be opened")]
    Open {
        url: String,
        #[source]
        source: object_store::Error,
    },
    #[error("the import was stopped")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImageError {
    /// Trouble with a file of the work folder.
    pub(crate) fn work(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Work { what, path: path.to_owned(), source }
    }

    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadName(_) => "image_bad_name",
            Self::BadChecksum(_) => "image_bad_checksum",
            Self::BadUrl(_) => "image_bad_url",
            Self::NameTaken { .. } => "image_name_taken",
            Self::NotFound(_) => "image_not_found",
            Self::InUse { .. } => "image_in_use",
            Self::NotReady { .. } => "image_not_ready",
            Self::ChecksumMismatch { .. } => "image_checksum_mismatch",
            Self::Truncated(_) => "image_truncated",
            Self::NoGpt => "image_no_gpt",
            Self::NoEsp(_) => "image_no_esp",
            Self::NoCloudInit(_) => "image_no_cloud_init",
            Self::Root(_) => "image_root_unsupported",
            Self::Unreadable(_) | Self::Unpack { .. } => "image_unreadable",
            Self::TooLarge { .. } => "image_too_large",
            Self::NoQemuImg => "image_needs_qemu_img",
            Self::QemuImg { .. } => "image_conversion_failed",
            Self::Fetch { .. } | Self::FetchRefused { .. } => "image_fetch_failed",
            Self::Work { source, .. } if source.kind() == io::ErrorKind::StorageFull => "image_no_space",
            Self::Work { .. } => "image_work_folder",
            Self::Object { .. } | Self::Open { .. } => "image_store_failed",
            Self::Stopped => "image_import_stopped",
            Self::Store(_) => "database",
        }
    }

    /// HTTP status that fits.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadName(_)
            | Self::BadChecksum(_)
            | Self::BadUrl(_)
            | Self::ChecksumMismatch { .. }
            | Self::Truncated(_)
            | Self::NoGpt
            | Self::NoEsp(_)
            | Self::NoCloudInit(_)
            | Self::Root(_)
            | Self::Unreadable(_)
            | Self::Unpack { .. }
            | Self::TooLarge { .. } => 422,
            Self::NameTaken { .. } | Self::InUse { .. } | Self::NotReady { .. } | Self::Stopped => 409,
            Self::NotFound(_) => 404,
            Self::Fetch { .. } | Self::FetchRefused { .. } => 502,
            _ => 500,
        }
    }

    /// What the admin can do.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        Some(match self {
            Self::NameTaken { name, .. } => {
                format!("Import under another name, or delete it first: helixctl image delete {name}")
            }
            Self::NotFound(_) => "helixctl image list".into(),
            Self::InUse { .. } => "Wait for the workflows or cancel them: helixctl workflow list".into(),
            Self::NotReady { name, .. } => format!("helixctl image show {name}"),
            Self::ChecksumMismatch { .. } => {
                "Compare the checksum with the publisher's page, and import again: the file may have been cut or \
                 replaced on the way."
                    .into()
            }
            Self::Truncated(_) | Self::Unreadable(_) | Self::Unpack { .. } => {
                "Nothing was kept. Fetch the file again, compare its checksum, and import it with --sha256.".into()
            }
            Self::NoGpt | Self::NoEsp(_) => {
                "Take the publisher's image for UEFI (\"generic cloud\", \"UEFI\"), not an installer ISO, a root file \
                 system or an image for legacy BIOS."
                    .into()
            }
            Self::NoCloudInit(_) => "Take the \"cloud\" variant of the image, or install cloud-init in it.".into(),
            Self::Root(_) => {
                "Take or make an image whose last partition is the root file system, ext4, xfs or btrfs.".into()
            }
            Self::NoQemuImg => {
                "Install the package qemu-utils (Debian, Ubuntu) or qemu-img (RHEL), or convert the file elsewhere: \
                 qemu-img convert -O raw FILE.qcow2 FILE.raw"
                    .into()
            }
            Self::Fetch { .. } | Self::FetchRefused { .. } => {
                "The controller fetches the file itself: check that it reaches the address, or upload the file with \
                 helixctl image import FILE."
                    .into()
            }
            Self::Work { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "Make room on the controller's data folder: an import needs the file, its raw bytes and the packed \
                 copy at the same time."
                    .into()
            }
            _ => return None,
        })
    }

    /// The whole chain in one line: what was attempted, then why.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let text = error.to_string();
            if !words.contains(&text) {
                words.push_str(": ");
                words.push_str(&text);
            }
            source = error.source();
        }
        words
    }

    /// As problem details.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.status(), self.code(), self.in_words());
        problem.next.extend(self.next());
        problem
    }
}
