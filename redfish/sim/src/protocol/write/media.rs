//! Virtual media: the arguments of insert and eject.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::text;
use crate::machine::Bmc;
use crate::machine::media::InsertRequest;
use crate::message::Failure;
use crate::protocol::Answer;

pub(super) async fn act(
    bmc: &Arc<Bmc>,
    slot: usize,
    device: &str,
    action: &str,
    body: &Map<String, Value>,
) -> Result<Answer, Failure> {
    match action {
        "VirtualMedia.InsertMedia" => {
            for (name, value) in body {
                let right = match name.as_str() {
                    "Image" | "UserName" | "Password" | "TransferMethod" | "TransferProtocolType" => {
                        value.is_string() || value.is_null()
                    }
                    "Inserted" | "WriteProtected" => value.is_boolean(),
                    other => return Err(Failure::unknown_property(other)),
                };
                if !right {
                    return Err(Failure::bad_type(name));
                }
            }
            if let Some(method) = body.get("TransferMethod").and_then(Value::as_str)
                && method != "Stream"
            {
                return Err(Failure::bad_value("TransferMethod", method));
            }
            let optional = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
            let request = InsertRequest {
                image: text(body, "Image")?.to_owned(),
                user: optional("UserName"),
                password: optional("Password"),
            };
            bmc.insert_media(slot, device, request).await?;
            Ok(Answer::nothing())
        }
        "VirtualMedia.EjectMedia" => {
            bmc.eject_media(slot)?;
            Ok(Answer::nothing())
        }
        other => Err(Failure::not_found(other)),
    }
}
