//! Batched recovery against the `secp256k1` crate, both in the same run and in turns, so that a busy machine slows
//! both.
//!
//! `cargo bench -p execlayer-kernels --bench recover`; words after `--` choose rows by name. Answers are compared
//! before anything is timed. Times are the best of some rounds, per signature. With `--json` the rows that are promised
//! something are printed as `make bench` reads them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use execlayer_kernels::recover::{PIECE, SignedHash, recover_addresses, recover_batch};
use rayon::prelude::*;
use secp256k1::{
    Message, PublicKey, SECP256K1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use types::tx::{Transaction, TxEip1559};

/// How often both ways take turns.
const ROUNDS: usize = 15;

/// How many times faster each of these has to be. A hostile batch may cost a fifth more.
const PROMISES: [(&str, f64); 9] = [
    ("signatures_1", 1.0 / NOISE),
    ("signatures_2", 1.0 / NOISE),
    ("signatures_8", 1.0 / NOISE),
    ("signatures_32", 5.0),
    ("signatures_1024", 6.0),
    ("all_cores_16384", 6.0),
    ("transfers_10000_from_bytes", 5.0),
    ("hostile_infinity", 1.0 / 1.2),
    ("hostile_off_curve", 1.0 / 1.2),
];

/// Where both sides do the same, so much of a difference says nothing.
const NOISE: f64 = 1.05;

fn promise(name: &str) -> Option<f64> {
    PROMISES.iter().find(|(promised, _)| *promised == name).map(|(_, target)| *target)
}

fn as_json() -> bool {
    std::env::args().any(|argument| argument == "--json")
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let row = |name: &str| {
        (wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())))
            && (!as_json() || promise(name).is_some())
    };
    eprintln!("{:<28} {:>12} {:>12} {:>7}", "per signature", "secp256k1", "batched", "ratio");

    let signed: Vec<_> = (0..16 * 1024).map(signature).collect();
    for size in [1, 2, 3, 4, 6, 8, 9, 16, 32, 33, 64, 128, 256, 1024, 4096] {
        let name = format!("signatures_{size}");
        if row(&name) {
            compare(&name, &signed[..size], plain_keys, batched_keys);
        }
    }
    for (name, hostile) in [
        ("hostile_infinity", hostile(at_infinity)),
        ("hostile_off_curve", hostile(|i| SignedHash { r: small(5), ..signature(i) })),
        ("hostile_out_of_range", hostile(|i| SignedHash { s: [0xff; 32], ..signature(i) })),
        ("hostile_r_plus_n", hostile(|i| SignedHash { recovery_id: 2, ..signature(i) })),
        ("hostile_one_in_eight", hostile(|i| if i % 8 == 0 { at_infinity(i) } else { signature(i) })),
    ] {
        if row(name) {
            compare(name, &hostile, plain_keys, batched_keys);
        }
    }
    if row("all_cores_16384") {
        compare("all_cores_16384", &signed, |all| on_all_cores(all, plain_keys), |all| on_all_cores(all, batched_keys));
    }
    if row("transfers_10000_from_bytes") {
        let block: Vec<Bytes> = (0..10_000).map(transfer).collect();
        compare("transfers_10000_from_bytes", &block, plain_senders, batched_senders);
    }
}

/// Times both ways in turns after they gave the same answer.
fn compare<T, A: PartialEq>(name: &str, input: &[T], plain: impl Fn(&[T]) -> A, batched: impl Fn(&[T]) -> A) {
    assert!(plain(input) == batched(input), "{name}: the answers differ");
    let repeat = (256 / input.len()).max(1);
    let time = |way: &dyn Fn()| {
        let start = Instant::now();
        (0..repeat).for_each(|_| way());
        start.elapsed() / (repeat * input.len()) as u32
    };
    let mut best = [Duration::MAX; 2];
    for _ in 0..if input.len() > 2000 { ROUNDS / 3 } else { ROUNDS } {
        best[0] = best[0].min(time(&|| drop(black_box(plain(black_box(input))))));
        best[1] = best[1].min(time(&|| drop(black_box(batched(black_box(input))))));
    }
    let [plain, batched] = best.map(|best| best.as_nanos() as f64 / 1000.0);
    match promise(name).filter(|_| as_json()) {
        Some(target) => println!(
            r#"{{"name": "recovery, {name}", "kind": "faster", "ours": {batched:.4}, "theirs": {plain:.4}, "rival": "libsecp256k1", "unit": "µs", "target": {target:.3}}}"#
        ),
        None => println!("{name:<28} {plain:>9.2} µs {batched:>9.2} µs {:>6.2}x", plain / batched),
    }
}

fn plain_key(signed: &SignedHash) -> Option<[u8; 64]> {
    let mut compact = [0; 64];
    compact[..32].copy_from_slice(&signed.r);
    compact[32..].copy_from_slice(&signed.s);
    let id = RecoveryId::from_u8_masked(signed.recovery_id);
    let signature = RecoverableSignature::from_compact(&compact, id).ok()?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(signed.hash), &signature).ok()?;
    key.serialize_uncompressed()[1..].try_into().ok()
}

fn plain_keys(signed: &[SignedHash]) -> Vec<Option<[u8; 64]>> {
    signed.iter().map(plain_key).collect()
}

fn batched_keys(signed: &[SignedHash]) -> Vec<Option<[u8; 64]>> {
    recover_batch(signed).into_iter().map(|key| key.ok().map(|key| key.0)).collect()
}

fn on_all_cores<A: Send>(signed: &[SignedHash], way: impl Fn(&[SignedHash]) -> Vec<A> + Sync + Send) -> Vec<A> {
    signed.par_chunks(PIECE).flat_map_iter(way).collect()
}

/// Decode, hash, recover, address: one after the other.
fn plain_senders(block: &[Bytes]) -> Vec<Address> {
    block.iter().map(|bytes| Transaction::from_bytes(bytes).expect("valid").recover().expect("signed")).collect()
}

/// The same with one recovery for the whole block.
fn batched_senders(block: &[Bytes]) -> Vec<Address> {
    let signed: Vec<_> = block
        .iter()
        .map(|bytes| {
            let transaction = Transaction::from_bytes(bytes).expect("valid");
            let signature = transaction.signature();
            SignedHash {
                hash: transaction.signature_hash().0,
                r: signature.r().to_be_bytes(),
                s: signature.s().to_be_bytes(),
                recovery_id: u8::from(signature.v()),
            }
        })
        .collect();
    recover_addresses(&signed).into_iter().map(|address| address.expect("signed")).collect()
}

fn key(i: usize) -> B256 {
    keccak256(i.to_be_bytes())
}

fn signature(i: usize) -> SignedHash {
    let (secret, hash) = (SecretKey::from_byte_array(key(i).0).expect("a key"), keccak256(key(i)).0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash), &secret).serialize_compact();
    let (r, s) = (bytes[..32].try_into().expect("32 bytes"), bytes[32..].try_into().expect("32 bytes"));
    SignedHash { hash, r, s, recovery_id: i32::from(id) as u8 }
}

fn hostile(make: impl Fn(usize) -> SignedHash) -> Vec<SignedHash> {
    (0..1024).map(make).collect()
}

fn small(value: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[31] = value;
    bytes
}

/// The key is s R − z G over r for R = k G, z = k, s = 1: everything is in order until the key turns out to be
/// infinity.
fn at_infinity(i: usize) -> SignedHash {
    let nonce = SecretKey::from_byte_array(key(i).0).expect("a key");
    let point = PublicKey::from_secret_key(SECP256K1, &nonce).serialize();
    SignedHash {
        hash: nonce.secret_bytes(),
        r: point[1..].try_into().expect("32 bytes"),
        s: small(1),
        recovery_id: point[0] & 1,
    }
}

fn transfer(i: usize) -> Bytes {
    let unsigned = TxEip1559 {
        chain_id: 1,
        nonce: i as u64,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::from_word(key(i))),
        value: U256::from(i),
        ..Default::default()
    };
    Transaction::sign(unsigned, &types::keys::Key::from_bytes(&key(i % 100)).expect("a key")).to_bytes()
}
