//! Who signs: one question, asked with a hash, answered with a signature.
//!
//! The key in memory signs by RFC 6979, so that the same bytes are signed the same way in every replay; the engine's first
//! order of each sender checks that the signature is the sender's. Keys elsewhere are asked outside of the core, and
//! each of their answers is checked by [`completed`].

use std::{collections::BTreeMap, fmt};

use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use types::{Address, B256, Key, Signature, U256, keccak256, keys::HALF_ORDER, keys::InvalidKey, primitives::hex};

use crate::vault::{Place, Vault};

/// The sender's key can't be used now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wallet of {sender} is not accessible: {reason}")]
pub struct WalletInaccessible {
    /// Whose key it is.
    pub sender: Address,
    /// What the signer said.
    pub reason: String,
}

/// Signs hashes for senders.
pub trait Signer: Send {
    /// A signature with low `s` that recovers to `sender`.
    fn sign(&mut self, sender: Address, hash: &B256) -> Result<Signature, WalletInaccessible>;
}

/// Keys in this process's memory, on locked pages that are overwritten when they go. Debug output never shows a secret.
#[derive(Default)]
pub struct MemorySigner {
    keys: BTreeMap<Address, Place>,
    vault: Vault,
}

impl MemorySigner {
    /// Holds no key yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a secret's 32 bytes, big-endian, and says whose it is.
    pub fn add(&mut self, secret: &B256) -> Result<Address, InvalidKey> {
        let mut key = SecretKey::from_byte_array(secret.0).map_err(|_| InvalidKey)?;
        let public = PublicKey::from_secret_key(SECP256K1, &key).serialize_uncompressed();
        key.non_secure_erase();
        let address = Address::from_word(keccak256(&public[1..]));
        let Self { keys, vault } = self;
        keys.entry(address).or_insert_with(|| vault.put(&secret.0));
        Ok(address)
    }

    /// Whose keys it holds.
    pub fn senders(&self) -> impl Iterator<Item = Address> {
        self.keys.keys().copied()
    }

    /// Whether no secret can be written to swap: the system may grant too little locked memory.
    pub fn is_locked(&self) -> bool {
        self.vault.is_locked()
    }
}

impl fmt::Debug for MemorySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

impl Signer for MemorySigner {
    fn sign(&mut self, sender: Address, hash: &B256) -> Result<Signature, WalletInaccessible> {
        let wrong = |reason: &str| WalletInaccessible { sender, reason: reason.to_owned() };
        let place = self.keys.get(&sender).ok_or_else(|| wrong("no such key"))?;
        let mut key = SecretKey::from_byte_array(*self.vault.get(*place)).map_err(|_| wrong("damaged in memory"))?;
        let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &key).serialize_compact();
        key.non_secure_erase();
        Ok(Signature::from_bytes_and_parity(&bytes, i32::from(id) & 1 == 1))
    }
}

/// A signature whose `s` is in the lower half, whoever made it.
pub fn normalised(signature: &Signature) -> Signature {
    if signature.s() <= HALF_ORDER {
        return *signature;
    }
    let order = HALF_ORDER * U256::from(2) + U256::ONE;
    Signature::new(signature.r(), order - signature.s(), !signature.v())
}

/// A whole signature of `r` and `s`, 32 bytes each: `s` is brought low, and of the two keys it may be of the signer's is
/// found. None: it is no signature of this signer. Without a signer any is taken.
pub fn completed(compact: &[u8], hash: &B256, signer: Option<Address>) -> Option<Signature> {
    let compact: &[u8; 64] = compact.try_into().ok()?;
    let low = normalised(&Signature::from_bytes_and_parity(compact, false));
    let both = [false, true].map(|odd| Signature::new(low.r(), low.s(), odd));
    both.into_iter().find(|one| signer.is_none_or(|signer| types::keys::recover(hash, one) == Ok(signer)))
}

/// The header that relays know an engine by: `0xADDRESS:0xSIGNATURE`, the signature being EIP-191's of the lowercase hex
/// text, `0x` included, of the body's Keccak-256.
pub fn relay_signature(identity: &Key, body: &[u8]) -> String {
    let text = format!("{:#x}", keccak256(body));
    let message = [format!("\x19Ethereum Signed Message:\n{}", text.len()).as_bytes(), text.as_bytes()].concat();
    let signature = identity.sign(&keccak256(message));
    let mut bytes = [0; 65];
    bytes[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
    bytes[32..64].copy_from_slice(&signature.s().to_be_bytes::<32>());
    bytes[64] = 27 + u8::from(signature.v());
    format!("{}:{}", identity.address().to_checksum(None), hex::encode_prefixed(bytes))
}

#[cfg(test)]
mod tests {
    use types::keys::recover;

    use super::*;

    #[test]
    fn signs_what_the_plain_key_signs_and_shows_no_secret() {
        let secret = B256::repeat_byte(0x46);
        let mut signer = MemorySigner::new();
        let sender = signer.add(&secret).unwrap();
        let hash = keccak256(b"hash");
        assert_eq!(signer.sign(sender, &hash), Ok(Key::from_bytes(&secret).unwrap().sign(&hash)));
        assert!(signer.sign(Address::ZERO, &hash).is_err());
        assert!(!format!("{signer:?}").contains("4646"));
        assert!(signer.add(&B256::ZERO).is_err());
        assert!(signer.is_locked());
    }

    #[test]
    fn a_high_s_is_brought_low_and_stays_the_senders() {
        let key = Key::from_bytes(&B256::repeat_byte(0x46)).unwrap();
        let hash = keccak256(b"hash");
        let low = key.sign(&hash);
        let order = HALF_ORDER * U256::from(2) + U256::ONE;
        let high = Signature::new(low.r(), order - low.s(), !low.v());
        assert_eq!(normalised(&high), low);
        assert_eq!(recover(&hash, &normalised(&high)), Ok(key.address()));
        assert_eq!(normalised(&low), low);
    }

    #[test]
    fn what_a_module_signs_is_completed_to_the_senders_signature_or_refused() {
        let key = Key::from_bytes(&B256::repeat_byte(0x46)).unwrap();
        let order = HALF_ORDER * U256::from(2) + U256::ONE;
        for text in [b"one".as_slice(), b"another", b"a third", b"and a fourth"] {
            let hash = keccak256(text);
            let low = key.sign(&hash);
            let compact = |s: U256| [low.r().to_be_bytes::<32>(), s.to_be_bytes::<32>()].concat();
            for s in [low.s(), order - low.s()] {
                assert_eq!(completed(&compact(s), &hash, Some(key.address())), Some(low));
                assert_eq!(completed(&compact(s), &keccak256(b"else"), Some(key.address())), None);
                assert_eq!(completed(&compact(s), &hash, Some(Address::ZERO)), None);
            }
            let nothing = [&[0; 64][..], &[0xff; 64], &[], &compact(low.s())[..63]];
            assert!(nothing.iter().all(|bytes| completed(bytes, &hash, Some(key.address())).is_none()));
        }
    }

    #[test]
    fn the_relay_header_signs_the_prefixed_text_of_the_bodys_hash() {
        let key = Key::from_bytes(&B256::repeat_byte(0x46)).unwrap();
        let header = relay_signature(&key, b"{}");
        let (address, signature) = header.split_once(':').unwrap();
        assert_eq!(address, key.address().to_checksum(None));
        let bytes = hex::decode(signature).unwrap();
        let text = hex::encode_prefixed(keccak256(b"{}"));
        assert_eq!(text.len(), 66);
        let signed = keccak256([b"\x19Ethereum Signed Message:\n66".as_slice(), text.as_bytes()].concat());
        let signature = Signature::from_bytes_and_parity(&bytes[..64], bytes[64] == 28);
        assert_eq!(recover(&signed, &signature), Ok(key.address()));
    }
}
