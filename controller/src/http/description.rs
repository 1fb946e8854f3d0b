//! The API's description: OpenAPI 3.1, generated from the handlers and the wire types.

use axum::Json;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

/// The document as it is committed: stable order, pretty, with a line end.
#[must_use]
pub fn openapi() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub(crate) fn document() -> OpenApi {
    let (_, mut document) = super::router::routes().split_for_parts();
    document.info.title = "Helix".to_owned();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some(
        "The public API of Helix. Every refusal is a problem document (RFC 9457) with a stable `code`. Lists have \
         cursors; what people edit has an ETag; POST takes an `Idempotency-Key`."
            .to_owned(),
    );
    document.info.license = None;
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    document
}

/// This document. Open to everybody.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "access", security(()),
    responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn show() -> Json<OpenApi> {
    Json(document())
}
