//! Blocks that a stranger offers to a development chain: refused with a reason, or known; the chain stays as it was.

#![no_main]

use std::sync::{Arc, LazyLock};

use chain::{Chain, Genesis, Options, Store};
use libfuzzer_sys::fuzz_target;

static CHAIN: LazyLock<Arc<Chain>> = LazyLock::new(|| {
    Chain::open(Arc::new(Store::memory()), Genesis::dev([]), Options::default()).expect("memory does not fail")
});

fuzz_target!(|data: &[u8]| {
    let before = CHAIN.head().id;
    if CHAIN.import_rlp(data).is_err() {
        assert_eq!(CHAIN.head().id, before);
    }
    let _ = CHAIN.import_stream(&mut &*data, &mut |_| true);
});
