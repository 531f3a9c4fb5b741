//! Memory that is wanted soon: asked for now, so that several places are fetched at a time.

/// Fetches the cache line at this place where the processor can; whatever the place is, nothing is read.
#[inline(always)]
pub fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "an intrinsic")]
    // SAFETY: a hint, which every x86-64 processor has; it never faults, and the place need not exist.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_place_will_do() {
        prefetch(std::ptr::null::<u64>());
        prefetch(&7);
        prefetch(usize::MAX as *const u8);
    }
}
