//! The gate on logins: a count in Postgres, written before each attempt, shared by all controllers and kept over restarts.
//!
//! An iDRAC locks the sender's address out at the third refusal, for everybody behind it; Helix stops after two.

use async_trait::async_trait;
use redfish_client::{LoginGate, LoginOutcome, LoginStopped};
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::{StoreError, bmcs};

/// Refused logins after which contact stops: one below what makes an iDRAC lock the address out (`IPBlocking.1.FailCount`).
pub(super) const REFUSALS: i32 = 2;

/// The code that contact is stopped with.
pub(super) const WRONG_PASSWORD: &str = "wrong_password";

/// The gate of one BMC and one version of its credential.
pub(super) struct Gate {
    pub(super) db: PgPool,
    pub(super) bmc: Uuid,
    pub(super) instance: Uuid,
    pub(super) address: String,
    pub(super) username: String,
    pub(super) credential_version: i64,
}

impl Gate {
    fn reason(&self) -> String {
        format!(
            "the BMC at {} refused user {} {REFUSALS} times. Helix stopped, because an iDRAC locks the controller's address \
             out at the next refusal. Correct the credential (helixctl node edit --credential), or retry when the account \
             on the BMC was mended.",
            self.address, self.username
        )
    }

    async fn stop(&self) -> Result<String, StoreError> {
        let reason = self.reason();
        let mut conn = self.db.acquire().await?;
        bmcs::stop(&mut conn, self.bmc, WRONG_PASSWORD, &reason).await?;
        Ok(reason)
    }

    async fn ended(&self, outcome: &LoginOutcome) -> Result<(), StoreError> {
        let mut conn = self.db.acquire().await?;
        match outcome {
            LoginOutcome::Accepted { session } => {
                bmcs::login_accepted(&mut conn, self.bmc, session.as_deref(), self.instance).await
            }
            LoginOutcome::Unanswered => bmcs::login_unanswered(&mut conn, self.bmc).await,
            LoginOutcome::Refused => {
                let row = bmcs::get(&mut conn, self.bmc).await?;
                if row.is_some_and(|row| row.refused_logins >= REFUSALS) {
                    bmcs::stop(&mut conn, self.bmc, WRONG_PASSWORD, &self.reason()).await?;
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl LoginGate for Gate {
    async fn before_login(&self) -> Result<(), LoginStopped> {
        let counted = async {
            let mut conn = self.db.acquire().await?;
            bmcs::count_login(&mut conn, self.bmc, self.credential_version, REFUSALS).await
        };
        match counted.await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                let reason = self.stop().await.unwrap_or_else(|_| self.reason());
                Err(LoginStopped { reason })
            }
            // Without the count nothing is sent: an attempt that nobody counted could be the third.
            Err(error) => {
                tracing::warn!(bmc = %self.address, %error, "count a login attempt");
                Err(LoginStopped { reason: "the attempt could not be counted in the database".to_owned() })
            }
        }
    }

    async fn after_login(&self, outcome: &LoginOutcome) {
        if let Err(error) = self.ended(outcome).await {
            // The attempt stays counted as refused: the safe side.
            tracing::warn!(bmc = %self.address, %error, "note how a login ended");
        }
    }
}
