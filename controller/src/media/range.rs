//! `Range` headers: one range of bytes, as iDRACs and the ramdisk ask for.
//!
//! RFC 9110, chapter 14. A header that is no single range of bytes is ignored, which the RFC allows, and the whole file
//! comes; a range that begins beyond the end is refused with 416.

use std::ops::Range;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// Nothing of the range exists: 416.
    Beyond,
}

/// Reads a `Range` header against a file of `size` bytes.
pub(crate) fn parse(header: Option<&str>, size: u64) -> Wanted {
    let Some((unit, spec)) = header.and_then(|header| header.split_once('=')) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Wanted::Whole;
    }
    match (number(first), number(last)) {
        (Some(None), Some(Some(suffix))) => match suffix {
            0 => Wanted::Beyond,
            _ if size == 0 => Wanted::Beyond,
            _ => Wanted::Part(size.saturating_sub(suffix)..size),
        },
        (Some(Some(start)), Some(end)) => match end {
            // RFC 9110, 14.1.1: a range whose end lies before its start is invalid, and ignored.
            Some(end) if end < start => Wanted::Whole,
            _ if start >= size => Wanted::Beyond,
            Some(end) => Wanted::Part(start..end.saturating_add(1).min(size)),
            None => Wanted::Part(start..size),
        },
        _ => Wanted::Whole,
    }
}

/// A number, or nothing; `None` when the text is neither. A number beyond 64 bits is beyond every file.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_that_an_idrac_asks_for_are_understood() {
        assert_eq!(parse(None, 100), Wanted::Whole);
        assert_eq!(parse(Some("bytes=0-65535"), 1 << 20), Wanted::Part(0..65_536));
        assert_eq!(parse(Some("bytes=90-"), 100), Wanted::Part(90..100));
        assert_eq!(parse(Some("bytes=-10"), 100), Wanted::Part(90..100));
        assert_eq!(parse(Some("bytes=-1000"), 100), Wanted::Part(0..100));
        assert_eq!(parse(Some("bytes=95-200"), 100), Wanted::Part(95..100));
        assert_eq!(parse(Some("Bytes = 5-5"), 100), Wanted::Part(5..6));
    }

    #[test]
    fn a_range_beyond_the_end_is_refused() {
        assert_eq!(parse(Some("bytes=100-"), 100), Wanted::Beyond);
        assert_eq!(parse(Some("bytes=-0"), 100), Wanted::Beyond);
        assert_eq!(parse(Some("bytes=99999999999999999999999-"), 100), Wanted::Beyond);
        assert_eq!(parse(Some("bytes=-5"), 0), Wanted::Beyond);
    }

    #[test]
    fn what_is_no_single_range_of_bytes_is_ignored() {
        for header in
            ["bytes=0-1,5-6", "lines=0-5", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=-", "bytes=+1-2"]
        {
            assert_eq!(parse(Some(header), 100), Wanted::Whole, "{header}");
        }
    }
}
