//! Delegations that a transaction brings with it (EIP-7702).

use state::{Overlay, ViewError};
use types::{Bytes, Recovered, SignedAuthorization, U256, keys};

use crate::{
    frame::{delegation, delegation_to},
    spec::Rules,
};

/// Applies each authorization that holds; one that doesn't is passed over, and was paid for nevertheless.
pub(super) fn authorize(rules: &Rules, tx: &Recovered, overlay: &mut Overlay<'_>) -> Result<(), ViewError> {
    for authorization in tx.transaction.authorizations().unwrap_or_default() {
        apply(rules, authorization, overlay)?;
    }
    Ok(())
}

fn apply(rules: &Rules, authorization: &SignedAuthorization, overlay: &mut Overlay<'_>) -> Result<(), ViewError> {
    let chain_id = authorization.chain_id;
    if !chain_id.is_zero() && chain_id != U256::from(rules.chain_id) || authorization.nonce == u64::MAX {
        return Ok(());
    }
    let Ok(signature) = authorization.signature() else {
        return Ok(());
    };
    if signature.s() > keys::HALF_ORDER {
        return Ok(());
    }
    let Ok(authority) = keys::recover(&authorization.signature_hash(), &signature) else {
        return Ok(());
    };
    let authority = overlay.load(&authority)?;
    overlay.warm(authority);
    if overlay.has_code(authority) && delegation(&overlay.code(authority)?).is_none()
        || overlay.nonce(authority) != authorization.nonce
    {
        return Ok(());
    }
    if overlay.exists(authority) {
        overlay.refund(rules.instructions.schedule().authorization_refund as i64);
    }
    let target = authorization.address;
    overlay.set_code(authority, if target.is_zero() { Bytes::new() } else { delegation_to(target) });
    overlay.set_nonce(authority, authorization.nonce + 1);
    Ok(())
}
