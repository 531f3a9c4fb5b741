//! CRC-32C (Castagnoli): the checksum of wire frames and journal records.
//!
//! One instruction for eight bytes where the machine has it (SSE 4.2, aarch64's CRC), a table of eight columns
//! elsewhere; both give the same sum. Not a choice of [`crate::Simd`]: the instruction is no vector code, and every
//! machine of the last ten years has it.

/// The reflected polynomial.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLE[k][b]`: the sum of byte `b` followed by `k` zero bytes.
static TABLE: [[u32; 256]; 8] = table();

const fn table() -> [[u32; 256]; 8] {
    let mut table = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg());
            bit += 1;
        }
        table[0][byte] = sum;
        byte += 1;
    }
    let mut column = 1;
    while column < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = table[column - 1][byte];
            table[column][byte] = (before >> 8) ^ table[0][(before & 0xff) as usize];
            byte += 1;
        }
        column += 1;
    }
    table
}

/// The sum of `bytes` appended to what `sum` already covers; start with zero.
///
/// ```
/// assert_eq!(execlayer_kernels::crc32c(0, b"123456789"), 0xe306_9283);
/// ```
#[inline]
pub fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("sse4.2") {
        // SAFETY: the instruction was just found on this machine.
        #[allow(unsafe_code, reason = "the machine's own instruction; `portable` is the safe twin")]
        return unsafe { sse42(sum, bytes) };
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("crc") {
        // SAFETY: the instruction was just found on this machine.
        #[allow(unsafe_code, reason = "the machine's own instruction; `portable` is the safe twin")]
        return unsafe { aarch64(sum, bytes) };
    }
    portable(sum, bytes)
}

/// The same by table, on any machine.
pub fn portable(sum: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = !sum;
    for word in words {
        let mixed = u64::from_le_bytes(*word) ^ u64::from(sum);
        sum = (0..8).fold(0, |next, byte| next ^ TABLE[7 - byte][((mixed >> (8 * byte)) & 0xff) as usize]);
    }
    !rest.iter().fold(sum, |sum, byte| (sum >> 8) ^ TABLE[0][((sum ^ u32::from(*byte)) & 0xff) as usize])
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn sse42(sum: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(u64::from(!sum), |sum, word| _mm_crc32_u64(sum, u64::from_le_bytes(*word)));
    !rest.iter().fold(sum as u32, |sum, byte| _mm_crc32_u8(sum, *byte))
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "crc")]
fn aarch64(sum: u32, bytes: &[u8]) -> u32 {
    use std::arch::aarch64::{__crc32cb, __crc32cd};
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(!sum, |sum, word| __crc32cd(sum, u64::from_le_bytes(*word)));
    !rest.iter().fold(sum, |sum, byte| __crc32cb(sum, *byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_sums() {
        // RFC 3720, appendix B.4.
        for (bytes, sum) in [([0u8; 32], 0x8a91_36aa_u32), ([0xff; 32], 0x62a8_ab43)] {
            assert_eq!(crc32c(0, &bytes), sum);
            assert_eq!(portable(0, &bytes), sum);
        }
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(0, &rising), 0x46dd_794e);
    }

    proptest! {
        #[test]
        fn the_instruction_and_the_table_agree_whole_and_in_pieces(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(crc32c(0, &bytes), portable(0, &bytes));
            prop_assert_eq!(crc32c(crc32c(0, head), tail), portable(0, &bytes));
        }
    }
}
