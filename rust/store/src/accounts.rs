//! The state at the head: accounts and slots flat, trie nodes by their place, and the way back from each block.

use state::{AccountDiff, NodeKey, ReverseDiff, SlotDiff, StateDiff};
use types::{Account, Address, Bytes, EMPTY_CODE_HASH, U256};

use crate::encoding::{DecodeError, Input, decode, owned, put_bytes, put_count, put_number, put_shortest, shortest};

/// Two lengths, nonce, balance, hash of the code.
const ACCOUNT_BYTES_MAX: usize = 2 + 8 + 32 + 32;

/// Set in an account's first byte where it has code.
const HAS_CODE: u8 = 0x40;

/// Writes an account: lengths first, then nonce and balance in their shortest form, then the code's hash if it has
/// code. A plain account takes a dozen bytes instead of 72.
pub(crate) fn put_account(out: &mut Vec<u8>, account: &Account) {
    let nonce = U256::from(account.nonce);
    let code = if account.has_code() { HAS_CODE } else { 0 };
    out.push(account.balance.byte_len() as u8 | code);
    out.push(nonce.byte_len() as u8);
    put_shortest(out, &nonce);
    put_shortest(out, &account.balance);
    if account.has_code() {
        out.extend_from_slice(account.code_hash.as_slice());
    }
}

pub(crate) fn encode_account(account: &Account) -> Bytes {
    let mut out = Vec::with_capacity(ACCOUNT_BYTES_MAX);
    put_account(&mut out, account);
    // As long as it is: what is kept with room to spare takes another allocation for its length.
    Bytes::copy_from_slice(&out)
}

pub(crate) fn take_account(input: &mut Input<'_>) -> Result<Account, DecodeError> {
    let first = input.byte()?;
    let balance_length = usize::from(first & !HAS_CODE);
    let nonce_length = usize::from(input.byte()?);
    let nonce = shortest(input.take(nonce_length)?)?;
    let nonce = u64::try_from(nonce).map_err(|_| DecodeError::NotShortest)?;
    let balance = shortest(input.take(balance_length)?)?;
    let code_hash = if first & HAS_CODE == 0 { EMPTY_CODE_HASH } else { input.hash()? };
    if first & HAS_CODE != 0 && code_hash == EMPTY_CODE_HASH {
        return Err(DecodeError::NotShortest);
    }
    Ok(Account { nonce, balance, code_hash })
}

pub(crate) fn decode_account(bytes: &[u8]) -> Result<Account, DecodeError> {
    decode(bytes, take_account)
}

/// Address, then slot: one account's slots lie together, ascending.
pub(crate) fn slot_key(address: &Address, slot: &U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

/// The slot of a key that [`slot_key`] made.
pub(crate) fn slot_of(key: &[u8]) -> Result<U256, DecodeError> {
    decode(key, |input| {
        input.take(20)?;
        Ok(U256::from_be_bytes(input.array::<32>()?))
    })
}

pub(crate) fn encode_slot(value: &U256) -> Bytes {
    let mut out = Vec::with_capacity(32);
    put_shortest(&mut out, value);
    Bytes::copy_from_slice(&out)
}

/// A slot that holds zero is not there, so no bytes are no value.
pub(crate) fn decode_slot(bytes: &[u8]) -> Result<U256, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Short { missing: 1 });
    }
    shortest(bytes)
}

/// Owner (a byte 0 for the state trie; a byte 1 and the account's hash for a storage trie), then the path, two nibbles
/// a byte, padded with a zero nibble, then the number of its nibbles. So one trie's nodes lie together and a subtrie's
/// nearly so.
pub(crate) fn node_key(key: &NodeKey) -> Bytes {
    let mut out = Vec::with_capacity(node_key_bytes(key));
    put_node_key(&mut out, key);
    out.into()
}

fn node_key_bytes(key: &NodeKey) -> usize {
    let owner = key.owner.as_ref().map_or(1, |owner| 1 + owner.len());
    owner + key.path.len().div_ceil(2) + 1
}

fn put_node_key(out: &mut Vec<u8>, key: &NodeKey) {
    assert!(key.path.len() <= 64, "a trie's path has at most 64 nibbles");
    match &key.owner {
        None => out.push(0),
        Some(owner) => {
            out.push(1);
            out.extend_from_slice(owner.as_slice());
        }
    }
    for pair in key.path.chunks(2) {
        assert!(pair.iter().all(|nibble| *nibble < 16), "a nibble is below 16");
        out.push(pair[0] << 4 | pair.get(1).copied().unwrap_or_default());
    }
    out.push(key.path.len() as u8);
}

/// The twin of [`node_key`].
pub(crate) fn decode_node_key(bytes: &[u8]) -> Result<NodeKey, DecodeError> {
    decode(bytes, |input| {
        let owner = input.flag("owner of a node")?.then(|| input.hash()).transpose()?;
        let packed = input.0.len().checked_sub(1).ok_or(DecodeError::Short { missing: 1 })?;
        let packed = input.take(packed)?;
        let length = usize::from(input.byte()?);
        if length > 64 || length.div_ceil(2) != packed.len() {
            return Err(DecodeError::Case { field: "length of a path", value: length as u64 });
        }
        let mut path: Vec<u8> = packed.iter().flat_map(|pair| [pair >> 4, pair & 15]).collect();
        if path.len() > length && path.pop() != Some(0) {
            return Err(DecodeError::NotShortest);
        }
        Ok(NodeKey { owner, path })
    })
}

pub(crate) fn encode_reverse(reverse: &ReverseDiff) -> Bytes {
    let node_bytes = |node: &Option<Bytes>| node.as_ref().map_or(0, |node| node.len());
    let nodes = reverse.nodes.iter().map(|(key, node)| 9 + node_key_bytes(key) + node_bytes(node)).sum::<usize>();
    let mut out = Vec::with_capacity(nodes + 64 * reverse.diff.accounts.len());
    put_count(&mut out, reverse.diff.accounts.len());
    for (address, change) in &reverse.diff.accounts {
        out.extend_from_slice(address.as_slice());
        for account in [&change.before, &change.after] {
            out.push(u8::from(account.is_some()));
            if let Some(account) = account {
                put_account(&mut out, account);
            }
        }
        put_count(&mut out, change.slots.len());
        for slot in &change.slots {
            for number in [&slot.key, &slot.before, &slot.after] {
                put_number(&mut out, number);
            }
        }
    }
    put_count(&mut out, reverse.diff.codes.len());
    for (hash, code) in &reverse.diff.codes {
        out.extend_from_slice(hash.as_slice());
        put_bytes(&mut out, code);
    }
    put_count(&mut out, reverse.nodes.len());
    for (key, node) in &reverse.nodes {
        put_count(&mut out, node_key_bytes(key));
        put_node_key(&mut out, key);
        out.push(u8::from(node.is_some()));
        if let Some(node) = node {
            put_bytes(&mut out, node);
        }
    }
    out.into()
}

pub(crate) fn decode_reverse(bytes: &[u8]) -> Result<ReverseDiff, DecodeError> {
    let some_account =
        |input: &mut Input<'_>| input.flag("presence of an account")?.then(|| take_account(input)).transpose();
    decode(bytes, |input| {
        let accounts = input.list(26, |input| {
            let address = input.address()?;
            let (before, after) = (some_account(input)?, some_account(input)?);
            let slots = input.list(3, |input| {
                Ok(SlotDiff { key: input.number()?, before: input.number()?, after: input.number()? })
            })?;
            Ok((address, AccountDiff { before, after, slots }))
        })?;
        let codes = input.list(36, |input| Ok((input.hash()?, owned(input.bytes()?))))?;
        let nodes = input.list(7, |input| {
            let key = decode_node_key(input.bytes()?)?;
            let node = input.flag("presence of a node")?.then(|| input.bytes().map(owned)).transpose()?;
            Ok((key, node))
        })?;
        Ok(ReverseDiff { diff: StateDiff { accounts, codes }, nodes })
    })
}
