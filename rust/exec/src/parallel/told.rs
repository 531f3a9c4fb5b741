//! Units from what somebody else says that the transactions write: a block access list (EIP-7928).
//!
//! The list says at which transaction each slot, nonce, code and balance changed. Who changes the same thing belongs
//! together; of balances only where the account also pays, for what it merely gets adds up in any order. Who only reads is
//! not told, and found where it clashes. Nothing that the list says is believed beyond that.

use alloy_rlp::Decodable;
use types::eip7928::{AccountChanges, BlockAccessIndex, BlockAccessList};

use super::{meet::Sets, units::Units};

/// The block access list that these bytes of RLP are.
///
/// # Errors
/// Where they are none.
pub fn access_list_of(mut bytes: &[u8]) -> alloy_rlp::Result<BlockAccessList> {
    let list = Vec::decode(&mut bytes)?;
    if bytes.is_empty() { Ok(list) } else { Err(alloy_rlp::Error::UnexpectedLength) }
}

/// The units of so many transactions.
pub(super) fn units(list: &[AccountChanges], transactions: usize) -> Units {
    let sets = Sets::new(transactions);
    // The first number is what happens before the first transaction, and behind the last comes what happens after it.
    let number = |index: BlockAccessIndex| {
        let number = usize::try_from(index.0).ok()?.checked_sub(1)?;
        (number < transactions).then_some(number as u32)
    };
    let join = |indices: &mut dyn Iterator<Item = BlockAccessIndex>| {
        let mut numbers = indices.filter_map(number);
        if let Some(first) = numbers.next() {
            numbers.for_each(|other| sets.join(first, other));
        }
    };
    for account in list {
        for slot in &account.storage_changes {
            join(&mut slot.changes.iter().map(|change| change.block_access_index));
        }
        let nonces = account.nonce_changes.iter().map(|change| change.block_access_index);
        let codes = account.code_changes.iter().map(|change| change.block_access_index);
        let balances = account.balance_changes.iter().map(|change| change.block_access_index);
        let mut own = nonces.chain(codes);
        match pays(account) {
            true => join(&mut own.chain(balances)),
            false => join(&mut own),
        }
    }
    Units::new(&sets)
}

/// Whether the account's balance is more than a sum of what it got: it sends transactions, has new code, or had more.
fn pays(account: &AccountChanges) -> bool {
    !account.nonce_changes.is_empty()
        || !account.code_changes.is_empty()
        || account.balance_changes.windows(2).any(|pair| pair[1].post_balance < pair[0].post_balance)
}
