//! Recovery in batches against libsecp256k1, called directly: both must say the same of every input.

use proptest::prelude::*;
use secp256k1::{
    Message, PublicKey as Point, SECP256K1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::*;

/// What libsecp256k1 says.
fn plain(signed: &SignedHash) -> Option<PublicKey> {
    let compact = [signed.r, signed.s].concat();
    let id = RecoveryId::try_from(i32::from(signed.recovery_id)).ok()?;
    let signature = RecoverableSignature::from_compact(&compact, id).ok()?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(signed.hash), &signature).ok()?;
    Some(PublicKey(key.serialize_uncompressed()[1..].try_into().unwrap()))
}

fn assert_equal(signed: &[SignedHash]) {
    let keys = recover_batch(signed);
    assert_eq!(keys.len(), signed.len());
    for (signed, key) in signed.iter().zip(keys) {
        assert_eq!(key.ok(), plain(signed), "{signed:x?}");
    }
}

/// Steele, Lea and Flood's generator: enough for inputs, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let words = [self.word(), self.word(), self.word(), self.word()];
        words.map(u64::to_be_bytes).concat().try_into().unwrap()
    }

    /// Any numbers: half of them belong to a point.
    pub(super) fn numbers(&mut self) -> SignedHash {
        SignedHash { hash: self.bytes(), r: self.bytes(), s: self.bytes(), recovery_id: self.word() as u8 & 1 }
    }

    /// A signature that a key made.
    pub(super) fn signature(&mut self) -> SignedHash {
        let (hash, secret) = (self.bytes(), SecretKey::from_byte_array(self.bytes()).unwrap());
        let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash), &secret).serialize_compact();
        let (r, s) = (bytes[..32].try_into().unwrap(), bytes[32..].try_into().unwrap());
        SignedHash { hash, r, s, recovery_id: i32::from(id) as u8 }
    }

    /// A signature or any numbers, one like the other.
    fn either(&mut self) -> SignedHash {
        if self.word() & 1 == 1 { self.numbers() } else { self.signature() }
    }
}

/// A seed that nobody chose, printed so that a failure can be had again: `RECOVER_SEED` repeats one.
fn fresh_seed() -> u64 {
    let seed = match std::env::var("RECOVER_SEED") {
        Ok(seed) => seed.parse().expect("RECOVER_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
    };
    println!("RECOVER_SEED={seed}");
    seed
}

/// Compares `count` inputs in batches of all sizes.
fn compare(seed: u64, count: usize) {
    let mut random = Random(seed);
    let mut done = 0;
    while done < count {
        let length = (random.word() as usize % 1500).min(count - done);
        let signed: Vec<_> = (0..length).map(|_| random.either()).collect();
        assert_equal(&signed);
        done += length;
    }
}

#[test]
fn batches_of_every_small_size_are_recovered() {
    let mut random = Random(1);
    for length in (0..70).chain([1023, 1024, 1025]) {
        let signed: Vec<_> = (0..length).map(|_| random.signature()).collect();
        assert_equal(&signed);
    }
}

#[test]
fn a_hundred_thousand_random_inputs_give_what_libsecp256k1_gives() {
    // Without a kernel libsecp256k1 would be compared with itself.
    compare(fresh_seed(), if kernel(Simd::chosen()).is_some() { 100_000 } else { 1000 });
}

#[test]
#[ignore = "ten million inputs take some ten minutes"]
fn ten_million_random_inputs_give_what_libsecp256k1_gives() {
    let seed = fresh_seed();
    std::thread::scope(|scope| {
        for core in 0..2 {
            scope.spawn(move || compare(seed.wrapping_add(core << 32), 5_000_000));
        }
    });
}

/// 32 bytes from hexadecimal digits, filled up with zeros in front.
fn number(digits: &str) -> [u8; 32] {
    let padded = format!("{digits:0>64}");
    core::array::from_fn(|i| u8::from_str_radix(&padded[2 * i..2 * i + 2], 16).unwrap())
}

const ORDER_LESS_ONE: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const ORDER_AND_ONE: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364142";
const HALF: &str = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";
const ABOVE_HALF: &str = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1";
const PRIME_LESS_ORDER_LESS_ONE: &str = "14551231950b75fc4402da1722fc9baed";
const PRIME_LESS_ORDER: &str = "14551231950b75fc4402da1722fc9baee";
const PRIME: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
const MAX: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

const EDGES: [&str; 13] = [
    "0",
    "1",
    "2",
    "3",
    ORDER_LESS_ONE,
    ORDER,
    ORDER_AND_ONE,
    HALF,
    ABOVE_HALF,
    PRIME_LESS_ORDER_LESS_ONE,
    PRIME_LESS_ORDER,
    PRIME,
    MAX,
];

#[test]
fn every_combination_of_edges_gives_what_libsecp256k1_gives() {
    let edges = EDGES.map(number);
    let mut signed = Vec::new();
    // Small r belong to R with x = r and, for identifiers 2 and 3, x = r + n: some have a point, some not.
    for r in edges.into_iter().chain((4..40).map(|r| number(&format!("{r:x}")))) {
        for s in edges {
            for hash in edges {
                signed.extend((0..=4).map(|recovery_id| SignedHash { hash, r, s, recovery_id }));
            }
        }
    }
    assert!(signed.len() > 16_384);
    assert_equal(&signed);
    // Each of the reasons occurs.
    let keys = recover_batch(&signed);
    assert!(keys.iter().any(Result::is_ok));
    for error in [RecoverError::OutOfRange, RecoverError::NoKey, RecoverError::InvalidRecoveryId { got: 4 }] {
        assert!(keys.contains(&Err(error)), "{error}");
    }
}

/// Numbers of all lengths and those at the edges.
fn any_number() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![
        any::<[u8; 32]>(),
        (any::<[u8; 32]>(), 0..32usize).prop_map(|(mut bytes, zeros)| {
            bytes[..zeros].fill(0);
            bytes
        }),
        (any::<[u8; 32]>(), 0..32usize).prop_map(|(mut bytes, ones)| {
            bytes[..ones].fill(0xff);
            bytes
        }),
        proptest::sample::select(EDGES.map(number).to_vec()),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_gives_what_libsecp256k1_gives(
        signed in proptest::collection::vec((any_number(), any_number(), any_number(), 0..=4u8), 0..70)
    ) {
        let signed: Vec<_> =
            signed.into_iter().map(|(hash, r, s, recovery_id)| SignedHash { hash, r, s, recovery_id }).collect();
        assert_equal(&signed);
    }
}

#[test]
fn points_near_the_generator_give_what_libsecp256k1_gives() {
    let edges = ["0", "1", "2", "3", "5", HALF, ORDER_LESS_ONE, ORDER, MAX].map(number);
    let mut signed = Vec::new();
    let mut infinities = 0;
    for multiple in 1..=40 {
        let key = SecretKey::from_byte_array(number(&format!("{multiple:x}"))).unwrap();
        let x: [u8; 32] = Point::from_secret_key(SECP256K1, &key).serialize()[1..].try_into().unwrap();
        for recovery_id in 0..2 {
            for s in edges {
                signed.extend(edges.map(|hash| SignedHash { hash, r: x, s, recovery_id }));
                // s R = z G: the key would be infinity.
                if let Ok(product) = SecretKey::from_byte_array(s)
                    .and_then(|s| s.mul_tweak(&secp256k1::Scalar::from_be_bytes(key.secret_bytes()).unwrap()))
                {
                    let product = if recovery_id == 1 { product.negate() } else { product };
                    signed.push(SignedHash { hash: product.secret_bytes(), r: x, s, recovery_id });
                    signed.push(SignedHash { hash: product.negate().secret_bytes(), r: x, s, recovery_id });
                    infinities += 1;
                }
            }
        }
    }
    assert_equal(&signed);
    let none = recover_batch(&signed).into_iter().filter(|key| *key == Err(RecoverError::NoKey)).count();
    assert!(none >= infinities, "{none} without a key, {infinities} at infinity");
}

#[test]
fn a_batch_without_any_key_is_refused_one_by_one() {
    let bad = SignedHash { hash: [1; 32], r: number("5"), s: [1; 32], recovery_id: 0 };
    assert_eq!(recover_batch(&[bad; 100]), [Err(RecoverError::NoKey); 100]);
    let bad = SignedHash { s: [0; 32], ..bad };
    assert_eq!(recover_batch(&[bad; 100]), [Err(RecoverError::OutOfRange); 100]);
    assert_eq!(recover_addresses(&[bad; 3]), [Err(RecoverError::OutOfRange); 3]);
}

#[test]
fn all_instruction_sets_give_the_same_answers() {
    let mut random = Random(4);
    let signed: Vec<_> = (0..100).map(|_| random.either()).collect();
    let expected: Vec<_> = signed.iter().map(single::recover).collect();
    for simd in Simd::ALL {
        assert_eq!(recover_batch_with(simd, &signed), expected, "{simd:?}");
    }
}

#[test]
fn addresses_are_the_hashes_of_the_keys() {
    let mut random = Random(3);
    let signed: Vec<_> = (0..100).map(|i| if i % 5 == 0 { random.numbers() } else { random.signature() }).collect();
    let expected: Vec<_> = recover_batch(&signed)
        .into_iter()
        .map(|key| key.map(|key| Address::from_word(alloy_primitives::keccak256(key.0))))
        .collect();
    assert_eq!(recover_addresses(&signed), expected);
    // The key 1, whose address everybody knows.
    let key = SecretKey::from_byte_array(number("1")).unwrap();
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest([7; 32]), &key).serialize_compact();
    let signed = SignedHash {
        hash: [7; 32],
        r: bytes[..32].try_into().unwrap(),
        s: bytes[32..].try_into().unwrap(),
        recovery_id: i32::from(id) as u8,
    };
    let address = alloy_primitives::address!("7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    assert_eq!(recover_addresses(&[signed; 9]), [Ok(address); 9]);
}
