//! Whether a machine is the node that a token was made for.
//!
//! The token is the proof; what the machine says of itself only catches tokens that went astray (a medium in the wrong
//! chassis, a disk that moved). A machine that has no usable serial number is believed.

use helix_api::machine::MachineFacts;
use helix_inventory::id::ServiceTag;

use crate::store::agents::NodeIdentity;

/// The tag that the machine shows, when it is another one than the node's.
pub(crate) fn other_tag(node: &NodeIdentity, machine: &MachineFacts) -> Option<String> {
    let shown = ServiceTag::new(machine.service_tag.as_deref()?)?;
    // Elsewhere than on Dell a BMC may know the system by its UUID only.
    let uuid = machine.uuid.as_deref().and_then(ServiceTag::new);
    let expected = ServiceTag::new(&node.service_tag);
    (expected.as_ref() != Some(&shown) && (uuid.is_none() || expected != uuid)).then(|| shown.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn node(tag: &str) -> NodeIdentity {
        NodeIdentity { id: Uuid::nil(), name: "r01u05".into(), service_tag: tag.into() }
    }

    fn machine(tag: Option<&str>, uuid: Option<&str>) -> MachineFacts {
        MachineFacts { service_tag: tag.map(Into::into), uuid: uuid.map(Into::into), ..MachineFacts::default() }
    }

    #[test]
    fn another_service_tag_is_named_and_the_nodes_own_is_not() {
        assert_eq!(other_tag(&node("HLX0001"), &machine(Some("HLX0002"), None)).as_deref(), Some("HLX0002"));
        assert_eq!(other_tag(&node("HLX0001"), &machine(Some(" hlx0001 "), None)), None);
    }

    #[test]
    fn a_machine_without_a_serial_number_is_believed() {
        assert_eq!(other_tag(&node("HLX0001"), &machine(None, None)), None);
        assert_eq!(other_tag(&node("HLX0001"), &machine(Some("Not Specified"), None)), None);
    }

    #[test]
    fn a_node_known_by_its_uuid_is_found_by_it() {
        let uuid = "4c4c4544-0048-4c10-8058-b3c04f303031";
        assert_eq!(other_tag(&node(&uuid.to_uppercase()), &machine(Some("ABC"), Some(uuid))), None);
    }
}
