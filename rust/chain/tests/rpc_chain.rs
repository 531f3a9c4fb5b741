//! The public chain of the RPC tests: 54 blocks through every fork from Homestead to Osaka's blob schedules.

use std::sync::Arc;

use execlayer_chain::{Chain, Genesis, Options};
use state::Ledger;
use store::Store;
use types::{B256, primitives::b256};

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

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
