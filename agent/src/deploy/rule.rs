//! Which disk becomes the root disk: pure rules over what was read.
//!
//! Candidates are disks over 8 GiB that are not removable, not USB, not optical, not read-only and no member of multipath, md or
//! VROC. The order: what the profile names, else the BOSS volume, else the only candidate; everything else is ambiguous and lists
//! what was found. A disk that the profile names by serial number, by-id or kernel name may be a member of an old md array: naming
//! it is the decision. It does no I/O.

use helix_api::deploy::DiskRule;

use super::failure::Failure;
use super::signature::{Kind, Signature};
use crate::machine::block::{Disk, size};

/// Disks up to this size are no root disks: internal SD modules and vFlash cards have 8 GiB and less.
const SMALLEST_BYTES: u64 = 8 << 30;

/// A disk together with what lies on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub disk: Disk,
    pub signatures: Vec<Signature>,
}

impl Seen {
    /// The disk's facts with its content in words, for reports.
    pub fn facts(&self) -> helix_api::machine::DiskFacts {
        helix_api::machine::DiskFacts {
            content: self.signatures.iter().map(Signature::words).collect(),
            ..self.disk.facts.clone()
        }
    }

    fn member_of(&self) -> Option<&'static str> {
        self.signatures.iter().find_map(|signature| match signature.kind {
            Kind::MdMember => Some("member of an md array"),
            Kind::ImsmMember => Some("member of a VROC volume"),
            _ => None,
        })
    }
}

/// Chooses the disk for an image of `image_bytes`.
///
/// # Errors
/// `DiskNoneMatches`, `DiskAmbiguous`, `DiskTooSmall`, `DiskSectorSize`; each lists what was found.
pub fn choose<'a>(rule: &DiskRule, seen: &'a [Seen], image_bytes: u64) -> Result<&'a Seen, Failure> {
    let named = rule.serial.is_some() || rule.by_id.is_some() || rule.name.is_some();
    let fits: Vec<&Seen> =
        seen.iter().filter(|seen| exclusion(seen, named).is_none() && matches(rule, &seen.disk)).collect();
    let chosen = match fits.as_slice() {
        [] => return Err(Failure::DiskNoneMatches { rule: words(rule), found: found(seen, named) }),
        [one] => *one,
        several if named || rule.model.is_some() => {
            return Err(ambiguous(format!("{} disks match {}", several.len(), words(rule)), several, seen, named));
        }
        several => boss(several, seen)?,
    };
    if chosen.disk.sector_bytes != 512 {
        return Err(Failure::DiskSectorSize { disk: chosen.disk.line(), sector_bytes: chosen.disk.sector_bytes });
    }
    if chosen.disk.facts.size_bytes < image_bytes {
        return Err(Failure::DiskTooSmall {
            disk: chosen.disk.line(),
            needed_bytes: image_bytes,
            disk_bytes: chosen.disk.facts.size_bytes,
        });
    }
    Ok(chosen)
}

/// With several candidates and no name, the BOSS volume is meant.
fn boss<'a>(candidates: &[&'a Seen], seen: &[Seen]) -> Result<&'a Seen, Failure> {
    let volumes: Vec<&Seen> = candidates.iter().copied().filter(|seen| seen.disk.boss_volume).collect();
    let behind: Vec<&Seen> = candidates.iter().copied().filter(|seen| seen.disk.facts.boss).collect();
    match (volumes.as_slice(), behind.as_slice()) {
        ([volume], _) => Ok(volume),
        ([], [bare]) => Ok(bare),
        ([], []) => Err(ambiguous(
            format!("{} disks could be the root disk and none is a BOSS volume", candidates.len()),
            candidates,
            seen,
            false,
        )),
        ([], bare) => {
            let why = format!(
                "{} bare M.2 drives are behind the BOSS controller and there is no volume: create the RAID 1 or name a serial number",
                bare.len()
            );
            Err(ambiguous(why, bare, seen, false))
        }
        (several, _) => Err(ambiguous(format!("{} BOSS volumes match", several.len()), several, seen, false)),
    }
}

/// Why a disk is no candidate, in words; `named` loosens what naming a disk decides.
fn exclusion(seen: &Seen, named: bool) -> Option<String> {
    let facts = &seen.disk.facts;
    if seen.disk.optical {
        return Some("an optical drive".into());
    }
    if facts.transport.as_deref() == Some("usb") {
        return Some("on USB".into());
    }
    if facts.removable {
        return Some("removable".into());
    }
    if facts.read_only {
        return Some("read-only".into());
    }
    if facts.size_bytes <= SMALLEST_BYTES {
        return Some("not over 8 GiB".into());
    }
    if seen.disk.multipath {
        return Some("a path of a multipath map".into());
    }
    if named {
        return None;
    }
    if seen.disk.stacked.iter().any(|holder| holder.starts_with("md")) {
        return Some("member of an md array".into());
    }
    seen.member_of().map(str::to_owned)
}

fn matches(rule: &DiskRule, disk: &Disk) -> bool {
    let facts = &disk.facts;
    let same = |wanted: &str, have: &Option<String>| {
        have.as_deref().is_some_and(|have| have.trim().eq_ignore_ascii_case(wanted.trim()))
    };
    rule.serial.as_deref().is_none_or(|serial| same(serial, &facts.serial))
        && rule.by_id.as_deref().is_none_or(|by_id| {
            let bare = by_id.trim_start_matches("/dev/disk/by-id/");
            disk.by_ids.iter().any(|id| id == bare)
        })
        && rule.name.as_deref().is_none_or(|name| name.trim_start_matches("/dev/") == facts.name)
        && rule.model.as_deref().is_none_or(|model| {
            facts
                .model
                .as_deref()
                .is_some_and(|have| have.to_ascii_lowercase().contains(&model.trim().to_ascii_lowercase()))
        })
        && rule.min_size_bytes.is_none_or(|least| facts.size_bytes >= least)
        && rule.max_size_bytes.is_none_or(|most| facts.size_bytes <= most)
}

/// The rule in words: `serial S1, model containing "BOSS"`.
pub fn words(rule: &DiskRule) -> String {
    let mut parts = Vec::new();
    if let Some(serial) = &rule.serial {
        parts.push(format!("serial {serial}"));
    }
    if let Some(by_id) = &rule.by_id {
        parts.push(format!("by-id {by_id}"));
    }
    if let Some(name) = &rule.name {
        parts.push(format!("name {name}"));
    }
    if let Some(model) = &rule.model {
        parts.push(format!("model containing \"{model}\""));
    }
    if let Some(least) = rule.min_size_bytes {
        parts.push(format!("at least {}", size(least)));
    }
    if let Some(most) = rule.max_size_bytes {
        parts.push(format!("at most {}", size(most)));
    }
    if parts.is_empty() {
        "the default rule (BOSS volume, else the only disk)".to_owned()
    } else {
        format!("the rule: {}", parts.join(", "))
    }
}

fn ambiguous(why: String, candidates: &[&Seen], seen: &[Seen], named: bool) -> Failure {
    let candidates = candidates.iter().map(|seen| seen.disk.line()).collect::<Vec<_>>().join(", ");
    Failure::DiskAmbiguous { why, candidates, found: found(seen, named) }
}

/// All disks with the reason why each that is none is no candidate.
fn found(seen: &[Seen], named: bool) -> String {
    if seen.is_empty() {
        return "none (is the storage controller supported by the deploy ramdisk's kernel?)".into();
    }
    seen.iter()
        .map(|seen| match exclusion(seen, named) {
            Some(why) => format!("{} [no candidate: {why}]", seen.disk.line()),
            None => seen.disk.line(),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use helix_api::machine::DiskFacts;

    /// An NVMe disk with a serial number that follows from its name.
    pub(crate) fn disk(name: &str, gigabytes: u64) -> Seen {
        Seen {
            disk: Disk {
                facts: DiskFacts {
                    name: name.into(),
                    serial: Some(format!("S-{name}")),
                    model: Some("Dell NVMe PM9A3".into()),
                    size_bytes: gigabytes * 1_000_000_000,
                    transport: Some("nvme".into()),
                    ..DiskFacts::default()
                },
                path: format!("/dev/{name}").into(),
                by_ids: vec![format!("nvme-Dell_{name}")],
                sector_bytes: 512,
                ..Disk::default()
            },
            signatures: Vec::new(),
        }
    }

    fn boss_volume(name: &str) -> Seen {
        let mut seen = disk(name, 480);
        seen.disk.facts.boss = true;
        seen.disk.boss_volume = true;
        seen.disk.facts.model = Some("Dell BOSS-N1".into());
        seen
    }

    fn bare_m2(name: &str) -> Seen {
        let mut seen = disk(name, 480);
        seen.disk.facts.boss = true;
        seen
    }

    const ANY: DiskRule =
        DiskRule { serial: None, by_id: None, name: None, model: None, min_size_bytes: None, max_size_bytes: None };
    const IMAGE: u64 = 2_000_000_000;

    fn chosen(rule: &DiskRule, seen: &[Seen]) -> Result<String, (&'static str, String)> {
        choose(rule, seen, IMAGE)
            .map(|seen| seen.disk.facts.name.clone())
            .map_err(|failure| (failure.code(), failure.to_string()))
    }

    #[test]
    fn the_boss_volume_is_taken_among_data_drives() {
        let seen = [disk("nvme0n1", 3840), boss_volume("nvme1n1"), disk("nvme2n1", 3840)];
        assert_eq!(chosen(&ANY, &seen).unwrap(), "nvme1n1");
    }

    #[test]
    fn the_only_candidate_is_taken() {
        let mut cd = disk("sr0", 20);
        cd.disk.optical = true;
        let mut stick = disk("sda", 32);
        stick.disk.facts.transport = Some("usb".into());
        let mut removable = disk("sdb", 32);
        removable.disk.facts.removable = true;
        assert_eq!(chosen(&ANY, &[cd, stick, removable, disk("sdd", 7), disk("vda", 20)]).unwrap(), "vda");
    }

    #[test]
    fn two_bare_m2_behind_boss_are_ambiguous_and_the_words_say_what_to_do() {
        let (code, text) = chosen(&ANY, &[bare_m2("nvme0n1"), bare_m2("nvme1n1")]).unwrap_err();
        assert_eq!(code, "disk_ambiguous");
        assert!(text.contains("create the RAID 1 or name a serial number"), "{text}");
        assert!(text.contains("S-nvme0n1") && text.contains("S-nvme1n1"), "both are listed: {text}");
    }

    #[test]
    fn two_plain_disks_are_ambiguous_and_listed() {
        let (code, text) = chosen(&ANY, &[disk("sda", 480), disk("sdb", 480)]).unwrap_err();
        assert_eq!(code, "disk_ambiguous");
        assert!(text.contains("sda (Dell NVMe PM9A3, serial S-sda, 480.0 GB)"), "{text}");
    }

    #[test]
    fn what_the_profile_names_wins_over_the_boss_volume() {
        let seen = [boss_volume("nvme0n1"), disk("nvme1n1", 3840)];
        assert_eq!(chosen(&DiskRule { serial: Some("s-NVME1n1".into()), ..ANY }, &seen).unwrap(), "nvme1n1");
        assert_eq!(
            chosen(&DiskRule { by_id: Some("/dev/disk/by-id/nvme-Dell_nvme1n1".into()), ..ANY }, &seen).unwrap(),
            "nvme1n1"
        );
        assert_eq!(chosen(&DiskRule { model: Some("pm9a3".into()), ..ANY }, &seen).unwrap(), "nvme1n1");
        assert_eq!(chosen(&DiskRule { min_size_bytes: Some(1_000_000_000_000), ..ANY }, &seen).unwrap(), "nvme1n1");
    }

    #[test]
    fn a_rule_that_fits_nothing_lists_what_is_there_and_why_not() {
        let mut stick = disk("sda", 32);
        stick.disk.facts.transport = Some("usb".into());
        let (code, text) =
            chosen(&DiskRule { serial: Some("S-sda".into()), ..ANY }, &[stick, disk("sdb", 480)]).unwrap_err();
        assert_eq!(code, "disk_none_matches");
        assert!(
            text.contains("serial S-sda") && text.contains("[no candidate: on USB]") && text.contains("sdb"),
            "{text}"
        );
    }

    #[test]
    fn no_disk_at_all_asks_about_the_controller() {
        let (code, text) = chosen(&ANY, &[]).unwrap_err();
        assert_eq!(code, "disk_none_matches");
        assert!(text.contains("storage controller"), "{text}");
    }

    #[test]
    fn a_member_of_an_array_is_taken_only_when_it_is_named() {
        let mut member = disk("sda", 480);
        member.disk.stacked = vec!["md127".into()];
        assert_eq!(chosen(&ANY, std::slice::from_ref(&member)).unwrap_err().0, "disk_none_matches");
        assert_eq!(chosen(&DiskRule { serial: Some("S-sda".into()), ..ANY }, &[member]).unwrap(), "sda");
    }

    #[test]
    fn a_path_of_a_multipath_map_is_never_taken() {
        let mut path = disk("sda", 480);
        path.disk.multipath = true;
        assert_eq!(
            chosen(&DiskRule { serial: Some("S-sda".into()), ..ANY }, &[path]).unwrap_err().0,
            "disk_none_matches"
        );
    }

    #[test]
    fn a_disk_smaller_than_the_image_is_refused_with_both_sizes() {
        let seen = [disk("sda", 10)];
        let failure = choose(&ANY, &seen, 20_000_000_000).unwrap_err();
        assert_eq!(failure.code(), "disk_too_small");
        let text = failure.to_string();
        assert!(text.contains("20.0 GB") && text.contains("10.0 GB"), "{text}");
    }

    #[test]
    fn a_disk_with_large_sectors_is_refused_before_anything_is_written() {
        let mut large = disk("nvme0n1", 480);
        large.disk.sector_bytes = 4096;
        assert_eq!(chosen(&ANY, &[large]).unwrap_err().0, "disk_sector_size");
    }
}
