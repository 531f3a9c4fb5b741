use types::{Account, Address, B256, Key, Recovered, Transaction, TxKind, U256, tx::TxEip1559};

use super::*;

fn key(index: u8) -> Key {
    Key::from_bytes(&B256::with_last_byte(index + 1)).unwrap()
}

/// A transfer of 1 wei with this tip, and ten wei more of fee cap.
fn transfer(sender: u8, nonce: u64, tip: u128) -> Recovered {
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

fn account(nonce: u64) -> Account {
    Account { nonce, ..Account::with_balance(U256::from(10u64.pow(18))) }
}

fn order(pool: &Pool, base_fee: u64) -> Vec<(Address, u64)> {
    pool.best(base_fee).map(|pooled| (pooled.transaction.sender, pooled.transaction.transaction.nonce())).collect()
}

#[test]
fn best_tip_first_and_nonces_in_order() {
    let mut pool = Pool::new(Limits::default());
    for (sender, nonce, tip) in [(0, 1, 90), (0, 0, 10), (1, 0, 50), (2, 0, 50)] {
        pool.admit(transfer(sender, nonce, tip), &account(0)).unwrap();
    }
    let (a, b, c) = (key(0).address(), key(1).address(), key(2).address());
    assert_eq!(order(&pool, 0), [(b, 0), (c, 0), (a, 0), (a, 1)]);
    // At a base fee of 21 the first of `a` cannot pay, and so the second cannot come.
    assert_eq!(order(&pool, 21), [(b, 0), (c, 0)]);
    assert_eq!(order(&pool, 61), []);
}

#[test]
fn what_stands_behind_a_gap_waits_until_it_is_filled() {
    let mut pool = Pool::new(Limits::default());
    assert!(!pool.admit(transfer(0, 2, 5), &account(0)).unwrap().pending);
    assert!(pool.admit(transfer(0, 0, 5), &account(0)).unwrap().pending);
    let sender = key(0).address();
    assert_eq!((pool.pending(&sender).count(), pool.queued(&sender).count()), (1, 1));
    assert_eq!(pool.next_nonce(&sender), Some(1));
    assert!(pool.admit(transfer(0, 1, 5), &account(0)).unwrap().pending);
    assert_eq!((pool.pending(&sender).count(), pool.queued(&sender).count()), (3, 0));
}

#[test]
fn a_replacement_pays_a_tenth_more_of_both_fees_and_not_a_wei_less() {
    let mut pool = Pool::new(Limits::default());
    let first = pool.admit(transfer(0, 0, 100), &account(0)).unwrap();
    let error = pool.admit(transfer(0, 0, 109), &account(0)).unwrap_err();
    assert_eq!(error, PoolError::ReplacementUnderpriced { required: 121, actual: 119 });
    let second = pool.admit(transfer(0, 0, 111), &account(0)).unwrap();
    assert_eq!(second.replaced, Some(first.hash));
    assert_eq!(pool.len(), 1);
    assert!(pool.get(&first.hash).is_none());
}

#[test]
fn refusals_have_their_numbers_and_change_nothing() {
    let limits = Limits { transactions: 2, per_sender: 2, ..Limits::default() };
    let mut pool = Pool::new(limits);
    let known = pool.admit(transfer(0, 0, 50), &account(0)).unwrap().hash;
    pool.admit(transfer(1, 0, 60), &account(0)).unwrap();
    let before = (pool.len(), pool.size_bytes(), order(&pool, 0));
    let poor = Account::with_balance(U256::from(20));
    let cases = [
        (transfer(0, 0, 50), account(0), PoolError::AlreadyKnown(known)),
        (transfer(2, 3, 50), account(4), PoolError::NonceTooLow { expected: 4, actual: 3 }),
        (transfer(2, 0, 50), account(0), PoolError::Full { tip: 50, transactions: 2 }),
        (
            transfer(2, 0, 0),
            poor,
            PoolError::InsufficientFunds { required: U256::from(210_001), available: U256::from(20) },
        ),
    ];
    for (transaction, account, expected) in cases {
        assert_eq!(pool.admit(transaction, &account), Err(expected));
        assert_eq!((pool.len(), pool.size_bytes(), order(&pool, 0)), before);
    }
    // One that pays more than the least drives it out.
    let admitted = pool.admit(transfer(2, 0, 51), &account(0)).unwrap();
    assert_eq!(admitted.evicted, [known]);
    assert_eq!(pool.len(), 2);
}

#[test]
fn settling_drops_what_the_nonce_has_passed() {
    let mut pool = Pool::new(Limits::default());
    let hashes: Vec<_> = (0..3).map(|nonce| pool.admit(transfer(0, nonce, 5), &account(0)).unwrap().hash).collect();
    let sender = key(0).address();
    pool.settle(&sender, 2);
    assert_eq!(order(&pool, 0), [(sender, 2)]);
    assert!(pool.remove(&hashes[0]).is_none());
    assert!(pool.remove(&hashes[2]).is_some());
    assert!(pool.is_empty());
    assert_eq!(pool.size_bytes(), 0);
}
