//! One line of an enrolment, from its row to its end. Safe to run again from its start after a crash.

use std::sync::Arc;

use chrono::TimeDelta;
use redfish_client::Fingerprint;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::{Ended, Failure};
use super::identify::{self, Target};
use super::line::GoodLine;
use super::settle;
use crate::app::App;
use crate::store::bmcs::{self, BmcRow, NewBmc};
use crate::store::bulks::{Claimed, Outcome};
use crate::store::nodes::Known;
use crate::store::{StoreError, credentials, nodes};

/// An iDRAC counts refused logins within a minute (`IPBlocking.1.FailWindow`); after that, a person who asks again gets
/// two more.
const REFUSALS_COUNT_FOR: TimeDelta = TimeDelta::seconds(60);

/// What is kept of a line until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) line: GoodLine,
    /// Certificate that a person gave for this address, hex.
    pub(super) fingerprint: Option<String>,
    /// Certificates were given: one that is not listed is not trusted.
    pub(super) only_listed: bool,
    /// Inspect the node once it is enrolled.
    pub(super) inspect: bool,
}

/// Does one line. `None` when it was ended together with what it wrote; the caller ends the others.
///
/// # Errors
/// When the database fails: the line stays claimed and is taken up again.
pub(crate) async fn work(app: &Arc<App>, item: &Claimed) -> Result<Option<Outcome>, StoreError> {
    match enrol(app, item).await {
        Ok(()) => Ok(None),
        Err(Ended::Failed(failure)) => Ok(Some(Outcome {
            state: "failed",
            code: Some(failure.code),
            message: Some(failure.message),
            next: failure.next,
            ..Outcome::default()
        })),
        Err(Ended::Store(error)) => Err(error),
    }
}

async fn enrol(app: &Arc<App>, item: &Claimed) -> Result<(), Ended> {
    let input: Input = serde_json::from_value(item.input.clone())
        .map_err(|error| StoreError::unreadable("a line of an enrolment", error))?;
    let line = &input.line;
    let credential = credentials::by_name(&app.db, &line.credential).await?.ok_or_else(|| {
        Failure::new("credential_unknown", format!("there is no credential \"{}\"", line.credential))
            .next(format!("helixctl credential set {}", line.credential))
    })?;
    if input.only_listed && input.fingerprint.is_none() {
        return Err(Failure::new("certificate_not_listed", "its certificate is not in the list that was given")
            .next("Add the address to the list of fingerprints, or enrol without one to trust on first use.")
            .into());
    }
    let expected: Option<Fingerprint> = input.fingerprint.as_deref().and_then(|text| text.parse().ok());
    let row = bmc(app, line, credential.id).await?;
    let node = nodes::of_bmc(&app.db, row.id).await?;
    may_try(app, item, &row, &line.credential, node.as_ref(), expected.is_some()).await?;
    let pinned = row.certificate_sha256.as_deref().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Fingerprint);
    let target = Target {
        bmc: row.id,
        address: line.address(),
        pinned,
        // A node's certificate is changed by `node trust`, which is audited, and not by a file.
        expected: expected.filter(|_| node.is_none() || pinned.is_none()),
        credential: &line.credential,
    };
    let identity = identify::identify(app, &target).await.map_err(|ended| match ended {
        Ended::Failed(failure) if failure.code == "certificate_changed" && failure.next.is_none() => {
            failure.next(certificate_next(node.as_ref())).into()
        }
        other => other,
    })?;
    settle::settle(app, item, &input, row.id, &credential.name, &identity).await
}

/// The row of the BMC, with the line's credential.
async fn bmc(app: &App, line: &GoodLine, credential: Uuid) -> Result<BmcRow, Ended> {
    let mut conn = app.db.acquire().await?;
    let new = NewBmc {
        id: Uuid::now_v7(),
        host: &line.host,
        port: i32::from(line.port),
        credential_id: Some(credential),
        certificate_sha256: None,
        service_tag: None,
    };
    let id = bmcs::ensure(&mut conn, &new).await?;
    let changed = nodes::set_credential(&mut *conn, id, credential).await?;
    drop(conn);
    if changed {
        app.bmcs.forget(id).await;
    }
    let mut conn = app.db.acquire().await?;
    Ok(bmcs::get(&mut conn, id).await?.ok_or(StoreError::NotFound { what: "BMC" })?)
}

/// Whether contact may be tried: a person who asks again after a minute starts the count of refused logins anew; an item
/// that a restart goes on with does not.
async fn may_try(
    app: &App,
    item: &Claimed,
    row: &BmcRow,
    credential: &str,
    node: Option<&Known>,
    certificate_given: bool,
) -> Result<(), Ended> {
    match row.stopped_code.as_deref() {
        None => Ok(()),
        Some("wrong_password") => {
            let refused_at = row.refused_at.unwrap_or(item.asked_at);
            let over = app.clock.scaled(REFUSALS_COUNT_FOR.to_std().unwrap_or_default());
            let over = TimeDelta::from_std(over).unwrap_or(REFUSALS_COUNT_FOR);
            if item.asked_at <= refused_at || row.now - refused_at < over {
                return Err(Failure::wrong_password(credential).into());
            }
            let mut conn = app.db.acquire().await?;
            bmcs::retry_contact(&mut conn, row.id).await?;
            drop(conn);
            app.bmcs.forget(row.id).await;
            Ok(())
        }
        // Without a node nothing hangs on the old certificate but the pin, and a person has just named the new one.
        Some("certificate_changed") if node.is_none() && certificate_given => Ok(()),
        Some(code) => {
            let failure = Failure::new(code, row.stopped_reason.clone().unwrap_or_default());
            let next = match (code, node) {
                ("certificate_changed", node) => certificate_next(node),
                (_, Some(node)) => format!("helixctl node remove {} --no-contact, then enrol again", node.name),
                (_, None) => "Look at the BMC, then enrol again.".to_owned(),
            };
            Err(failure.next(next).into())
        }
    }
}

/// How a person accepts another certificate.
fn certificate_next(node: Option<&Known>) -> String {
    match node {
        Some(node) => format!("If it is right: helixctl node trust {} --fingerprint SHA256", node.name),
        None => "If it is right: enrol with --fingerprints FILE that names the new certificate.".to_owned(),
    }
}
