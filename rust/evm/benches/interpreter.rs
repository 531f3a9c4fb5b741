//! The loop, per opcode: plain and analysed, on lines of arithmetic and memory. Divide by the opcodes in the name.

use std::{sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use execlayer_evm::{
    BlockEnv, ChainSpec, Fork, GasSchedule, Instructions, Rules,
    frame::{Kind, Machine, Message, run},
};
use state::{MemoryState, Overlay};
use types::{Address, Bytes, U256};

const CONTRACT: Address = Address::repeat_byte(0xc0);

/// Rounds of each loop.
const ROUNDS: u32 = 10_000;

/// Name, body of the loop with the counter on top of the stack before and after, opcodes in it, and the first word of
/// memory at the end.
const LOOPS: [(&str, &str, u64, u64); 2] = [
    // DUP1 PUSH1 7 MUL PUSH1 3 ADD PUSH0 MLOAD ADD PUSH0 MSTORE
    ("arithmetic_and_memory", "806007026003015f51015f52", 10, 7 * 50_005_000 + 3 * 10_000),
    // DUP1 PUSH1 3 AND PUSH1 1 SHL DUP2 PUSH1 5 LT XOR POP, nothing in memory
    ("logic", "8060031660011b816005101850", 10, 0),
];

fn rules(fork: Fork) -> Rules {
    let mut rules = ChainSpec::at(1, fork).rules(1, 1);
    rules.instructions = Arc::new(Instructions::new(fork, GasSchedule::of(fork).clone()));
    rules
}

/// The first word of memory after the loop.
fn call(rules: &Rules, world: &MemoryState) -> U256 {
    let block = BlockEnv::default();
    let mut overlay = Overlay::new(world);
    overlay.begin();
    let mut machine = Machine {
        rules,
        block: &block,
        overlay: &mut overlay,
        origin: Address::ZERO,
        gas_price: U256::ZERO,
        blob_hashes: &[],
        tracer: None,
    };
    let message = Message {
        kind: Kind::Call,
        is_static: false,
        caller: Address::ZERO,
        target: CONTRACT,
        code_from: CONTRACT,
        value: U256::ZERO,
        input: Bytes::new(),
        gas: 1 << 40,
    };
    let result = run(&mut machine, message).expect("memory can be read");
    U256::from_be_slice(&result.output)
}

fn loops(criterion: &mut Criterion) {
    for (name, body, opcodes, answer) in LOOPS {
        // PUSH4 rounds JUMPDEST body; PUSH1 1 SWAP1 SUB DUP1 PUSH1 5 JUMPI; PUSH1 32 PUSH0 RETURN
        let code = format!("63{ROUNDS:08x}5b{body}600190038060055760205ff3");
        let mut world = MemoryState::default();
        world.insert(CONTRACT, 1, U256::ZERO, code.parse().expect("hex"));
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements((opcodes + 7) * u64::from(ROUNDS)));
        group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(20);
        group.bench_function("plain", |bencher| {
            bencher.iter_batched(
                || rules(Fork::Osaka),
                |rules| assert_eq!(call(&rules, &world), U256::from(answer)),
                BatchSize::SmallInput,
            );
        });
        let rules = rules(Fork::Osaka);
        call(&rules, &world);
        group.bench_function("analysed", |bencher| {
            bencher.iter(|| assert_eq!(call(&rules, &world), U256::from(answer)));
        });
    }
}

criterion_group!(benches, loops);
criterion_main!(benches);
