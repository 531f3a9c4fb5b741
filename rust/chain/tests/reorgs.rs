//! A losing branch leaves nothing behind: a chain that saw it is the chain that never did.

use std::{collections::BTreeMap, sync::Arc};

use evm::{ChainSpec, Fork};
use execlayer_chain::{
    BlockRef, Chain, ChainError, Genesis, GenesisAccount, Imported, MineOptions, Options, StoredBlock, Submission,
    View, check_state, dev_key,
};
use proptest::{collection::vec, prelude::*};
use state::Ledger;
use store::{Family, Store};
use types::{Address, Block, Bytes, Transaction, TxKind, U256, tx::TxEip1559};

const CHAIN_ID: u64 = 7;

/// Accounts that send.
const SENDERS: usize = 3;

/// Writes the value that it is sent, without its last two bits, into the slot that these two bits name.
const WRITER: Address = Address::repeat_byte(0xcc);
const WRITER_CODE: [u8; 10] = [0x34, 0x60, 2, 0x1c, 0x60, 3, 0x34, 0x16, 0x55, 0x00];

/// Who sends, to which of [`targets`], and how many wei.
type Transfer = (usize, usize, u64);
type Branch = Vec<Vec<Transfer>>;

/// Two branches on the same block, and the order in which they arrive: true where the next block is the winner's.
#[derive(Clone, Debug)]
struct Round {
    loser: Branch,
    winner: Branch,
    order: Vec<bool>,
}

/// Senders, accounts that are not there at first, one that has code.
fn targets() -> Vec<Address> {
    let senders = (0..SENDERS).map(|sender| dev_key(sender).address());
    senders.chain([Address::repeat_byte(0xb0), Address::repeat_byte(0xb1), WRITER]).collect()
}

fn round() -> impl Strategy<Value = Round> {
    let block = || vec((0..SENDERS, 0..SENDERS + 3, 0..12u64), 0..4);
    (1..4usize, 1..3usize).prop_flat_map(move |(losing, more)| {
        let order = vec(any::<bool>(), losing + losing + more);
        (vec(block(), losing), vec(block(), losing + more), order).prop_map(|(loser, winner, order)| Round {
            loser,
            winner,
            order,
        })
    })
}

/// A chain, and the store below it.
fn open(fork: Fork) -> (Arc<Chain>, Arc<Store>) {
    let rich = GenesisAccount { balance: U256::from(10).pow(U256::from(20)), ..GenesisAccount::default() };
    let writer = GenesisAccount { code: Bytes::from_static(&WRITER_CODE), ..GenesisAccount::default() };
    let senders = (0..SENDERS).map(|sender| (dev_key(sender).address(), rich.clone()));
    let alloc: BTreeMap<_, _> = senders.chain([(WRITER, writer)]).collect();
    let genesis = Genesis::new(ChainSpec::at(CHAIN_ID, fork), 30_000_000, alloc);
    let store = Arc::new(Store::memory());
    (Chain::open(store.clone(), genesis, Options::default()).unwrap(), store)
}

/// The transfers as transactions, each sender's in the order of `nonces`, which go on.
fn sign(transfers: &[Transfer], nonces: &mut [u64; SENDERS]) -> Vec<Submission> {
    let signed = transfers.iter().map(|(sender, target, value)| {
        let unsigned = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: nonces[*sender],
            gas_limit: 80_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(targets()[*target]),
            value: U256::from(*value),
            ..TxEip1559::default()
        };
        nonces[*sender] += 1;
        Submission::from(Transaction::sign(unsigned, &dev_key(*sender)).to_bytes())
    });
    signed.collect()
}

/// Mines a branch on top of a block; `salt` tells its blocks from those of another with the same transfers.
fn mine(maker: &Chain, on: BlockRef, branch: &Branch, mut nonces: [u64; SENDERS], salt: u8) -> Vec<Arc<StoredBlock>> {
    let mut parent = on;
    let mined = branch.iter().map(|transfers| {
        let number = maker.header(parent).unwrap().number + 1;
        let beneficiary = Address::repeat_byte(salt);
        let options = MineOptions { parent, beneficiary, ..MineOptions::at(number * 12) };
        let block = maker.mine_batch(sign(transfers, &mut nonces), options).unwrap().block;
        parent = block.id.into();
        block
    });
    mined.collect()
}

fn import(chain: &Chain, block: &StoredBlock) -> Imported {
    chain.import(Block { header: block.header.clone(), body: block.body.clone() }).unwrap()
}

/// Every row of every family.
fn rows(store: &Store) -> Vec<(Family, Bytes, Bytes)> {
    let snapshot = store.kv().snapshot().unwrap();
    let of = |family| snapshot.entries(family).map(move |entry| entry.unwrap()).map(move |(k, v)| (family, k, v));
    Family::ALL.into_iter().flat_map(of).collect()
}

/// Everything that can be asked of the two chains is answered alike.
fn assert_same(seen: &Chain, clean: &Chain) {
    assert_eq!(seen.head().id, clean.head().id);
    let beneficiaries = [Address::repeat_byte(1), Address::repeat_byte(2)];
    for number in 0..=clean.head().id.number {
        assert_eq!(seen.block(number.into()).unwrap(), clean.block(number.into()).unwrap());
        assert_eq!(seen.lattice(number.into()).unwrap(), clean.lattice(number.into()).unwrap());
        let (one, other) = (seen.at(number.into()).unwrap(), clean.at(number.into()).unwrap());
        for address in targets().iter().chain(&beneficiaries) {
            assert_eq!(one.account(address).unwrap(), other.account(address).unwrap(), "{address} at {number}");
        }
        for slot in (0..4).map(U256::from) {
            assert_eq!(one.storage(&WRITER, &slot).unwrap(), other.storage(&WRITER, &slot).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_that_saw_losing_branches_equals_one_that_never_did(
        // By total difficulty, with rewards; and by length.
        fork in prop_oneof![Just(Fork::London), Just(Fork::Cancun)],
        rounds in vec(round(), 1..4),
    ) {
        let ((maker, _), (seen, _), (clean, _)) = (open(fork), open(fork), open(fork));
        let mut nonces = [0; SENDERS];
        for Round { loser, winner, order } in &rounds {
            let fork = BlockRef::from(maker.head().id);
            let losing = mine(&maker, fork, loser, nonces, 1);
            let winning = mine(&maker, fork, winner, nonces, 2);
            for block in &winning {
                prop_assert_eq!(import(&clean, block), Imported::Head { removed: 0 });
            }
            let (mut one, mut other) = (losing.iter(), winning.iter());
            for of_winner in order {
                let (first, second) = if *of_winner { (&mut other, &mut one) } else { (&mut one, &mut other) };
                let block = first.next().or_else(|| second.next()).expect("as many as there are blocks");
                prop_assert_ne!(import(&seen, block), Imported::Known);
            }
            assert_same(&seen, &clean);
            for block in &losing {
                for transaction in &block.body.transactions {
                    let (one, other) = (seen.transaction(&transaction.hash()), clean.transaction(&transaction.hash()));
                    prop_assert_eq!(one.unwrap(), other.unwrap());
                }
            }
            for (sender, ..) in winner.iter().flatten() {
                nonces[*sender] += 1;
            }
        }
        // The same block on both: the roots agree, so the tries do.
        let transfers: Vec<_> = (0..SENDERS + 3).map(|target| (0, target, 9)).collect();
        let ids = [&seen, &clean].map(|chain| mine(chain, BlockRef::Latest, &vec![transfers.clone()], nonces, 3)[0].id);
        prop_assert_eq!(ids[0], ids[1]);
        assert_same(&seen, &clean);
    }
}

/// Blocks of a branch that may lose 100 of them.
fn deep_branch(blocks: std::ops::Range<usize>) -> impl Strategy<Value = Branch> {
    vec(vec((0..SENDERS, 0..SENDERS + 3, 0..12u64), 0..2), blocks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// Once the history window has passed the losing branches, nothing at all is left of them: every row of every
    /// family is the same.
    #[test]
    fn reorgs_up_to_100_deep_leave_no_byte_behind(
        rounds in vec((deep_branch(1..101), deep_branch(1..4)), 1..3),
    ) {
        const WINDOW: u64 = 128;
        let ((maker, _), (seen, seen_store), (clean, clean_store)) =
            (open(Fork::Cancun), open(Fork::Cancun), open(Fork::Cancun));
        let mut nonces = [0; SENDERS];
        for (loser, more) in &rounds {
            let fork = BlockRef::from(maker.head().id);
            let losing = mine(&maker, fork, loser, nonces, 1);
            let winner: Branch = loser.iter().rev().chain(more).cloned().collect();
            let winning = mine(&maker, fork, &winner, nonces, 2);
            for block in &losing {
                prop_assert_eq!(import(&seen, block), Imported::Head { removed: 0 });
            }
            for (block, place) in winning.iter().zip(1..) {
                let expected = match place {
                    place if place <= losing.len() => Imported::Side,
                    place if place == losing.len() + 1 => Imported::Head { removed: losing.len() },
                    _ => Imported::Head { removed: 0 },
                };
                prop_assert_eq!(import(&seen, block), expected);
                prop_assert_eq!(import(&clean, block), Imported::Head { removed: 0 });
            }
            prop_assert_eq!(seen.head().id, clean.head().id);
            let told = seen_store.notifications(losing[0].id.number, 10_000).unwrap();
            let reverted = told.iter().filter(|told| told.is_reverted).count();
            prop_assert_eq!((told.len(), reverted), (winning.len() + 2 * losing.len(), losing.len()));
            for (sender, ..) in winner.iter().flatten() {
                nonces[*sender] += 1;
            }
        }
        let rest: Branch = (0..=WINDOW).map(|_| Vec::new()).collect();
        for block in mine(&maker, BlockRef::Latest, &rest, nonces, 3) {
            import(&seen, &block);
            import(&clean, &block);
        }
        prop_assert!(rows(&seen_store) == rows(&clean_store));
        prop_assert_eq!(seen_store.check().unwrap().faults, []);
        prop_assert_eq!(check_state(&*seen_store).unwrap().faults, []);
    }
}

#[test]
fn whoever_is_told_the_head_goes_there_whichever_branch_is_the_better_one() {
    let ((chain, store), (maker, _)) = (open(Fork::Cancun), open(Fork::Cancun));
    let branch = |count| -> Branch { (0..count).map(|value| vec![(0, 3, value)]).collect() };
    let long = mine(&maker, BlockRef::Earliest, &branch(5), [0; SENDERS], 1);
    let short = mine(&maker, BlockRef::Earliest, &branch(2), [0; SENDERS], 2);
    for block in long.iter().chain(&short) {
        import(&chain, block);
    }
    assert_eq!(chain.head().id, long[4].id);
    let balance = |of: u8| chain.at(BlockRef::Latest).unwrap().balance(&Address::repeat_byte(of)).unwrap();
    for (head, rewarded, other) in [(&short[1], 2, 1), (&long[2], 1, 2), (&long[4], 1, 2), (&short[0], 2, 1)] {
        assert_eq!(chain.set_head(head.id.into()).unwrap().id, head.id);
        assert_eq!(chain.set_head(head.id.into()).unwrap().id, head.id);
        assert_eq!(chain.block(BlockRef::Latest).unwrap(), *head);
        assert_eq!((balance(rewarded) > U256::ZERO, balance(other)), (true, U256::ZERO));
        assert_eq!(check_state(&*store).unwrap().faults, []);
    }
    let unknown = BlockRef::from(types::B256::repeat_byte(9));
    assert_eq!(chain.set_head(unknown).err(), Some(ChainError::UnknownBlock(unknown)));
    assert_eq!(chain.head().id, short[0].id);
}
