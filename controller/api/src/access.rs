//! Signing in, users, tokens and credentials.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `POST /api/v1/login`. The password is never logged.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    pub user: String,
    pub password: String,
    /// Name of the token, e.g. `helixctl on ops-laptop`.
    #[serde(default)]
    pub token_name: Option<String>,
}

/// Answer to a login.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginResponse {
    /// Bearer token, shown once.
    pub token: String,
    pub expires_at: DateTime<Utc>,
    pub user: WhoAmI,
}

/// `GET /api/v1/whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhoAmI {
    pub name: String,
    /// `admin`, `operator`, `viewer`
    pub role: String,
    pub must_change_password: bool,
    pub server_version: String,
}

/// `POST /api/v1/password`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    pub old: String,
    pub new: String,
}

/// A BMC credential without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Credential {
    pub name: String,
    pub username: String,
    /// How many BMCs use it.
    pub used_by: u32,
    pub version: i64,
    pub updated_at: DateTime<Utc>,
}

/// `PUT /api/v1/credentials/{name}`. The password is write-only.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CredentialSet {
    pub username: String,
    pub password: String,
}
