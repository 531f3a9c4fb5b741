//! Keystores of version 3, as geth and every wallet write them: a key in a file, behind a password.
//!
//! The password becomes a key by scrypt or PBKDF2, half of which checks the password (Keccak-256) and half of which
//! decrypts (AES-128 in counter mode). Nothing secret outlives the call but the key that was asked for; what a file asks
//! for is bounded before any of it is done.

use aes::cipher::{KeyIvInit, StreamCipher};
use serde::Deserialize;
use types::{keccak256, primitives::hex};
use zeroize::Zeroizing;

type Aes128Ctr = ctr::Ctr128BE<aes::Aes128>;

/// Most memory that a file may ask of scrypt: four times what geth's standard takes.
const SCRYPT_BYTES_MAX: u64 = 1 << 30;
/// Most rounds that a file may ask of PBKDF2.
const ROUNDS_MAX: u32 = 10_000_000;

/// Why a keystore does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// It is none.
    #[error("no keystore of version 3: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// It is one, but not with this password.
    #[error("the password is wrong, or the keystore was damaged")]
    Password,
}

fn malformed(reason: impl ToString) -> KeystoreError {
    KeystoreError::Malformed { reason: reason.to_string() }
}

#[derive(Deserialize)]
struct File {
    version: u64,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    ciphertext: String,
    cipherparams: CipherParams,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct KdfParams {
    dklen: usize,
    salt: String,
    #[serde(default)]
    n: u64,
    #[serde(default)]
    r: u32,
    #[serde(default)]
    p: u32,
    #[serde(default)]
    c: u32,
    #[serde(default)]
    prf: String,
}

fn bytes(name: &str, text: &str) -> Result<Vec<u8>, KeystoreError> {
    hex::decode(text).map_err(|error| malformed(format!("{name}: {error}")))
}

impl KdfParams {
    /// What the password becomes.
    fn derive(&self, kdf: &str, password: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let salt = bytes("salt", &self.salt)?;
        let mut derived = Zeroizing::new([0; 32]);
        if self.dklen != derived.len() {
            return Err(malformed(format!("dklen is {}, not 32", self.dklen)));
        }
        match (kdf, &*self.prf) {
            ("scrypt", _) => {
                let memory = self.n.checked_mul(128 * u64::from(self.r)).filter(|bytes| *bytes <= SCRYPT_BYTES_MAX);
                if !self.n.is_power_of_two() || self.p > 16 || memory.is_none() {
                    return Err(malformed(format!("scrypt with n {}, r {}, p {}", self.n, self.r, self.p)));
                }
                let log_n = self.n.trailing_zeros() as u8;
                let params = scrypt::Params::new(log_n, self.r, self.p, 32).map_err(malformed)?;
                scrypt::scrypt(password, &salt, &params, &mut *derived).map_err(malformed)?;
            }
            ("pbkdf2", "hmac-sha256") if (1..=ROUNDS_MAX).contains(&self.c) => {
                pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, &salt, self.c, &mut *derived);
            }
            (kdf, prf) => return Err(malformed(format!("kdf {kdf} {prf}, {} rounds", self.c))),
        }
        Ok(derived)
    }
}

/// The key in a keystore.
pub fn open(json: &[u8], password: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let File { version, crypto } = serde_json::from_slice(json).map_err(malformed)?;
    if version != 3 || crypto.cipher != "aes-128-ctr" {
        return Err(malformed(format!("version {version}, cipher {}", crypto.cipher)));
    }
    let iv: [u8; 16] = bytes("iv", &crypto.cipherparams.iv)?.try_into().map_err(|_| malformed("iv: not 16 bytes"))?;
    let sealed = bytes("ciphertext", &crypto.ciphertext)?;
    let mut key: Zeroizing<[u8; 32]> =
        Zeroizing::new(sealed.as_slice().try_into().map_err(|_| malformed("ciphertext: not 32 bytes"))?);
    let mac = bytes("mac", &crypto.mac)?;
    let derived = crypto.kdfparams.derive(&crypto.kdf, password)?;
    let check = keccak256([&derived[16..], &sealed].concat());
    if mac != check.as_slice() {
        return Err(KeystoreError::Password);
    }
    Aes128Ctr::new(derived[..16].into(), &iv.into()).apply_keystream(&mut *key);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // From the Web3 secret storage definition. Its vector for scrypt has parameters that RFC 7914 forbids (n ≥ 2^16r).
    const PASSWORD: &[u8] = b"testpassword";
    const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
    const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2",
        "kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256",
        "salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
        "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
        "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
    // As eth-account writes it.
    const SCRYPT: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"aa1435550ed8453f019a3fed1eba952d"},
        "ciphertext":"2e02889beae0d88968f717b21f06151855bf787fd24b5dc8a85dd8f6d25e7314","kdf":"scrypt",
        "kdfparams":{"dklen":32,"n":4096,"p":1,"r":8,"salt":"7a7c245726b060f2698a66df30989bbe"},
        "mac":"599003665ed58f9b532e4467d1266b78439c81ee02f90af7a14e30a5e6eceaa6"},"version":3}"#;

    #[test]
    fn the_published_keystores_open_with_their_password_only() {
        for json in [PBKDF2, SCRYPT] {
            assert_eq!(hex::encode(*open(json.as_bytes(), PASSWORD).unwrap()), SECRET);
        }
        assert_eq!(open(PBKDF2.as_bytes(), b"testpasswore"), Err(KeystoreError::Password));
        let damaged = PBKDF2.replace("5318b4d5", "5318b4d6");
        assert_eq!(open(damaged.as_bytes(), PASSWORD), Err(KeystoreError::Password));
    }

    #[test]
    fn what_a_file_asks_for_is_bounded_before_it_is_done() {
        for (from, to) in [
            (r#""n":4096"#, r#""n":1073741824"#),
            (r#""n":4096"#, r#""n":262143"#),
            (r#""p":1"#, r#""p":99"#),
            (r#""dklen":32"#, r#""dklen":3200"#),
            (r#""version":3"#, r#""version":1"#),
            ("aes-128-ctr", "aes-256-ctr"),
            (r#""iv":"aa"#, r#""iv":""#),
        ] {
            let wrong = open(SCRYPT.replace(from, to).as_bytes(), PASSWORD);
            assert!(matches!(wrong, Err(KeystoreError::Malformed { .. })), "{to}");
        }
        let endless = PBKDF2.replace("262144", "4000000000");
        assert!(matches!(open(endless.as_bytes(), PASSWORD), Err(KeystoreError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&bytes, b"").is_err());
        }
    }
}
