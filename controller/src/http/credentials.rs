//! BMC credentials: names and users can be read, passwords only replaced.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use helix_api::access::{Credential, CredentialSet};
use helix_api::page::Page;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::Answer;
use super::actor::{Admin, Viewer};
use super::body::Body;
use super::problem::Refused;
use crate::app::App;
use crate::store::credentials::associated_data;
use crate::store::{StoreError, credentials, nodes};

/// Longest user name that an iDRAC takes is 16; other BMCs take more.
const LONGEST_USER: usize = 64;
/// Longest password that an iDRAC takes is 127 (40 on older firmware).
const LONGEST_PASSWORD: usize = 127;

/// Credentials without their secrets.
#[utoipa::path(get, path = "/api/v1/credentials", tag = "credentials",
    responses((status = 200, body = Page<Credential>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn list(_: Viewer, State(app): State<Arc<App>>) -> Answer<Json<Page<Credential>>> {
    let used: HashMap<Uuid, i64> = nodes::credential_use(&app.db).await?.into_iter().collect();
    let items: Vec<Credential> = credentials::list(&app.db).await?.into_iter().map(|row| view(row, &used)).collect();
    let total = items.len() as u64;
    Ok(Json(Page { items, next: None, total }))
}

fn view(row: credentials::Credential, used: &HashMap<Uuid, i64>) -> Credential {
    Credential {
        used_by: used.get(&row.id).and_then(|count| u32::try_from(*count).ok()).unwrap_or_default(),
        name: row.name,
        username: row.username,
        version: row.version,
        updated_at: row.updated_at,
    }
}

/// Makes a credential or replaces it. BMCs that had stopped on a wrong password are tried again with the new one.
#[utoipa::path(put, path = "/api/v1/credentials/{name}", tag = "credentials", request_body = CredentialSet,
    params(("name" = String, Path)),
    responses((status = 200, body = Credential), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn set(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Body(set): Body<CredentialSet>,
) -> Answer<Json<Credential>> {
    let secret = SecretString::from(set.password);
    check(&name, &set.username, &secret)?;
    let known = credentials::by_name(&app.db, &name).await?;
    let id = known.as_ref().map_or_else(Uuid::now_v7, |known| known.id);
    let sealed = app.secrets.seal(secret.expose_secret().as_bytes(), &associated_data(id))?;
    let mut tx = app.db.begin().await?;
    let verb = if known.is_some() {
        credentials::replace(&mut *tx, id, &set.username, &sealed).await?;
        nodes::resume_after_credential_change(&mut *tx, id).await?;
        "credential.replace"
    } else {
        credentials::insert(&mut *tx, id, &name, &set.username, &sealed).await.map_err(|error| {
            match error.constraint() {
                Some("credentials_name_key") => Refused::conflict(
                    "changed_meanwhile",
                    format!("The credential {name} was made by somebody else meanwhile."),
                )
                .next("Repeat to replace it."),
                _ => error.into(),
            }
        })?;
        "credential.create"
    };
    let detail = json!({ "username": set.username });
    actor.record(&mut *tx, verb, ("credential", id.to_string(), &name), detail).await?;
    tx.commit().await?;
    for bmc in nodes::bmcs_of_credential(&app.db, id).await? {
        // The client in hand still has the old password.
        app.bmcs.forget(bmc).await;
    }
    let used: HashMap<Uuid, i64> = nodes::credential_use(&app.db).await?.into_iter().collect();
    let row = credentials::by_id(&app.db, id).await?.ok_or(StoreError::NotFound { what: "credential" })?;
    Ok(Json(view(row, &used)))
}

fn check(name: &str, username: &str, secret: &SecretString) -> Answer<()> {
    let good = |text: &str| {
        text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    if !good(name) {
        return Err(Refused::unprocessable("credential_name", format!("\"{name}\" is no name for a credential."))
            .because("Letters, digits, \"_\", \".\" and \"-\", at most 63, the first a letter or digit.")
            .field("name"));
    }
    if username.is_empty() || username.len() > LONGEST_USER || username.chars().any(char::is_control) {
        return Err(Refused::unprocessable("credential_user", "The user name is empty or too long.").field("username"));
    }
    let length = secret.expose_secret().len();
    if length == 0 || length > LONGEST_PASSWORD || secret.expose_secret().contains(char::is_control) {
        return Err(Refused::unprocessable(
            "credential_password",
            format!("The password is empty, longer than {LONGEST_PASSWORD} bytes, or holds a line break."),
        )
        .field("password"));
    }
    Ok(())
}

/// Deletes a credential that no node uses.
#[utoipa::path(delete, path = "/api/v1/credentials/{name}", tag = "credentials", params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn delete(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    let row = credentials::by_name(&app.db, &name)
        .await?
        .ok_or_else(|| Refused::not_found("credential_unknown", format!("There is no credential \"{name}\".")))?;
    let mut tx = app.db.begin().await?;
    nodes::release_credential(&mut *tx, row.id).await?;
    credentials::delete(&mut *tx, row.id).await.map_err(|error| match error.constraint() {
        Some("bmcs_credential_id_fkey") => {
            Refused::conflict("credential_in_use", format!("Nodes still use the credential {name}."))
                .next("Give them another one: helixctl node edit NODE --credential OTHER")
        }
        _ => error.into(),
    })?;
    actor.record(&mut *tx, "credential.delete", ("credential", row.id.to_string(), &name), json!({})).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
