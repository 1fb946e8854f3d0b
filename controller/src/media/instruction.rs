//! Instructions at rest: a write order holds the node's join token, so it is sealed in its row.
//!
//! Every other instruction lies there as it is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use helix_api::deploy::{Act, WriteOrder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::deploy::DeployError;
use crate::access::secrets::Secrets;

/// A write order for its row.
///
/// # Errors
/// When it cannot be sealed.
pub(crate) fn seal(secrets: &Secrets, session_id: Uuid, order: &WriteOrder) -> Result<Value, DeployError> {
    let text = serde_json::to_vec(order)
        .map_err(|error| DeployError::Unreadable { what: "the write order", why: error.to_string() })?;
    let sealed = secrets.seal(&text, &context(session_id))?;
    let mut value = super::deploy::write_words(order);
    value["sealed"] = json!(STANDARD.encode(sealed));
    Ok(value)
}

/// What stands in a row, for the ramdisk.
///
/// # Errors
/// When the row was sealed under another key, or is damaged.
pub(crate) fn open(secrets: &Secrets, session_id: Uuid, value: &Value) -> Result<Act, DeployError> {
    let unreadable = |why: String| DeployError::Unreadable { what: "the instruction", why };
    match value.get("sealed").and_then(Value::as_str) {
        None => serde_json::from_value(value.clone()).map_err(|error| unreadable(error.to_string())),
        Some(sealed) => {
            let sealed = STANDARD.decode(sealed).map_err(|error| unreadable(error.to_string()))?;
            let text = secrets.open(&sealed, &context(session_id))?;
            let order: WriteOrder = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
            Ok(Act::Write(Box::new(order)))
        }
    }
}

/// Binds the sealed text to its session: it opens nowhere else.
fn context(session_id: Uuid) -> Vec<u8> {
    format!("deploy_sessions.instruction:{session_id}").into_bytes()
}
