//! Further assets: calls to their account and transactions that move several, against a plain model, and what keeps the
//! account alive.

use std::collections::BTreeMap;

use execlayer_evm::{
    BlockEnv, Executed, Fork, HaltReason, Outcome, Rejection, Rules, TransactError, spec::ChainSpec, transact,
};
use proptest::{collection::vec, prelude::*};
use state::{MemoryState, Overlay, View};
use types::{
    Address, B256, Bytes, Payload, Recovered, Signature, Transaction, TxKind, U256, keccak256, system,
    tx::{
        TxLegacy,
        asset_transfer::{AssetMove, AssetTransfer},
        own::{SignedOwn, TxOwn},
    },
};

const CHAIN_ID: u64 = 7;
const PEOPLE: usize = 4;

fn person(index: usize) -> Address {
    Address::repeat_byte(0xa0 + index as u8)
}

fn spec(fork: Fork) -> ChainSpec {
    let mut spec = ChainSpec::at(CHAIN_ID, fork);
    spec.own.assets = true;
    spec
}

fn rules(fork: Fork) -> Rules {
    spec(fork).rules(1, 1)
}

fn block() -> BlockEnv {
    BlockEnv { number: 1, timestamp: 1, gas_limit: 30_000_000, base_fee: Some(0), ..BlockEnv::default() }
}

/// The account as genesis makes it, and people with ether.
fn world() -> MemoryState {
    let mut state = MemoryState::default();
    state.insert(system::ASSETS, 1, U256::ZERO, Bytes::from_static(&system::CODE));
    (0..PEOPLE).for_each(|index| state.insert(person(index), 0, U256::from(u64::MAX), Bytes::new()));
    state
}

fn word(number: u64) -> [u8; 32] {
    U256::from(number).to_be_bytes()
}

fn padded(address: Address) -> [u8; 32] {
    address.into_word().0
}

fn call_data(signature: &str, words: &[[u8; 32]]) -> Bytes {
    [&keccak256(signature)[..4], &words.concat()].concat().into()
}

/// Runs a transaction on the state, which moves with it.
fn run(state: &mut MemoryState, rules: &Rules, transaction: Transaction, sender: Address) -> Executed {
    let before = state.clone();
    let mut overlay = Overlay::new(&before);
    let executed = transact(rules, &block(), &Recovered::new(transaction, sender), &mut overlay).unwrap();
    state.apply(&overlay.diff());
    executed
}

fn call_with(state: &mut MemoryState, rules: &Rules, from: usize, to: Address, value: u64, input: Bytes) -> Executed {
    let nonce = state.account(&person(from)).unwrap().unwrap().nonce;
    let unsigned = TxLegacy {
        chain_id: None,
        nonce,
        gas_price: 0,
        gas_limit: 1_000_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        input,
    };
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    run(state, rules, Transaction::from_parts(unsigned, signature), person(from))
}

fn call(state: &mut MemoryState, from: usize, signature: &str, words: &[[u8; 32]]) -> Executed {
    call_with(state, &rules(Fork::Osaka), from, system::ASSETS, 0, call_data(signature, words))
}

fn own(nonce: u64, gas_limit: u64, moves: Vec<AssetMove>) -> Transaction {
    let tx = TxOwn {
        chain_id: CHAIN_ID,
        nonce,
        max_priority_fee_per_gas: 0,
        max_fee_per_gas: 0,
        gas_limit,
        access_list: Default::default(),
        payload: Payload::AssetTransfer(AssetTransfer { moves }),
    };
    SignedOwn::new(tx, Signature::new(U256::ONE, U256::ONE, false)).into()
}

fn move_all(state: &mut MemoryState, from: usize, moves: Vec<AssetMove>) -> Executed {
    let nonce = state.account(&person(from)).unwrap().unwrap().nonce;
    run(state, &rules(Fork::Osaka), own(nonce, 1_000_000, moves), person(from))
}

fn a_move(asset: B256, to: Address, amount: u64) -> AssetMove {
    AssetMove { asset, recipient: to, amount: U256::from(amount), memo: Bytes::new() }
}

/// `keccak256(key . place)`, as Solidity keeps a mapping's entries.
fn entry(place: [u8; 32], key: [u8; 32]) -> [u8; 32] {
    keccak256([key, place].concat()).0
}

fn held(state: &MemoryState, asset: B256, holder: Address) -> U256 {
    let slot = entry(entry(word(0), asset.0), padded(holder));
    state.storage(&system::ASSETS, &U256::from_be_bytes(slot)).unwrap()
}

fn supply(state: &MemoryState, asset: B256) -> U256 {
    state.storage(&system::ASSETS, &U256::from_be_bytes(entry(word(3), asset.0))).unwrap()
}

fn asset_of(issuer: usize, salt: u64) -> B256 {
    keccak256([padded(person(issuer)), word(salt)].concat())
}

fn created(state: &mut MemoryState, issuer: usize, supply: u64) -> B256 {
    let asset = asset_of(issuer, 1);
    let made = call(state, issuer, "create(bytes32,uint256)", &[word(1), word(supply)]);
    assert_eq!(made.outcome, Outcome::Success { output: asset.0.into(), created: None });
    asset
}

fn error(signature: &str, words: &[[u8; 32]]) -> Outcome {
    Outcome::Revert { output: call_data(signature, words) }
}

#[test]
fn an_asset_is_made_moved_and_asked_about_and_the_log_tells() {
    let mut state = world();
    let asset = created(&mut state, 0, 100);
    assert_eq!((held(&state, asset, person(0)), supply(&state, asset)), (U256::from(100), U256::from(100)));
    let moved = call(&mut state, 0, "transfer(bytes32,address,uint256)", &[asset.0, padded(person(1)), word(30)]);
    assert_eq!(moved.outcome, Outcome::Success { output: word(1).into(), created: None });
    let [log] = &moved.logs[..] else { panic!("{:?}", moved.logs) };
    let event = keccak256("Transfer(bytes32,address,address,uint256)");
    assert_eq!(log.topics(), [event, asset, person(0).into_word(), person(1).into_word()]);
    assert_eq!((log.address, &log.data.data[..]), (system::ASSETS, &word(30)[..]));
    let mut ask = |signature, words: &[[u8; 32]]| match call(&mut state, 3, signature, words).outcome {
        Outcome::Success { output, .. } => U256::from_be_slice(&output),
        other => panic!("{other:?}"),
    };
    assert_eq!(ask("balanceOf(bytes32,address)", &[asset.0, padded(person(0))]), U256::from(70));
    assert_eq!(ask("totalSupply(bytes32)", &[asset.0]), U256::from(100));
    assert_eq!(ask("issuerOf(bytes32)", &[asset.0]), U256::from_be_bytes(padded(person(0))));
    assert_eq!(ask("allowance(bytes32,address,address)", &[asset.0, [0; 32], [0; 32]]), U256::ZERO);
}

#[test]
fn each_refusal_says_why_and_changes_nothing() {
    let mut state = world();
    let asset = created(&mut state, 0, 10);
    let (me, other) = (padded(person(0)), padded(person(1)));
    let lacking = "InsufficientBalance(bytes32,address,uint256,uint256)";
    let disallowed = "InsufficientAllowance(bytes32,address,address,uint256,uint256)";
    let max = [0xff; 32];
    let cases: [(usize, &str, Vec<[u8; 32]>, Outcome); 9] = [
        (0, "create(bytes32,uint256)", vec![word(1), word(5)], error("AssetExists(bytes32)", &[asset.0])),
        (1, "mint(bytes32,address,uint256)", vec![asset.0, other, word(1)], {
            error("NotIssuer(bytes32,address)", &[asset.0, other])
        }),
        (0, "mint(bytes32,address,uint256)", vec![asset.0, other, max], {
            error("SupplyOverflow(bytes32,uint256,uint256)", &[asset.0, word(10), max])
        }),
        (0, "transfer(bytes32,address,uint256)", vec![asset.0, other, word(11)], {
            error(lacking, &[asset.0, me, word(10), word(11)])
        }),
        (0, "transfer(bytes32,address,uint256)", vec![asset.0, [0; 32], word(1)], error("ZeroRecipient()", &[])),
        (0, "burn(bytes32,uint256)", vec![asset.0, word(11)], { error(lacking, &[asset.0, me, word(10), word(11)]) }),
        (1, "transferFrom(bytes32,address,address,uint256)", vec![asset.0, me, other, word(1)], {
            error(disallowed, &[asset.0, me, other, word(0), word(1)])
        }),
        // No address has bits above its 20 bytes; nobody answers what is not there, or is too short.
        (0, "transfer(bytes32,address,uint256)", vec![asset.0, max, word(1)], error("UnknownCall()", &[])),
        (0, "balanceOf(bytes32,address)", vec![asset.0], error("UnknownCall()", &[])),
    ];
    for (from, signature, words, expected) in cases {
        let before = state.storage[&system::ASSETS].clone();
        let refused = call(&mut state, from, signature, &words);
        assert_eq!(refused.outcome, expected, "{signature}");
        assert_eq!((&state.storage[&system::ASSETS], refused.logs), (&before, vec![]));
    }
    let paid = call_with(&mut state, &rules(Fork::Osaka), 0, system::ASSETS, 1, Bytes::new());
    assert_eq!(paid.outcome, error("ValueNotAccepted()", &[]));
    assert_eq!(state.account(&system::ASSETS).unwrap().unwrap().balance, U256::ZERO);
}

#[test]
fn a_list_of_moves_is_done_as_a_whole_or_not_at_all() {
    let mut state = world();
    let (gold, silver) = (created(&mut state, 0, 100), asset_of(0, 2));
    call(&mut state, 0, "create(bytes32,uint256)", &[word(2), word(50)]);
    let memo = AssetMove { memo: Bytes::from_static(b"for the bread"), ..a_move(silver, person(2), 5) };
    let done = move_all(&mut state, 0, vec![a_move(gold, person(1), 40), memo]);
    assert!(done.outcome.is_success());
    assert_eq!((held(&state, gold, person(1)), held(&state, silver, person(2))), (U256::from(40), U256::from(5)));
    let [_, _, log] = &done.logs[..] else { panic!("{:?}", done.logs) };
    assert_eq!(log.topics()[0], keccak256("Memo(bytes32,address,address,bytes)"));
    let data = [&word(32)[..], &word(13), b"for the bread", &[0; 19]].concat();
    assert_eq!(log.data.data, data);

    let before = state.storage.clone();
    let undone = move_all(&mut state, 0, vec![a_move(gold, person(1), 60), a_move(gold, person(2), 1)]);
    assert!(matches!(undone.outcome, Outcome::Revert { .. }));
    assert_eq!((&state.storage, undone.logs), (&before, vec![]));
    assert!(undone.gas_used < 1_000_000, "what is left is given back");
    assert_eq!(state.account(&person(0)).unwrap().unwrap().nonce, 4);
    assert!(move_all(&mut state, 0, Vec::new()).outcome.is_success());
}

#[test]
fn the_kind_is_enabled_by_the_chain_and_from_london_on() {
    let plain = ChainSpec::at(CHAIN_ID, Fork::Osaka).rules(1, 1);
    for (rules, enabled) in [(plain, false), (rules(Fork::Berlin), false), (rules(Fork::London), true)] {
        let state = world();
        let mut overlay = Overlay::new(&state);
        let transaction = Recovered::new(own(0, 100_000, Vec::new()), person(0));
        let outcome = transact(&rules, &block(), &transaction, &mut overlay);
        match outcome {
            Ok(executed) => assert!(enabled && executed.outcome.is_success()),
            Err(error) => {
                assert!(!enabled);
                let rejection = Rejection::KindNotEnabled { kind: 0x54, fork: rules.fork };
                assert_eq!(error, TransactError::Rejected(rejection));
            }
        }
    }
    // Where assets are not enabled, the address is an account like any other: its code is INVALID.
    let plain = ChainSpec::at(CHAIN_ID, Fork::Osaka).rules(1, 1);
    let mut state = world();
    let ended = call_with(&mut state, &plain, 0, system::ASSETS, 0, call_data("totalSupply(bytes32)", &[[0; 32]]));
    assert!(matches!(ended.outcome, Outcome::Halt { reason: HaltReason::InvalidOpcode(0xfe) }));
}

#[test]
fn a_touch_without_value_keeps_the_account_at_every_fork() {
    for fork in Fork::ALL {
        let mut state = world();
        call_with(&mut state, &rules(fork), 0, system::ASSETS, 0, Bytes::new());
        let account = state.account(&system::ASSETS).unwrap().unwrap();
        assert_eq!((account.nonce, account.code_hash), (1, keccak256(system::CODE)), "{fork}");
    }
}

#[test]
fn payload_bytes_and_slots_cost_what_they_cost_elsewhere() {
    let mut state = world();
    let asset = created(&mut state, 0, 100);
    let moves = vec![a_move(asset, person(1), 1)];
    let payload = Payload::AssetTransfer(AssetTransfer { moves: moves.clone() }).to_bytes();
    let zeros = payload.iter().filter(|byte| **byte == 0).count() as u64;
    let intrinsic = 21_000 + 4 * zeros + 16 * (payload.len() as u64 - zeros);
    // Two balances, cold: one changed, one set. Four steps through mappings, one event of three words to search by.
    let moved = 2 * (30 + 6 * 2) * 2 + 2 * (100 + 2_000) + 2_900 + 20_000 + (375 + 4 * 375 + 8 * 32);
    let mut rich = state.clone();
    let paid = move_all(&mut rich, 0, moves.clone());
    assert_eq!(paid.gas_used, intrinsic + moved);
    let nonce = state.account(&person(0)).unwrap().unwrap().nonce;
    let mut enough = state.clone();
    let rules = rules(Fork::Osaka);
    let exact = run(&mut enough, &rules, own(nonce, intrinsic + moved, moves.clone()), person(0));
    assert!(exact.outcome.is_success());
    let short = run(&mut state, &rules, own(nonce, intrinsic + moved - 1, moves), person(0));
    assert_eq!(short.outcome, Outcome::Halt { reason: HaltReason::OutOfGas });
}

/// What one may do: by whom, which asset, with whom, how much.
#[derive(Clone, Debug)]
enum Deed {
    Create(usize, u64),
    Mint(usize, usize, usize, u64),
    Burn(usize, usize, u64),
    Transfer(usize, usize, usize, u64),
    Approve(usize, usize, usize, u64),
    TransferFrom(usize, usize, usize, usize, u64),
    MoveAll(usize, Vec<(usize, usize, u64)>),
}

fn deed() -> impl Strategy<Value = Deed> {
    let (who, asset, amount) = (0..PEOPLE, 0..PEOPLE, 0..60u64);
    prop_oneof![
        2 => (who.clone(), amount.clone()).prop_map(|(a, b)| Deed::Create(a, b)),
        2 => (who.clone(), asset.clone(), who.clone(), amount.clone()).prop_map(|(a, b, c, d)| Deed::Mint(a, b, c, d)),
        1 => (who.clone(), asset.clone(), amount.clone()).prop_map(|(a, b, c)| Deed::Burn(a, b, c)),
        3 => (who.clone(), asset.clone(), who.clone(), amount.clone())
            .prop_map(|(a, b, c, d)| Deed::Transfer(a, b, c, d)),
        2 => (who.clone(), asset.clone(), who.clone(), amount.clone())
            .prop_map(|(a, b, c, d)| Deed::Approve(a, b, c, d)),
        2 => (who.clone(), asset.clone(), who.clone(), who.clone(), amount.clone())
            .prop_map(|(a, b, c, d, e)| Deed::TransferFrom(a, b, c, d, e)),
        2 => (who.clone(), vec((asset, who, amount), 0..5)).prop_map(|(a, b)| Deed::MoveAll(a, b)),
    ]
}

/// Plain maps. Each person has at most one asset, of the same number.
#[derive(Clone, Default)]
struct Model {
    made: [bool; PEOPLE],
    balances: BTreeMap<(usize, usize), u64>,
    allowances: BTreeMap<(usize, usize, usize), u64>,
}

impl Model {
    fn send(&mut self, asset: usize, from: usize, to: usize, amount: u64) -> Option<()> {
        let held = self.balances.entry((asset, from)).or_default();
        *held = held.checked_sub(amount)?;
        *self.balances.entry((asset, to)).or_default() += amount;
        Some(())
    }

    fn attempt(&mut self, deed: &Deed) -> Option<()> {
        match deed {
            Deed::Create(who, amount) => {
                let is_new = !std::mem::replace(&mut self.made[*who], true);
                is_new.then(|| *self.balances.entry((*who, *who)).or_default() += amount)
            }
            Deed::Mint(who, asset, to, amount) => {
                let may = who == asset && self.made[*asset];
                may.then(|| *self.balances.entry((*asset, *to)).or_default() += amount)
            }
            Deed::Burn(who, asset, amount) => {
                let held = self.balances.entry((*asset, *who)).or_default();
                *held = held.checked_sub(*amount)?;
                Some(())
            }
            Deed::Transfer(who, asset, to, amount) => self.send(*asset, *who, *to, *amount),
            Deed::Approve(who, asset, spender, amount) => {
                self.allowances.insert((*asset, *who, *spender), *amount);
                Some(())
            }
            Deed::TransferFrom(who, asset, from, to, amount) => {
                let allowed = self.allowances.entry((*asset, *from, *who)).or_default();
                *allowed = allowed.checked_sub(*amount)?;
                self.send(*asset, *from, *to, *amount)
            }
            Deed::MoveAll(who, moves) => {
                moves.iter().try_for_each(|(asset, to, amount)| self.send(*asset, *who, *to, *amount))
            }
        }
    }
}

fn perform(state: &mut MemoryState, deed: &Deed) -> Executed {
    let asset = |asset: &usize| asset_of(*asset, 1);
    let who = |who: &usize| padded(person(*who));
    match deed {
        Deed::Create(by, amount) => call(state, *by, "create(bytes32,uint256)", &[word(1), word(*amount)]),
        Deed::Mint(by, of, to, amount) => {
            call(state, *by, "mint(bytes32,address,uint256)", &[asset(of).0, who(to), word(*amount)])
        }
        Deed::Burn(by, of, amount) => call(state, *by, "burn(bytes32,uint256)", &[asset(of).0, word(*amount)]),
        Deed::Transfer(by, of, to, amount) => {
            call(state, *by, "transfer(bytes32,address,uint256)", &[asset(of).0, who(to), word(*amount)])
        }
        Deed::Approve(by, of, to, amount) => {
            call(state, *by, "approve(bytes32,address,uint256)", &[asset(of).0, who(to), word(*amount)])
        }
        Deed::TransferFrom(by, of, from, to, amount) => {
            let words = [asset(of).0, who(from), who(to), word(*amount)];
            call(state, *by, "transferFrom(bytes32,address,address,uint256)", &words)
        }
        Deed::MoveAll(by, moves) => {
            let moves = moves.iter().map(|(of, to, amount)| a_move(asset(of), person(*to), *amount));
            move_all(state, *by, moves.collect())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn assets_behave_as_a_plain_model_and_add_up_to_their_supply(deeds in vec(deed(), 1..40)) {
        let (mut state, mut model) = (world(), Model::default());
        for deed in &deeds {
            let mut after = model.clone();
            let may = after.attempt(deed).is_some();
            let done = perform(&mut state, deed);
            prop_assert_eq!(done.outcome.is_success(), may, "{:?}: {:?}", deed, done.outcome);
            if may {
                model = after;
            }
        }
        for asset in 0..PEOPLE {
            let mut sum = U256::ZERO;
            for holder in 0..PEOPLE {
                let expected = model.balances.get(&(asset, holder)).copied().unwrap_or_default();
                let found = held(&state, asset_of(asset, 1), person(holder));
                prop_assert_eq!(found, U256::from(expected));
                sum += found;
            }
            prop_assert_eq!(supply(&state, asset_of(asset, 1)), sum);
        }
    }
}
