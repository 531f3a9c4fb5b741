//! The overlay against a plain twin that copies everything at each checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use execlayer_state::{AccountId, EmptyAccounts, MemoryState, Overlay, SlotId};
use proptest::prelude::*;
use types::{Account, Address, Bytes, Log, U256, keccak256};

/// What happens to the state; places are few, so that they meet.
#[derive(Clone, Copy, Debug)]
enum Step {
    Credit(u8, u64),
    Move(u8, u8, u64),
    Nonce(u8, u64),
    Code(u8, u8),
    Touch(u8),
    Create(u8),
    Destroy(u8),
    Slot(u8, u8, u64),
    Transient(u8, u8, u64),
    Warm(u8),
    WarmSlot(u8, u8),
    Log,
    Refund(i8),
    Checkpoint,
    Rollback,
    Commit,
    End(bool),
    Abandon,
}

fn step() -> impl Strategy<Value = Step> {
    let place = 1..6_u8;
    let key = 0..3_u8;
    let value = 0..4_u64;
    prop_oneof![
        1 => (place.clone(), value.clone()).prop_map(|(a, v)| Step::Credit(a, v)),
        1 => (place.clone(), place.clone(), value.clone()).prop_map(|(a, b, v)| Step::Move(a, b, v)),
        1 => (place.clone(), value.clone()).prop_map(|(a, v)| Step::Nonce(a, v)),
        1 => (place.clone(), 0..3_u8).prop_map(|(a, c)| Step::Code(a, c)),
        1 => place.clone().prop_map(Step::Touch),
        1 => place.clone().prop_map(Step::Create),
        1 => place.clone().prop_map(Step::Destroy),
        4 => (place.clone(), key.clone(), value.clone()).prop_map(|(a, k, v)| Step::Slot(a, k, v)),
        1 => (place.clone(), key.clone(), value).prop_map(|(a, k, v)| Step::Transient(a, k, v)),
        1 => place.clone().prop_map(Step::Warm),
        1 => (place, key).prop_map(|(a, k)| Step::WarmSlot(a, k)),
        1 => Just(Step::Log),
        1 => any::<i8>().prop_map(Step::Refund),
        3 => Just(Step::Checkpoint),
        2 => Just(Step::Rollback),
        1 => Just(Step::Commit),
        1 => any::<bool>().prop_map(Step::End),
        1 => Just(Step::Abandon),
    ]
}

fn address(place: u8) -> Address {
    // Among them the account whose touch no rollback takes back.
    Address::with_last_byte(place)
}

fn code(kind: u8) -> Bytes {
    Bytes::copy_from_slice(&vec![kind; usize::from(kind)])
}

/// The meaning: plain maps, copied whole.
#[derive(Clone, Debug, Default, PartialEq)]
struct Twin {
    state: MemoryState,
    transient: BTreeMap<(u8, u8), u64>,
    touched: BTreeSet<Address>,
    created: BTreeSet<u8>,
    destroyed: BTreeSet<u8>,
    warm: BTreeSet<u8>,
    warm_slots: BTreeSet<(u8, u8)>,
    logs: usize,
    refund: i64,
}

impl Twin {
    fn account(&mut self, place: u8) -> &mut Account {
        self.touched.insert(address(place));
        self.state.accounts.entry(address(place)).or_default()
    }

    fn balance(&self, place: u8) -> U256 {
        self.state.accounts.get(&address(place)).map_or(U256::ZERO, |account| account.balance)
    }

    fn remove(&mut self, address: Address) {
        self.state.accounts.remove(&address);
        self.state.storage.remove(&address);
    }

    fn end(&mut self, empty: EmptyAccounts) {
        for place in std::mem::take(&mut self.destroyed) {
            self.remove(address(place));
        }
        if empty == EmptyAccounts::Cleared {
            for touched in self.touched.clone() {
                if self.state.accounts.get(&touched).is_some_and(Account::is_empty) {
                    self.remove(touched);
                }
            }
        }
        *self = Self { state: std::mem::take(&mut self.state), ..Self::default() };
    }

    /// Back to `before`; the exception's touch stays.
    fn rollback(&mut self, before: Self) {
        let ripemd = self.touched.contains(&address(3));
        *self = before;
        if ripemd {
            self.touched.insert(address(3));
        }
    }
}

fn number(value: u64) -> U256 {
    U256::from(value)
}

fn account_of(overlay: &mut Overlay<'_>, place: u8) -> AccountId {
    overlay.load(&address(place)).unwrap()
}

fn slot_of(overlay: &mut Overlay<'_>, place: u8, key: u8) -> SlotId {
    let account = account_of(overlay, place);
    overlay.load_slot(account, &number(key.into())).unwrap()
}

/// Everything that can be asked, asked of both.
fn compare(overlay: &mut Overlay<'_>, twin: &Twin, began: &MemoryState) {
    for place in 1..6 {
        let id = account_of(overlay, place);
        assert_eq!(overlay.account(id), twin.state.accounts.get(&address(place)).copied(), "account {place}");
        assert_eq!(overlay.is_warm(id), twin.warm.contains(&place));
        assert_eq!(overlay.is_created(id), twin.created.contains(&place));
        assert_eq!(overlay.is_destroyed(id), twin.destroyed.contains(&place));
        assert_eq!(overlay.has_storage(id).unwrap(), twin.state.storage.contains_key(&address(place)));
        let hash = overlay.code_hash(id);
        let code = overlay.code(id).unwrap();
        assert_eq!(keccak256(&code), hash);
        for key in 0..3 {
            let slot = slot_of(overlay, place, key);
            let held = |state: &MemoryState| {
                let slots = state.storage.get(&address(place));
                slots.and_then(|slots| slots.get(&number(key.into()))).copied().unwrap_or_default()
            };
            assert_eq!(overlay.slot(slot), held(&twin.state), "slot {place} {key}");
            assert_eq!(overlay.original(slot), held(began), "slot {place} {key} when the transaction began");
            let transient = twin.transient.get(&(place, key)).copied().unwrap_or_default();
            assert_eq!(overlay.transient(id, &number(key.into())), number(transient));
        }
    }
    assert_eq!(overlay.logs().len(), twin.logs);
    assert_eq!(overlay.refunded(), twin.refund);
}

fn beginning() -> MemoryState {
    let mut state = MemoryState::default();
    state.insert(address(1), 1, number(10), Bytes::new());
    state.insert(address(2), 1, number(5), code(2));
    state.set_storage(address(2), number(0), number(1));
    state.set_storage(address(2), number(9), number(1));
    state.insert(address(3), 0, U256::ZERO, Bytes::new());
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_overlay_does_what_copying_everything_would_do(steps in proptest::collection::vec(step(), 1..60)) {
        let view = beginning();
        let mut overlay = Overlay::new(&view);
        overlay.begin();
        let mut twin = Twin { state: view.clone(), ..Twin::default() };
        let mut began = twin.clone();
        let mut checkpoints = Vec::new();
        // Each transaction's diff, applied one after the other.
        let mut replayed = view.clone();
        for step in steps {
            match step {
                Step::Credit(place, value) => {
                    let id = account_of(&mut overlay, place);
                    overlay.credit(id, number(value));
                    twin.account(place).balance += number(value);
                }
                Step::Move(from, to, value) => {
                    let (source, target) = (account_of(&mut overlay, from), account_of(&mut overlay, to));
                    let moved = overlay.transfer(source, target, number(value));
                    prop_assert_eq!(moved, twin.balance(from) >= number(value));
                    if moved {
                        twin.touched.insert(address(from));
                        if value > 0 {
                            twin.account(from).balance -= number(value);
                        }
                        twin.account(to).balance += number(value);
                    }
                }
                Step::Nonce(place, nonce) => {
                    let id = account_of(&mut overlay, place);
                    overlay.set_nonce(id, nonce);
                    twin.account(place).nonce = nonce;
                }
                Step::Code(place, kind) => {
                    let id = account_of(&mut overlay, place);
                    overlay.set_code(id, code(kind));
                    twin.account(place).code_hash = keccak256(code(kind));
                    if kind > 0 {
                        twin.state.codes.insert(keccak256(code(kind)), code(kind));
                    }
                }
                Step::Touch(place) => {
                    let id = account_of(&mut overlay, place);
                    overlay.touch(id);
                    twin.touched.insert(address(place));
                }
                Step::Create(place) => {
                    let id = account_of(&mut overlay, place);
                    overlay.mark_created(id);
                    twin.created.insert(place);
                }
                Step::Destroy(place) => {
                    let id = account_of(&mut overlay, place);
                    prop_assert_eq!(overlay.destroy(id), twin.destroyed.insert(place));
                }
                Step::Slot(place, key, value) => {
                    // Only accounts that are there have storage.
                    if twin.state.accounts.contains_key(&address(place)) {
                        let slot = slot_of(&mut overlay, place, key);
                        overlay.set_slot(slot, number(value));
                        twin.state.set_storage(address(place), number(key.into()), number(value));
                    }
                }
                Step::Transient(place, key, value) => {
                    let id = account_of(&mut overlay, place);
                    overlay.set_transient(id, number(key.into()), number(value));
                    twin.transient.insert((place, key), value);
                }
                Step::Warm(place) => {
                    let id = account_of(&mut overlay, place);
                    prop_assert_eq!(overlay.warm(id), twin.warm.insert(place));
                }
                Step::WarmSlot(place, key) => {
                    let slot = slot_of(&mut overlay, place, key);
                    prop_assert_eq!(overlay.warm_slot(slot), twin.warm_slots.insert((place, key)));
                }
                Step::Log => {
                    overlay.log(Log::default());
                    twin.logs += 1;
                }
                Step::Refund(gas) => {
                    overlay.refund(gas.into());
                    twin.refund += i64::from(gas);
                }
                Step::Checkpoint => checkpoints.push((overlay.checkpoint(), twin.clone())),
                Step::Rollback => {
                    if let Some((checkpoint, before)) = checkpoints.pop() {
                        overlay.rollback(checkpoint);
                        twin.rollback(before);
                    }
                }
                Step::Commit => {
                    if let Some((checkpoint, _)) = checkpoints.pop() {
                        overlay.commit(checkpoint);
                    }
                }
                Step::End(cleared) => {
                    checkpoints.clear();
                    let empty = if cleared { EmptyAccounts::Cleared } else { EmptyAccounts::Stay };
                    overlay.settle(empty).unwrap();
                    twin.end(empty);
                    replayed.apply(&overlay.transaction_diff());
                    prop_assert_eq!(&replayed.accounts, &twin.state.accounts);
                    prop_assert_eq!(&replayed.storage, &twin.state.storage);
                    overlay.begin();
                    began = twin.clone();
                }
                Step::Abandon => {
                    checkpoints.clear();
                    overlay.abandon();
                    twin = began.clone();
                }
            }
            compare(&mut overlay, &twin, &began.state);
        }
        let mut after = view.clone();
        after.apply(&overlay.diff());
        prop_assert_eq!(&after.accounts, &twin.state.accounts);
        prop_assert_eq!(&after.storage, &twin.state.storage);
        for account in after.accounts.values() {
            prop_assert!(!account.has_code() || after.codes.contains_key(&account.code_hash));
        }
    }
}
