//! Recovery in batches against libsecp256k1, called directly: both must say the same of every input.

use execlayer_kernels::recover::{PublicKey, RecoverError, SignedHash, recover_batch};
use secp256k1::{
    Message, SECP256K1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

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
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self) -> [u8; 32] {
        let words = [self.word(), self.word(), self.word(), self.word()];
        words.map(u64::to_be_bytes).concat().try_into().unwrap()
    }

    /// Any numbers: half of them belong to a point.
    fn numbers(&mut self) -> SignedHash {
        SignedHash { hash: self.bytes(), r: self.bytes(), s: self.bytes(), recovery_id: self.word() as u8 & 1 }
    }

    /// A signature that a key made.
    fn signature(&mut self) -> SignedHash {
        let (hash, secret) = (self.bytes(), SecretKey::from_byte_array(self.bytes()).unwrap());
        let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash), &secret).serialize_compact();
        let (r, s) = (bytes[..32].try_into().unwrap(), bytes[32..].try_into().unwrap());
        SignedHash { hash, r, s, recovery_id: i32::from(id) as u8 }
    }
}

#[test]
fn random_signatures_give_what_libsecp256k1_gives() {
    let mut random = Random(1);
    for length in [0, 1, 3, 4, 7, 8, 9, 31, 32, 33, 1024, 1100] {
        let signed: Vec<_> = (0..length).map(|_| random.signature()).collect();
        assert_equal(&signed);
    }
}

#[test]
fn random_numbers_give_what_libsecp256k1_gives() {
    let mut random = Random(2);
    let signed: Vec<_> = (0..1100).map(|_| random.numbers()).collect();
    assert_equal(&signed);
    assert!(recover_batch(&signed).contains(&Err(RecoverError::NoKey)));
}
