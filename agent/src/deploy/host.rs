//! What a deployment needs from the machine it runs on.
//!
//! [`super::write`] holds the order of the steps; this trait is each step's effect. [`super::local::LocalHost`] does it to real
//! disks, [`crate::simulate`] to disks that are not there, and tests to files.

use std::future::Future;
use std::sync::Arc;

use helix_api::deploy::{ImageSource, WriteOrder};

use super::failure::Failure;
use super::progress::Progress;
use super::rule::Seen;
use super::signature::Signature;

/// The machine under deployment.
pub trait DeployHost: Send + Sync + 'static {
    /// All disks with what lies on them.
    fn inspect(&self) -> impl Future<Output = Result<Vec<Seen>, Failure>> + Send;

    /// Makes sure that the image can be had, before anything is wiped for it.
    fn image_is_there(&self, image: &ImageSource) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Stops arrays and volume groups on the target, clears it and discards it where the drive can.
    fn wipe(&self, target: &Seen) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Clears the signatures of disks that conflict with the target; their other content stays.
    fn wipe_others(&self, conflicting: &[Seen]) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Fetches, checks and unpacks the image onto the target.
    fn write(
        &self,
        target: &Seen,
        image: &ImageSource,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// SHA-256 of the image's bytes as the disk gives them back.
    fn read_back(
        &self,
        target: &Seen,
        image: &ImageSource,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<String, Failure>> + Send;

    /// What lies on the target after writing.
    fn signatures(&self, target: &Seen) -> impl Future<Output = Result<Vec<Signature>, Failure>> + Send;

    /// Moves the backup partition table and grows the last partition and its file system; a line for a person, if there is one.
    fn grow(&self, target: &Seen, image: &ImageSource) -> impl Future<Output = Result<Option<String>, Failure>> + Send;

    /// Writes the seed into the installed system.
    fn seed(&self, target: &Seen, order: &WriteOrder) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Makes the installed system startable: fallback loader and boot entry; a line for a person, if there is one.
    fn boot_entry(
        &self,
        target: &Seen,
        order: &WriteOrder,
    ) -> impl Future<Output = Result<Option<String>, Failure>> + Send;
}
