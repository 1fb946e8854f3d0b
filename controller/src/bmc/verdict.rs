//! From a BMC's error to what a step does: one table by class, with the few ids that want something else.
//!
//! Steps contain no `if` about errors. The class comes from the MessageId (in `redfish-client`), the explanation from the
//! vocabulary (in `helix-inventory`).

use std::time::Duration;

use helix_inventory::message;
use redfish_client::{Class, RedfishError};

use super::error::BmcError;
use crate::workflow::{ActError, Limit, Outcome, Stop, Trouble, Wait};

/// What a step does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Tries again, within the budget.
    Retry,
    /// Asks a person.
    NeedsHuman,
}

/// Class → verdict. `Failed` is never decided by a BMC's message alone.
const BY_CLASS: &[(Class, Verdict)] = &[
    (Class::Done, Verdict::Retry),
    (Class::NoOp, Verdict::Retry),
    (Class::Running, Verdict::Retry),
    (Class::Waiting, Verdict::Retry),
    (Class::Info, Verdict::Retry),
    (Class::Partial, Verdict::NeedsHuman),
    (Class::Retry, Verdict::Retry),
    (Class::Busy, Verdict::Retry),
    (Class::Permanent, Verdict::NeedsHuman),
    (Class::Failed, Verdict::NeedsHuman),
    (Class::Auth, Verdict::NeedsHuman),
    (Class::Licence, Verdict::NeedsHuman),
    (Class::Act, Verdict::NeedsHuman),
];

/// MessageIds and codes whose verdict is not that of their class.
const BY_ID: &[(&str, Verdict)] = &[
    // "File not found" is also what an iDRAC says while it is still busy with the last medium.
    ("RAC0720", Verdict::Retry),
    // A body cut short by an iDRAC under load reads like garbage.
    ("bmc_unreadable", Verdict::Retry),
];

/// What to do about an error.
#[must_use]
pub fn verdict(error: &RedfishError) -> Verdict {
    let id = error.message_id().unwrap_or_else(|| error.code());
    let by_id = BY_ID.iter().find(|(known, _)| *known == id);
    let by_class = || BY_CLASS.iter().find(|(class, _)| *class == error.class()).map(|(_, verdict)| *verdict);
    by_id.map(|(_, verdict)| *verdict).or_else(by_class).unwrap_or(Verdict::NeedsHuman)
}

/// How long a BMC may be away before a person is asked: an iDRAC is back 4 to 16 min after a reset (quirk 27).
const AWAY: Limit = Limit::minutes(20, "an iDRAC is back at the latest 16 min after a reset");

impl BmcError {
    /// What it means for a step, in words with the commands that help.
    #[must_use]
    pub fn into_outcome(self) -> Outcome {
        match &self {
            Self::Resting { pause, node, address, .. } => Outcome::Wait(Wait {
                waits_for: format!("the BMC of {node} at {address} to answer again"),
                mark: "bmc_resting".to_owned(),
                look_again: (*pause).max(Duration::from_secs(1)),
                limit: AWAY,
                then: "a person is asked".to_owned(),
                otherwise: Box::new(Outcome::NeedsHuman(self.trouble())),
                progress: None,
            }),
            Self::Redfish { source, .. } => match verdict(source) {
                Verdict::Retry => Outcome::Retry(self.trouble()),
                Verdict::NeedsHuman => Outcome::NeedsHuman(self.trouble()),
            },
            Self::Store(_) => Outcome::Retry(self.trouble()),
            _ => Outcome::NeedsHuman(self.trouble()),
        }
    }

    fn trouble(&self) -> Trouble {
        let mut trouble = Trouble::new(self.code(), self.to_string());
        if let Some(error) = self.redfish() {
            if let Some(known) = error.message_id().and_then(message::explain) {
                trouble = trouble.why(known.meaning.clone()).next(known.next.clone());
            } else if let Some(resolution) = error.resolution() {
                trouble = trouble.why(format!("The BMC says: {resolution}"));
            }
        }
        match self {
            Self::NoCredential { node, .. } => trouble.next(format!("helixctl node edit {node} --credential NAME")),
            Self::Stopped { node, code, .. } => match code.as_str() {
                "wrong_password" => trouble.next(format!("helixctl node edit {node} --credential NAME")),
                "certificate_changed" => trouble.next(format!("helixctl node trust {node} --fingerprint SHA256")),
                "board_swapped" => trouble
                    .next(format!("helixctl node retire {node}"))
                    .next("Then enrol the address again; the new board is a new node."),
                _ => trouble,
            },
            Self::Resting { node, .. } => unreachable_next(trouble, node),
            Self::Redfish { node, source } => match &**source {
                RedfishError::Unreachable { .. } | RedfishError::Timeout { .. } => unreachable_next(trouble, node),
                RedfishError::CertificateChanged { seen, .. } => {
                    trouble.next(format!("helixctl node trust {node} --fingerprint {seen}"))
                }
                RedfishError::LoginRefused { .. } | RedfishError::LoginStopped { .. } => trouble
                    .why("An iDRAC locks the controller's address out at the third refused login, for everybody behind it.")
                    .next(format!("helixctl node edit {node} --credential NAME")),
                _ => trouble,
            },
            _ => trouble,
        }
    }
}

fn unreachable_next(trouble: Trouble, node: &str) -> Trouble {
    trouble
        .next(format!("Check that the BMC of {node} has power and network, and that its address is right."))
        .next(format!("helixctl node edit {node} --address HOST:PORT"))
}

impl ActError for BmcError {
    fn outcome_unknown(&self) -> bool {
        Self::outcome_unknown(self)
    }

    fn into_stop(self) -> Stop {
        self.into()
    }
}

impl From<BmcError> for Stop {
    fn from(error: BmcError) -> Self {
        match error {
            BmcError::Store(error) => Self::Store(error),
            other => other.into_outcome().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use redfish_client::message::TABLE;

    use super::*;

    #[test]
    fn every_class_of_a_message_has_a_verdict() {
        for (id, class) in TABLE {
            assert!(BY_CLASS.iter().any(|(known, _)| known == class), "{id} is {class:?}, which has no verdict");
        }
    }
}
