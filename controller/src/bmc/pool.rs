//! Clients of BMCs, one a BMC, made on first use and kept with their session.
//!
//! The rows are the truth: each time a client is asked for, the row says whether it may be used and whether the one in
//! hand is still made from the right address, certificate and credential.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use redfish_client::{BmcAddress, Client, Credentials, Fingerprint, Limits, Pin, Tls};
use secrecy::SecretString;
use sqlx::PgPool;
use uuid::Uuid;

use super::error::BmcError;
use super::gate::{Gate, WRONG_PASSWORD};
use super::handle::Bmc;
use crate::access::secrets::Secrets;
use crate::clock::Clock;
use crate::store::bmcs::{self, Dial};
use crate::store::credentials;

/// TLS resumption tickets kept: a fleet of 5,000 with room, about 1 KiB each when used.
const FLEET: usize = 8192;

/// Sessions deleted at the same time at shutdown.
const CLOSE_AT_ONCE: usize = 64;

/// Longest time for deleting one session at shutdown: an iDRAC takes 1 s, a dead one must not hold the stop.
const CLOSE: Duration = Duration::from_secs(5);

/// What a client was made from; another value of any of it means another client.
#[derive(Clone, PartialEq, Eq)]
struct MadeFrom {
    host: String,
    port: i32,
    certificate: Option<Vec<u8>>,
    credential: Option<(Uuid, i64)>,
}

struct Kept {
    client: Client,
    made_from: MadeFrom,
    noted: Arc<Mutex<Option<Instant>>>,
    /// Contact was stopped for a wrong password when this was made, and the credential is another one now.
    leftover: Option<String>,
}

/// Clients of BMCs.
pub struct BmcPool {
    db: PgPool,
    secrets: Secrets,
    clock: Clock,
    instance: Uuid,
    tls: Result<Tls, String>,
    kept: Mutex<HashMap<Uuid, Kept>>,
}

impl std::fmt::Debug for BmcPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BmcPool")
    }
}

impl BmcPool {
    /// An empty pool; nothing is dialled.
    #[must_use]
    pub fn new(db: PgPool, secrets: Secrets, clock: Clock, instance: Uuid) -> Self {
        let tls = Tls::new(FLEET).map_err(|error| error.to_string());
        Self { db, secrets, clock, instance, tls, kept: Mutex::default() }
    }

    /// The TLS configuration that all BMCs share, for looking at an address that has no row yet.
    ///
    /// # Errors
    /// [`BmcError::Tls`] when it could not be made.
    pub fn tls(&self) -> Result<&Tls, BmcError> {
        self.tls.as_ref().map_err(|error| BmcError::Tls(error.clone()))
    }

    /// The client of a BMC, unless contact is stopped or resting.
    ///
    /// # Errors
    /// [`BmcError::Stopped`] and [`BmcError::Resting`] with the reason in words, [`BmcError::NoCredential`].
    pub async fn client(&self, bmc: Uuid) -> Result<Bmc, BmcError> {
        let mut conn = self.db.acquire().await.map_err(crate::store::StoreError::from)?;
        let dial = bmcs::dial(&mut conn, bmc).await?.ok_or(BmcError::Unknown)?;
        drop(conn);
        let address = BmcAddress::new(&dial.host, u16::try_from(dial.port).unwrap_or(redfish_client::DEFAULT_PORT));
        let node = dial.node.clone().unwrap_or_else(|| address.to_string());
        self.allowed(&dial, &node, &address)?;
        let made_from = MadeFrom {
            host: dial.host.clone(),
            port: dial.port,
            certificate: dial.certificate_sha256.clone(),
            credential: dial.credential_id.zip(dial.credential_version),
        };
        if let Some(bmc) = self.kept_client(&dial, &node, &made_from) {
            return Ok(bmc);
        }
        let client = self.make(&dial, &node, address)?;
        let leftover = dial.session_uri.clone().filter(|_| dial.session_instance == Some(self.instance));
        let noted = Arc::new(Mutex::new(None));
        let handle = self.handle(&dial, node, client.clone(), noted.clone());
        let other = {
            let mut kept = self.lock();
            kept.insert(bmc, Kept { client, made_from, noted, leftover })
        };
        if let Some(other) = other {
            part(other.client).await;
        }
        self.sweep(bmc, &handle).await;
        Ok(handle)
    }

    /// Deletes the session that a process before this one left on the BMC. It ends by itself after half an hour, so a
    /// failure is only told.
    async fn sweep(&self, bmc: Uuid, handle: &Bmc) {
        let leftover = self.lock().get_mut(&bmc).and_then(|kept| kept.leftover.take());
        let Some(uri) = leftover else { return };
        match handle.told(handle.delete_session(&uri).await).await {
            Ok(()) => tracing::debug!(node = %handle.node(), "deleted the session of an earlier run"),
            Err(error) => tracing::debug!(node = %handle.node(), %error, "delete the session of an earlier run"),
        }
    }

    /// Whether the row lets anybody dial.
    fn allowed(&self, dial: &Dial, node: &str, address: &BmcAddress) -> Result<(), BmcError> {
        if let Some(code) = &dial.stopped_code {
            // A new version of the credential lifts the stop for a wrong password; the count starts at zero with it.
            let mended = code == WRONG_PASSWORD && dial.refused_credential_version != dial.credential_version;
            if !mended {
                return Err(BmcError::Stopped {
                    node: node.to_owned(),
                    address: address.to_string(),
                    code: code.clone(),
                    reason: dial.stopped_reason.clone().unwrap_or_default(),
                });
            }
        }
        if let Some(until) = dial.next_try_at.filter(|until| *until > dial.now) {
            return Err(BmcError::Resting {
                node: node.to_owned(),
                address: address.to_string(),
                failures: dial.failures,
                failure: dial.failure.clone().unwrap_or_default(),
                until,
                pause: (until - dial.now).to_std().unwrap_or_default().mul_f64(self.clock.scale()),
            });
        }
        Ok(())
    }

    fn kept_client(&self, dial: &Dial, node: &str, made_from: &MadeFrom) -> Option<Bmc> {
        let mut kept = self.lock();
        let entry = kept.get_mut(&dial.id)?;
        // The pin that this client brought about itself is no change.
        let pinned_by_us = entry.made_from.certificate.is_none()
            && made_from.certificate.is_some()
            && made_from.certificate.as_deref()
                == entry.client.fingerprint().map(|seen| seen.0).as_ref().map(|b| &b[..]);
        if pinned_by_us {
            entry.made_from.certificate.clone_from(&made_from.certificate);
        }
        if entry.made_from != *made_from {
            return None;
        }
        Some(self.handle(dial, node.to_owned(), entry.client.clone(), entry.noted.clone()))
    }

    fn handle(&self, dial: &Dial, node: String, client: Client, noted: Arc<Mutex<Option<Instant>>>) -> Bmc {
        // An open breaker must be closed by the next answer, whatever was noted before.
        if dial.failures > 0 {
            *noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        }
        Bmc {
            client,
            id: dial.id,
            node,
            db: self.db.clone(),
            clock: self.clock.clone(),
            failures: dial.failures,
            pinned: dial.certificate_sha256.is_some(),
            noted,
        }
    }

    fn make(&self, dial: &Dial, node: &str, address: BmcAddress) -> Result<Client, BmcError> {
        let (Some(id), Some(username), Some(sealed), Some(version)) =
            (dial.credential_id, &dial.username, &dial.secret_sealed, dial.credential_version)
        else {
            return Err(BmcError::NoCredential { node: node.to_owned(), address: address.to_string() });
        };
        let opened = self
            .secrets
            .open(sealed, &credentials::associated_data(id))
            .map_err(|source| BmcError::Credential { node: node.to_owned(), source })?;
        let password = SecretString::from(String::from_utf8_lossy(&opened).into_owned());
        let gate = Gate {
            db: self.db.clone(),
            bmc: dial.id,
            instance: self.instance,
            address: address.to_string(),
            username: username.clone(),
            credential_version: version,
        };
        let pin = dial.certificate_sha256.as_deref().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let client = Client::builder(self.tls()?, address)
            .pin(pin.map_or(Pin::Unknown, |bytes| Pin::Sha256(Fingerprint(bytes))))
            .credentials(Credentials { user: username.clone(), password })
            .gate(Arc::new(gate))
            .limits(Limits::default().scaled(self.clock.scale()))
            .build();
        Ok(client)
    }

    /// Drops the client of a BMC: its credential, certificate or address changed, or a person wants a fresh start. Its
    /// session is deleted when that works quickly.
    pub async fn forget(&self, bmc: Uuid) {
        let kept = self.lock().remove(&bmc);
        if let Some(kept) = kept {
            part(kept.client).await;
        }
    }

    /// Logs out everywhere; called once, when the engine is quiet.
    pub async fn close(&self) {
        let all: Vec<_> = self.lock().drain().collect();
        futures::stream::iter(all)
            .for_each_concurrent(CLOSE_AT_ONCE, |(bmc, kept)| async move {
                if !part(kept.client).await {
                    return;
                }
                let forgotten = async {
                    let mut conn = self.db.acquire().await?;
                    bmcs::session_closed(&mut conn, bmc).await
                };
                if let Err(error) = forgotten.await {
                    tracing::debug!(%error, "note that a session was closed");
                }
            })
            .await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Kept>> {
        // A panic while the map is held leaves it whole: entries are inserted and removed in one call each.
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Deletes a client's session, quickly or not at all. Answers whether it is gone.
async fn part(client: Client) -> bool {
    match tokio::time::timeout(CLOSE, client.close()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(bmc = %client.address(), %error, "log out");
            false
        }
        Err(_) => false,
    }
}
