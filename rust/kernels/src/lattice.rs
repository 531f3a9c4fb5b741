//! Lane sums of the lattice hash: 1,024 lanes of 16 bits, modulo 2^16.
//!
//! One loop, which the compiler turns into the vectors of each instruction set that it is compiled for.

use crate::Simd;

/// How many lanes there are.
pub const LANES: usize = 1024;

/// Lanes as numbers.
pub type Lanes = [u16; LANES];

/// An element: its lanes in little-endian bytes.
pub type Element = [u8; 2 * LANES];

/// Adds an element to every lane.
pub fn add(lanes: &mut Lanes, element: &Element) {
    add_with(Simd::chosen(), lanes, element);
}

/// Subtracts an element from every lane.
pub fn subtract(lanes: &mut Lanes, element: &Element) {
    subtract_with(Simd::chosen(), lanes, element);
}

#[inline(always)]
fn add_plain(lanes: &mut Lanes, element: &Element) {
    for (lane, bytes) in lanes.iter_mut().zip(element.as_chunks::<2>().0) {
        *lane = lane.wrapping_add(u16::from_le_bytes(*bytes));
    }
}

#[inline(always)]
fn subtract_plain(lanes: &mut Lanes, element: &Element) {
    for (lane, bytes) in lanes.iter_mut().zip(element.as_chunks::<2>().0) {
        *lane = lane.wrapping_sub(u16::from_le_bytes(*bytes));
    }
}

/// Compiles a plain loop once more for each instruction set, under a function that picks one.
macro_rules! for_each_simd {
    ($(#[$doc:meta])* $name:ident = $plain:ident) => {
        $(#[$doc])*
        ///
        /// Panics where this machine does not have the instructions.
        #[allow(unsafe_code, reason = "functions with target features")]
        pub fn $name(simd: Simd, lanes: &mut Lanes, element: &Element) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw")]
            fn avx512(lanes: &mut Lanes, element: &Element) {
                $plain(lanes, element);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2(lanes: &mut Lanes, element: &Element) {
                $plain(lanes, element);
            }
            assert!(simd.is_available(), "this machine has no {}", simd.name());
            match simd {
                // SAFETY, both: available, as asserted.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => unsafe { avx512(lanes, element) },
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => unsafe { avx2(lanes, element) },
                // Every aarch64 is compiled with NEON, so there the plain loop is the vector loop.
                _ => $plain(lanes, element),
            }
        }
    };
}

for_each_simd! {
    /// [`add`] with given instructions.
    add_with = add_plain
}
for_each_simd! {
    /// [`subtract`] with given instructions.
    subtract_with = subtract_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_adds_and_subtracts_modulo_two_to_the_sixteen() {
        let element: Element = std::array::from_fn(|index| (index * 37 + index / 256) as u8);
        let start: Lanes = std::array::from_fn(|index| 65_535 - (index * 3) as u16);
        let number = |index: usize| u32::from(element[2 * index]) + 256 * u32::from(element[2 * index + 1]);
        for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
            let mut lanes = start;
            add_with(simd, &mut lanes, &element);
            for index in 0..LANES {
                assert_eq!(u32::from(lanes[index]), (u32::from(start[index]) + number(index)) % 65_536, "{simd:?}");
            }
            subtract_with(simd, &mut lanes, &element);
            assert_eq!(lanes, start, "{simd:?}");
        }
    }
}
