//! One signature through libsecp256k1: the meaning, to which the batched way must agree.

use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::{PublicKey, RecoverError, SignedHash, range};

/// The key of one signature.
pub(super) fn recover(signed: &SignedHash) -> Result<PublicKey, RecoverError> {
    // libsecp256k1 would take r = 0 and s = 0 until it multiplies, and says less of why it refuses.
    range::x_of(signed)?;
    let mut compact = [0; 64];
    compact[..32].copy_from_slice(&signed.r);
    compact[32..].copy_from_slice(&signed.s);
    let id = RecoveryId::from_u8_masked(signed.recovery_id);
    let signature = RecoverableSignature::from_compact(&compact, id).map_err(|_| RecoverError::OutOfRange)?;
    let message = Message::from_digest(signed.hash);
    let key = SECP256K1.recover_ecdsa(message, &signature).map_err(|_| RecoverError::NoKey)?;
    let mut bytes = [0; 64];
    bytes.copy_from_slice(&key.serialize_uncompressed()[1..]);
    Ok(PublicKey(bytes))
}
