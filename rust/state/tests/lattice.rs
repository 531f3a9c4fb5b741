//! The accounts lattice hash against an independent computation, and the laws of a sum.

mod world;

use execlayer_state::roots::Lattice;
use execlayer_state::{MemoryState, StateDiff};
use proptest::prelude::*;
use types::{Account, Address, B256, EMPTY_CODE_HASH, U256};
use world::{diff_between, world};

/// What this Python, with `blake3` from PyPI, prints for sums of elements:
///
/// ```python
/// def draw(data): return unpack("<1024H", blake3(data).digest(length=2048))
/// def account(address, nonce, balance, code_hash):
///     return draw(b"\0" + address + nonce.to_bytes(8, "little") + balance.to_bytes(32, "big") + code_hash)
/// def slot(address, key, value):
///     return draw(b"\1" + address + key.to_bytes(32, "big") + value.to_bytes(32, "big"))
/// def checksum(*elements):
///     lanes = [sum(column) % 65536 for column in zip([0] * 1024, *elements)]
///     return blake3(pack("<1024H", *lanes)).hexdigest()
/// ```
///
/// with A = 20 bytes of 0x11, B = 20 bytes of 0x22, C = 32 bytes of 0x33.
const KNOWN: [(&str, &str); 5] = [
    ("", "be2a8de3dcf46c94ce85cdc8e07ac308f4d8a95490d956c38d780fd610db0813"),
    // account(A, 0, 0, hash of no code)
    ("e", "9c251539be33c402c3ee145b95a21924a9d99dfdec7c4ebf0783f86006282723"),
    // account(A, 7, 10**21, C)
    ("a", "6a0437af04dc4824d265cb9bcd25500a9c1dbf12ff79ba1f9841dc84a201d587"),
    // slot(A, 2**200 + 5, 2**255 + 1)
    ("s", "b10f0bc2a7a5734063ec37ebaad6cf974a8f764b96821347773ea1f085a2a9ae"),
    // account(A, 7, 10**21, C), account(B, 2**64 - 1, 2**256 - 1, hash of no code), slot(A, 0, 1) and the slot above
    ("abts", "8716638687f3fa864ce4a371400dc17ff62a7b16bc0c580a30e1e9ab05dce836"),
];

#[test]
fn known_sums_have_their_checksums() {
    let (a, b) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
    let balance = U256::from(10).pow(U256::from(21));
    for (elements, checksum) in KNOWN {
        let mut lattice = Lattice::default();
        for element in elements.chars() {
            match element {
                'e' => lattice.add_account(&a, &Account::default()),
                'a' => lattice.add_account(&a, &Account { nonce: 7, balance, code_hash: B256::repeat_byte(0x33) }),
                'b' => {
                    let code_hash = EMPTY_CODE_HASH;
                    lattice.add_account(&b, &Account { nonce: u64::MAX, balance: U256::MAX, code_hash });
                }
                't' => lattice.add_slot(&a, &U256::ZERO, &U256::ONE),
                's' => {
                    let (key, value) = ((U256::ONE << 200) + U256::from(5), (U256::ONE << 255) + U256::ONE);
                    lattice.add_slot(&a, &key, &value);
                }
                _ => unreachable!(),
            }
        }
        assert_eq!(lattice.checksum(), checksum.parse::<B256>().unwrap(), "{elements:?}");
        assert_eq!(format!("{lattice:?}"), format!("Lattice(0x{checksum})"));
    }
}

#[test]
fn a_slot_of_zero_is_no_slot() {
    let mut lattice = Lattice::default();
    lattice.add_slot(&Address::ZERO, &U256::ONE, &U256::ZERO);
    assert_eq!(lattice, Lattice::default());
}

#[test]
fn a_large_diff_is_the_sum_of_its_accounts() {
    let mut state = MemoryState::default();
    for index in 0..1000u64 {
        let address = Address::left_padding_from(&index.to_be_bytes());
        state.insert(address, index, U256::from(index), Vec::new().into());
        state.set_storage(address, U256::from(index), U256::from(index));
    }
    let mut one_by_one = Lattice::default();
    for (address, account) in &state.accounts {
        one_by_one.add_account(address, account);
    }
    for (address, slots) in &state.storage {
        slots.iter().for_each(|(key, value)| one_by_one.add_slot(address, key, value));
    }
    assert_eq!(Lattice::of(&state), one_by_one);
}

proptest! {
    #[test]
    fn the_sum_follows_the_state_and_its_inverse_leads_back(from in world(), to in world()) {
        let diff = diff_between(&from, &to);
        let start = Lattice::of(&from);
        let mut lattice = start.clone();
        lattice.apply(&diff);
        prop_assert_eq!(&lattice, &Lattice::of(&to));
        lattice.apply(&diff.inverse());
        prop_assert_eq!(&lattice, &start);
        prop_assert_eq!(lattice == Lattice::of(&to), from == to);
    }

    #[test]
    fn neither_order_nor_partition_matters(
        (shuffled, split) in world().prop_flat_map(|state| {
            let accounts = state.to_diff().accounts;
            let split = 0..=accounts.len();
            (Just(accounts).prop_shuffle(), split)
        }),
    ) {
        let part = |accounts: &[_]| {
            let mut lattice = Lattice::default();
            lattice.apply(&StateDiff { accounts: accounts.to_vec(), codes: Vec::new() });
            lattice
        };
        let mut sorted = shuffled.clone();
        sorted.sort_unstable_by_key(|(address, _)| *address);
        let mut merged = part(&shuffled[split..]);
        merged.merge(&part(&shuffled[..split]));
        prop_assert_eq!(&merged, &part(&sorted));
        prop_assert_eq!(Lattice::from_bytes(&merged.to_bytes()), merged);
    }
}
