//! JSON bodies, with refusals that say where the body is wrong.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::Refused;

/// A JSON body, read. An empty body is an empty object, so that calls whose fields are all optional need none.
#[derive(Debug, Clone)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let media_type = request
            .headers()
            .get(CONTENT_TYPE)
            .map(|value| value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned());
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large.")
                    .because(rejection.body_text())
            } else {
                Refused::bad_request("body_unreadable", "The body could not be read.").because(rejection.body_text())
            }
        })?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        match media_type.as_deref() {
            Some("application/json" | "application/merge-patch+json") => parse(&bytes).map(Self),
            other => Err(Refused::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type_unsupported",
                format!("This takes application/json, not {}.", other.unwrap_or("a body without Content-Type")),
            )),
        }
    }
}

/// Reads JSON; a refusal names the place by path, or by line and column when it is no JSON at all.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let refused = Refused::unprocessable("body_invalid", format!("The body is not as it should be: {inner}"));
            if path == "." { refused } else { refused.field(path) }
        } else {
            Refused::bad_request("body_no_json", "The body is no JSON.").because(inner.to_string())
        }
    })?;
    deserializer
        .end()
        .map_err(|error| Refused::bad_request("body_no_json", "The body is no JSON.").because(error.to_string()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use helix_api::enrol::EnrolRequest;

    use super::*;

    #[test]
    fn a_wrong_value_is_named_by_its_path() {
        let refused = parse::<EnrolRequest>(br#"{"lines":[{"line":2,"address":"a"},{"line":3,"position":"x"}]}"#);
        let problem = refused.unwrap_err().0;
        assert_eq!((problem.status, problem.code.as_str()), (422, "body_invalid"));
        assert_eq!(problem.field.as_deref(), Some("lines[1].position"));
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let problem = parse::<EnrolRequest>(br#"{"lines":[],"inspekt":true}"#).unwrap_err().0;
        assert!(problem.title.contains("inspekt"), "{}", problem.title);
        assert_eq!(problem.field.as_deref(), Some("inspekt"));
    }

    #[test]
    fn no_json_says_line_and_column() {
        let problem = parse::<EnrolRequest>(b"{\n  lines").unwrap_err().0;
        assert_eq!((problem.status, problem.code.as_str()), (400, "body_no_json"));
        assert!(problem.detail.unwrap().contains("line 2"));
    }
}
