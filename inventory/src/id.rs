//! Identities: UUIDv7 newtypes for rows, short public ids that people type, and the service tag.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Crockford's base 32: no I, L, O, U, so that a tired person cannot misread an id.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters after the prefix: 32^6 = 1,073,741,824 ids; the store retries on the rare collision.
const PUBLIC_ID_LENGTH: usize = 6;

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The row id as a plain UUID, for the store.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(value: Uuid) -> Self {
                Self(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

row_id!(
    /// A node: one server, whatever BMC address it has.
    NodeId
);
row_id!(
    /// A BMC: one `host:port`.
    BmcId
);
row_id!(
    /// One run of a plan on one node.
    WorkflowId
);
row_id!(
    /// One attempt of one step.
    AttemptId
);
row_id!(
    /// One announced effect.
    IntentId
);
row_id!(
    /// One OS image.
    ImageId
);
row_id!(
    /// One bulk action.
    BulkId
);
row_id!(
    /// One user.
    UserId
);

/// What kind of object a public id names; its text is the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    Workflow,
    Bulk,
    Plan,
    Image,
}

impl IdKind {
    /// The prefix before the dash.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Workflow => "wf",
            Self::Bulk => "bk",
            Self::Plan => "pl",
            Self::Image => "im",
        }
    }
}

/// What people type: a prefix and six characters, e.g. `wf-7Q2M4K`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct PublicId(String);

impl PublicId {
    /// A new random id. The caller owns the randomness.
    pub fn random(kind: IdKind, rng: &mut impl rand::Rng) -> Self {
        let mut text = String::with_capacity(kind.prefix().len() + 1 + PUBLIC_ID_LENGTH);
        text.push_str(kind.prefix());
        text.push('-');
        for _ in 0..PUBLIC_ID_LENGTH {
            text.push(char::from(CROCKFORD[(rng.next_u32() % 32) as usize]));
        }
        Self(text)
    }

    /// Reads what a person typed: case does not matter, and I, L and O stand for 1, 1 and 0.
    #[must_use]
    pub fn parse(kind: IdKind, text: &str) -> Option<Self> {
        let (prefix, rest) = text.trim().split_once('-')?;
        if !prefix.eq_ignore_ascii_case(kind.prefix()) || rest.len() != PUBLIC_ID_LENGTH {
            return None;
        }
        let mut clean = String::with_capacity(PUBLIC_ID_LENGTH);
        for character in rest.chars() {
            let character = match character.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                other => other,
            };
            if !character.is_ascii() || !CROCKFORD.contains(&(character as u8)) {
                return None;
            }
            clean.push(character);
        }
        Some(Self(format!("{}-{clean}", kind.prefix())))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PublicId {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Dell's service tag, or another maker's serial number: the identity of a node. Upper case, trimmed.
///
/// Source: Redfish `ComputerSystem.SKU` on Dell (`SerialNumber` is the board there), `SerialNumber` elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct ServiceTag(String);

/// Texts that firmware puts where a serial number belongs and that identify nothing.
const NO_SERIAL: &[&str] =
    &["", "NA", "N/A", "NONE", "NULL", "UNKNOWN", "NOT SPECIFIED", "TO BE FILLED BY O.E.M.", "0", "DEFAULT STRING"];

impl ServiceTag {
    /// Cleans a tag; `None` when the text identifies nothing.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let clean = text.trim().to_ascii_uppercase();
        if NO_SERIAL.contains(&clean.as_str()) || clean.chars().any(char::is_control) {
            None
        } else {
            Some(Self(clean))
        }
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_id_survives_a_misread_letter() {
        assert_eq!(PublicId::parse(IdKind::Workflow, "WF-7q2mok").unwrap().as_str(), "wf-7Q2M0K");
        assert_eq!(PublicId::parse(IdKind::Workflow, "wf-iLo234").unwrap().as_str(), "wf-110234");
    }

    #[test]
    fn a_public_id_of_another_kind_is_not_taken() {
        assert_eq!(PublicId::parse(IdKind::Workflow, "bk-7Q2M4K"), None);
        assert_eq!(PublicId::parse(IdKind::Workflow, "wf-7Q2M"), None);
        assert_eq!(PublicId::parse(IdKind::Workflow, "wf-7Q2M4é"), None);
    }

    #[test]
    fn random_ids_parse_as_themselves() {
        let mut rng = rand::rng();
        for _ in 0..100 {
            let id = PublicId::random(IdKind::Bulk, &mut rng);
            assert_eq!(PublicId::parse(IdKind::Bulk, id.as_str()), Some(id));
        }
    }

    #[test]
    fn a_serial_number_that_identifies_nothing_is_no_tag() {
        assert_eq!(ServiceTag::new(" To Be Filled By O.E.M. "), None);
        assert_eq!(ServiceTag::new(" hlx0001 ").unwrap().as_str(), "HLX0001");
    }
}
