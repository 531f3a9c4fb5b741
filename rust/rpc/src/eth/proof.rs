//! `eth_getProof`: an account and slots of it, each with the nodes that prove it under the block's state root (EIP-1186).

use chain::{
    ProvenAccount,
    types::{Address, B256, EMPTY_ROOT, LeafAccount, U256},
};

use crate::{
    Context,
    arguments::{Argument, At, SlotKey},
    error::RpcError,
    json::{Fields, Object, ToJson},
};

/// Slots of one request, as geth allows.
const SLOTS_MAX: usize = 1024;

/// A slot in the form in which it was asked for: clients compare it with what they sent.
pub(super) struct Slot {
    key: U256,
    /// As 32 bytes, not as a quantity.
    whole: bool,
}

impl Argument for Slot {
    fn read(json: &str) -> Result<Self, String> {
        const WHOLE: usize = "\"0x\"".len() + 64;
        Ok(Self { key: SlotKey::read(json)?.0, whole: json.len() == WHOLE })
    }
}

pub(super) struct Proof {
    address: Address,
    slots: Vec<Slot>,
    proven: ProvenAccount,
}

impl ToJson for Proof {
    fn write(&self, out: &mut Vec<u8>) {
        let ProvenAccount { account, slots, .. } = &self.proven;
        // An account that is not there is one that holds nothing.
        let leaf = account.account.unwrap_or_else(|| LeafAccount::new(&Default::default(), EMPTY_ROOT));
        let storage: Vec<_> = self
            .slots
            .iter()
            .zip(slots)
            .map(|(asked, (_, proof))| {
                Fields(move |object: &mut Object<'_>| {
                    match asked.whole {
                        true => object.field("key", &B256::from(asked.key)),
                        false => object.field("key", &asked.key),
                    };
                    object.field("value", &proof.value).field("proof", &proof.nodes);
                })
            })
            .collect();
        Fields(|object: &mut Object<'_>| {
            object
                .field("address", &self.address)
                .field("accountProof", &account.nodes)
                .field("balance", &leaf.balance)
                .field("codeHash", &leaf.code_hash)
                .field("nonce", &leaf.nonce)
                .field("storageHash", &leaf.storage_root)
                .field("storageProof", &storage);
        })
        .write(out);
    }
}

pub(super) fn proof(context: &Context<'_>, (address, slots, at): (Address, Vec<Slot>, At)) -> Result<Proof, RpcError> {
    if slots.len() > SLOTS_MAX {
        return Err(RpcError::invalid_params(format!("too many keys (got {}, at most {SLOTS_MAX})", slots.len())));
    }
    let keys: Vec<_> = slots.iter().map(|slot| slot.key).collect();
    let proven = context.chain().prove(&address, &keys, context.checked(at)?)?;
    Ok(Proof { address, slots, proven })
}
