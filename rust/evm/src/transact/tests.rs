//! Both sides of each rule of validation, and what a refused transaction leaves behind.

use state::{MemoryState, Overlay};
use types::{
    AccessList, AccessListItem, Address, Authorization, B256, Bytes, Key, Recovered, Signature, SignedAuthorization,
    Transaction, TxKind, U256,
    keys::HALF_ORDER,
    tx::{TxBlob, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
};

use super::*;
use crate::spec::ChainSpec;

const SENDER: Address = Address::repeat_byte(0xa1);
const TARGET: Address = Address::repeat_byte(0xb0);

fn rules(fork: Fork) -> Rules {
    ChainSpec::at(1, fork).rules(1, 1)
}

fn block() -> BlockEnv {
    BlockEnv {
        number: 1,
        timestamp: 1,
        beneficiary: Address::repeat_byte(0xcc),
        gas_limit: 30_000_000,
        base_fee: Some(10),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    }
}

fn rich() -> MemoryState {
    let mut state = MemoryState::default();
    state.insert(SENDER, 3, U256::from(10).pow(U256::from(18)), Bytes::new());
    state
}

fn dynamic() -> TxEip1559 {
    TxEip1559 {
        chain_id: 1,
        nonce: 3,
        gas_limit: 100_000,
        max_fee_per_gas: 20,
        max_priority_fee_per_gas: 5,
        to: TxKind::Call(TARGET),
        ..TxEip1559::default()
    }
}

fn blob() -> TxBlob {
    TxBlob {
        chain_id: 1,
        nonce: 3,
        gas_limit: 100_000,
        max_fee_per_gas: 20,
        max_priority_fee_per_gas: 5,
        to: TARGET,
        max_fee_per_blob_gas: 1,
        blob_versioned_hashes: vec![B256::repeat_byte(1)],
        ..TxBlob::default()
    }
}

fn signature() -> Signature {
    Signature::new(U256::ONE, U256::ONE, false)
}

/// Any unsigned transaction, as the sender's.
macro_rules! sent {
    ($tx:expr) => {
        Recovered::new(Transaction::from_parts($tx, signature()), SENDER)
    };
}

fn try_over(state: &MemoryState, fork: Fork, block: &BlockEnv, tx: &Recovered) -> Result<Executed, TransactError> {
    let mut overlay = Overlay::new(state);
    let result = transact(&rules(fork), block, tx, &mut overlay);
    if result.is_err() {
        assert!(overlay.diff().is_empty(), "a refused transaction changes nothing");
    }
    result
}

fn rejection(state: &MemoryState, fork: Fork, block: &BlockEnv, tx: &Recovered) -> Option<Rejection> {
    match try_over(state, fork, block, tx) {
        Ok(_) => None,
        Err(TransactError::Rejected(rejection)) => Some(rejection),
        Err(error) => panic!("{error}"),
    }
}

fn refused(fork: Fork, tx: &Recovered) -> Option<Rejection> {
    rejection(&rich(), fork, &block(), tx)
}

#[test]
fn kinds_begin_with_their_fork() {
    let authorization = SignedAuthorization::new_unchecked(
        Authorization { chain_id: U256::ZERO, address: TARGET, nonce: 0 },
        0,
        U256::ONE,
        U256::ONE,
    );
    let delegating = TxEip7702 {
        chain_id: 1,
        nonce: 3,
        gas_limit: 100_000,
        max_fee_per_gas: 20,
        authorization_list: vec![authorization],
        ..TxEip7702::default()
    };
    let listed = TxEip2930 { chain_id: 1, nonce: 3, gas_limit: 100_000, gas_price: 20, ..TxEip2930::default() };
    let listed = TxEip2930 { to: TxKind::Call(TARGET), ..listed };
    for (kind, tx, before, first) in [
        (1, sent!(listed), Fork::Istanbul, Fork::Berlin),
        (2, sent!(dynamic()), Fork::Berlin, Fork::London),
        (3, sent!(blob()), Fork::Shanghai, Fork::Cancun),
        (4, sent!(delegating), Fork::Cancun, Fork::Prague),
    ] {
        assert_eq!(refused(before, &tx), Some(Rejection::KindNotEnabled { kind, fork: before }));
        assert_eq!(refused(first, &tx), None);
    }
}

#[test]
fn the_chain_must_be_this_one_and_replay_protection_has_a_beginning() {
    let tx = sent!(TxEip1559 { chain_id: 2, ..dynamic() });
    assert_eq!(refused(Fork::London, &tx), Some(Rejection::WrongChain { expected: 1, actual: 2 }));
    let legacy =
        TxLegacy { nonce: 3, gas_limit: 21_000, gas_price: 20, to: TxKind::Call(TARGET), ..Default::default() };
    assert_eq!(refused(Fork::Homestead, &sent!(legacy.clone())), None);
    let protected = sent!(TxLegacy { chain_id: Some(1), ..legacy });
    assert_eq!(refused(Fork::Homestead, &protected), Some(Rejection::ProtectedTooEarly { fork: Fork::Homestead }));
    assert_eq!(refused(Fork::SpuriousDragon, &protected), None);
}

#[test]
fn signatures_have_a_low_s_from_homestead_on() {
    let legacy =
        TxLegacy { nonce: 3, gas_limit: 21_000, gas_price: 20, to: TxKind::Call(TARGET), ..Default::default() };
    let with = |s| Recovered::new(Transaction::from_parts(legacy.clone(), Signature::new(U256::ONE, s, false)), SENDER);
    let high = HALF_ORDER + U256::ONE;
    assert_eq!(refused(Fork::Homestead, &with(HALF_ORDER)), None);
    assert_eq!(refused(Fork::Homestead, &with(high)), Some(Rejection::HighSignature { s: high }));
    assert_eq!(refused(Fork::Frontier, &with(high)), None);
}

#[test]
fn gas_is_bounded_from_above_by_block_and_cap() {
    let tx = |gas_limit| sent!(TxEip1559 { gas_limit, ..dynamic() });
    assert_eq!(refused(Fork::Prague, &tx(30_000_000)), None);
    assert_eq!(
        refused(Fork::Prague, &tx(30_000_001)),
        Some(Rejection::BlockGasExceeded { required: 30_000_001, available: 30_000_000 })
    );
    let max = validate::GAS_LIMIT_MAX;
    assert_eq!(refused(Fork::Osaka, &tx(max)), None);
    assert_eq!(refused(Fork::Osaka, &tx(max + 1)), Some(Rejection::GasLimitTooHigh { limit: max + 1, max }));
}

#[test]
fn gas_pays_for_being_a_transaction_to_the_unit() {
    let data = Bytes::from_static(&[0, 1, 0]);
    let list = AccessList(vec![AccessListItem { address: TARGET, storage_keys: vec![B256::ZERO; 2] }]);
    let plain = TxEip1559 { input: data.clone(), ..dynamic() };
    let create = TxEip1559 { to: TxKind::Create, input: Bytes::from_static(&[0; 33]), ..dynamic() };
    for (fork, tx, gas) in [
        (Fork::London, dynamic(), 21_000),
        (Fork::London, plain.clone(), 21_000 + 4 + 16 + 4),
        (Fork::London, TxEip1559 { access_list: list, ..dynamic() }, 21_000 + 2_400 + 2 * 1_900),
        (Fork::London, create.clone(), 53_000 + 33 * 4),
        (Fork::Shanghai, create, 53_000 + 33 * 4 + 2 * 2),
    ] {
        let enough = sent!(TxEip1559 { gas_limit: gas, ..tx.clone() });
        assert_eq!(refused(fork, &enough), None, "{fork}");
        let short = sent!(TxEip1559 { gas_limit: gas - 1, ..tx });
        let rejection = Rejection::InsufficientGas { required: gas, available: gas - 1 };
        assert_eq!(refused(fork, &short), Some(rejection), "{fork}");
    }
    // From Prague on call data costs at least ten gas a token.
    let floor = 21_000 + 10 * (2 + 4);
    assert_eq!(refused(Fork::Prague, &sent!(TxEip1559 { gas_limit: floor, ..plain.clone() })), None);
    assert_eq!(
        refused(Fork::Prague, &sent!(TxEip1559 { gas_limit: floor - 1, ..plain.clone() })),
        Some(Rejection::InsufficientFloorGas { required: floor, available: floor - 1 })
    );
    let executed = try_over(&rich(), Fork::Prague, &block(), &sent!(plain)).unwrap();
    assert_eq!(executed.gas_used, floor, "what little it did costs the floor");
}

#[test]
fn older_forks_charge_data_and_creation_as_they_did() {
    let legacy = |gas_limit, to, input: &'static [u8]| {
        let input = Bytes::from_static(input);
        sent!(TxLegacy { nonce: 3, gas_limit, gas_price: 20, to, input, ..Default::default() })
    };
    for (fork, to, gas) in [
        (Fork::Petersburg, TxKind::Call(TARGET), 21_000 + 68),
        (Fork::Istanbul, TxKind::Call(TARGET), 21_000 + 16),
        (Fork::Frontier, TxKind::Create, 21_000 + 68),
        (Fork::Homestead, TxKind::Create, 53_000 + 68),
    ] {
        assert_eq!(refused(fork, &legacy(gas, to, &[1])), None, "{fork}");
        let rejection = Rejection::InsufficientGas { required: gas, available: gas - 1 };
        assert_eq!(refused(fork, &legacy(gas - 1, to, &[1])), Some(rejection), "{fork}");
    }
}

#[test]
fn fees_must_cover_the_base_fee_and_the_tip_must_fit_the_cap() {
    let tx = |fee, tip| sent!(TxEip1559 { max_fee_per_gas: fee, max_priority_fee_per_gas: tip, ..dynamic() });
    assert_eq!(refused(Fork::London, &tx(10, 10)), None);
    assert_eq!(refused(Fork::London, &tx(9, 0)), Some(Rejection::FeeTooLow { base_fee: 10, max_fee: 9 }));
    assert_eq!(refused(Fork::London, &tx(10, 11)), Some(Rejection::TipAboveFee { tip: 11, max_fee: 10 }));
    for (fee, tip, price) in [(20, 5, 15), (20, 10, 20), (20, 11, 20), (10, 10, 10)] {
        assert_eq!(try_over(&rich(), Fork::London, &block(), &tx(fee, tip)).unwrap().gas_price, price);
    }
    // The largest cap and tip do not overflow: they are merely unaffordable.
    assert!(matches!(refused(Fork::London, &tx(u128::MAX, u128::MAX)), Some(Rejection::InsufficientBalance { .. })));
}

#[test]
fn the_nonce_is_the_next_one() {
    let tx = |nonce| sent!(TxEip1559 { nonce, ..dynamic() });
    assert_eq!(refused(Fork::London, &tx(3)), None);
    for actual in [2, 4] {
        assert_eq!(refused(Fork::London, &tx(actual)), Some(Rejection::InvalidNonce { expected: 3, actual }));
    }
    assert_eq!(refused(Fork::London, &tx(u64::MAX)), Some(Rejection::NonceExhausted));
}

#[test]
fn the_balance_covers_value_and_the_highest_cost_to_the_wei() {
    let tx = sent!(TxEip1559 { value: U256::from(7), ..dynamic() });
    let required = U256::from(7 + 100_000 * 20);
    let mut state = rich();
    state.insert(SENDER, 3, required, Bytes::new());
    assert_eq!(rejection(&state, Fork::London, &block(), &tx), None);
    let available = required - U256::ONE;
    state.insert(SENDER, 3, available, Bytes::new());
    assert_eq!(
        rejection(&state, Fork::London, &block(), &tx),
        Some(Rejection::InsufficientBalance { required, available })
    );
    let everything = sent!(TxEip1559 { value: U256::MAX, ..dynamic() });
    let rejection = rejection(&state, Fork::London, &block(), &everything);
    assert_eq!(rejection, Some(Rejection::InsufficientBalance { required: U256::MAX, available }));
}

#[test]
fn contracts_do_not_send_unless_they_delegate() {
    let mut state = rich();
    let balance = state.accounts[&SENDER].balance;
    let code = Bytes::from_static(&[0]);
    state.insert(SENDER, 3, balance, code.clone());
    let code_hash = types::keccak256(code);
    assert_eq!(
        rejection(&state, Fork::Prague, &block(), &sent!(dynamic())),
        Some(Rejection::SenderHasCode { sender: SENDER, code_hash })
    );
    state.insert(SENDER, 3, balance, frame::delegation_to(TARGET));
    assert_eq!(rejection(&state, Fork::Prague, &block(), &sent!(dynamic())), None);
}

#[test]
fn creation_code_has_a_limit_from_shanghai_on() {
    let tx = |length| {
        let input = vec![0; length].into();
        sent!(TxEip1559 { to: TxKind::Create, gas_limit: 3_000_000, input, ..dynamic() })
    };
    let max = validate::INIT_CODE_MAX;
    assert_eq!(refused(Fork::Shanghai, &tx(max)), None);
    assert_eq!(refused(Fork::Shanghai, &tx(max + 1)), Some(Rejection::InitCodeTooLong { length: max + 1, max }));
    assert_eq!(refused(Fork::London, &tx(max + 1)), None);
}

#[test]
fn blobs_are_counted_versioned_and_paid_for() {
    let with = |count| sent!(TxBlob { blob_versioned_hashes: vec![B256::repeat_byte(1); count], ..blob() });
    for (fork, max) in [(Fork::Cancun, 6), (Fork::Prague, 9), (Fork::Osaka, 6)] {
        assert_eq!(refused(fork, &with(max)), None);
        let rejection = Rejection::TooManyBlobs { count: max + 1, max: max as u64 };
        assert_eq!(refused(fork, &with(max + 1)), Some(rejection));
    }
    assert_eq!(refused(Fork::Cancun, &with(0)), Some(Rejection::NoBlobs));
    let hashes = vec![B256::repeat_byte(1), B256::repeat_byte(2)];
    assert_eq!(
        refused(Fork::Cancun, &sent!(TxBlob { blob_versioned_hashes: hashes, ..blob() })),
        Some(Rejection::BlobVersion { index: 1, version: 2 })
    );
    // The first excess at which a unit of blob gas costs two wei.
    let dear = BlockEnv { excess_blob_gas: Some(2_314_058), ..block() };
    assert_eq!(
        rejection(&rich(), Fork::Cancun, &dear, &with(1)),
        Some(Rejection::BlobFeeTooLow { base_fee: 2, max_fee: 1 })
    );
    let executed = try_over(&rich(), Fork::Cancun, &block(), &with(2)).unwrap();
    assert_eq!(executed.blob_gas_used, 2 << 17);
    assert_eq!(executed.burned, U256::from(21_000 * 10 + (2 << 17)));
}

#[test]
fn an_authorization_delegates_and_what_does_not_hold_is_passed_over() {
    let key = Key::from_bytes(&B256::repeat_byte(7)).unwrap();
    let sign = |chain_id: u64, nonce| {
        let inner = Authorization { chain_id: U256::from(chain_id), address: TARGET, nonce };
        let signature = key.sign(&inner.signature_hash());
        inner.into_signed(signature)
    };
    let tx = |authorizations| {
        sent!(TxEip7702 {
            chain_id: 1,
            nonce: 3,
            gas_limit: 200_000,
            max_fee_per_gas: 20,
            to: Address::repeat_byte(0xdd),
            authorization_list: authorizations,
            ..TxEip7702::default()
        })
    };
    assert_eq!(refused(Fork::Prague, &tx(vec![])), Some(Rejection::NoAuthorizations));
    let delegated = |authorizations| {
        let state = rich();
        let mut overlay = Overlay::new(&state);
        let executed = transact(&rules(Fork::Prague), &block(), &tx(authorizations), &mut overlay).unwrap();
        let authority = overlay.load(&key.address()).unwrap();
        (overlay.code(authority).unwrap(), overlay.nonce(authority), executed.gas_used)
    };
    let gas = 21_000 + 25_000;
    for authorization in [sign(0, 0), sign(1, 0)] {
        assert_eq!(delegated(vec![authorization]), (frame::delegation_to(TARGET), 1, gas));
    }
    let mut high = sign(1, 0);
    let order = HALF_ORDER * U256::from(2) + U256::ONE;
    high = SignedAuthorization::new_unchecked(high.inner().clone(), 1 - high.y_parity(), high.r(), order - high.s());
    for authorization in [sign(2, 0), sign(1, 1), sign(1, u64::MAX), high] {
        assert_eq!(delegated(vec![authorization]), (Bytes::new(), 0, gas));
    }
    // The second finds the account there, and half its price comes back, as far as a fifth of what was spent allows.
    let (_, nonce, used) = delegated(vec![sign(1, 0), sign(1, 1)]);
    assert_eq!((nonce, used), (2, 71_000 - 12_500));
}

#[test]
fn every_rejection_has_a_name_of_the_fixtures() {
    assert_eq!(Rejection::NoBlobs.names(), ["TYPE_3_TX_ZERO_BLOBS"]);
    assert_eq!(Rejection::InvalidNonce { expected: 3, actual: 2 }.names(), ["NONCE_MISMATCH_TOO_LOW"]);
    assert_eq!(Rejection::InvalidNonce { expected: 3, actual: 4 }.names(), ["NONCE_MISMATCH_TOO_HIGH"]);
    assert_eq!(
        Rejection::InvalidNonce { expected: 3, actual: 2 }.to_string(),
        "nonce too low: next nonce 3, tx nonce 2"
    );
}

#[test]
fn the_fee_of_a_failed_transaction_is_all_its_gas() {
    let mut state = rich();
    state.insert(TARGET, 1, U256::ZERO, Bytes::from_static(&[0xfe]));
    let mut overlay = Overlay::new(&state);
    let tx = sent!(TxEip1559 { value: U256::from(5), ..dynamic() });
    let executed = transact(&rules(Fork::London), &block(), &tx, &mut overlay).unwrap();
    assert!(matches!(executed.outcome, Outcome::Halt { .. }));
    assert_eq!(executed.gas_used, 100_000);
    state.apply(&overlay.diff());
    assert_eq!(state.accounts[&TARGET].balance, U256::ZERO);
    assert_eq!(state.accounts[&SENDER].nonce, 4);
    assert_eq!(state.accounts[&block().beneficiary].balance, U256::from(100_000 * 5));
}

#[test]
fn wei_that_a_contract_leaves_to_itself_are_burned_unless_undone() {
    // ADDRESS SELFDESTRUCT; and another that calls it with 3 wei more, and reverts.
    let own = Bytes::from_static(&[0x30, 0xff]);
    let caller: Bytes = format!("6000600060006000600373{TARGET:x}61fffff160006000fd").parse().unwrap();
    let other = Address::repeat_byte(0xb1);
    let burned = |fork, to, value: u64| {
        let mut state = rich();
        state.insert(TARGET, 1, U256::from(7), own.clone());
        state.insert(other, 1, U256::from(3), caller.clone());
        let mut overlay = Overlay::new(&state);
        let tx = sent!(TxEip1559 { to: TxKind::Call(to), value: U256::from(value), ..dynamic() });
        let executed = transact(&rules(fork), &block(), &tx, &mut overlay).unwrap();
        let fee = U256::from(executed.gas_used) * U256::from(10);
        let diff = overlay.diff();
        state.apply(&diff);
        let left: U256 = state.accounts.values().map(|account| account.balance).sum();
        let before = U256::from(10).pow(U256::from(18)) + U256::from(10);
        assert_eq!(before - left, executed.burned, "{fork}: what is gone was burned");
        executed.burned - fee
    };
    assert_eq!(burned(Fork::Shanghai, TARGET, 5), U256::from(12));
    assert_eq!(burned(Fork::Shanghai, other, 0), U256::ZERO, "undone");
    assert_eq!(burned(Fork::Cancun, TARGET, 5), U256::ZERO, "it stays with what it has");
}

/// Counts what it hears.
#[derive(Default)]
struct Heard {
    entered: Vec<Address>,
    left: Vec<Status>,
    steps: usize,
    gas: u64,
}

impl Tracer for Heard {
    fn step(&mut self, _: &crate::trace::Step<'_>) {
        self.steps += 1;
    }

    fn stepped(&mut self, cost: u64, _: Option<HaltReason>) {
        self.gas += cost;
    }

    fn enter(&mut self, message: &Message, _: usize) {
        self.entered.push(message.target);
    }

    fn leave(&mut self, result: &FrameResult, _: usize) {
        self.left.push(result.status);
    }
}

#[test]
fn a_traced_transaction_does_what_it_does_unwatched() {
    // PUSH1 7 PUSH0 SSTORE PUSH0 SLOAD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
    let stores = Bytes::from_static(&[0x60, 7, 0x5f, 0x55, 0x5f, 0x54, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3]);
    for (code, steps, status) in [
        (stores, 10, Status::Success),
        (Bytes::from_static(&[0x5f, 0x5f, 0xfd]), 3, Status::Revert),
        (Bytes::from_static(&[0xfe]), 1, Status::Halt(HaltReason::InvalidOpcode(0xfe))),
        // A plain transfer is told, too.
        (Bytes::new(), 0, Status::Success),
    ] {
        let mut state = rich();
        state.insert(TARGET, 1, U256::ZERO, code);
        let tx = sent!(TxEip1559 { value: U256::from(5), ..dynamic() });
        let (mut watched, mut alone) = (Overlay::new(&state), Overlay::new(&state));
        let mut heard = Heard::default();
        let traced = trace(&rules(Fork::Osaka), &block(), &tx, &mut watched, &mut heard).unwrap();
        assert_eq!(traced, transact(&rules(Fork::Osaka), &block(), &tx, &mut alone).unwrap());
        assert_eq!(watched.diff(), alone.diff());
        assert_eq!((heard.entered, heard.left, heard.steps), (vec![TARGET], vec![status], steps));
        if status == Status::Success {
            assert_eq!(traced.gas_used + traced.gas_refunded, 21_000 + heard.gas, "each step told its price");
        }
    }
    // What may not stand in the block is refused before anything is heard.
    let mut heard = Heard::default();
    let state = rich();
    let early = sent!(TxEip1559 { nonce: 4, ..dynamic() });
    let refused = trace(&rules(Fork::Osaka), &block(), &early, &mut Overlay::new(&state), &mut heard);
    assert_eq!(refused, Err(Rejection::InvalidNonce { expected: 3, actual: 4 }.into()));
    assert_eq!((heard.entered.len(), heard.steps), (0, 0));
}
