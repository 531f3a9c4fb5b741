//! XLO/1 frames: any bytes are refused or encode to themselves. The checksum is repaired first, so that the fuzzer gets
//! past it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orders::wire::{Frame, Message, field};

fuzz_target!(|input: &[u8]| {
    let _ = Frame::decode(input);
    let mut bytes = input.to_vec();
    if bytes.len() < 40 {
        return;
    }
    bytes[..5].copy_from_slice(b"XLO1\x01");
    let body = bytes.len() as u32 - 40;
    bytes[32..36].copy_from_slice(&body.to_le_bytes());
    let sum = kernels::crc32c(kernels::crc32c(0, &bytes[..36]), &bytes[40..]);
    bytes[36..40].copy_from_slice(&sum.to_le_bytes());
    let Ok(frame) = Frame::decode(&bytes) else { return };
    let Ok(message) = Message::decode(&frame) else { return };
    if frame.fields().all(|field| field.kind < 0x8000 || field.kind == field::TRACE) {
        assert_eq!(message.encode(&frame.header, None), bytes);
    }
});
