//! Carrying out one write order: the order of the steps, the same for real and simulated machines.
//!
//! inspect → choose → conflicts → image is there → (the choice is known to the controller) → wipe → write → read back → compare with other disks →
//! grow → seed → boot entry → written. Nothing on any disk changes before the controller has the choice on record. Each step's
//! effect is the host's ([`super::host::DeployHost`]).

use std::future::Future;
use std::sync::Arc;

use helix_api::deploy::{Phase, WriteOrder};

use super::conflict;
use super::failure::Failure;
use super::host::DeployHost;
use super::progress::Progress;
use super::rule::{self, Seen};

/// Makes sure that the controller has what was reported so far; an error stops the deployment before it changes anything.
pub trait Acknowledge: Send + Sync + 'static {
    /// Returns when the controller has stored the present state.
    fn acknowledged(&self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Carries out an order. The outcome is in `progress` as well; this never panics on what disks or servers do.
///
/// # Errors
/// The failure that stopped it, already recorded as phase `failed`.
pub async fn carry_out<H: DeployHost, A: Acknowledge>(
    host: &H,
    controller: &A,
    order: &WriteOrder,
    progress: &Arc<Progress>,
) -> Result<String, Failure> {
    let result = steps(host, controller, order, progress).await;
    match &result {
        Ok(digest) => progress.update(|state| {
            state.phase = Phase::Written;
            state.bytes_done = state.bytes_total;
            state.digest = Some(digest.clone());
        }),
        Err(failure) => {
            let wire = failure.wire();
            tracing::error!(code = wire.code, "{}", wire.message);
            progress.update(|state| {
                state.phase = Phase::Failed;
                state.error = Some(wire);
            });
        }
    }
    result
}

async fn steps<H: DeployHost, A: Acknowledge>(
    host: &H,
    controller: &A,
    order: &WriteOrder,
    progress: &Arc<Progress>,
) -> Result<String, Failure> {
    let image = &order.image;
    progress.update(|state| state.write_id = Some(order.write_id.clone()));

    progress.begin(Phase::InspectingDisks, 0);
    let seen = host.inspect().await?;
    progress.update(|state| state.disks = seen.iter().map(Seen::facts).collect());
    let target = rule::choose(&order.disk, &seen, image.raw_size_bytes)?.clone();
    let conflicting = conflicts(&target, &seen, &image.identifiers, order.wipe_conflicting)?;
    host.image_is_there(image).await?;

    progress.update(|state| state.disk = Some(target.facts()));
    progress.begin(Phase::DiskChosen, 0);
    tracing::info!(disk = target.disk.line(), image = image.name, "chosen");
    controller.acknowledged().await?;

    progress.begin(Phase::Wiping, 0);
    if !conflicting.is_empty() {
        host.wipe_others(&conflicting).await?;
    }
    host.wipe(&target).await?;

    progress.begin(Phase::Writing, image.raw_size_bytes);
    host.write(&target, image, progress).await?;

    progress.begin(Phase::Verifying, image.raw_size_bytes);
    let digest = host.read_back(&target, image, progress).await?;
    if !digest.eq_ignore_ascii_case(&image.raw_sha256) {
        return Err(Failure::ReadbackMismatch {
            disk: target.disk.line(),
            expected: image.raw_sha256.clone(),
            actual: digest,
        });
    }

    // The import may not have known every identifier of the image; now they lie on the disk. Disks just cleared are out of it.
    let written = conflict::identifiers_of(&host.signatures(&target).await?);
    let others: Vec<Seen> = seen.iter().filter(|disk| !conflicting.contains(disk)).cloned().collect();
    let late = conflicts(&target, &others, &written, order.wipe_conflicting).map_err(|failure| match failure {
        Failure::DiskConflict { conflicts } => Failure::LateConflict { target: target.disk.line(), conflicts },
        other => other,
    })?;
    if !late.is_empty() {
        host.wipe_others(&late).await?;
    }

    progress.begin(Phase::Growing, 0);
    let mut lines: Vec<String> = host.grow(&target, image).await?.into_iter().collect();

    progress.begin(Phase::Seeding, 0);
    host.seed(&target, order).await?;

    progress.begin(Phase::BootEntry, 0);
    lines.extend(host.boot_entry(&target, order).await?);
    if !lines.is_empty() {
        progress.update(|state| state.message = Some(lines.join("; ")));
    }
    Ok(digest)
}

/// The disks to clear, or the failure that lists them when clearing was not asked for.
fn conflicts(target: &Seen, seen: &[Seen], image: &[String], wipe: bool) -> Result<Vec<Seen>, Failure> {
    let found = conflict::find(target, seen, image);
    // A read-only medium cannot be cleared; it has to be taken out whatever was asked for.
    let fixed: Vec<String> = found
        .iter()
        .filter(|conflict| conflict.disk.disk.optical || conflict.disk.disk.facts.read_only)
        .map(|conflict| format!("{} (it cannot be cleared: take it out)", conflict.words()))
        .collect();
    if !fixed.is_empty() {
        return Err(Failure::DiskConflict { conflicts: fixed });
    }
    if !found.is_empty() && !wipe {
        return Err(Failure::DiskConflict { conflicts: found.iter().map(conflict::Conflict::words).collect() });
    }
    Ok(found.into_iter().map(|conflict| conflict.disk.clone()).collect())
}
