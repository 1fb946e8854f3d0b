//! The hook around login attempts. An iDRAC locks the *sender's address* out after three refusals, so who counts them must
//! survive this process and be shared by its siblings: the caller counts, the client asks.

use async_trait::async_trait;

/// Asked before every attempt to log in and told how it ended.
///
/// Implementations write the attempt down before they answer, so that a crash between attempt and answer still counts it.
#[async_trait]
pub trait LoginGate: Send + Sync {
    /// Asked before credentials are sent. An error keeps them here: nothing goes out.
    ///
    /// # Errors
    /// Why no login may be tried, in words for an admin.
    async fn before_login(&self) -> Result<(), LoginStopped>;

    /// Told how the attempt ended. Called once after each permitted attempt, unless the process dies or the call is dropped
    /// in between.
    async fn after_login(&self, outcome: &LoginOutcome);
}

/// Why the gate lets no login through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginStopped {
    /// In words for an admin: what happened and what ends it.
    pub reason: String,
}

/// How one login attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The BMC took the credentials. `session` is the path of the session that was made, `None` with Basic authentication.
    Accepted { session: Option<String> },
    /// The BMC refused the credentials (401, SYS415, SYS416). Only this counts towards a lock-out.
    Refused,
    /// No answer about the credentials: the connection broke, the session table is full, the BMC is not ready.
    Unanswered,
}

/// A gate that lets everything through: for tools and tests with credentials that are known to be right. The client's own limit
/// of two refusals still holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

#[async_trait]
impl LoginGate for OpenGate {
    async fn before_login(&self) -> Result<(), LoginStopped> {
        Ok(())
    }

    async fn after_login(&self, _outcome: &LoginOutcome) {}
}
