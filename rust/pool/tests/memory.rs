//! What the pool takes from the allocator: never more than it was allowed, and nothing for each transaction of a block.

#![expect(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use execlayer_pool::{Class, Inclusion, Limits, NewHead, Pool, PoolError, Pooled, Room, Settings, Tried};
use types::{Account, Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, tx::TxEip1559};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn pooled(sender: u64, nonce: u64, tip: u128, data: usize) -> Pooled {
    let unsigned = TxEip1559 {
        chain_id: sender,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: tip + 10,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::repeat_byte(9)),
        input: Bytes::from(vec![1; data]),
        ..TxEip1559::default()
    };
    let transaction = Transaction::from_parts(unsigned, Signature::test_signature());
    let sender = Address::from_word(U256::from(sender + 1).into());
    Pooled::new(Recovered::new(transaction, sender), Class::Transfer, false, 0)
}

fn rich(nonce: u64) -> Account {
    Account { nonce, ..Account::with_balance(U256::MAX) }
}

fn room(transactions: usize) -> Room {
    Room { base_fee: 5, blob_base_fee: 0, gas: u64::MAX, blobs: 0, size_bytes: usize::MAX, transactions }
}

/// One after the other: both tests read the same counters.
#[test]
fn memory_stays_within_its_bounds() {
    under_attack();
    steady();
}

/// Junk of every kind, far more than there is room for, between good transactions.
fn under_attack() {
    const MAX: usize = 16 << 20;
    let before = LIVE.load(Relaxed);
    let limits = Limits { memory_bytes: MAX, transactions: usize::MAX, per_sender: 2_000, ..Limits::default() };
    let mut pool = Pool::new(Settings { limits, ..Settings::default() });
    let mut good = Vec::with_capacity(600);
    let empty = LIVE.load(Relaxed);
    pool.advance(NewHead { base_fee: 5, gas_limit: 30_000_000, ..NewHead::default() }, &[], std::iter::empty());
    let mut refused = 0;
    for at in 0..60_000 {
        let junk = match at % 4 {
            // One sender; many senders with dust; behind gaps with high fees; long data.
            0 => pooled(1, at / 4, 1, 0),
            1 => pooled(10 + at, 0, 0, 0),
            2 => pooled(1_000_000 + at, 5, 1_000_000, 0),
            _ => pooled(2_000_000 + at, 0, 2, 20_000),
        };
        match pool.admit(junk, &rich(0)) {
            Ok(_) => {}
            Err(PoolError::Full { .. } | PoolError::SenderFull { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        if at % 100 == 0 {
            let (sender, nonce) = (5_000_000 + at / 100 % 20, at / 2_000);
            good.push(pool.admit(pooled(sender, nonce, 50, 0), &rich(0)).expect("a good one is served").hash);
        }
        pool.take_events().for_each(drop);
        let taken = LIVE.load(Relaxed) - empty;
        assert!(taken <= MAX, "{taken} bytes for {} transactions, {:?}", pool.len(), pool.state(0));
        assert!(pool.state(0).memory_bytes <= MAX);
    }
    assert!(refused > 1_000 && pool.len() > 1_000, "{refused} {}", pool.len());
    let block = pool.schedule(&room(good.len()), &Tried::default()).transactions;
    assert!(good.iter().all(|hash| block.iter().any(|one| one.hash == *hash)), "all the good ones go first");
    drop((pool, block, good));
    assert!(LIVE.load(Relaxed) <= before + 4_096);
}

/// Blocks of a thousand and of two thousand transactions take the same number of allocations.
fn steady() {
    let mut pool = Pool::default();
    let allocations = |work: &mut dyn FnMut()| {
        let before = COUNT.load(Relaxed);
        work();
        COUNT.load(Relaxed) - before
    };
    let mut counts = Vec::new();
    for (round, size) in [2_000u64, 2_000, 1_000, 2_000].into_iter().enumerate() {
        for sender in 0..size {
            pool.admit(pooled(sender, round as u64, u128::from(sender), 0), &rich(round as u64)).unwrap();
        }
        pool.take_events().for_each(drop);
        let mut scheduled = Vec::new();
        let scheduling =
            allocations(&mut || scheduled = pool.schedule(&room(usize::MAX), &Tried::default()).transactions);
        assert_eq!(scheduled.len() as u64, size);
        let included: Vec<_> = scheduled
            .iter()
            .map(|one| Inclusion { hash: one.hash, tip: one.tip, gas_used: 21_000, success: true })
            .collect();
        let touched: Vec<_> = scheduled.iter().map(|one| (one.sender(), rich(one.nonce + 1))).collect();
        let head = NewHead { height: round as u64 + 1, base_fee: 5, ..NewHead::default() };
        let advancing = allocations(&mut || pool.advance(head, &included, touched.iter().copied()));
        assert!(pool.is_empty());
        pool.take_events().for_each(drop);
        // A sender that sends only every other time is settled by hand.
        counts.push((scheduling, advancing));
    }
    // The first two rounds take what there is to take: memory for heaps, histories, the cache.
    assert!(counts[2].0 <= 4 && counts[3].0 <= 4, "{counts:?}");
    assert!(counts[3].1 <= 32, "{counts:?}");
}
