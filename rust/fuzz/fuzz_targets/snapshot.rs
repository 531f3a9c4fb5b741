//! Snapshot files: as they are, and framed. For the second the input is read as parts, each a kind, a length of two
//! bytes and content, which get the hashes that they should have: so the fuzzer gets behind them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use store::snapshot::verify;

fn framed(mut data: &[u8]) -> Vec<u8> {
    let mut file = b"execsnap\0\0\0\x01".to_vec();
    while let Some(([kind, high, low], rest)) = data.split_first_chunk::<3>() {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        let start = file.len();
        file.push(1 + kind % 5);
        file.extend_from_slice(&(content.len() as u32).to_be_bytes());
        file.extend_from_slice(content);
        let hash = blake3::hash(&file[start..]);
        file.extend_from_slice(hash.as_bytes());
        data = rest;
    }
    file
}

fuzz_target!(|data: &[u8]| {
    let _ = verify(data, &mut |_| true);
    let _ = verify(&framed(data)[..], &mut |_| true);
});
