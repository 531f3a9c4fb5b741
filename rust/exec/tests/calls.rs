//! Calls that nobody signed: what they see, what they need, what they touch, and that many are as one.

use std::{collections::BTreeMap, sync::Arc};

use evm::{
    BlockEnv, ChainSpec, Changes, Fork, HaltReason, Outcome, Rejection,
    spec::{CustomOpcode, Quit},
};
use execlayer_exec::call::{
    AccountOverride, Alike, BlockOverrides, CallError, CallRequest, Desk, OverrideError, REASONS, StateOverrides,
};
use proptest::prelude::*;
use state::{MemoryState, Stop, Stopped};
use types::{AccessListItem, Address, B256, Bytes, U256};

const ALICE: Address = Address::repeat_byte(0xa1);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const OTHER: Address = Address::repeat_byte(0xc1);

fn env() -> BlockEnv {
    BlockEnv {
        number: 10,
        timestamp: 1_000,
        gas_limit: 30_000_000,
        base_fee: Some(7),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    }
}

fn hex(text: &str) -> Bytes {
    text.replace(' ', "").parse().expect("hex")
}

fn world(code: &str) -> MemoryState {
    let mut world = MemoryState::default();
    world.insert(ALICE, 5, U256::from(1_000_000), Bytes::new());
    world.insert(CONTRACT, 1, U256::from(3), hex(code));
    world.set_storage(CONTRACT, U256::from(1), U256::from(11));
    world.set_storage(CONTRACT, U256::from(2), U256::from(22));
    world
}

fn desk_on(world: MemoryState) -> Desk {
    Desk::new(&ChainSpec::at(1, Fork::Osaka), env(), None, Arc::new(world))
}

fn desk(code: &str) -> Desk {
    desk_on(world(code))
}

fn to_contract() -> CallRequest {
    CallRequest { from: ALICE, to: Some(CONTRACT), ..CallRequest::default() }
}

fn word(desk: &Desk, request: &CallRequest) -> U256 {
    match desk.call(request).expect("it can be tried").outcome {
        Outcome::Success { output, .. } => U256::from_be_slice(&output),
        other => panic!("{other:?}"),
    }
}

/// Returns the word on top of the stack.
const RETURN: &str = "5f52 6020 5ff3";

fn overrides(address: Address, account: AccountOverride) -> StateOverrides {
    StateOverrides(BTreeMap::from([(address, account)]))
}

#[test]
fn a_call_changes_nothing_and_may_come_from_a_contract() {
    // SSTORE(1, SLOAD(1) + 1), returns SLOAD(1).
    let desk = desk(&format!("6001 6001 54 01 6001 55 6001 54 {RETURN}"));
    for _ in 0..2 {
        assert_eq!(word(&desk, &to_contract()), U256::from(12));
        assert_eq!(word(&desk, &CallRequest { from: CONTRACT, ..to_contract() }), U256::from(12));
    }
    let (executed, diff) = desk.call_with_diff(&to_contract()).unwrap();
    assert!(executed.outcome.is_success());
    let slot = diff.account(&CONTRACT).unwrap().slots[0];
    assert_eq!((slot.key, slot.before, slot.after), (U256::from(1), U256::from(11), U256::from(12)));
}

#[test]
fn whoever_pays_nothing_sees_no_base_fee_and_whoever_pays_must_own_it() {
    let desk = desk(&format!("48 {RETURN}"));
    assert_eq!(word(&desk, &to_contract()), U256::ZERO);
    let paying = CallRequest { max_fee_per_gas: Some(9), gas_limit: Some(100_000), ..to_contract() };
    assert_eq!(word(&desk, &paying), U256::from(7));
    let poor = CallRequest { gas_limit: Some(1_000_000), ..paying.clone() };
    let required = U256::from(9_000_000);
    let expected = Rejection::InsufficientBalance { required, available: U256::from(1_000_000) };
    assert_eq!(desk.call(&poor), Err(CallError::Rejected(expected)));
    let low = CallRequest { max_fee_per_gas: Some(6), ..paying };
    assert_eq!(desk.call(&low), Err(CallError::Rejected(Rejection::FeeTooLow { base_fee: 7, max_fee: 6 })));
}

#[test]
fn the_block_is_seen_as_it_is_wanted() {
    let seen = |opcode: &str, wanted: BlockOverrides| {
        let mut block = env();
        wanted.apply(&mut block);
        let desk =
            Desk::new(&ChainSpec::at(1, Fork::Osaka), block, None, Arc::new(world(&format!("{opcode} {RETURN}"))));
        word(&desk, &CallRequest { max_fee_per_gas: Some(10), gas_limit: Some(100_000), ..to_contract() })
    };
    let nothing = BlockOverrides::default;
    assert_eq!(seen("43", nothing()), U256::from(10));
    assert_eq!(seen("43", BlockOverrides { number: Some(99), ..nothing() }), U256::from(99));
    assert_eq!(seen("42", BlockOverrides { timestamp: Some(98), ..nothing() }), U256::from(98));
    assert_eq!(seen("45", BlockOverrides { gas_limit: Some(97), ..nothing() }), U256::from(97));
    assert_eq!(seen("48", BlockOverrides { base_fee: Some(9), ..nothing() }), U256::from(9));
    assert_eq!(seen("4a", nothing()), U256::from(1));
    assert_eq!(seen("4a", BlockOverrides { blob_base_fee: Some(95), ..nothing() }), U256::from(95));
    let beneficiary = Some(OTHER);
    assert_eq!(seen("41", BlockOverrides { beneficiary, ..nothing() }), U256::from_be_bytes(OTHER.into_word().0));
    let prev_randao = Some(B256::with_last_byte(94));
    assert_eq!(seen("44", BlockOverrides { prev_randao, ..nothing() }), U256::from(94));
}

#[test]
fn rules_follow_the_block_that_is_seen() {
    let mut spec = ChainSpec::at(1, Fork::London);
    spec.forks.push((Fork::Paris, evm::Activation::TotalDifficulty(U256::ZERO)));
    spec.forks.push((Fork::Shanghai, evm::Activation::Time(2_000)));
    // PUSH0 came with Shanghai.
    let mut block = env();
    let ends = |block: &BlockEnv| {
        Desk::new(&spec, block.clone(), None, Arc::new(world("5f"))).call(&to_contract()).unwrap().outcome
    };
    assert_eq!(ends(&block), Outcome::Halt { reason: HaltReason::InvalidOpcode(0x5f) });
    BlockOverrides { timestamp: Some(2_000), ..BlockOverrides::default() }.apply(&mut block);
    assert!(ends(&block).is_success());
}

/// Balance, nonce, code, all slots or some, as small numbers.
type Wishes = (Option<u8>, Option<u8>, Option<u8>, bool, BTreeMap<u8, u8>);

fn wishes() -> impl Strategy<Value = Wishes> {
    let slots = proptest::collection::btree_map(0u8..5, 0u8..3, 0..4);
    let small = || proptest::option::of(0u8..3);
    (small(), small(), small(), any::<bool>(), slots)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The plain twin: the same wishes written into the state itself.
    #[test]
    fn an_overridden_state_is_the_state_with_the_wishes_written_down(
        (balance, nonce, code, whole, slots) in wishes(),
        on_contract in any::<bool>(),
    ) {
        // Sums four slots and the contract's balance, deploys nothing, and destroys itself if call data say so.
        let reads = "6000 54 6001 54 01 6002 54 01 6003 54 01 47 01";
        let codes = [Bytes::new(), hex(&format!("{reads} {RETURN}")), hex("6001 6001 55 33 ff")];
        let address = if on_contract { CONTRACT } else { OTHER };
        let slots: BTreeMap<U256, U256> =
            slots.into_iter().map(|(key, value)| (U256::from(key), U256::from(value))).collect();
        let code = code.map(|code| codes[code as usize].clone());
        let wish = AccountOverride {
            balance: balance.map(U256::from),
            nonce: nonce.map(u64::from),
            code: code.clone(),
            state: whole.then(|| slots.clone()),
            state_diff: (!whole).then(|| slots.clone()),
            move_precompile_to: None,
        };
        let base = world(&format!("{reads} {RETURN}"));
        let mut written = base.clone();
        let before = written.accounts.get(&address).copied();
        let held = before.unwrap_or_default();
        if before.is_some() || whole || wish.balance.or(wish.nonce.map(U256::from)).is_some() || code.is_some()
            || !slots.is_empty()
        {
            let kept = if before.is_some() { hex(&format!("{reads} {RETURN}")) } else { Bytes::new() };
            written.insert(
                address,
                wish.nonce.unwrap_or(held.nonce),
                wish.balance.unwrap_or(held.balance),
                code.unwrap_or(kept),
            );
        }
        if whole {
            written.storage.remove(&address);
        }
        for (key, value) in slots {
            written.set_storage(address, key, value);
        }
        let seen = desk_on(base).with_state(&overrides(address, wish)).unwrap();
        let twin = desk_on(written);
        for to in [CONTRACT, OTHER] {
            let request = CallRequest { to: Some(to), value: U256::from(2), ..to_contract() };
            prop_assert_eq!(seen.call_with_diff(&request), twin.call_with_diff(&request));
        }
        // EXTCODEHASH, EXTCODESIZE and BALANCE of the account, from elsewhere.
        let asks = hex(&format!("73{0} 3f 73{0} 3b 01 73{0} 31 01 {RETURN}", format!("{address:x}")));
        let creation = CallRequest { to: None, input: asks, ..to_contract() };
        prop_assert_eq!(seen.call(&creation), twin.call(&creation));
    }

    /// The plain twin: one call after the other.
    #[test]
    fn a_batch_is_one_call_after_the_other(
        inputs in proptest::collection::vec((0u8..6, 0u64..60_000), 0..700),
        threads in 1usize..5,
    ) {
        // By the first byte of call data: returns it, reverts with it, an invalid opcode, a write, or an endless loop.
        let code = "5f35 60f8 1c 80 6001 14 601f57 80 6002 14 602457 80 6003 14 602957 80 6004 14 602b57 \
                    5b 5f52 60205ff3";
        let desk = desk(code);
        let requests: Vec<_> = inputs
            .into_iter()
            .map(|(byte, gas)| CallRequest {
                input: vec![byte].into(),
                gas_limit: Some(21_000 - 500 + gas),
                ..to_contract()
            })
            .collect();
        let columns = desk.batch(&requests[..], threads).unwrap();
        prop_assert_eq!(columns.len(), requests.len());
        let mut start = 0;
        for (index, request) in requests.iter().enumerate() {
            let end = columns.ends[index] as usize;
            let output = &columns.output[start..end];
            start = end;
            let (status, reason, used) = (columns.status[index], columns.reason[index], columns.gas_used[index]);
            match desk.call(request) {
                Ok(executed) => {
                    prop_assert_eq!(used, executed.gas_used);
                    let expected = match &executed.outcome {
                        Outcome::Success { output, .. } => (1, String::new(), output.clone()),
                        Outcome::Revert { output } => (0, String::new(), output.clone()),
                        Outcome::Halt { reason } => (2, reason.to_string(), Bytes::new()),
                    };
                    prop_assert!(expected.1.starts_with(REASONS[reason as usize]));
                    prop_assert_eq!((status, output), (expected.0, &expected.2[..]));
                }
                Err(CallError::Rejected(rejection)) => {
                    let name = format!("{rejection:?}");
                    prop_assert!(name.starts_with(REASONS[reason as usize]), "{}", name);
                    prop_assert_eq!((status, used, output), (3, 0, &[][..]));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The twin: each call written out.
#[test]
fn calls_that_are_alike_are_those_written_out() {
    // Returns the word that it is given, and what came with it.
    let desk = desk("5f35 34 01 5f52 60205ff3");
    let like = CallRequest { gas_limit: Some(50_000), value: U256::from(9), ..to_contract() };
    let mut alike = Alike::new(like.clone(), 2);
    let mut requests = Vec::new();
    for index in 0..1_000_u64 {
        let to = if index % 3 == 0 { Address::with_last_byte(0x99) } else { to_contract().to.unwrap() };
        let data = vec![index as u8; index as usize % 40];
        // Now and then more than the caller has.
        let value = if index % 7 == 0 { U256::MAX } else { U256::ZERO };
        alike.push(to, value, &data);
        requests.push(CallRequest { to: Some(to), value, input: data.into(), ..like.clone() });
    }
    let expected = desk.batch(&requests[..], 1).unwrap();
    assert!([0, 1, 3].map(|status| expected.status.contains(&status)) == [false, true, true]);
    for threads in 1..4 {
        assert_eq!(desk.batch(&alike, threads).unwrap(), expected);
    }
    assert!(desk.batch(&Alike::new(like, 0), 2).unwrap().is_empty());
}

#[test]
fn a_batch_that_is_stopped_or_cannot_be_tried_says_so() {
    let requests = vec![to_contract(); 1_000];
    let stop = Stop::new();
    stop.ask();
    let stopped = stop.within(|| desk("00").batch(&requests[..], 2)).unwrap_err();
    assert_eq!(stopped, CallError::View(Stopped.into()));
    let mut spec = ChainSpec::at(1, Fork::Osaka);
    let fails = CustomOpcode {
        name: "FAIL".into(),
        gas: 1,
        inputs: 0,
        outputs: 0,
        consensus: false,
        run: Arc::new(|_, _| Err(Quit::from(evm::spec::Cause::from("no luck".to_owned())))),
    };
    spec.changes = Changes::default().with_opcode(0x0c, fails).unwrap();
    let desk = Desk::new(&spec, env(), None, Arc::new(world("0c")));
    let error = desk.batch(&requests[..], 4).unwrap_err();
    assert_eq!(error.to_string(), "opcode 0x0c FAIL failed: no luck");
}

#[test]
fn wishes_that_contradict_each_other_are_refused() {
    let refused = |overrides: StateOverrides| desk("00").with_state(&overrides).unwrap_err();
    let slots = || Some(BTreeMap::new());
    let twice = AccountOverride { state: slots(), state_diff: slots(), ..AccountOverride::default() };
    assert_eq!(refused(overrides(ALICE, twice)), OverrideError::StateTwice { address: ALICE });
    let moves = |to| AccountOverride { move_precompile_to: Some(to), ..AccountOverride::default() };
    assert_eq!(refused(overrides(ALICE, moves(OTHER))), OverrideError::NoPrecompile { address: ALICE });
    let [four, five] = [4, 5].map(Address::with_last_byte);
    let both = StateOverrides(BTreeMap::from([(four, moves(OTHER)), (five, moves(OTHER))]));
    assert_eq!(refused(both), OverrideError::AlreadyOverridden { address: OTHER });
    let itself = StateOverrides(BTreeMap::from([(four, moves(OTHER)), (OTHER, AccountOverride::default())]));
    assert_eq!(refused(itself), OverrideError::AlreadyOverridden { address: OTHER });
}

#[test]
fn a_precompile_moves_and_its_old_place_can_have_code() {
    let identity = Address::with_last_byte(4);
    let moves = AccountOverride {
        move_precompile_to: Some(OTHER),
        code: Some(hex(&format!("602a {RETURN}"))),
        ..AccountOverride::default()
    };
    let moved = desk("00").with_state(&overrides(identity, moves)).unwrap();
    let ask = |to| CallRequest { to: Some(to), input: vec![0, 7].into(), ..to_contract() };
    assert_eq!(word(&moved, &ask(identity)), U256::from(42));
    assert_eq!(word(&moved, &ask(OTHER)), U256::from(7));
    assert_eq!(word(&desk("00"), &ask(identity)), U256::from(7));
}

#[test]
fn an_estimate_succeeds_and_one_less_does_not() {
    // Clears a slot, for which gas is given back, and halts unless OTHER can write one: needs more than it uses.
    let mut world = world(&format!("5f 6001 55 5f5f5f5f5f73{}5af1 6024 57 fe 5b 00", "c1".repeat(20)));
    world.insert(OTHER, 1, U256::ZERO, hex("6001 6001 55"));
    let desk = desk_on(world);
    let least = desk.estimate_gas(&to_contract()).unwrap();
    let with = |gas| CallRequest { gas_limit: Some(gas), ..to_contract() };
    assert!(desk.call(&with(least)).unwrap().outcome.is_success());
    assert!(least > desk.call(&with(least)).unwrap().gas_used);
    let short = desk.call(&with(least - 1)).unwrap();
    assert!(!short.outcome.is_success(), "{short:?}");
}

#[test]
fn an_estimate_says_why_there_is_none() {
    let reverts = desk("5f5ffd");
    let outcome = Outcome::Revert { output: Bytes::new() };
    assert_eq!(reverts.estimate_gas(&to_contract()), Err(CallError::Unsuccessful(outcome)));
    let endless = desk("5b5f56");
    let allowance = 1 << 24;
    assert_eq!(endless.estimate_gas(&to_contract()), Err(CallError::GasExceeded { allowance }));
    let limited = CallRequest { gas_limit: Some(50_000), ..to_contract() };
    assert_eq!(endless.estimate_gas(&limited), Err(CallError::GasExceeded { allowance: 50_000 }));
    // A price bounds it by what the caller owns.
    let priced = CallRequest { gas_price: Some(10), ..to_contract() };
    assert_eq!(endless.estimate_gas(&priced), Err(CallError::GasExceeded { allowance: 100_000 }));
}

#[test]
fn an_access_list_covers_what_is_touched_and_grows_until_nothing_is_added() {
    // Slot 1 holds 11: reads slot 11 next, and the balance of OTHER where that slot is warm or gas is plenty.
    let desk = desk(&format!("6001 54 54 73{} 31 01 {RETURN}", "c1".repeat(20)));
    let listed = desk.access_list(&to_contract()).unwrap();
    let key = |byte| B256::with_last_byte(byte);
    let expected = [
        AccessListItem { address: CONTRACT, storage_keys: vec![key(1), key(11)] },
        AccessListItem { address: OTHER, storage_keys: vec![] },
    ];
    assert_eq!(listed.access_list.0, expected);
    // With the list nothing is cold: it is the call with that list.
    let with = CallRequest { access_list: listed.access_list.clone(), ..to_contract() };
    assert_eq!(desk.call(&with).unwrap(), listed.executed);
    assert_eq!(desk.access_list(&with).unwrap(), listed);
}

#[test]
fn an_access_list_is_told_of_a_call_that_fails_too() {
    let listed = desk("6001 54 5f5ffd").access_list(&to_contract()).unwrap();
    assert_eq!(listed.executed.outcome, Outcome::Revert { output: Bytes::new() });
    assert_eq!(listed.access_list.0.len(), 1);
}
