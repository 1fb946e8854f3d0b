//! Sessions and accounts: who may come in, and with which password.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::{finish, text};
use crate::machine::Bmc;
use crate::message::Failure;
use crate::protocol::{Answer, Call, authentication};
use crate::resource::session;

pub(super) fn open_session(bmc: &Arc<Bmc>, call: &Call) -> Result<Answer, Failure> {
    if bmc.state().kept.faults.no_sessions {
        return Err(Failure::not_allowed("GET, HEAD"));
    }
    if call.has_authorization {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS468"));
    }
    let user = text(&call.body, "UserName")?;
    let password = text(&call.body, "Password")?;
    authentication::verify(bmc, call.origin, user, password)?;
    let full = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "RAC0218");
    let opened = {
        let mut state = bmc.state();
        if state.kept.faults.sessions_full {
            return Err(full);
        }
        let opened = state.live.logins.open(user, call.origin).ok_or(full)?;
        state.kept.counters.logins += 1;
        let address = call.origin.to_string();
        state.log(
            "USR0030",
            "OK",
            "Audit",
            "Successfully logged in using %1, from %2 and %3.",
            &[user, &address, "REDFISH"],
        );
        opened
    };
    Ok(Answer::json(session::document_of(&opened))
        .with_status(StatusCode::CREATED)
        .header(http::HeaderName::from_static("x-auth-token"), opened.token.clone())
        .location(format!("/redfish/v1/SessionService/Sessions/{}", opened.id)))
}

pub(super) fn close_session(bmc: &Arc<Bmc>, id: &str) -> Result<Answer, Failure> {
    let mut state = bmc.state();
    let closed = id.parse().is_ok_and(|id| state.live.logins.close(id));
    if !closed {
        return Err(Failure::not_found(id));
    }
    state.kept.counters.logouts += 1;
    state.live.dirty = true;
    Ok(Answer::success())
}

pub(super) fn patch_account(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
    for name in body.keys() {
        if !["Password", "UserName", "Enabled", "RoleId"].contains(&name.as_str()) {
            return Err(Failure::unknown_property(name));
        }
    }
    if let Some(password) = body.get("Password") {
        let password =
            password.as_str().filter(|text| !text.is_empty()).ok_or_else(|| Failure::bad_type("Password"))?;
        finish(bmc, |state| state.kept.password = Some(password.to_owned()));
    }
    Ok(Answer::success())
}
