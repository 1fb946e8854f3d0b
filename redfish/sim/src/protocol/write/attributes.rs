//! Attributes of the iDRAC, the system and the Lifecycle Controller: they act at once.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::finish;
use crate::machine::Bmc;
use crate::message::Failure;
use crate::protocol::Answer;
use crate::resource::{View, attributes};

pub(super) fn patch_attributes(bmc: &Arc<Bmc>, group: &str, body: &Map<String, Value>) -> Result<Answer, Failure> {
    let wanted = body
        .get("Attributes")
        .ok_or_else(|| Failure::missing_property("Attributes"))?
        .as_object()
        .ok_or_else(|| Failure::bad_type("Attributes"))?;
    {
        let state = bmc.state();
        let view = View::new(bmc, &state, &[]);
        let Some(current) = attributes::current(&view, group) else { return Err(Failure::not_found(group)) };
        for (name, value) in wanted {
            let property = format!("Attributes/{name}");
            let Some(now) = current.get(name) else { return Err(Failure::unknown_property(&property)) };
            if attributes::is_read_only(name) {
                return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS410").arg(name.clone()).about(&property));
            }
            if now.is_number() != value.is_number() || value.is_object() || value.is_array() {
                return Err(Failure::bad_type(&property));
            }
        }
    }
    finish(bmc, |state| {
        for (name, value) in wanted {
            state.kept.attributes.insert(format!("{group} {name}"), value.clone());
        }
        state.kept.counters.attribute_changes += 1;
    });
    Ok(Answer::success())
}
