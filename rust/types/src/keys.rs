//! Keys and signatures: sign a hash, recover who signed it, both through libsecp256k1.
//!
//! Recovery here is one at a time and is the meaning; whoever recovers more than a few goes through the batch function
//! of `kernels`, which must agree with this one on every input.

use std::fmt;

use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use secp256k1::{
    Message, PublicKey, SECP256K1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

/// Half of the curve's order: from Homestead on a signature's `s` may not be above it.
pub const HALF_ORDER: U256 = U256::from_be_bytes([
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
]);

/// Why no sender could be recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// `r` or `s` is zero or not below the curve's order.
    #[error("signature value out of range")]
    OutOfRange,
    /// No point of the curve belongs to this signature and hash.
    #[error("signature does not belong to any key")]
    NoKey,
    /// A recovery identifier is 0, 1, 2 or 3.
    #[error("recovery identifier {got} is not in 0..=3")]
    RecoveryId {
        /// The one that came.
        got: u8,
    },
}

/// Thirty-two bytes that are no secret key: zero, or not below the curve's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret key must be above zero and below the order of secp256k1")]
pub struct InvalidKey;

/// A secret key with its address. Debug output never shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    secret: SecretKey,
    address: Address,
}

impl Key {
    /// Takes the secret's 32 bytes, big-endian.
    pub fn from_bytes(secret: &B256) -> Result<Self, InvalidKey> {
        let secret = SecretKey::from_byte_array(secret.0).map_err(|_| InvalidKey)?;
        let address = address_of(&PublicKey::from_secret_key(SECP256K1, &secret));
        Ok(Self { secret, address })
    }

    /// The account that this key signs for.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The secret's 32 bytes.
    pub fn to_bytes(&self) -> B256 {
        B256::new(self.secret.secret_bytes())
    }

    /// Signs a 32-byte hash (RFC 6979: the same key and hash give the same signature, with low `s`).
    pub fn sign(&self, hash: &B256) -> Signature {
        let (id, bytes) =
            SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &self.secret).serialize_compact();
        Signature::from_bytes_and_parity(&bytes, i32::from(id) & 1 == 1)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.address)
    }
}

/// Who signed `hash`. High `s` is accepted here: whether it is allowed depends on the fork.
pub fn recover(hash: &B256, signature: &Signature) -> Result<Address, RecoverError> {
    let id = if signature.v() { RecoveryId::One } else { RecoveryId::Zero };
    let mut compact = [0u8; 64];
    compact[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
    compact[32..].copy_from_slice(&signature.s().to_be_bytes::<32>());
    if signature.r().is_zero() || signature.s().is_zero() {
        return Err(RecoverError::OutOfRange);
    }
    let recoverable = RecoverableSignature::from_compact(&compact, id).map_err(|_| RecoverError::OutOfRange)?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(hash.0), &recoverable).map_err(|_| RecoverError::NoKey)?;
    Ok(address_of(&key))
}

/// The address of a public key: the last 20 bytes of the Keccak-256 of its two coordinates.
fn address_of(key: &PublicKey) -> Address {
    Address::from_word(keccak256(&key.serialize_uncompressed()[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_recovers_itself() {
        let key = Key::from_bytes(&B256::repeat_byte(0x46)).unwrap();
        assert_eq!(key.address(), alloy_primitives::address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"));
        let hash = keccak256(b"message");
        let signature = key.sign(&hash);
        assert_eq!(recover(&hash, &signature), Ok(key.address()));
        assert!(signature.s() <= HALF_ORDER);
        assert_eq!(format!("{key:?}"), format!("Key({})", key.address()));
    }

    #[test]
    fn refuses_values_out_of_range() {
        let hash = B256::repeat_byte(1);
        let order = HALF_ORDER * U256::from(2) + U256::ONE;
        for (r, s) in [(U256::ZERO, U256::ONE), (U256::ONE, U256::ZERO), (order, U256::ONE), (U256::ONE, order)] {
            assert_eq!(recover(&hash, &Signature::new(r, s, false)), Err(RecoverError::OutOfRange));
        }
        assert_eq!(recover(&hash, &Signature::new(U256::from(5), U256::ONE, false)), Err(RecoverError::NoKey));
        assert!(Key::from_bytes(&B256::ZERO).is_err());
        assert!(Key::from_bytes(&B256::repeat_byte(0xff)).is_err());
    }
}
