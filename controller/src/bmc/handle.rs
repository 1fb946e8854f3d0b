//! One BMC's client, which notes how its calls went: contact, breaker, a changed certificate.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redfish_client::{Class, Client, RedfishError};
use sqlx::PgPool;
use uuid::Uuid;

use super::error::BmcError;
use crate::clock::Clock;
use crate::store::{StoreError, bmcs};

/// First rest of a BMC that did not answer; doubles each time. Shorter than a step's first back-off, so that the next
/// attempt finds the breaker closed.
const FIRST_REST: Duration = Duration::from_secs(2);

/// The row is told at most this often that a BMC answers: people see the age of the last contact in seconds, and a row a
/// call would cost more than the call.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// Longest rest: a dead BMC then costs one connect a minute, and one that comes back is noticed within that.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The code that contact is stopped with.
const CERTIFICATE_CHANGED: &str = "certificate_changed";

/// A client of one BMC. Calls go through the client it derefs to, and their results through [`Bmc::told`].
#[derive(Clone)]
pub struct Bmc {
    pub(super) client: Client,
    pub(super) id: Uuid,
    pub(super) node: String,
    pub(super) db: PgPool,
    pub(super) clock: Clock,
    pub(super) failures: i32,
    /// A pin was stored for this client.
    pub(super) pinned: bool,
    /// When the row was last told that the BMC answers.
    pub(super) noted: Arc<Mutex<Option<Instant>>>,
}

impl Deref for Bmc {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Bmc {
    /// Row id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Name of the node, or the address when it has none yet.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Notes how a call went and gives its result on, with the node's name.
    ///
    /// # Errors
    /// The call's own error.
    pub async fn told<T>(&self, result: Result<T, RedfishError>) -> Result<T, BmcError> {
        match result {
            Ok(value) => {
                if self.due_for_a_note() {
                    self.logged(self.answered().await);
                }
                Ok(value)
            }
            Err(error) => {
                self.forget_the_note();
                self.logged(self.note(&error).await);
                Err(BmcError::Redfish { node: self.node.clone(), source: Box::new(error) })
            }
        }
    }

    /// Whether it is time to tell the row again; if so, it counts as told.
    fn due_for_a_note(&self) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = noted.is_none_or(|at| at.elapsed() >= NOTE_EVERY);
        if due {
            *noted = Some(Instant::now());
        }
        due
    }

    fn forget_the_note(&self) {
        *self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    async fn answered(&self) -> Result<(), StoreError> {
        let mut conn = self.db.acquire().await?;
        bmcs::contact(&mut conn, self.id).await?;
        // First contact: the certificate seen is held from now on.
        if let Some(seen) = self.client.fingerprint().filter(|_| !self.pinned) {
            bmcs::pin_first(&mut conn, self.id, &seen.0).await?;
        }
        Ok(())
    }

    async fn note(&self, error: &RedfishError) -> Result<(), StoreError> {
        let mut conn = self.db.acquire().await?;
        match error {
            RedfishError::CertificateChanged { seen, .. } => {
                let reason = format!(
                    "the BMC shows another certificate ({seen}) than the one that was trusted. If that is right (it was \
                     replaced, or the iDRAC was reset), trust it: helixctl node trust {} --fingerprint {seen}",
                    self.node
                );
                bmcs::stop(&mut conn, self.id, CERTIFICATE_CHANGED, &reason).await
            }
            RedfishError::Unreachable { .. } | RedfishError::Timeout { .. } | RedfishError::Interrupted { .. } => {
                let doublings = u32::try_from(self.failures).unwrap_or_default().min(10);
                let rest = FIRST_REST.saturating_mul(1 << doublings).min(LONGEST_REST);
                let rest = self.clock.scaled(rest.mul_f64(rand::random_range(0.5..=1.0)));
                bmcs::failed(&mut conn, self.id, &error.to_string(), rest.as_secs_f64()).await
            }
            // Anything else is an answer.
            error if error.class() != Class::Auth => bmcs::contact(&mut conn, self.id).await,
            _ => Ok(()),
        }
    }

    fn logged(&self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            tracing::warn!(node = %self.node, %error, "note contact with a BMC");
        }
    }
}
