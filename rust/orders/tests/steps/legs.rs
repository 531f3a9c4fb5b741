//! What fills read of pools.

use execlayer_orders::chain::{
    Log, Parties, Receipt,
    topics::{Amounts, SWAPS},
};
use types::{Address, B256, U256, keccak256};

const POOLS: [Address; 2] = [Address::repeat_byte(0x22), Address::repeat_byte(0x33)];
const LOW: Address = Address::repeat_byte(0x11);
const HIGH: Address = Address::repeat_byte(0x44);

/// A pool's word: it takes 1,000 of the lower token and gives 990 of the higher one, or the other way round.
fn swap(pool: Address, topic: B256, amounts: Amounts, low_in: bool, index: u32) -> Log {
    let (got, gave) = (U256::from(1000), U256::from(990));
    let words = match (amounts, low_in) {
        (Amounts::InsAndOuts, true) => vec![got, U256::ZERO, U256::ZERO, gave],
        (Amounts::InsAndOuts, false) => vec![U256::ZERO, got, gave, U256::ZERO],
        (Amounts::Signed, true) => vec![got, gave.wrapping_neg(), U256::MAX, U256::MAX],
        (Amounts::Signed, false) => vec![gave.wrapping_neg(), got, U256::MAX, U256::MAX],
    };
    let data = words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
    Log { address: pool, topics: vec![topic, B256::ZERO, B256::ZERO], data, index }
}

#[test]
fn swaps_of_every_kind_of_pool_become_legs_in_both_directions() {
    for (topic, signature, amounts) in SWAPS {
        assert_eq!(keccak256(signature), topic, "{signature}");
        let mut short = swap(POOLS[0], topic, amounts, true, 9);
        short.data.truncate(33);
        let foreign = swap(Address::repeat_byte(0x77), topic, amounts, true, 8);
        let other = swap(POOLS[0], B256::repeat_byte(1), amounts, true, 7);
        let ours = [swap(POOLS[0], topic, amounts, true, 3), swap(POOLS[1], topic, amounts, false, 4)];
        let receipt = Receipt {
            tx_hash: B256::ZERO,
            tx_index: 0,
            success: true,
            gas_used: 1,
            gas_price: 1,
            logs: ours.into_iter().chain([short, foreign, other]).collect(),
        };
        let parties = Parties {
            contract: Address::ZERO,
            reference: B256::ZERO,
            recipient: Address::ZERO,
            profit_token: LOW,
            pools: &POOLS,
            tokens: &[HIGH, LOW],
        };
        let legs = receipt.taking(&parties).legs;
        let told: Vec<_> = legs.iter().map(|leg| (leg.pool, leg.token_in, leg.token_out, leg.log_index)).collect();
        assert_eq!(told, [(POOLS[0], LOW, HIGH, 3), (POOLS[1], HIGH, LOW, 4)], "{signature}");
        let amounts = (U256::from(1000), U256::from(990));
        assert!(legs.iter().all(|leg| (leg.amount_in, leg.amount_out) == amounts), "{signature}");
    }
}
