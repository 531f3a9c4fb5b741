//! A batch of calls without Python: the other side of `asv_bench/promises/calls.py`, which writes the files and does
//! the same through the Python package.

use std::{fs, path::Path, sync::Arc, time::Duration};

use evm::{BlockEnv, ChainSpec, Fork};
use exec::call::{CallRequest, Desk};
use state::MemoryState;
use types::{Address, Bytes, U256};

use crate::row::timed;

/// Rounds; the least time counts, as on the other side.
const ROUNDS: usize = 15;

/// Prints the seconds that the calls take on one thread, and the sum of what they return.
pub fn rows(folder: &Path) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file");
    let token = Address::with_last_byte(0xc0);
    let mut world = MemoryState::default();
    world.insert(token, 0, U256::ZERO, read("code.txt").trim().parse().expect("hex"));
    for line in read("slots.txt").lines() {
        let (slot, value) = line.split_once(' ').expect("a slot and its value");
        world.set_storage(token, slot.parse().expect("a number"), value.parse().expect("a number"));
    }
    let inputs: Vec<Bytes> = read("calls.txt").lines().map(|line| line.parse().expect("hex")).collect();
    let block = BlockEnv { number: 1, timestamp: 1, gas_limit: 30_000_000, base_fee: Some(0), ..BlockEnv::default() };
    let desk = Desk::new(&ChainSpec::at(1, Fork::Osaka), block, None, Arc::new(world));
    let mut least = Duration::MAX;
    let mut sum = U256::ZERO;
    for _ in 0..ROUNDS {
        let (time, columns) = timed(|| {
            let request = |input: &Bytes| CallRequest {
                to: Some(token),
                gas_limit: Some(100_000),
                input: Bytes::copy_from_slice(input),
                ..CallRequest::default()
            };
            let requests: Vec<_> = inputs.iter().map(request).collect();
            desk.batch(&requests[..], 1).expect("memory can be read")
        });
        assert!(columns.status.iter().all(|status| *status == 1), "every call succeeds");
        least = least.min(time);
        sum = columns.output.chunks(32).map(U256::from_be_slice).sum();
    }
    println!(r#"{{"seconds": {}, "sum": {sum}}}"#, least.as_secs_f64());
}
