//! The public chain of the RPC tests: 54 blocks through every fork from Homestead to Osaka's blob schedules.

use std::sync::Arc;

use execlayer_chain::{Chain, Genesis, Options, check_state};
use state::Ledger;
use store::Store;
use types::{B256, primitives::b256};

use victim::{Victim, kills, say};

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

mod victim;

/// What `headfcu.json` beside the chain makes the head.
const HEAD: B256 = b256!("d226371d0b1551adb03fb52b71f08e3e11247fe9b1af994768af8cdaa8e7dcd7");

/// Genesis and blocks; None, with a word about it, where the fixtures are not there.
fn fixture() -> Option<(String, Vec<u8>)> {
    let fixtures = fixtures::Fixtures::find()?;
    let genesis = fixtures.file("rpc-conformance", "/genesis.json");
    Some((String::from_utf8(genesis).expect("text"), fixtures.file("rpc-conformance", "/chain.rlp")))
}

/// Imports all blocks in two runs, the second of which meets those of the first again, and exports what was read.
fn import(ledger: Arc<dyn Ledger>, genesis: &str, blocks: &[u8]) {
    let chain = Chain::open(ledger, Genesis::from_json(genesis).unwrap(), Options::default()).unwrap();
    let first = chain.import_stream(&mut &*blocks, &mut |progress| progress.blocks < 20).unwrap();
    assert_eq!((first.blocks, first.known), (20, 0));
    let second = chain.import_stream(&mut &*blocks, &mut |_| true).unwrap();
    assert_eq!((second.blocks, second.known, second.bytes), (54, 20, blocks.len() as u64));
    assert_eq!((chain.head().id.number, chain.head().id.hash), (54, HEAD));
    let mut exported = Vec::new();
    assert_eq!(chain.export(1..=54, &mut exported).unwrap(), 54);
    assert_eq!(exported, blocks);
}

#[test]
fn the_public_chain_imports_to_its_head_in_memory() {
    let Some((genesis, blocks)) = fixture() else { return };
    import(Arc::new(Store::memory()), &genesis, &blocks);
}

#[test]
fn the_public_chain_imports_to_its_head_on_disk_and_is_there_when_opened_again() {
    let Some((genesis, blocks)) = fixture() else { return };
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(Store::open(folder.path(), store::Options::default()).unwrap());
    import(open(), &genesis, &blocks);
    let again = Chain::open(open(), Genesis::from_json(&genesis).unwrap(), Options::default()).unwrap();
    assert_eq!(again.head().id.hash, HEAD);
}

/// In a test run.
const KILLS: u64 = 40;

/// Not a test of its own: what the killed process does. Without the folder it has nothing to do.
#[test]
fn child_imports_until_it_is_killed() {
    let Some(folder) = victim::folder() else { return };
    let (genesis, blocks) = fixture().expect("whoever starts it has looked");
    let store = Store::open(folder, store::Options::default()).unwrap();
    let chain = Chain::open(Arc::new(store), Genesis::from_json(&genesis).unwrap(), Options::default()).unwrap();
    let imported = chain.import_stream(&mut &*blocks, &mut |progress| {
        say(progress.last.number);
        true
    });
    assert_eq!(imported.unwrap().blocks, 54);
}

/// Each import begins where the one before it was killed, and after the last block another folder is begun.
#[test]
fn an_import_that_is_killed_anywhere_goes_on_to_the_same_head() {
    let Some((genesis, _)) = fixture() else { return };
    let genesis = || Genesis::from_json(&genesis).unwrap();
    let mut folder = tempfile::tempdir().unwrap();
    let mut height = 0;
    let mut whole = 0;
    for kill in 0..kills(KILLS) {
        let mut child = Victim::start("child_imports_until_it_is_killed", folder.path());
        let mut acknowledged = height;
        // Past what is there, then at another point of what is not each time; one in seven dies while it opens.
        let more = height + (kill * 5 + 3) % 11;
        while kill % 7 > 0 && acknowledged < more {
            let Some(number) = child.hear() else { break };
            acknowledged = number;
        }
        acknowledged = child.kill().unwrap_or(acknowledged).max(acknowledged);

        let store = Arc::new(Store::open(folder.path(), store::Options::default()).unwrap());
        let chain = Chain::open(store.clone(), genesis(), Options::default()).unwrap();
        let head = chain.head();
        assert!(head.id.number >= acknowledged, "{acknowledged} was acknowledged, {} is there", head.id.number);
        assert_eq!((store.check().unwrap().faults, check_state(&*store).unwrap().faults), (vec![], vec![]));
        height = head.id.number;
        if height == 54 {
            assert_eq!(head.id.hash, HEAD);
            (whole, height) = (whole + 1, 0);
            drop((head, chain, store));
            folder = tempfile::tempdir().unwrap();
        }
    }
    assert!(whole > 1, "the chain was imported {whole} times");
}
