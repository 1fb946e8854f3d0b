//! Cursors of pages: opaque text for the client, the last row's place for the store.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Refused;

/// Writes a place as a cursor.
pub(crate) fn write(place: &impl Serialize) -> Result<String, Refused> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(place)?))
}

/// Reads a cursor that [`write`] made.
pub(crate) fn read<T: DeserializeOwned>(cursor: &str) -> Result<T, Refused> {
    URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
        Refused::bad_request("cursor_unknown", "This cursor is not one of this list.")
            .field("cursor")
            .next("Begin again without a cursor.")
    })
}
