//! Authentication: HMAC-SHA-256 over the header with its checksum zeroed and all fields before the code.

use std::{collections::BTreeMap, fmt};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{
    Frame, HEADER, WireCode, WireError, field,
    frame::{Field, u32_at},
};

/// A shared secret with its number. Debug output never shows the secret.
#[derive(Clone)]
pub struct AuthKey {
    id: u32,
    // Ready-made for the secret, so that a frame costs no key schedule.
    mac: Hmac<Sha256>,
}

impl AuthKey {
    /// Takes a secret of any length; 32 random bytes are right.
    pub fn new(id: u32, secret: &[u8]) -> Self {
        Self { id, mac: Hmac::new_from_slice(secret).expect("HMAC takes secrets of any length") }
    }

    /// The number that frames name it by.
    pub fn id(&self) -> u32 {
        self.id
    }

    fn mac(&self, header: &[u8], fields: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&header[..36]);
        mac.update(&[0; 4]);
        mac.update(fields);
        mac
    }

    pub(super) fn code(&self, header: &[u8], fields: &[u8]) -> [u8; 32] {
        self.mac(header, fields).finalize().into_bytes().into()
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({})", self.id)
    }
}

/// What a frame says of who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authenticity {
    /// It carries no code.
    Unsigned,
    /// Its code is right for this key.
    Proven(u32),
}

/// The secrets that are known.
#[derive(Clone, Debug, Default)]
pub struct AuthKeys(BTreeMap<u32, AuthKey>);

impl AuthKeys {
    /// Knows these.
    pub fn new(keys: impl IntoIterator<Item = AuthKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.id, key)).collect())
    }

    /// Checks a frame's code in constant time. `required`: a frame without one is refused.
    pub fn check(&self, frame: &Frame<'_>, required: bool) -> Result<Authenticity, WireError> {
        let Some(auth) = frame.fields().last().filter(|last| last.kind == field::AUTH) else {
            return if required {
                Err(WireError::new(WireCode::AuthMissing, frame.bytes().len()))
            } else {
                Ok(Authenticity::Unsigned)
            };
        };
        check_length(&auth)?;
        let id = u32_at(auth.value, 0);
        let key = self.0.get(&id).ok_or(auth.refuse(WireCode::AuthKey, 0))?;
        let bytes = frame.bytes();
        key.mac(&bytes[..HEADER], &bytes[HEADER..auth.offset - 4])
            .verify_slice(&auth.value[4..])
            .map_err(|_| auth.refuse(WireCode::AuthWrong, 4))?;
        Ok(Authenticity::Proven(id))
    }
}

pub(super) fn check_length(auth: &Field<'_>) -> Result<(), WireError> {
    if auth.value.len() == 36 { Ok(()) } else { Err(WireError::new(WireCode::FieldLength, auth.offset - 2)) }
}
