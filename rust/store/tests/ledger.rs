//! What a chain may expect of a store, on disk as in memory.

mod world;

use execlayer_store::{Durability, Options, Store};
use proptest::prelude::*;
use state::Ledger;

use crate::world::{Dice, World, dump};

const MIB: usize = 1 << 20;

fn small() -> Options {
    Options { map_size: MIB, growth: MIB, ..Options::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Blocks come and go; after every step both stores hold the model's world, and in the end the same bytes.
    #[test]
    fn lmdb_and_memory_hold_the_same_bytes(seed: u64, steps in prop::collection::vec(0u8..10, 1..24)) {
        let mut dice = Dice(seed);
        let folder = tempfile::tempdir().unwrap();
        let durability = [Durability::Full, Durability::Batched, Durability::None][dice.below(3) as usize];
        let options = Options { durability, ..small() };
        let (memory, mut lmdb) = (Store::memory(), Store::open(folder.path(), options).unwrap());
        let mut world = World::default();
        for step in steps {
            let commit = if step < 7 || world.chain.is_empty() { world.extend(&mut dice, 20) } else { world.retreat() };
            if commit.head.is_some() {
                memory.commit(commit.clone()).unwrap();
                lmdb.commit(commit).unwrap();
                world.assert_held_by(&lmdb);
            } else {
                world = World::default();
                break;
            }
            if step == 5 {
                drop(lmdb);
                lmdb = Store::open(folder.path(), options).unwrap();
            }
        }
        if world.head().is_some() {
            world.assert_held_by(&memory);
        }
        prop_assert_eq!(dump(&memory), dump(&lmdb));
    }
}
