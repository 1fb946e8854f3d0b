//! The life of a node: which state may follow which.
//!
//! Pure table. Workflows and people ask here before they write a state; the store writes what was allowed.

use crate::words::Lifecycle;

/// Whether a node may go from one state to another. Staying is always allowed.
#[must_use]
pub fn may_follow(from: Lifecycle, to: Lifecycle) -> bool {
    use Lifecycle as L;
    if from == to {
        return true;
    }
    match from {
        L::Enrolled => matches!(to, L::Inspecting | L::Ready | L::Maintenance | L::Retired | L::Quarantined),
        L::Inspecting => matches!(to, L::Enrolled | L::Ready | L::Quarantined | L::Retired),
        L::Ready => {
            matches!(
                to,
                L::Inspecting
                    | L::Updating
                    | L::Provisioning
                    | L::Validating
                    | L::Maintenance
                    | L::Quarantined
                    | L::Erasing
                    | L::Retired
            )
        }
        L::InService => {
            matches!(
                to,
                L::Draining
                    | L::Provisioning
                    | L::Updating
                    | L::Validating
                    | L::Maintenance
                    | L::Quarantined
                    | L::Retired
                    | L::Ready
            )
        }
        L::Draining => matches!(
            to,
            L::InService | L::Provisioning | L::Updating | L::Maintenance | L::Quarantined | L::Ready | L::Retired
        ),
        // A cancelled provision gives the node back what it was, or leaves it ready (no operating system).
        L::Provisioning => matches!(
            to,
            L::Validating | L::Ready | L::InService | L::Enrolled | L::Maintenance | L::Quarantined | L::Retired
        ),
        L::Validating => matches!(to, L::InService | L::Ready | L::Quarantined | L::Provisioning | L::Retired),
        L::Updating => matches!(to, L::Ready | L::InService | L::Quarantined | L::Maintenance | L::Retired),
        L::Repairing => matches!(to, L::Ready | L::InService | L::Quarantined | L::Maintenance | L::Retired),
        L::Erasing => matches!(to, L::Ready | L::Retired | L::Quarantined),
        L::Maintenance => matches!(
            to,
            L::Ready
                | L::InService
                | L::Enrolled
                | L::Inspecting
                | L::Provisioning
                | L::Updating
                | L::Quarantined
                | L::Retired
                | L::Erasing
        ),
        L::Quarantined => {
            matches!(
                to,
                L::Ready
                    | L::InService
                    | L::Repairing
                    | L::Maintenance
                    | L::Retired
                    | L::Provisioning
                    | L::Erasing
                    | L::Validating
            )
        }
        // A retired tag comes back only by enrolment.
        L::Retired => matches!(to, L::Enrolled),
    }
}

/// States from which a node may be provisioned.
#[must_use]
pub fn may_be_provisioned(state: Lifecycle) -> bool {
    may_follow(state, Lifecycle::Provisioning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_way_out() {
        for from in Lifecycle::ALL {
            let exits = Lifecycle::ALL.iter().filter(|to| *to != from && may_follow(*from, **to)).count();
            assert!(exits > 0, "{from} is a trap");
        }
    }

    #[test]
    fn every_state_can_be_reached_but_the_first() {
        for to in Lifecycle::ALL.iter().filter(|state| **state != Lifecycle::Enrolled) {
            assert!(Lifecycle::ALL.iter().any(|from| from != to && may_follow(*from, *to)), "{to} cannot be reached");
        }
    }

    #[test]
    fn a_node_whose_hardware_was_never_read_is_not_provisioned() {
        assert!(!may_be_provisioned(Lifecycle::Enrolled));
        assert!(may_be_provisioned(Lifecycle::Ready));
    }
}
