//! Who a simulated machine is: service tag, serial numbers, MAC addresses, UUIDs and the seed of its key, all derived from
//! the fleet's seed and the address of its BMC, so that the same command line always makes the same fleet.
//! Nothing is stored here and nothing is random.

use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

/// The letters of a service tag. Vowels never occur in ours, so that no tag spells a word.
const TAG_LETTERS: &[u8; 31] = b"0123456789BCDFGHJKLMNPQRSTVWXYZ";

/// The identity of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    seed: u64,
    address: Ipv4Addr,
    /// Counts the boards that were in this chassis: a swapped board has another tag, other serials and other MACs.
    board: u32,
}

impl Identity {
    /// The identity of the machine whose BMC has this address, with its `board`-th board (0 at the factory).
    #[must_use]
    pub fn new(seed: u64, address: Ipv4Addr, board: u32) -> Self {
        Self { seed, address, board }
    }

    /// The seven characters of the service tag. Two addresses of one fleet never share a tag: the low 24 bits of the
    /// address are permuted, not hashed.
    #[must_use]
    pub fn service_tag(&self) -> String {
        let low = u32::from(self.address) & 0x00ff_ffff;
        let key = mix(self.seed ^ 0x7461_6700);
        // An odd factor is invertible modulo 2^24, and adding is too: a permutation keyed by the seed.
        let factor = (u32::try_from(key & 0x00ff_ffff).unwrap_or(1)) | 1;
        let offset = u32::try_from((key >> 32) & 0x00ff_ffff).unwrap_or(0);
        let mut rest = low.wrapping_mul(factor).wrapping_add(offset) & 0x00ff_ffff;
        let mut tag = Vec::with_capacity(7);
        for _ in 0..5 {
            tag.push(TAG_LETTERS[(rest % 31) as usize]);
            rest /= 31;
        }
        let tail = mix(self.seed ^ (u64::from(self.board) << 40) ^ 0x0074_616c);
        tag.push(TAG_LETTERS[10 + (tail % 21) as usize]);
        tag.push(TAG_LETTERS[(u64::from(self.board) + tail / 21) as usize % 10]);
        String::from_utf8_lossy(&tag).into_owned()
    }

    /// SMBIOS UUID with the service tag hidden in it, as Dell lays it out.
    #[must_use]
    pub fn uuid(&self, tag: &str) -> String {
        let mut t = [b'0'; 7];
        for (slot, byte) in t.iter_mut().zip(tag.bytes()) {
            *slot = byte;
        }
        format!(
            "4c4c4544-00{:02x}-{:02x}10-80{:02x}-{:02x}c04f{:02x}{:02x}{:02x}",
            t[1],
            t[2],
            t[3],
            t[0] | 0x80,
            t[4],
            t[5],
            t[6]
        )
    }

    /// The same bytes as [`Identity::uuid`], first three fields in the order they have in memory.
    #[must_use]
    pub fn smbios_guid(&self, tag: &str) -> String {
        let uuid = self.uuid(tag);
        let bytes: Vec<&str> =
            (0..uuid.len()).step_by(1).filter_map(|i| uuid.get(i..=i)).filter(|c| *c != "-").collect();
        let pair = |n: usize| format!("{}{}", bytes[2 * n], bytes[2 * n + 1]);
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut out = String::with_capacity(36);
        for (at, n) in order.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                out.push('-');
            }
            out.push_str(&pair(*n));
        }
        out
    }

    /// The UUID bytes backwards, which is what the manager calls its UUID.
    #[must_use]
    pub fn platform_guid(&self, tag: &str) -> String {
        let hex: String = self.uuid(tag).chars().filter(|c| *c != '-').collect();
        let mut out = String::with_capacity(36);
        for (at, n) in (0..16).rev().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                out.push('-');
            }
            out.push_str(&hex[2 * n..2 * n + 2]);
        }
        out
    }

    /// The express service code: the tag read as a number to the base 36.
    #[must_use]
    pub fn express_service_code(tag: &str) -> String {
        let value = tag
            .chars()
            .filter_map(|c| c.to_digit(36))
            .fold(0_u64, |sum, digit| sum.wrapping_mul(36).wrapping_add(u64::from(digit)));
        value.to_string()
    }

    /// 64 bits that belong to one part of this machine, for instance `gpu 21` or `dimm A3 generation 1`.
    #[must_use]
    pub fn bits(&self, part: &str) -> u64 {
        let mut state = mix(self.seed ^ (u64::from(u32::from(self.address)) << 8) ^ (u64::from(self.board) << 48));
        for byte in part.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        state
    }

    /// `length` decimal digits that belong to a part; never with a leading zero.
    #[must_use]
    pub fn digits(&self, part: &str, length: usize) -> String {
        self.letters(part, length, b"123456789", b"0123456789")
    }

    /// `length` capital letters and digits that belong to a part, as Dell writes serial numbers.
    #[must_use]
    pub fn serial(&self, part: &str, length: usize) -> String {
        self.letters(part, length, b"CDFGHJKLMNPRSTVWXYZ", TAG_LETTERS)
    }

    /// `length` capital hexadecimal digits that belong to a part.
    #[must_use]
    pub fn hex_serial(&self, part: &str, length: usize) -> String {
        self.letters(part, length, b"123456789ABCDEF", b"0123456789ABCDEF")
    }

    fn letters(&self, part: &str, length: usize, first: &[u8], rest: &[u8]) -> String {
        let mut state = self.bits(part);
        let mut out = String::with_capacity(length);
        for at in 0..length {
            let set = if at == 0 { first } else { rest };
            out.push(char::from(set[(state % set.len() as u64) as usize]));
            state = mix(state);
        }
        out
    }

    /// A MAC address of this machine, upper case with colons, as an iDRAC writes those of the host. Number 0 is the BMC's
    /// own port. Unique in a fleet by construction: the three middle bytes are the BMC's address.
    #[must_use]
    pub fn mac(&self, number: u8) -> String {
        let octets = self.address.octets();
        let vendor = 0x40 | (u8::try_from(mix(self.seed) & 0x0f).unwrap_or(0) << 4 & 0x30) | (self.board as u8 & 0x0f);
        format!("02:{vendor:02X}:{:02X}:{:02X}:{:02X}:{number:02X}", octets[1], octets[2], octets[3])
    }

    /// GUID of an InfiniBand port: 16 hexadecimal digits after `0x`.
    #[must_use]
    pub fn guid(&self, number: u8) -> String {
        let octets = self.address.octets();
        format!(
            "0xb8cef6{:02x}{:02x}{:02x}{:02x}{:02x}{number:02x}",
            self.board as u8, 0x03, octets[1], octets[2], octets[3]
        )
    }

    /// A version-4-shaped UUID that belongs to a part.
    #[must_use]
    pub fn part_uuid(&self, part: &str) -> String {
        let high = self.bits(part);
        let low = mix(high);
        let bytes = (u128::from(high) << 64) | u128::from(low);
        uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid().to_string()
    }

    /// 32 bytes from which the TLS key of the BMC grows. `generation` counts renewals of the certificate.
    #[must_use]
    pub fn key_seed(&self, generation: u32, attempt: u32) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"idrac-sim tls key");
        hash.update(self.seed.to_be_bytes());
        hash.update(self.address.octets());
        hash.update(generation.to_be_bytes());
        hash.update(attempt.to_be_bytes());
        hash.finalize().into()
    }
}

/// SplitMix64: every output bit depends on every input bit, and it costs nothing.
#[must_use]
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ten_thousand_addresses_have_ten_thousand_tags_and_macs() {
        let mut tags = HashSet::new();
        let mut macs = HashSet::new();
        for number in 0..10_000_u32 {
            let address = Ipv4Addr::from(0x7f14_0001 + number);
            let identity = Identity::new(7, address, 0);
            assert_eq!(identity.service_tag().len(), 7);
            tags.insert(identity.service_tag());
            macs.insert(identity.mac(3));
        }
        assert_eq!((tags.len(), macs.len()), (10_000, 10_000));
    }

    #[test]
    fn the_service_tag_hides_in_the_uuid() {
        let identity = Identity::new(1, Ipv4Addr::new(127, 10, 0, 1), 0);
        // The first, third and later characters of the tag in the places where Dell puts them.
        assert_eq!(identity.uuid("HLX0001"), "4c4c4544-004c-5810-8030-c8c04f303031");
        assert_eq!(identity.smbios_guid("HLX0001"), "44454c4c-4c00-1058-8030-c8c04f303031");
        assert_eq!(identity.platform_guid("HLX0001"), "3130304f-c0c8-3080-1058-4c0044454c4c");
        assert_eq!(Identity::express_service_code("HLX0001"), "38330516737");
    }

    #[test]
    fn a_swapped_board_has_another_tag_but_the_same_address_and_seed_always_the_same() {
        let address = Ipv4Addr::new(127, 10, 0, 9);
        let first = Identity::new(3, address, 0);
        assert_eq!(first.service_tag(), Identity::new(3, address, 0).service_tag());
        assert_ne!(first.service_tag(), Identity::new(3, address, 1).service_tag());
        assert_ne!(first.mac(1), Identity::new(3, address, 1).mac(1));
        assert_ne!(first.service_tag(), Identity::new(4, address, 0).service_tag());
    }
}
