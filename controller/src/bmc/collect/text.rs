//! Cleaning what BMCs write: padding, texts that stand for nothing, addresses without their zeros.

use redfish_client::Status;

/// What firmware writes where it knows nothing.
const NOTHING: &[&str] = &[
    "",
    "na",
    "n/a",
    "none",
    "null",
    "unknown",
    "not available",
    "notavailable",
    "not specified",
    "to be filled by o.e.m.",
    "default string",
];

/// A text without padding; `None` when it says nothing.
pub(super) fn clean(text: Option<&str>) -> Option<String> {
    let text = text?.trim().trim_matches('\0').trim();
    let nothing = NOTHING.contains(&text.to_ascii_lowercase().as_str()) || text.chars().all(|c| c == '0' || c == ' ');
    (!nothing).then(|| text.to_owned())
}

/// Id of a resource, or the last piece of its path.
pub(super) fn id(id: Option<&str>, uri: Option<&str>) -> String {
    let of_path = || uri.and_then(|uri| uri.trim_end_matches('/').rsplit('/').next());
    id.filter(|id| !id.is_empty()).or_else(of_path).unwrap_or_default().to_owned()
}

/// A MAC address in lower case with colons, its leading zeros restored (quirk 57).
pub(super) fn mac(text: &str) -> Option<String> {
    let text = text.trim();
    let parts: Vec<String> = if text.contains([':', '-']) {
        text.split([':', '-']).map(|part| format!("{part:0>2}").to_ascii_lowercase()).collect()
    } else if text.len() == 12 && text.is_ascii() {
        (0..6).map(|at| text[at * 2..at * 2 + 2].to_ascii_lowercase()).collect()
    } else {
        return None;
    };
    let good = parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
        && parts.iter().any(|part| part != "00");
    good.then(|| parts.join(":"))
}

/// Where a module sits, as printed on the board: `DIMM A3`, `DIMM.Socket.A3` → `A3`.
pub(super) fn dimm(locator: Option<&str>, id: Option<&str>) -> String {
    let text = locator.or(id).unwrap_or_default().trim();
    let short = text.strip_prefix("DIMM ").or_else(|| text.strip_prefix("DIMM.Socket.")).unwrap_or(text);
    short.trim().to_owned()
}

/// Whether a part is there at all.
pub(super) fn present(status: Option<&Status>) -> bool {
    status.and_then(|status| status.state.as_deref()) != Some("Absent")
}

/// Health of a part alone.
pub(super) fn health(status: Option<&Status>) -> Option<String> {
    status.and_then(|status| status.health.clone().or_else(|| status.health_rollup.clone()))
}

/// A number of something as a whole one; `None` when it is none.
pub(super) fn whole(number: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie in the range just before"
    )]
    (number.is_finite() && (0.0..=f64::from(u32::MAX)).contains(&number)).then(|| number.round() as u32)
}

/// Gibibytes as bytes.
pub(super) fn gib_to_bytes(gib: f64) -> u64 {
    whole(gib).map_or(0, |gib| u64::from(gib) << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_without_its_leading_zeros_gets_them_back() {
        assert_eq!(mac("0:A:F7:1:2:3").as_deref(), Some("00:0a:f7:01:02:03"));
        assert_eq!(mac("B0-7B-25-01-02-03").as_deref(), Some("b0:7b:25:01:02:03"));
        assert_eq!(mac("000AF7010203").as_deref(), Some("00:0a:f7:01:02:03"));
        assert_eq!(mac("00:00:00:00:00:00"), None);
        assert_eq!(mac("n/a"), None);
    }

    #[test]
    fn texts_that_stand_for_nothing_are_nothing() {
        for text in ["", "  ", "N/A", "To Be Filled By O.E.M.", "0000", "NotAvailable"] {
            assert_eq!(clean(Some(text)), None, "{text}");
        }
        assert_eq!(clean(Some("KIOXIA   ")).as_deref(), Some("KIOXIA"));
        assert_eq!(clean(Some("0010")).as_deref(), Some("0010"));
    }

    #[test]
    fn a_module_is_named_as_printed_on_the_board() {
        assert_eq!(dimm(Some("DIMM A3"), Some("DIMM.Socket.A3")), "A3");
        assert_eq!(dimm(None, Some("DIMM.Socket.B12")), "B12");
        assert_eq!(dimm(Some("PROC 1 DIMM 2"), None), "PROC 1 DIMM 2");
    }
}
