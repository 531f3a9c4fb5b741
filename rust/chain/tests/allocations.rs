//! A steady run of batches (choosing, executing, repairing) allocates nothing per transaction: what a block needs, the
//! one before it has left.
//!
//! Sealing is counted apart: it begins where the chain asks for its parent's lattice hash. What it makes is what a block
//! leaves behind for good (its transactions, receipts and trie nodes, as rows of the store, of its cache and of the way
//! back), so it grows with the block, and has a bound for each transaction.

#![allow(unsafe_code, reason = "a global allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use evm::{
    Fork,
    spec::{Cause, ChainSpec, Changes, CustomPrecompile},
};
use exec::Parallel;
use execlayer_chain::{Chain, Dispatch, Genesis, GenesisAccount, MineOptions, Options, Submission};
use state::{Commit, Ledger, LedgerError, Notification, ReverseDiff, StateReader, StoredBlock, roots::Lattice};
use store::Store;
use types::{Address, B256, BlockId, Bytes, Header, Recovered, Signature, Transaction, TxKind, U256, tx::TxEip1559};

struct Counting;

/// Of all threads.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: see above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A store that notes when sealing begins.
struct Watched {
    store: Store,
    sealing: AtomicUsize,
}

impl Ledger for Watched {
    fn lattice(&self, hash: &B256) -> Result<Option<Lattice>, LedgerError> {
        self.sealing.store(ALLOCATIONS.load(Relaxed), Relaxed);
        self.store.lattice(hash)
    }

    fn commit(&self, commit: Commit) -> Result<(), LedgerError> {
        self.store.commit(commit)
    }

    fn reader(&self) -> Result<Arc<dyn StateReader>, LedgerError> {
        self.store.reader()
    }

    fn head(&self) -> Result<Option<BlockId>, LedgerError> {
        self.store.head()
    }

    fn header(&self, hash: &B256) -> Result<Option<Header>, LedgerError> {
        self.store.header(hash)
    }

    fn block(&self, hash: &B256) -> Result<Option<Arc<StoredBlock>>, LedgerError> {
        self.store.block(hash)
    }

    fn canonical(&self, number: u64) -> Result<Option<B256>, LedgerError> {
        self.store.canonical(number)
    }

    fn transaction(&self, hash: &B256) -> Result<Option<(B256, u32)>, LedgerError> {
        self.store.transaction(hash)
    }

    fn reverse(&self, hash: &B256) -> Result<Option<ReverseDiff>, LedgerError> {
        self.store.reverse(hash)
    }

    fn notifications(&self, from: u64, limit: usize) -> Result<Vec<Notification>, LedgerError> {
        self.store.notifications(from, limit)
    }

    fn metadata(&self, name: &str) -> Result<Option<Bytes>, LedgerError> {
        self.store.metadata(name)
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.store.sync()
    }
}

const LONG: usize = 2_000;
const SHORT: usize = 500;

/// Counts its calls, in a slot for each caller: CALLER SLOAD PUSH1(1) ADD CALLER SSTORE.
const COUNTER: Address = Address::repeat_byte(0xc0);
const COUNTER_CODE: &[u8] = &[0x33, 0x54, 0x60, 1, 0x01, 0x33, 0x55];

/// A precompile with a bug of ours.
const FAULTY: Address = Address::repeat_byte(0xfa);

fn party(index: usize) -> Address {
    Address::from_word(U256::from(0x0100_0000 + index).into())
}

fn genesis() -> Genesis {
    let faulty = CustomPrecompile {
        name: "faulty".to_owned(),
        consensus: true,
        run: Arc::new(|_: &Bytes, _| Err(Cause { text: "no answer".to_owned(), value: None })),
    };
    let spec =
        ChainSpec { changes: Changes::default().with_precompile(FAULTY, faulty), ..ChainSpec::at(1, Fork::Osaka) };
    let rich = GenesisAccount { balance: U256::from(10).pow(U256::from(30)), ..GenesisAccount::default() };
    let mut alloc = Genesis::dev([]).alloc().clone();
    alloc.extend((0..=LONG).map(|index| (party(index), rich.clone())));
    alloc.insert(COUNTER, GenesisAccount { code: Bytes::from_static(COUNTER_CODE), ..GenesisAccount::default() });
    Genesis::new(spec, 1 << 30, alloc)
}

fn submission(sender: usize, nonce: u64, to: Address) -> Submission {
    let gas_limit = if to == COUNTER || to == FAULTY { 80_000 } else { 21_000 };
    let unsigned = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit,
        max_fee_per_gas: 10_u128.pow(12),
        max_priority_fee_per_gas: 1 + sender as u128,
        to: TxKind::Call(to),
        value: if to == FAULTY || to == COUNTER { U256::ZERO } else { U256::ONE },
        ..TxEip1559::default()
    };
    let transaction = Transaction::from_parts(unsigned, Signature::test_signature());
    Submission::Recovered(Recovered::new(transaction, party(sender)))
}

/// Allocations of blocks of these lengths: up to their sealing, and of that.
fn allocations(dispatch: Dispatch, parallel: Parallel, lengths: &[usize], is_faulty: bool) -> Vec<(usize, usize)> {
    let ledger = Arc::new(Watched { store: Store::memory(), sealing: AtomicUsize::new(0) });
    let options = Options { dispatch, parallel, threads_max: Some(2), ..Options::default() };
    let chain = Chain::open(ledger.clone(), genesis(), options).unwrap();
    let mut nonces = [0; LONG + 1];
    let mut counts = Vec::new();
    for (time, length) in (1..).zip(lengths) {
        let mut next = |sender: usize| {
            nonces[sender] += 1;
            nonces[sender] - 1
        };
        let recipient = |sender: usize| if sender.is_multiple_of(4) { COUNTER } else { party(sender / 2) };
        let mut batch: Vec<_> =
            (0..*length).map(|sender| submission(sender, next(sender), recipient(sender))).collect();
        // Its nonce stays free, as it is never included.
        batch.extend(is_faulty.then(|| submission(LONG, 0, FAULTY)));
        assert!(chain.submit(batch).iter().all(Result::is_ok));
        let before = ALLOCATIONS.load(Relaxed);
        let mined = chain.mine(MineOptions::at(time)).unwrap();
        let (sealing, after) = (ledger.sealing.load(Relaxed), ALLOCATIONS.load(Relaxed));
        assert_eq!(mined.block.receipts.len(), *length);
        assert_eq!(mined.skipped.len(), usize::from(is_faulty));
        assert!(chain.pool().is_empty());
        counts.push((sealing - before, after - sealing));
    }
    counts
}

/// One test: whatever ran beside it would be counted, too.
#[test]
fn a_steady_run_of_batches_allocates_nothing_per_transaction() {
    let dispatch = Dispatch { batch_size: 256, ..Dispatch::default() };
    // The first blocks take the memory that the others use.
    let lengths = [LONG, LONG, LONG, SHORT, LONG];
    for (parallel, is_faulty) in
        [(Parallel::Off, false), (Parallel::Off, true), (Parallel::On, false), (Parallel::On, true)]
    {
        let counts = allocations(dispatch, parallel, &lengths, is_faulty);
        let [.., (short, _), (long, sealing)] = counts[..] else { unreachable!("one for each length") };
        // A block four times as long: lists that grow with it do so by doubling, twice more each. Where a batch is undone
        // those of its block are filled once again; of several workers each has some, and which has how many
        // transactions differs from run to run. Were there one for each transaction, or for five, it would show.
        let grown = long.saturating_sub(short);
        let most = if parallel == Parallel::Off && !is_faulty { 16 } else { (LONG - SHORT) / 8 };
        assert!(grown <= most, "{parallel:?}, faulty: {is_faulty}: {counts:?}");
        assert!(sealing <= 40 * LONG, "{parallel:?}, faulty: {is_faulty}: {counts:?}");
    }
}
