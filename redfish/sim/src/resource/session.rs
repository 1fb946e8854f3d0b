//! Session service.

use serde_json::{Value, json};

use super::{View, collection, document, link, links};
use crate::clock;
use crate::machine::login::{SESSION_TIMEOUT_SECONDS, Session};

const PATH: &str = "/redfish/v1/SessionService";

/// `SessionService` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    match segments {
        [] => Some(document(
            PATH,
            "SessionService",
            "v1_1_9",
            "SessionService",
            "Session Service",
            json!({
                "Description": "Session Service",
                "ServiceEnabled": true,
                "SessionTimeout": SESSION_TIMEOUT_SECONDS,
                "Sessions": link(format!("{PATH}/Sessions")),
            }),
        )),
        ["Sessions"] => {
            let members = view.sessions.iter().rev().map(|session| format!("{PATH}/Sessions/{}", session.id));
            Some(collection(format!("{PATH}/Sessions"), "SessionCollection", "Session Collection", links(members)))
        }
        ["Sessions", id] => view.sessions.iter().find(|session| session.id.to_string() == *id).map(document_of),
        _ => None,
    }
}

/// One session. The token is only ever in the header of the answer that made it.
#[must_use]
pub fn document_of(session: &Session) -> Value {
    document(
        format!("{PATH}/Sessions/{}", session.id),
        "Session",
        "v1_7_1",
        &session.id.to_string(),
        "User Session",
        json!({
            "ClientOriginIPAddress": session.origin.to_string(),
            "CreatedTime": clock::with_offset(session.created),
            "Description": "User Session",
            "Password": null,
            "SessionType": "Redfish",
            "UserName": session.user,
        }),
    )
}
