//! Who may ask: a session's token or basic authentication, with the lock-out of addresses that guess.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use crate::machine::Bmc;
use crate::message::Failure;

/// The only account of a factory iDRAC.
pub(super) const FACTORY_USER: &str = "root";
/// Its password until somebody changes it.
pub(super) const FACTORY_PASSWORD: &str = "calvin";

/// Checks the credentials of a request.
///
/// # Errors
/// 401 with the message of an iDRAC.
pub(super) fn check(bmc: &Arc<Bmc>, origin: IpAddr, headers: &HeaderMap) -> Result<(), Failure> {
    if let Some(token) = headers.get("X-Auth-Token").and_then(|value| value.to_str().ok()) {
        return match bmc.state().live.logins.user_of(token) {
            Some(_) => Ok(()),
            None => Err(Failure::new(StatusCode::UNAUTHORIZED, "SYS416")),
        };
    }
    let basic = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|encoded| base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((user, password)) = basic.as_deref().and_then(|pair| pair.split_once(':')) else {
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "SYS416"));
    };
    verify(bmc, origin, user, password)
}

/// Checks a user name and a password, and counts a refusal against the caller's address. A locked-out address is refused
/// with the right password too, and is not counted again.
///
/// # Errors
/// 401 with the message of an iDRAC.
pub(super) fn verify(bmc: &Arc<Bmc>, origin: IpAddr, user: &str, password: &str) -> Result<(), Failure> {
    let mut state = bmc.state();
    let refused = Failure::new(StatusCode::UNAUTHORIZED, "SYS415");
    if state.live.logins.is_blocked(origin) {
        state.kept.counters.logins_refused += 1;
        return Err(refused);
    }
    let expected = state
        .kept
        .faults
        .password
        .clone()
        .or_else(|| state.kept.password.clone())
        .unwrap_or_else(|| FACTORY_PASSWORD.to_owned());
    if user == FACTORY_USER && password == expected {
        state.live.logins.accepted(origin);
        return Ok(());
    }
    state.kept.counters.logins_refused += 1;
    let scale = bmc.shared.scale;
    let locked_out = state.live.logins.refused(origin, scale);
    let address = origin.to_string();
    state.log("USR0031", "Warning", "Audit", "Unable to log in for %1 from %2 using %3.", &[user, &address, "REDFISH"]);
    if locked_out {
        state.kept.counters.lockouts += 1;
        state.log("RAC0212", "Warning", "Audit", "The IP address %1 is blocked for a while.", &[&address]);
    }
    Err(refused)
}
