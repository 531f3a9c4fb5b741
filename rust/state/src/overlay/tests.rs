use super::*;
use crate::MemoryState;

fn address(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn number(value: u64) -> U256 {
    U256::from(value)
}

fn funded() -> MemoryState {
    let mut state = MemoryState::default();
    state.insert(address(1), 1, number(100), Bytes::new());
    state.insert(address(2), 1, number(50), Bytes::from_static(b"code"));
    state.set_storage(address(2), number(7), number(70));
    state
}

#[test]
fn a_transfer_shows_in_the_diff_of_transaction_and_block() {
    let mut state = funded();
    let view = state.clone();
    let mut overlay = Overlay::new(&view);
    overlay.begin();
    let (from, to) = (overlay.load(&address(1)).unwrap(), overlay.load(&address(9)).unwrap());
    assert!(overlay.transfer(from, to, number(30)));
    assert!(!overlay.transfer(from, to, number(71)));
    overlay.settle(EmptyAccounts::Cleared).unwrap();
    let first = overlay.transaction_diff();
    assert_eq!(first, overlay.diff());
    overlay.begin();
    assert!(overlay.transfer(to, from, number(30)));
    overlay.settle(EmptyAccounts::Cleared).unwrap();
    let second = overlay.transaction_diff();
    assert!(overlay.diff().is_empty(), "everything is as it was");
    state.apply(&first);
    assert_eq!(state.accounts[&address(9)].balance, number(30));
    state.apply(&second);
    assert_eq!(state, view);
}

#[test]
fn rollback_restores_values_warmth_logs_and_refund() {
    let view = funded();
    let mut overlay = Overlay::new(&view);
    overlay.begin();
    let id = overlay.load(&address(2)).unwrap();
    let slot = overlay.load_slot(id, &number(7)).unwrap();
    overlay.refund(5);
    let checkpoint = overlay.checkpoint();
    assert!(overlay.warm(id) && !overlay.warm(id));
    assert!(overlay.warm_slot(slot) && !overlay.warm_slot(slot));
    overlay.set_slot(slot, number(1));
    overlay.set_transient(id, number(1), number(2));
    overlay.set_code(id, Bytes::from_static(b"other"));
    overlay.mark_created(id);
    assert!(overlay.destroy(id) && !overlay.destroy(id));
    overlay.log(Log::default());
    overlay.refund(-9);
    assert_eq!((overlay.slot(slot), overlay.original(slot)), (number(1), number(70)));
    overlay.rollback(checkpoint);
    assert_eq!(overlay.slot(slot), number(70));
    assert_eq!(overlay.transient(id, &number(1)), U256::ZERO);
    assert_eq!(overlay.code(id).unwrap(), Bytes::from_static(b"code"));
    assert!(!overlay.is_created(id) && !overlay.is_destroyed(id) && !overlay.is_warm(id));
    assert!(overlay.logs().is_empty());
    assert_eq!(overlay.refunded(), 5);
    assert!(overlay.warm(id) && overlay.warm_slot(slot));
    assert!(overlay.transaction_diff().is_empty());
}

#[test]
fn a_destroyed_account_takes_every_slot_with_it() {
    let mut state = funded();
    let view = state.clone();
    let mut overlay = Overlay::new(&view);
    overlay.begin();
    let id = overlay.load(&address(2)).unwrap();
    let new = overlay.load_slot(id, &number(8)).unwrap();
    overlay.set_slot(new, number(80));
    assert!(overlay.has_storage(id).unwrap());
    overlay.destroy(id);
    assert_eq!(overlay.settle(EmptyAccounts::Stay).unwrap(), number(50));
    assert_eq!(overlay.account(id), None);
    assert!(!overlay.has_storage(id).unwrap());
    assert_eq!(overlay.transaction_diff(), overlay.diff());
    state.apply(&overlay.diff());
    assert!(!state.accounts.contains_key(&address(2)) && !state.storage.contains_key(&address(2)));
}

#[test]
fn touched_empty_accounts_stay_or_go_as_told() {
    let view = MemoryState::default();
    for (rule, exists) in [(EmptyAccounts::Stay, true), (EmptyAccounts::Cleared, false)] {
        let mut overlay = Overlay::new(&view);
        overlay.begin();
        let id = overlay.load(&address(5)).unwrap();
        overlay.credit(id, U256::ZERO);
        overlay.settle(rule).unwrap();
        assert_eq!(overlay.account(id).is_some(), exists);
        assert_eq!(!overlay.diff().is_empty(), exists);
    }
}

#[test]
fn the_touch_of_the_ripemd_account_survives_a_rollback_and_no_other() {
    let mut view = MemoryState::default();
    for byte in [3, 4] {
        view.insert(Address::with_last_byte(byte), 0, U256::ZERO, Bytes::new());
    }
    let mut overlay = Overlay::new(&view);
    overlay.begin();
    let checkpoint = overlay.checkpoint();
    for byte in [3, 4] {
        let id = overlay.load(&Address::with_last_byte(byte)).unwrap();
        overlay.touch(id);
    }
    overlay.rollback(checkpoint);
    overlay.settle(EmptyAccounts::Cleared).unwrap();
    let diff = overlay.diff();
    assert_eq!(diff.accounts.len(), 1);
    assert_eq!(diff.account(&RIPEMD).unwrap().after, None);
}

#[test]
fn an_abandoned_transaction_leaves_nothing_and_a_rebased_overlay_knows_nothing() {
    let view = funded();
    let mut overlay = Overlay::new(&view);
    overlay.begin();
    let id = overlay.load(&address(2)).unwrap();
    overlay.credit(id, number(1));
    overlay.destroy(id);
    overlay.log(Log::default());
    overlay.settle(EmptyAccounts::Cleared).unwrap();
    overlay.abandon();
    assert!(overlay.diff().is_empty() && overlay.logs().is_empty());
    let nothing = MemoryState::default();
    let mut overlay = overlay.rebase(&nothing);
    overlay.begin();
    let id = overlay.load(&address(2)).unwrap();
    assert_eq!(overlay.account(id), None);
}

/// A state that can be read so many times.
struct Failing(MemoryState, std::sync::atomic::AtomicUsize, bool);

impl View for Failing {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.1.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
            assert!(!self.2, "a view that panics");
            return Err(ViewError::Unreadable("gone".into()));
        }
        self.0.account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        self.0.storage(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.0.code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.0.block_hash(number)
    }
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        self.0.slots(address)
    }
}

#[test]
fn what_is_foreseen_is_what_would_have_been_loaded_even_where_the_view_fails_or_panics() {
    let parties = [1, 2, 1, 9, 2].map(address);
    for reads in 0..=3 {
        for panics in [false, true] {
            let view = Failing(funded(), reads.into(), panics);
            let mut overlay = Overlay::new(&view);
            overlay.begin();
            let foreseen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| overlay.foresee(&parties)));
            assert_eq!(foreseen.is_err(), panics && reads < 3);
            view.1.store(9, std::sync::atomic::Ordering::Relaxed);
            for address in parties {
                let id = overlay.load(&address).unwrap();
                assert_eq!(overlay.account(id), view.0.accounts.get(&address).copied(), "after {reads} reads");
            }
            assert_eq!(overlay.entries(), 3);
            let known = overlay.load(&address(1)).unwrap();
            overlay.credit(known, number(1));
            overlay.foresee(&parties);
            assert_eq!(overlay.balance(known), number(101), "what is known is not read again");
        }
    }
}
