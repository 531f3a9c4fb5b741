//! Selection against its plain twin, a full search for the best head at each step; and the pool against a plain model.

use std::collections::{BTreeMap, BTreeSet};

use kernels::score::portable;
use proptest::prelude::*;
use types::{Account, Bytes, Signature, Transaction, TxKind, U256, tx::TxBlob, tx::TxEip1559};

use super::*;
use crate::{
    Change, Class, DropReason, Inclusion, Limits, NewHead, Obstacle, PoolError, Settings, journal::Journal,
    order_by_scores, tests::ROOM,
};

/// What a test says about a transaction.
#[derive(Clone, Copy, Debug)]
struct Spec {
    sender: u8,
    nonce: u64,
    tip: u128,
    cap: u128,
    gas: u64,
    class: Class,
    blobs: usize,
}

fn pooled(spec: Spec) -> Pooled {
    let Spec { sender, nonce, tip, cap, gas, class, blobs } = spec;
    let (to, sender) = (Address::repeat_byte(9), Address::with_last_byte(sender + 1));
    let signature = Signature::test_signature();
    // The sender stands in the data, so that hashes differ.
    let input = Bytes::copy_from_slice(sender.as_slice());
    let transaction = if blobs > 0 {
        let blob_versioned_hashes = vec![types::B256::ZERO; blobs];
        let (max_fee_per_gas, max_priority_fee_per_gas, max_fee_per_blob_gas) = (cap, tip, cap);
        let unsigned = TxBlob {
            nonce,
            gas_limit: gas,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            max_fee_per_blob_gas,
            blob_versioned_hashes,
            to,
            input,
            ..TxBlob::default()
        };
        Transaction::from_parts(unsigned, signature)
    } else {
        let unsigned = TxEip1559 {
            nonce,
            gas_limit: gas,
            max_fee_per_gas: cap,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to),
            input,
            ..TxEip1559::default()
        };
        Transaction::from_parts(unsigned, signature)
    };
    Pooled::new(types::Recovered::new(transaction, sender), class, false, 0)
}

fn rich(nonce: u64) -> Account {
    Account { nonce, ..Account::with_balance(U256::MAX) }
}

/// The best head of all senders, again and again.
fn plain(pool: &Pool, mut room: Room, tried: &Tried) -> Vec<types::B256> {
    let (boosts, weights) = (pool.boosts(), pool.rank_weights());
    let mut next: BTreeMap<Address, usize> = BTreeMap::new();
    for sender in pool.senders() {
        let queue = pool.queue(&sender).unwrap();
        match tried.get(&sender) {
            None => drop(next.insert(sender, 0)),
            Some(None) => {}
            Some(Some(nonce)) if queue.is_ready(*nonce) => drop(next.insert(sender, (nonce - queue.nonce) as usize)),
            Some(Some(_)) => {}
        }
    }
    let mut chosen = Vec::new();
    while room.gas >= GAS_MIN && chosen.len() < room.transactions {
        let heads = next.iter().filter_map(|(sender, place)| {
            let queue = pool.queue(sender).unwrap();
            let item = queue.ready().get(*place)?;
            let tip = item.pooled.effective_tip(room.base_fee)?;
            let boost = boosts[item.class as usize][usize::from(queue.step(item.class))];
            let rank = weights.fee * portable::log2((tip as f64 + 1.0) * (1.0 / (weights.median + 1.0)))
                + weights.boost * portable::log2(boost);
            Some((rank, tip, u64::MAX - item.pooled.arrival, *sender, Arc::clone(&item.pooled)))
        });
        let best =
            heads.max_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)).then(one.2.cmp(&other.2)));
        let Some((_, _, _, sender, pooled)) = best else { break };
        let pays = pooled.blobs == 0 || pooled.blob_fee_cap() >= room.blob_base_fee;
        let fits = pooled.gas_limit <= room.gas
            && u64::from(pooled.blobs) <= room.blobs
            && pooled.size_bytes <= room.size_bytes;
        if pays && fits {
            room.gas -= pooled.gas_limit;
            room.blobs -= u64::from(pooled.blobs);
            room.size_bytes -= pooled.size_bytes;
            *next.get_mut(&sender).unwrap() += 1;
            chosen.push(pooled.hash);
        } else {
            next.remove(&sender);
        }
    }
    chosen
}

fn hashes(schedule: &Schedule) -> Vec<types::B256> {
    schedule.transactions.iter().map(|pooled| pooled.hash).collect()
}

/// Everything that is kept up, against a scan.
fn check(pool: &Pool) {
    let limits = &pool.settings().limits;
    let all: Vec<_> = pool.by_age().cloned().collect();
    let state = pool.state(0);
    assert_eq!((all.len(), state.total), (pool.len(), pool.len()));
    assert!(pool.len() <= limits.transactions && state.memory_bytes <= limits.memory_bytes);
    assert!(all.is_sorted_by_key(|pooled| pooled.arrival));
    assert_eq!(state.memory_bytes, all.iter().map(|pooled| pooled.memory_bytes).sum::<usize>());
    assert_eq!(state.size_bytes, all.iter().map(|pooled| pooled.size_bytes).sum::<usize>());
    assert_eq!(state.gas, all.iter().map(|pooled| pooled.gas_limit).sum::<u64>());
    for class in Class::ALL {
        let count = all.iter().filter(|pooled| pooled.class == class).count();
        assert_eq!(state.classes[class as usize], count);
    }
    let mut pending = 0;
    for sender in pool.senders() {
        let queue = pool.queue(&sender).unwrap();
        assert!(!queue.is_empty());
        assert_eq!(queue.cost, queue.all().map(|item| item.pooled.cost).sum::<U256>());
        let nonces: Vec<_> = pool.pending(&sender).map(|pooled| pooled.nonce).collect();
        assert_eq!(nonces, (queue.nonce..queue.next_nonce()).collect::<Vec<_>>());
        assert!(pool.queued(&sender).all(|pooled| pooled.nonce > queue.next_nonce()));
        pending += nonces.len();
    }
    assert_eq!((state.pending, state.queued), (pending, pool.len() - pending));
    for pooled in &all {
        assert_eq!(pool.get(&pooled.hash).map(|held| held.hash), Some(pooled.hash));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(Spec),
    Drop(prop::sample::Index),
    /// A block of at most so much gas, and the base fee after it; some of its transactions fail.
    Block {
        gas: u64,
        base_fee: u64,
        failing: u8,
    },
    /// So many of a sender's transactions are undone and come back.
    Reorg {
        sender: u8,
        depth: u64,
    },
    /// Another transaction has used a sender's nonce.
    Passed {
        sender: u8,
    },
    Clear,
    /// The process ends, and another one reads the journal.
    Restart,
}

fn spec() -> impl Strategy<Value = Spec> {
    let classes = prop::sample::select(Class::ALL.to_vec());
    let fees = (0u128..60, 0u128..40);
    (0u8..9, 0u64..6, fees, prop::sample::select(vec![21_000u64, 50_000, 400_000]), classes).prop_map(
        |(sender, nonce, (tip, slack), gas, class)| {
            let blobs = if sender == 8 { 2 } else { 0 };
            Spec { sender, nonce, tip, cap: tip + slack, gas, class, blobs }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => spec().prop_map(Step::Add),
        2 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => (21_000u64..900_000, 0u64..50, any::<u8>())
            .prop_map(|(gas, base_fee, failing)| Step::Block { gas, base_fee, failing }),
        1 => (0u8..9, 1u64..4).prop_map(|(sender, depth)| Step::Reorg { sender, depth }),
        1 => (0u8..9).prop_map(|sender| Step::Passed { sender }),
        1 => Just(Step::Restart),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// Random adds, replacements, blocks, reorgs, evictions, restarts: what is kept up is what a scan finds, what waits
    /// is what the model says, and each block is the plain twin's.
    #[test]
    fn a_pool_is_its_plain_model(steps in prop::collection::vec(step(), 1..90), small in any::<bool>()) {
        let limits = Limits {
            transactions: if small { 8 } else { 1_000 },
            per_sender: 5,
            ..Limits::default()
        };
        let settings = Settings { limits, ..Settings::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.journal");
        let (mut journal, _) = Journal::open(&path, types::B256::ZERO).unwrap();
        let mut pool = Pool::new(settings.clone());
        let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
        let mut undone: BTreeMap<Address, Vec<Arc<Pooled>>> = BTreeMap::new();
        let mut waiting: BTreeSet<types::B256> = BTreeSet::new();
        let mut height = 0;
        let mut base_fee = 7;
        let account = |nonces: &BTreeMap<Address, u64>, sender: &Address| rich(nonces.get(sender).copied().unwrap_or(0));
        for step in steps {
            let before: Vec<_> = pool.by_age().map(|pooled| pooled.hash).collect();
            match step {
                Step::Add(spec) => {
                    let new = pooled(spec);
                    let (hash, sender) = (new.hash, new.sender());
                    match pool.admit(new, &account(&nonces, &sender)) {
                        Ok(admitted) => {
                            prop_assert_eq!(admitted.pending, pool.is_pending(&hash));
                            for gone in admitted.evicted.iter().chain(&admitted.replaced) {
                                prop_assert!(pool.get(gone).is_none());
                            }
                        }
                        Err(error) => {
                            let after: Vec<_> = pool.by_age().map(|pooled| pooled.hash).collect();
                            prop_assert_eq!(after, before, "{}", error);
                        }
                    }
                }
                Step::Drop(index) if !before.is_empty() => {
                    prop_assert!(pool.remove(&before[index.index(before.len())], DropReason::Asked).is_some());
                }
                Step::Drop(_) => {}
                Step::Block { gas, base_fee: fee, failing } => {
                    let room = Room { gas, base_fee, blobs: 3, size_bytes: 2_000, transactions: 9, ..ROOM };
                    let expected = plain(&pool, room, &Tried::default());
                    let schedule = pool.schedule(&room, &Tried::default());
                    prop_assert_eq!(&hashes(&schedule), &expected);
                    // The same pool, the same block; a copy too.
                    prop_assert_eq!(&hashes(&pool.schedule(&room, &Tried::default())), &expected);
                    prop_assert_eq!(&hashes(&pool.clone().schedule(&room, &Tried::default())), &expected);
                    prop_assert!(schedule.transactions.iter().map(|pooled| pooled.gas_limit).sum::<u64>() <= gas);
                    // One that asks for the rest after half of it was tried.
                    let mut tried = Tried::default();
                    for (index, pooled) in schedule.transactions.iter().take(expected.len() / 2).enumerate() {
                        let next = (index % 3 > 0).then_some(pooled.nonce + 1);
                        let held = tried.entry(pooled.sender()).or_insert(next);
                        *held = held.and(next);
                    }
                    prop_assert_eq!(hashes(&pool.schedule(&room, &tried)), plain(&pool, room, &tried));
                    let mut included = Vec::new();
                    for (index, pooled) in schedule.transactions.iter().enumerate() {
                        let nonce = nonces.entry(pooled.sender()).or_default();
                        prop_assert_eq!(*nonce, pooled.nonce, "a gap in a block");
                        *nonce += 1;
                        undone.entry(pooled.sender()).or_default().push(Arc::clone(pooled));
                        let success = failing >> (index % 8) & 1 == 0;
                        let tip = pooled.effective_tip(base_fee).unwrap();
                        included.push(Inclusion { hash: pooled.hash, tip, gas_used: 21_000, success });
                    }
                    height += 1;
                    base_fee = fee;
                    let head = NewHead { height, timestamp: 12 * height, gas_limit: 1_000_000, base_fee };
                    let touched: Vec<_> = included
                        .iter()
                        .filter_map(|inclusion| schedule.transactions.iter().find(|one| one.hash == inclusion.hash))
                        .map(|pooled| (pooled.sender(), account(&nonces, &pooled.sender())))
                        .collect();
                    pool.advance(head, &included, touched.into_iter());
                    prop_assert!(expected.iter().all(|hash| pool.get(hash).is_none()));
                }
                Step::Reorg { sender, depth } => {
                    let sender = Address::with_last_byte(sender + 1);
                    let done = undone.entry(sender).or_default();
                    let back = done.split_off(done.len().saturating_sub(depth as usize));
                    if let Some(first) = back.first() {
                        nonces.insert(sender, first.nonce);
                        pool.settle(&sender, &account(&nonces, &sender));
                        for pooled in back {
                            let _ = pool.admit(Arc::unwrap_or_clone(pooled), &account(&nonces, &sender));
                        }
                    }
                }
                Step::Passed { sender } => {
                    let sender = Address::with_last_byte(sender + 1);
                    *nonces.entry(sender).or_default() += 1;
                    undone.remove(&sender);
                    pool.settle(&sender, &account(&nonces, &sender));
                }
                Step::Clear => {
                    pool.clear();
                    prop_assert!(pool.is_empty() && pool.state(0).memory_bytes == 0);
                }
                Step::Restart => {
                    drop(journal);
                    let (again, kept) = Journal::open(&path, types::B256::ZERO).unwrap();
                    journal = again;
                    let kept: BTreeSet<_> = kept.waiting.iter().map(|kept| types::keccak256(&kept.raw)).collect();
                    prop_assert_eq!(&kept, &waiting);
                }
            }
            for event in pool.take_events() {
                journal.note(&event);
                match event.change {
                    Change::Added { .. } => prop_assert!(waiting.insert(event.pooled.hash)),
                    Change::Promoted | Change::Demoted => prop_assert!(waiting.contains(&event.pooled.hash)),
                    _ => prop_assert!(waiting.remove(&event.pooled.hash)),
                }
            }
            journal.flush().unwrap();
            prop_assert_eq!(&pool.by_age().map(|pooled| pooled.hash).collect::<BTreeSet<_>>(), &waiting);
            check(&pool);
        }
    }

    /// Many senders, several blocks to a group, caps that bind some, some that never fit: wave after wave, it is the plain
    /// twin.
    #[test]
    fn a_large_block_is_the_plain_twins(
        seed in any::<u64>(),
        base_fee in 0u64..1_200,
        again in 0u64..1_200,
        transactions in 1usize..400,
    ) {
        let mut pool = Pool::default();
        let mut state = seed;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for sender in 0..240 {
            for nonce in 0..1 + next(12) * u64::from(sender % 7 == 0) {
                let tip = u128::from(next(900));
                let class = Class::ALL[next(3) as usize];
                let cap = tip + u128::from(next(400));
                let gas = if next(5) == 0 { 6_000_000 } else { 21_000 };
                pool.admit(pooled(Spec { sender, nonce, tip, cap, gas, class, blobs: 0 }), &rich(0)).unwrap();
            }
        }
        for fee in [base_fee, again] {
            let room = Room { base_fee: fee, gas: 5_000_000, transactions, ..ROOM };
            let expected = plain(&pool, room, &Tried::default());
            prop_assert_eq!(hashes(&pool.schedule(&room, &Tried::default())), expected);
        }
    }
}

fn one(sender: u8, nonce: u64, tip: u128) -> Spec {
    Spec { sender, nonce, tip, cap: tip + 10, gas: 21_000, class: Class::Transfer, blobs: 0 }
}

#[test]
fn class_priorities_and_learnt_factors_move_ranks() {
    let mut pool = Pool::default();
    pool.admit(pooled(one(0, 0, 100)), &rich(0)).unwrap();
    let system = pool.admit(pooled(Spec { class: Class::System, ..one(1, 0, 30) }), &rich(0)).unwrap().hash;
    let first = |pool: &mut Pool| pool.schedule(&ROOM, &Tried::default()).transactions[0].tip;
    // Four times the priority weighs as much as four times the tip.
    assert_eq!(first(&mut pool), 30);
    for _ in 0..40 {
        pool.record(&system, crate::Ending::Skipped);
    }
    assert_eq!(first(&mut pool), 100);
}

#[test]
fn an_explanation_names_what_keeps_a_transaction_out() {
    let mut pool = Pool::default();
    let room = Room { base_fee: 20, gas: 42_000, ..ROOM };
    let specs = [one(0, 0, 50), one(1, 0, 40), one(2, 0, 15), one(2, 1, 90), one(3, 1, 99), one(4, 0, 3)];
    let added: Vec<_> = specs.map(|spec| pool.admit(pooled(spec), &rich(0)).unwrap().hash).into();
    pool.advance(NewHead { base_fee: 20, gas_limit: 42_000, ..NewHead::default() }, &[], std::iter::empty());
    let told: Vec<_> = added.iter().map(|hash| pool.explain(hash, &room).unwrap()).collect();
    assert_eq!(told.iter().map(|told| told.place).collect::<Vec<_>>(), [Some(0), Some(1), None, None, None, None]);
    assert_eq!(told[0].obstacle, None);
    // It would have to be above the 30 that the cap leaves the second.
    let Some(Obstacle::Tip { required }) = told[2].obstacle else { panic!("{:?}", told[2]) };
    assert!((30..=31).contains(&required), "{required}");
    assert_eq!(told[3].obstacle, Some(Obstacle::Predecessor { hash: added[2] }));
    assert_eq!(told[4].obstacle, Some(Obstacle::Gap { nonce: 0 }));
    assert_eq!(told[5].obstacle, Some(Obstacle::FeeCap { required: 20 }));
    assert_eq!((told[5].tip, told[5].rank), (None, None));
    assert!(pool.explain(&types::B256::ZERO, &room).is_none());
}

#[test]
fn blob_transactions_stand_apart() {
    let mut pool = Pool::default();
    let blob = |sender, nonce, tip| Spec { blobs: 2, ..one(sender, nonce, tip) };
    pool.admit(pooled(blob(0, 0, 90)), &rich(0)).unwrap();
    pool.admit(pooled(blob(1, 0, 80)), &rich(0)).unwrap();
    pool.admit(pooled(one(2, 0, 10)), &rich(0)).unwrap();
    let sender = Address::with_last_byte(1);
    assert_eq!(pool.admit(pooled(one(0, 1, 90)), &rich(0)), Err(PoolError::Reserved { sender, blobs: true }));
    let sender = Address::with_last_byte(3);
    assert_eq!(pool.admit(pooled(blob(2, 1, 90)), &rich(0)), Err(PoolError::Reserved { sender, blobs: false }));
    assert_eq!(pool.admit(pooled(blob(0, 2, 90)), &rich(0)), Err(PoolError::BlobGap { expected: 1, actual: 2 }));
    // Blobs are replaced at twice the fees.
    let error = pool.admit(pooled(blob(0, 0, 179)), &rich(0)).unwrap_err();
    assert_eq!(error, PoolError::ReplacementUnderpriced { required: 200, actual: 189 });
    let tips = |schedule: Schedule| schedule.transactions.iter().map(|pooled| pooled.tip).collect::<Vec<_>>();
    let room = |blobs, blob_base_fee| Room { blobs, blob_base_fee, ..ROOM };
    assert_eq!(tips(pool.schedule(&room(4, 0), &Tried::default())), [90, 80, 10]);
    assert_eq!(tips(pool.schedule(&room(3, 0), &Tried::default())), [90, 10]);
    assert_eq!(tips(pool.schedule(&room(9, 95), &Tried::default())), [90, 10]);
    assert_eq!(tips(pool.schedule(&room(0, 0), &Tried::default())), [10]);
}

#[test]
fn an_own_order_keeps_nonces_and_room() {
    let mut pool = Pool::default();
    for spec in [one(0, 0, 1), one(0, 1, 2), one(1, 0, 3), one(2, 0, 4)] {
        pool.admit(pooled(spec), &rich(0)).unwrap();
    }
    let all: Vec<_> = pool.by_age().cloned().collect();
    let tips = |scores: &[f64], gas| {
        let schedule = order_by_scores(&all, scores, &Room { gas, ..ROOM });
        schedule.transactions.iter().map(|pooled| pooled.tip).collect::<Vec<_>>()
    };
    assert_eq!(tips(&[1.0, 9.0, 2.0, 0.0], u64::MAX), [3, 1, 2, 4]);
    assert_eq!(tips(&[f64::NAN, 9.0, 2.0, 2.0], u64::MAX), [3, 4]);
    assert_eq!(tips(&[1.0, 9.0, 2.0, 0.0], 42_000), [3, 1]);
}

#[test]
fn ranking_is_done_by_vector_code() {
    let mut pool = Pool::default();
    for sender in 0..=254 {
        for nonce in 0..5 {
            pool.admit(pooled(one(sender, nonce, u128::from(sender))), &rich(0)).unwrap();
        }
    }
    assert_eq!(pool.schedule(&ROOM, &Tried::default()).transactions.len(), 1_275);
    let scores = pool.score_stats();
    assert_eq!(scores.ranked, 1_275);
    assert!(scores.utilisation() > 0.7 || Simd::chosen() == Simd::Scalar, "{scores:?}");
}
