//! What 10,000 changed accounts in a state of 1,000,000 cost: the state root, against building it anew and against
//! others that are incremental, and the lattice hash.
//!
//! Our nodes and those of `eth_trie` lie in memory; NOMT has its own folder, which its page cache holds by then. Nobody
//! writes within the time that is taken. The rebuild is given its leaves hashed, sorted and encoded, NOMT and `eth_trie`
//! hashed keys and encoded leaves; ours hashes addresses and encodes accounts itself, and gives the nodes to write and
//! the way back. NOMT's trie is a binary one, so its root is another: that what was written is there is what is checked
//! of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use alloy_trie::{HashBuilder, Nibbles};
use eth_trie::{EthTrie, MemoryDB, Trie};
use kernels::Simd;
use nomt::{KeyReadWrite, Nomt, SessionParams, hasher::Blake3Hasher};
use state::{
    AccountDiff, LedgerError, NodeKey, StateDiff, TrieNodes,
    roots::{Lattice, trie},
};
use types::{
    Account, Address, B256, Bytes, EMPTY_ROOT, LeafAccount, U256, keccak256, primitives::map::DefaultHashBuilder, rlp,
};

use crate::row::{bound, print, race, refuse, timed, worked};

const ACCOUNTS: u64 = 1_000_000;
const CHANGES: u64 = 10_000;

/// Accounts that come into being at once, so that building the state takes little memory.
const PORTION: u64 = 100_000;

/// The lattice hash of 10,000 accounts where AVX-512 is, in ms on one core; how far from its bare hashing elsewhere.
const LATTICE_MILLIS: f64 = 15.0;
const LATTICE_SHARE: f64 = 1.0 / 1.15;

/// Nodes of a state trie, by path packed into a number.
#[derive(Default)]
struct Nodes(HashMap<u64, Bytes, DefaultHashBuilder>);

/// Random keys never share 15 nibbles here: a leading one, then the path.
fn packed(path: &[u8]) -> u64 {
    assert!(path.len() < 16);
    path.iter().fold(1, |packed, nibble| packed << 4 | u64::from(*nibble))
}

impl TrieNodes for Nodes {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.0.get(&packed(&key.path)).cloned())
    }
}

fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn before(index: u64) -> Account {
    Account { nonce: index % 100, balance: U256::from(index) * U256::from(1_000_000_007u64), ..Account::default() }
}

fn after(index: u64) -> Account {
    Account { nonce: 1, ..before(index + 1) }
}

/// Which accounts change: addresses are hashes, so these are random ones.
fn changed() -> impl Iterator<Item = u64> {
    (0..CHANGES).map(|index| index * (ACCOUNTS / CHANGES))
}

fn diff(
    indices: impl Iterator<Item = u64>,
    before: impl Fn(u64) -> Option<Account>,
    after: impl Fn(u64) -> Account,
) -> StateDiff {
    let change =
        |index| (address(index), AccountDiff { before: before(index), after: Some(after(index)), slots: Vec::new() });
    let mut accounts: Vec<_> = indices.map(change).collect();
    accounts.sort_unstable_by_key(|(address, _)| *address);
    StateDiff { accounts, codes: Vec::new() }
}

/// Hashed key and encoded leaf.
fn leaf(index: u64, account: Account) -> (B256, Vec<u8>) {
    (keccak256(address(index)), rlp::encode(LeafAccount::new(&account, EMPTY_ROOT)))
}

fn rebuild(leaves: &BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, leaf) in leaves {
        builder.add_leaf(Nibbles::unpack(key), leaf);
    }
    builder.root()
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The state root.
pub fn rows() {
    let mut nodes = Nodes::default();
    for start in (0..ACCOUNTS).step_by(PORTION as usize) {
        let arrivals = diff(start..start + PORTION, |_| None, before);
        let update = trie::apply(&nodes, &arrivals).expect("a whole trie");
        nodes.0.extend(update.nodes.into_iter().filter_map(|(key, node)| Some((packed(&key.path), node?))));
    }
    let change = diff(changed(), |index| Some(before(index)), after);
    let apply = || trie::apply(&nodes, &change).expect("a whole trie");
    let root = apply().root;
    let mut leaves: BTreeMap<_, _> = (0..ACCOUNTS).map(|index| leaf(index, before(index))).collect();
    let news: BTreeMap<_, _> = changed().map(|index| leaf(index, after(index))).collect();

    let name = "root after 10,000 changes in 1,000,000 accounts";
    let (one_core, all_cores) = (pool(1), pool(0));
    {
        let peer = Peer::new(&leaves);
        let alone = format!("{name}, one core");
        if peer.root(&news) != root {
            return refuse(&alone, "eth_trie has another root");
        }
        let mut ours = || one_core.install(|| worked(apply).0);
        let [ours, theirs] = race([&mut ours, &mut || worked(|| peer.root(&news)).0]);
        print(&alone, millis(ours), millis(theirs), "eth_trie, incremental", "ms", 1.0);
    }
    match beside_nomt(&leaves, &news, || all_cores.install(|| timed(apply).0)) {
        Ok([ours, theirs]) => print(name, millis(ours), millis(theirs), "NOMT's own trie", "ms", 1.0),
        Err(reason) => refuse(name, &format!("NOMT: {reason}")),
    }
    leaves.extend(news);
    if rebuild(&leaves) != root {
        return refuse(name, "built anew, the root is another");
    }
    let mut alone = || one_core.install(|| worked(apply).0);
    let mut together = || all_cores.install(|| timed(apply).0);
    let [alone, together, anew, anew_waited] =
        race([&mut alone, &mut together, &mut || worked(|| rebuild(&leaves)).0, &mut || timed(|| rebuild(&leaves)).0]);
    let rival = "alloy-trie, rebuilt";
    print(&format!("{name}, one core"), millis(alone), millis(anew), rival, "ms", 10.0);
    print(&format!("{name}, all cores"), millis(together), millis(anew_waited), rival, "ms", 10.0);
}

/// A Merkle Patricia trie that others keep.
struct Peer {
    db: Arc<MemoryDB>,
    root: B256,
}

impl Peer {
    fn new(leaves: &BTreeMap<B256, Vec<u8>>) -> Self {
        let db = Arc::new(MemoryDB::new(false));
        let mut trie = EthTrie::new(Arc::clone(&db));
        leaves.iter().for_each(|(key, leaf)| trie.insert(key.as_slice(), leaf).expect("memory does not fail"));
        let root = trie.root_hash().expect("memory does not fail");
        Self { db, root }
    }

    /// The root after a change, which leaves the state as it was.
    fn root(&self, news: &BTreeMap<B256, Vec<u8>>) -> B256 {
        let mut trie = EthTrie::from(Arc::clone(&self.db), self.root).expect("the state is there");
        news.iter().for_each(|(key, leaf)| trie.insert(key.as_slice(), leaf).expect("memory does not fail"));
        trie.root_hash().expect("memory does not fail")
    }
}

/// The least time of ours and of NOMT for the same change.
fn beside_nomt(
    leaves: &BTreeMap<B256, Vec<u8>>,
    news: &BTreeMap<B256, Vec<u8>>,
    mut ours: impl FnMut() -> Duration,
) -> Result<[Duration; 2], Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut options = nomt::Options::new();
    options.path(folder.path());
    options.commit_concurrency(std::thread::available_parallelism()?.get());
    options.hashtable_buckets(1 << 18);
    options.page_cache_size(1024);
    options.leaf_cache_size(1024);
    let db = Nomt::<Blake3Hasher>::open(options)?;
    let writes = |leaves: &BTreeMap<B256, Vec<u8>>| -> Vec<_> {
        leaves.iter().map(|(key, leaf)| (key.0, KeyReadWrite::Write(Some(leaf.clone())))).collect()
    };
    db.begin_session(SessionParams::default()).finish(writes(leaves))?.commit(&db)?;
    let mut roots = Vec::new();
    let mut theirs = || {
        let writes = writes(news);
        let (time, finished) = timed(|| db.begin_session(SessionParams::default()).finish(writes));
        roots.push(finished.map(|finished| finished.root().into_inner()));
        time
    };
    let times = race([&mut ours, &mut theirs]);
    let finished = db.begin_session(SessionParams::default()).finish(writes(news))?;
    let root = finished.root().into_inner();
    finished.commit(&db)?;
    for other in roots {
        if other? != root {
            return Err("the same change has two roots".into());
        }
    }
    for (key, leaf) in leaves.iter().step_by(97).chain(news) {
        let expected = news.get(key).unwrap_or(leaf);
        if db.read(key.0)?.as_ref() != Some(expected) {
            return Err("what was written is not there".into());
        }
    }
    Ok(times)
}

/// The lattice hash.
pub fn lattice() {
    let change = diff(changed(), |index| Some(before(index)), after);
    let mut lattice = Lattice::default();
    lattice.apply(&diff(changed(), |_| None, before));
    lattice.apply(&change);
    let mut anew = Lattice::default();
    anew.apply(&diff(changed(), |_| None, after));
    let name = "lattice hash of 10,000 changed accounts, one core";
    if lattice != anew {
        return refuse(name, "changed step by step it is another than built anew");
    }
    let one_core = pool(1);
    let hashes = || {
        let mut output = [0; Lattice::BYTES];
        for index in 0..2 * CHANGES {
            let mut input = [0; 93];
            input[..8].copy_from_slice(&index.to_le_bytes());
            blake3::Hasher::new().update(&input).finalize_xof().fill(&mut output);
            std::hint::black_box(&output);
        }
    };
    let mut ours = || one_core.install(|| worked(|| lattice.apply(&change)).0);
    let [ours, bare] = race([&mut ours, &mut || worked(hashes).0]);
    if Simd::widest() == Simd::Avx512 {
        bound(name, "at_most", millis(ours), "ms", LATTICE_MILLIS);
    }
    print(name, millis(ours), millis(bare), "its hashing alone", "ms", LATTICE_SHARE);
}
