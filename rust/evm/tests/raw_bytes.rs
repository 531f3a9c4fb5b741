//! Whatever the bytes are (code, call data, a transaction), execution ends, without a panic, within what its gas pays
//! for.

use execlayer_evm::{
    BlockEnv, ChainSpec, Fork, HaltReason, Tracer,
    trace::Step,
    transact::{TransactError, trace, transact},
};
use proptest::prelude::*;
use state::{MemoryState, Overlay};
use types::{
    AccessList, AccessListItem, Address, Authorization, B256, Bytes, Recovered, Signature, SignedAuthorization,
    Transaction, TxKind, U256,
    tx::{TxBlob, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
};

const SENDER: Address = Address::repeat_byte(0xca);
const CONTRACT: Address = Address::repeat_byte(0xc0);

/// Numbers at the edges of what fits, and others.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX - 1), 0..100_u64, 20_000..1_000_000_u64, any::<u64>()]
}

fn wide() -> impl Strategy<Value = u128> {
    prop_oneof![Just(0), Just(1), Just(u128::MAX), any::<u64>().prop_map(u128::from), any::<u128>()]
}

fn word() -> impl Strategy<Value = U256> {
    prop_oneof![Just(U256::ZERO), Just(U256::MAX), any::<u64>().prop_map(U256::from)]
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        Just(SENDER),
        Just(CONTRACT),
        (0..20_u8).prop_map(Address::with_last_byte),
        any::<[u8; 20]>().prop_map(Address::from),
    ]
}

fn bytes(length: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..length).prop_map(Bytes::from)
}

prop_compose! {
    fn block()(
        number in number(),
        timestamp in number(),
        beneficiary in address(),
        gas_limit in number(),
        base_fee in prop::option::of(number()),
        excess_blob_gas in prop::option::of(number()),
    ) -> BlockEnv {
        BlockEnv { number, timestamp, beneficiary, gas_limit, base_fee, excess_blob_gas, ..BlockEnv::default() }
    }
}

prop_compose! {
    /// A transaction of any kind, with numbers that nobody would choose.
    fn transaction()(
        kind in 0..5_u8,
        (chain_id, nonce, gas_limit) in (prop_oneof![Just(1), number()], prop_oneof![Just(0), number()], number()),
        (price, tip, blob_price) in (wide(), wide(), wide()),
        (to, creates) in (address(), any::<bool>()),
        value in word(),
        input in bytes(200),
        list in prop::collection::vec((address(), prop::collection::vec(any::<[u8; 32]>(), 0..3)), 0..3),
        blobs in prop::collection::vec(any::<[u8; 32]>(), 0..8),
        delegations in prop::collection::vec((word(), address(), number(), 0..3_u8, word(), word()), 0..3),
        (r, s, parity) in (word(), word(), any::<bool>()),
    ) -> Transaction {
        let signature = Signature::new(r, s, parity);
        let access_list = AccessList(list.into_iter().map(|(address, keys)| AccessListItem {
            address,
            storage_keys: keys.into_iter().map(B256::from).collect(),
        }).collect());
        let kind_to = if creates { TxKind::Create } else { TxKind::Call(to) };
        match kind {
            0 => {
                let chain_id = creates.then_some(chain_id);
                let tx = TxLegacy { chain_id, nonce, gas_price: price, gas_limit, to: kind_to, value, input };
                Transaction::from_parts(tx, signature)
            }
            1 => Transaction::from_parts(
                TxEip2930 { chain_id, nonce, gas_price: price, gas_limit, to: kind_to, value, access_list, input },
                signature,
            ),
            2 => Transaction::from_parts(
                TxEip1559 {
                    chain_id, nonce, gas_limit, max_fee_per_gas: price, max_priority_fee_per_gas: tip, to: kind_to,
                    value, access_list, input,
                },
                signature,
            ),
            3 => Transaction::from_parts(
                TxBlob {
                    chain_id, nonce, gas_limit, max_fee_per_gas: price, max_priority_fee_per_gas: tip, to, value,
                    access_list, blob_versioned_hashes: blobs.into_iter().map(B256::from).collect(),
                    max_fee_per_blob_gas: blob_price, input,
                },
                signature,
            ),
            _ => Transaction::from_parts(
                TxEip7702 {
                    chain_id, nonce, gas_limit, max_fee_per_gas: price, max_priority_fee_per_gas: tip, to, value,
                    access_list, input,
                    authorization_list: delegations.into_iter().map(|(chain_id, address, nonce, parity, r, s)| {
                        SignedAuthorization::new_unchecked(Authorization { chain_id, address, nonce }, parity, r, s)
                    }).collect(),
                },
                signature,
            ),
        }
    }
}

/// A transaction that its gas ends soon.
fn limited() -> Transaction {
    let tx = TxLegacy { gas_limit: 100_000, to: TxKind::Call(CONTRACT), ..TxLegacy::default() };
    Transaction::from_parts(tx, Signature::test_signature())
}

fn world(code: Bytes, balance: U256) -> MemoryState {
    let mut world = MemoryState::default();
    world.insert(CONTRACT, 1, U256::from(5), code);
    world.insert(SENDER, 0, balance, Bytes::new());
    world
}

/// Steps taken, and whether memory was ever larger than gas pays for.
#[derive(Default)]
struct Measure {
    gas: u64,
    steps: u64,
    frames: u64,
    overdrawn: bool,
}

impl Tracer for Measure {
    fn step(&mut self, step: &Step<'_>) {
        self.steps += 1;
        let words = step.memory.len() as u64 / 32;
        self.overdrawn |= 3 * words + words * words / 512 > self.gas || step.stack.len() > 1_024 || step.depth > 1_025;
    }

    fn stepped(&mut self, _: u64, _: Option<HaltReason>) {}

    fn enter(&mut self, _: &execlayer_evm::frame::Message, _: usize) {
        self.frames += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn any_code_and_call_data_end_within_their_gas(
        code in bytes(400),
        input in bytes(200),
        creates in any::<bool>(),
        fork in prop::sample::select(Fork::ALL.to_vec()),
        gas_limit in 21_000..300_000_u64,
    ) {
        let mut rules = ChainSpec::at(1, fork).rules(1, 1);
        rules.blobs.max = 6;
        let block = BlockEnv { gas_limit: 1 << 30, excess_blob_gas: Some(0), ..BlockEnv::default() };
        let to = if creates { TxKind::Create } else { TxKind::Call(CONTRACT) };
        let input = if creates { code.clone() } else { input };
        let tx = TxLegacy { gas_limit, to, input, ..TxLegacy::default() };
        let tx = Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), SENDER);
        let world = world(code, U256::MAX >> 1);
        let mut measure = Measure { gas: gas_limit, ..Measure::default() };
        let mut overlay = Overlay::new(&world);
        let traced = trace(&rules, &block, &tx, &mut overlay, &mut measure);
        // Every step but a frame's last costs something.
        prop_assert!(measure.steps <= gas_limit + measure.frames);
        prop_assert!(!measure.overdrawn);
        if let Ok(executed) = &traced {
            prop_assert!(executed.gas_used <= gas_limit);
        }
        let mut alone = Overlay::new(&world);
        prop_assert_eq!(transact(&rules, &block, &tx, &mut alone), traced);
        prop_assert_eq!(alone.diff(), overlay.diff());
    }

    #[test]
    fn any_transaction_in_any_block_is_executed_or_refused_and_then_changes_nothing(
        tx in transaction(),
        block in block(),
        code in bytes(60),
        balance in prop_oneof![Just(U256::MAX), Just(U256::MAX >> 1), word()],
        fork in prop::sample::select(Fork::ALL.to_vec()),
    ) {
        let rules = ChainSpec::at(1, fork).rules(1, 1);
        // A loop with more gas than a day of blocks is no use to a test.
        let tx = if tx.gas_limit() < 1 << 32 || code.len() < 3 { tx } else { limited() };
        let world = world(code, balance);
        let mut overlay = Overlay::new(&world);
        match transact(&rules, &block, &Recovered::new(tx.clone(), SENDER), &mut overlay) {
            Ok(executed) => prop_assert!(executed.gas_used <= tx.gas_limit()),
            Err(TransactError::Rejected(_)) => prop_assert!(overlay.diff().is_empty()),
            Err(fault) => prop_assert!(false, "memory can be read: {}", fault),
        }
    }

    #[test]
    fn bytes_that_were_a_transaction_are_refused_or_executed(
        tx in transaction(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut raw = tx.to_bytes().to_vec();
        let place = place.index(raw.len());
        raw[place] = byte;
        let made = Transaction::from_bytes(&raw).ok().filter(|tx| tx.gas_limit() < 1 << 24);
        if let Some(tx) = made {
            let rules = ChainSpec::at(1, Fork::LATEST).rules(1, 1);
            let block = BlockEnv { gas_limit: 1 << 30, base_fee: Some(1), excess_blob_gas: Some(0), ..BlockEnv::default() };
            let world = world(Bytes::new(), U256::MAX >> 1);
            let mut overlay = Overlay::new(&world);
            let _ = transact(&rules, &block, &Recovered::new(tx, SENDER), &mut overlay);
        }
    }
}
