//! Clients of BMCs: one session each, with the gate on logins and the breaker in front.

use uuid::Uuid;

use crate::access::secrets::Secrets;
use crate::clock::Clock;

/// Clients of BMCs, one a BMC, made on first use.
#[derive(Debug)]
#[expect(dead_code, reason = "the clients that are made from these come with the pool's first call")]
pub struct BmcPool {
    db: sqlx::PgPool,
    secrets: Secrets,
    clock: Clock,
    instance: Uuid,
}

impl BmcPool {
    /// An empty pool; nothing is dialled.
    #[must_use]
    pub fn new(db: sqlx::PgPool, secrets: Secrets, clock: Clock, instance: Uuid) -> Self {
        Self { db, secrets, clock, instance }
    }

    /// Logs out everywhere; called once, when the engine is quiet.
    pub async fn close(&self) {}
}
