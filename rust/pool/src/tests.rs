use types::{Account, Address, B256, Key, Recovered, Transaction, TxKind, U256, tx::TxEip1559};

use super::*;

pub(crate) fn key(index: u8) -> Key {
    Key::from_bytes(&B256::with_last_byte(index + 1)).unwrap()
}

/// A transfer of 1 wei with this tip, and ten wei more of fee cap.
pub(crate) fn transfer(sender: u8, nonce: u64, tip: u128) -> Recovered {
    let key = key(sender);
    let unsigned = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: tip + 10,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::repeat_byte(9)),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    Recovered::new(Transaction::sign(unsigned, &key), key.address())
}

pub(crate) fn pooled(sender: u8, nonce: u64, tip: u128) -> Pooled {
    Pooled::new(transfer(sender, nonce, tip), Class::Transfer, false, 0)
}

pub(crate) fn account(nonce: u64) -> Account {
    Account { nonce, ..Account::with_balance(U256::from(10u64.pow(18))) }
}

/// A block without end.
pub(crate) const ROOM: Room =
    Room { base_fee: 0, blob_base_fee: 0, gas: u64::MAX, blobs: 0, size_bytes: usize::MAX, transactions: usize::MAX };

fn order(pool: &mut Pool, base_fee: u64) -> Vec<(Address, u64)> {
    let schedule = pool.schedule(&Room { base_fee, ..ROOM }, &Tried::default());
    schedule.transactions.iter().map(|pooled| (pooled.sender(), pooled.nonce)).collect()
}

#[test]
fn best_tip_first_and_nonces_in_order() {
    let mut pool = Pool::default();
    for (sender, nonce, tip) in [(0, 1, 90), (0, 0, 10), (1, 0, 50), (2, 0, 50)] {
        pool.admit(pooled(sender, nonce, tip), &account(0)).unwrap();
    }
    let (a, b, c) = (key(0).address(), key(1).address(), key(2).address());
    assert_eq!(order(&mut pool, 0), [(b, 0), (c, 0), (a, 0), (a, 1)]);
    // At a base fee of 21 the first of `a` cannot pay, and so the second cannot come.
    assert_eq!(order(&mut pool, 21), [(b, 0), (c, 0)]);
    assert_eq!(order(&mut pool, 61), []);
}

#[test]
fn what_stands_behind_a_gap_waits_until_it_is_filled() {
    let mut pool = Pool::default();
    assert!(!pool.admit(pooled(0, 2, 5), &account(0)).unwrap().pending);
    assert!(pool.admit(pooled(0, 0, 5), &account(0)).unwrap().pending);
    let sender = key(0).address();
    assert_eq!((pool.pending(&sender).count(), pool.queued(&sender).count()), (1, 1));
    assert_eq!(pool.next_nonce(&sender), Some(1));
    assert!(pool.admit(pooled(0, 1, 5), &account(0)).unwrap().pending);
    assert_eq!((pool.pending(&sender).count(), pool.queued(&sender).count()), (3, 0));
}

#[test]
fn a_replacement_pays_a_tenth_more_of_both_fees_and_not_a_wei_less() {
    let mut pool = Pool::default();
    let first = pool.admit(pooled(0, 0, 100), &account(0)).unwrap();
    let error = pool.admit(pooled(0, 0, 109), &account(0)).unwrap_err();
    assert_eq!(error, PoolError::ReplacementUnderpriced { required: 121, actual: 119 });
    let second = pool.admit(pooled(0, 0, 111), &account(0)).unwrap();
    assert_eq!(second.replaced, Some(first.hash));
    assert_eq!(pool.len(), 1);
    assert!(pool.get(&first.hash).is_none());
}

#[test]
fn refusals_have_their_numbers_and_change_nothing() {
    let limits = Limits { transactions: 2, per_sender: 2, ..Limits::default() };
    let mut pool = Pool::new(Settings { limits, ..Settings::default() });
    let known = pool.admit(pooled(0, 0, 50), &account(0)).unwrap().hash;
    pool.admit(pooled(1, 0, 60), &account(0)).unwrap();
    let before = (pool.len(), pool.size_bytes(), order(&mut pool, 0));
    let poor = Account::with_balance(U256::from(20));
    let cases = [
        (pooled(0, 0, 50), account(0), PoolError::AlreadyKnown(known)),
        (pooled(2, 3, 50), account(4), PoolError::NonceTooLow { expected: 4, actual: 3 }),
        (pooled(2, 0, 50), account(0), PoolError::Full { tip: 50, transactions: 2 }),
        (
            pooled(2, 0, 0),
            poor,
            PoolError::InsufficientFunds { required: U256::from(210_001), available: U256::from(20) },
        ),
    ];
    for (transaction, account, expected) in cases {
        assert_eq!(pool.admit(transaction, &account), Err(expected));
        assert_eq!((pool.len(), pool.size_bytes(), order(&mut pool, 0)), before);
    }
    // One that pays more than the least drives it out.
    let admitted = pool.admit(pooled(2, 0, 51), &account(0)).unwrap();
    assert_eq!(admitted.evicted, [known]);
    assert_eq!(pool.len(), 2);
}

#[test]
fn settling_drops_what_the_nonce_has_passed() {
    let mut pool = Pool::default();
    let hashes: Vec<_> = (0..3).map(|nonce| pool.admit(pooled(0, nonce, 5), &account(0)).unwrap().hash).collect();
    let sender = key(0).address();
    pool.settle(&sender, &account(2));
    assert_eq!(order(&mut pool, 0), [(sender, 2)]);
    assert!(pool.remove(&hashes[0], DropReason::Asked).is_none());
    assert!(pool.remove(&hashes[2], DropReason::Asked).is_some());
    assert!(pool.is_empty());
    assert_eq!(pool.size_bytes(), 0);
}
