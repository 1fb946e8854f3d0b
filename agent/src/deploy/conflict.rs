//! Which other disks would disturb the installed system: pure rules over signatures.
//!
//! A disk conflicts when the new system could mount it in place of its own (same UUID or label), when cloud-init would read it as a
//! seed (`cidata`, `config-2`), when firmware could start from it (a bootable ESP), or when it belongs to an md array or volume
//! group of the target. Helix's own deploy medium never conflicts. It does no I/O.

use super::rule::Seen;
use super::signature::{Kind, Signature};

/// Labels that cloud-init's NoCloud and ConfigDrive sources look for, without regard to case.
const SEED_LABELS: [&str; 2] = ["cidata", "config-2"];

/// A disk that is in the way, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict<'a> {
    pub disk: &'a Seen,
    pub reason: String,
}

impl Conflict<'_> {
    /// Disk, label, size and reason, for a person.
    pub fn words(&self) -> String {
        format!("{} {}", self.disk.disk.line(), self.reason)
    }
}

/// The disks other than the target that conflict; `image` holds identifiers (UUIDs, labels) of the image that will be written.
pub fn find<'a>(target: &Seen, seen: &'a [Seen], image: &[String]) -> Vec<Conflict<'a>> {
    seen.iter()
        .filter(|other| other.disk.facts.name != target.disk.facts.name && !is_deploy_medium(other))
        .filter_map(|other| Some(Conflict { disk: other, reason: reason(target, other, image)? }))
        .collect()
}

/// Whether the disk is the medium that this ramdisk was started from, or another controller's.
pub fn is_deploy_medium(seen: &Seen) -> bool {
    seen.signatures.iter().any(|signature| {
        signature.kind == Kind::Iso9660 && signature.label.as_deref() == Some(helix_api::deploy::VOLUME_ID)
    })
}

fn reason(target: &Seen, other: &Seen, image: &[String]) -> Option<String> {
    other.signatures.iter().find_map(|signature| {
        let place = match signature.partition {
            Some(number) => format!("partition {number}"),
            None => "the disk".to_owned(),
        };
        if let Some(label) = signature.label.as_deref().filter(|label| is_seed_label(label)) {
            return Some(format!(
                "carries a cloud-init seed ({place} is labelled \"{label}\"), which would be read in place of Helix's"
            ));
        }
        if let Some(shared) = identifiers(signature).find(|id| image.iter().any(|own| own.eq_ignore_ascii_case(id))) {
            return Some(format!("carries \"{shared}\" ({place}), which the image uses for its own file system"));
        }
        if let Some(group) = signature
            .group
            .as_ref()
            .filter(|group| target.signatures.iter().any(|own| own.group.as_ref() == Some(group)))
        {
            return Some(format!(
                "is with the target a member of {} {group}",
                if signature.kind == Kind::MdMember { "md array" } else { "LVM" }
            ));
        }
        (signature.esp && signature.kind == Kind::Vfat).then(|| {
            format!(
                "has a bootable EFI system partition ({place}{}), from which the firmware could start",
                label(signature)
            )
        })
    })
}

fn is_seed_label(label: &str) -> bool {
    SEED_LABELS.iter().any(|seed| label.eq_ignore_ascii_case(seed))
}

fn label(signature: &Signature) -> String {
    signature.label.as_ref().map(|label| format!(", label \"{label}\"")).unwrap_or_default()
}

/// What a boot loader or fstab can name: file system UUID and label, partition GUID. Disk GUIDs do not count.
fn identifiers(signature: &Signature) -> impl Iterator<Item = &str> {
    let named = !matches!(signature.kind, Kind::Gpt | Kind::Mbr);
    [signature.uuid.as_deref(), signature.label.as_deref(), signature.partition_guid.as_deref()]
        .into_iter()
        .flatten()
        .filter(move |_| named)
}

/// The identifiers of what lies on a disk, for comparing the image just written with the other disks.
pub fn identifiers_of(signatures: &[Signature]) -> Vec<String> {
    signatures.iter().flat_map(identifiers).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rule::tests::disk;
    use super::*;

    fn signature(kind: Kind) -> Signature {
        Signature {
            partition: Some(1),
            kind,
            uuid: None,
            label: None,
            partition_guid: None,
            group: None,
            esp: false,
            start_bytes: 0,
            size_bytes: 1 << 30,
        }
    }

    fn with(name: &str, signatures: Vec<Signature>) -> Seen {
        Seen { signatures, ..disk(name, 480) }
    }

    fn reasons(target: &Seen, other: Seen, image: &[&str]) -> Vec<String> {
        let seen = [target.clone(), other];
        let image: Vec<String> = image.iter().map(|id| (*id).to_owned()).collect();
        find(target, &seen, &image).iter().map(Conflict::words).collect()
    }

    #[test]
    fn a_data_disk_is_no_conflict() {
        let data = with("sdb", vec![Signature { label: Some("scratch".into()), ..signature(Kind::Xfs) }]);
        assert_eq!(reasons(&disk("sda", 480), data, &["root"]), Vec::<String>::new());
    }

    #[test]
    fn a_seed_disk_is_named_with_its_label_and_size() {
        let seed =
            with("sdb", vec![Signature { partition: None, label: Some("CIDATA".into()), ..signature(Kind::Iso9660) }]);
        let found = reasons(&disk("sda", 480), seed, &[]);
        assert!(
            found[0].contains("sdb") && found[0].contains("480.0 GB") && found[0].contains("\"CIDATA\""),
            "{found:?}"
        );
    }

    #[test]
    fn a_label_or_uuid_of_the_image_on_another_disk_conflicts() {
        let old = with(
            "sdb",
            vec![Signature { uuid: Some("AB12".into()), label: Some("root".into()), ..signature(Kind::Ext4) }],
        );
        assert_eq!(reasons(&disk("sda", 480), old.clone(), &["root"]).len(), 1);
        assert_eq!(reasons(&disk("sda", 480), old.clone(), &["ab12"]).len(), 1);
        assert_eq!(reasons(&disk("sda", 480), old, &["other"]).len(), 0);
    }

    #[test]
    fn a_bootable_esp_on_another_disk_conflicts() {
        let old = with("sdb", vec![Signature { esp: true, label: Some("EFI".into()), ..signature(Kind::Vfat) }]);
        assert!(reasons(&disk("sda", 480), old, &[])[0].contains("bootable EFI system partition"));
    }

    #[test]
    fn a_member_of_the_targets_array_conflicts_and_of_another_does_not() {
        let member = |group: &str| Signature { group: Some(group.to_owned()), ..signature(Kind::MdMember) };
        let target = with("sda", vec![member("a")]);
        assert_eq!(reasons(&target, with("sdb", vec![member("a")]), &[]).len(), 1);
        assert_eq!(reasons(&target, with("sdb", vec![member("b")]), &[]).len(), 0);
    }

    #[test]
    fn the_deploy_medium_is_no_conflict() {
        let label = Some(helix_api::deploy::VOLUME_ID.to_owned());
        let medium = with("sr0", vec![Signature { label, esp: false, ..signature(Kind::Iso9660) }]);
        assert_eq!(reasons(&disk("sda", 480), medium, &["HELIXDEPLOY"]), Vec::<String>::new());
    }
}
