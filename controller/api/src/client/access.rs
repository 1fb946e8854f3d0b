//! Signing in, the own password, BMC credentials, and what needs no sign-in.

use reqwest::Method;

use super::{ApiError, Client};
use crate::access::{Credential, CredentialSet, LoginRequest, LoginResponse, PasswordChange, WhoAmI};
use crate::page::Page;

impl Client {
    /// Signs in; use [`Client::with_token`] with the answer.
    ///
    /// # Errors
    /// 401 `login_refused`, 429 `login_locked`; as every call.
    pub async fn login(&self, request: &LoginRequest) -> Result<LoginResponse, ApiError> {
        self.post(&["login"]).json(request)?.answer().await
    }

    /// Ends the token.
    ///
    /// # Errors
    /// As every call.
    pub async fn logout(&self) -> Result<(), ApiError> {
        self.post(&["logout"]).done().await
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// As every call.
    pub async fn whoami(&self) -> Result<WhoAmI, ApiError> {
        self.get(&["whoami"]).answer().await
    }

    /// Changes the own password; other tokens of the user end.
    ///
    /// # Errors
    /// 403 `password_wrong`, 422 `password_weak`; as every call.
    pub async fn change_password(&self, change: &PasswordChange) -> Result<(), ApiError> {
        self.post(&["password"]).json(change)?.done().await
    }

    /// BMC credentials, without their secrets.
    ///
    /// # Errors
    /// As every call.
    pub async fn credentials(&self) -> Result<Page<Credential>, ApiError> {
        self.get(&["credentials"]).answer().await
    }

    /// Makes or changes a credential; BMCs that stopped on a wrong password are tried again.
    ///
    /// # Errors
    /// As every call.
    pub async fn set_credential(&self, name: &str, set: &CredentialSet) -> Result<Credential, ApiError> {
        self.call(Method::PUT, &["credentials", name]).json(set)?.answer().await
    }

    /// Removes a credential that no BMC uses.
    ///
    /// # Errors
    /// 409 `credential_in_use`; as every call.
    pub async fn delete_credential(&self, name: &str) -> Result<(), ApiError> {
        self.call(Method::DELETE, &["credentials", name]).done().await
    }

    /// Whether the controller is up; needs no sign-in.
    ///
    /// # Errors
    /// As every call.
    pub async fn healthz(&self) -> Result<(), ApiError> {
        self.get(&["healthz"]).done().await
    }

    /// The API's description; needs no sign-in.
    ///
    /// # Errors
    /// As every call.
    pub async fn openapi(&self) -> Result<serde_json::Value, ApiError> {
        self.get(&["openapi.json"]).answer().await
    }
}
