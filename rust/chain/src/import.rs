//! Taking blocks that somebody else made: every statement of the header is checked against what comes of executing it.

use std::{
    io::{self, Read, Write},
    ops::RangeInclusive,
    sync::Arc,
    thread,
};

use alloy_rlp::{Decodable, Encodable};
use evm::{Fork, spec::Rules};
use exec::{
    ExecError, Executor,
    parallel::{Conflicts, Report, conflicts},
};
use state::{Stop, StoredBlock};
use types::{Block, BlockId, Header, Recovered, keccak256};

use crate::{
    Chain, ChainError, ImportError,
    ethash::SealError,
    execute::{self, Concluded},
    head::Writer,
    header::{self, Field, Mismatch, same},
    reorg::NewBlock,
    senders::{Signer, senders_of},
};

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was there already.
    Known,
    /// It is the new head; so many blocks had to give way to its branch.
    Head {
        /// Blocks that are no longer canonical.
        removed: usize,
    },
    /// It is valid and kept, but the head is better.
    Side,
}

/// What executing a block gave that is not kept.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The block, with receipts and what follows from its state.
    pub block: Arc<StoredBlock>,
    /// How it was executed.
    pub report: Report,
}

/// How far the import of a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blocks read.
    pub blocks: u64,
    /// Of those, blocks that were there already.
    pub known: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The last block.
    pub last: BlockId,
}

/// A block of a stream on its way in.
struct Arrival {
    id: BlockId,
    block: Block,
    /// What it took in the stream.
    bytes: usize,
    /// Who signed its transactions; None: it seems to be there already.
    signers: Option<Vec<Signer>>,
}

/// Bytes of a block at most from Osaka on (EIP-7934).
pub(crate) const BLOCK_BYTES_MAX: usize = (10 << 20) - (2 << 20);

/// Bytes of one block of a stream that are read at most, whatever its first bytes say.
const STREAM_BLOCK_BYTES_MAX: usize = 64 << 20;

impl Chain {
    /// Takes a block: checks it, executes it, keeps it, and makes it the head where its branch is the better one (more
    /// total difficulty; of equal ones, after the merge, the longer).
    ///
    /// # Errors
    /// [`ImportError`] says what is wrong, with both values. The chain is then as it was.
    pub fn import(&self, block: Block) -> Result<Imported, ImportError> {
        let id = BlockId { number: block.header.number, hash: block.header.hash_slow() };
        self.import_signed(id, block, None)
    }

    /// The same, of a block whose signers may be known already.
    fn import_signed(&self, id: BlockId, block: Block, signers: Option<Vec<Signer>>) -> Result<Imported, ImportError> {
        let mut writer = self.take_turn()?;
        if self.ledger().header(&id.hash)?.is_some() {
            return Ok(Imported::Known);
        }
        let parent = self.held(&block.header.parent_hash)?;
        let parent = parent.ok_or(ImportError::UnknownParent { block: id, parent: block.header.parent_hash })?;
        let (new, _) = self.verify(id, block, signers, &parent, &self.executor)?;
        Ok(self.adopt(&mut writer, parent.id, new)?)
    }

    /// Takes a block's RLP; which block it was, and what became of it.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn import_rlp(&self, bytes: &[u8]) -> Result<(BlockId, Imported), ImportError> {
        let block = block_of(bytes)?;
        let id = BlockId { number: block.header.number, hash: block.header.hash_slow() };
        Ok((id, self.import(block)?))
    }

    /// Takes block after block of a stream, as geth exports them: the RLP of one after the other. Blocks that are
    /// there already are passed over, so that an interrupted import can be started again. After each block `progress` is
    /// told, and may stop the import by answering false; the stream has then been read one block further.
    ///
    /// While a block is executed and written, the next one's senders are recovered on another thread.
    ///
    /// # Errors
    /// At the first block that is not taken; those before it are.
    pub fn import_stream(
        &self,
        stream: &mut dyn Read,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Progress, ImportError> {
        let mut told = Progress::default();
        let look_ahead = |bytes: Result<Option<Vec<u8>>, ImportError>| {
            bytes.and_then(|bytes| bytes.map(|bytes| self.recover_ahead(&bytes)).transpose()).transpose()
        };
        let mut next = look_ahead(read_item(stream));
        while let Some(Arrival { id, block, bytes, signers }) = next.transpose()? {
            let following = read_item(stream);
            let stop = Stop::current();
            let (imported, ahead) = thread::scope(|scope| {
                let ahead = scope.spawn(|| stop.within(|| look_ahead(following)));
                let imported = match self.is_passed(&id) {
                    Ok(false) => self.import_signed(id, block, signers),
                    passed => passed.map(|_| Imported::Known),
                };
                (imported, ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            });
            told.blocks += 1;
            told.known += u64::from(imported? == Imported::Known);
            told.bytes += bytes as u64;
            told.last = id;
            if !progress(told) {
                break;
            }
            next = ahead;
        }
        Ok(told)
    }

    /// All that can be said of a block before its parent is there.
    fn recover_ahead(&self, mut bytes: &[u8]) -> Result<Arrival, ImportError> {
        let length = bytes.len();
        let block = decode_block(&mut bytes).map_err(ImportError::Malformed)?;
        let id = BlockId { number: block.header.number, hash: block.header.hash_slow() };
        let transactions: Vec<_> = block.body.transactions.iter().collect();
        // Only so as not to work for nothing: the head may be moving.
        let signers = if self.is_passed(&id)? { None } else { Some(senders_of(&transactions)?) };
        Ok(Arrival { id, block, bytes: length, signers })
    }

    /// Whether a block of a stream has not to be looked at.
    fn is_passed(&self, id: &BlockId) -> Result<bool, ImportError> {
        Ok(match self.ledger().canonical(id.number)? {
            // Exports may begin with the first block, which is not imported but opened with.
            Some(hash) => hash == id.hash,
            // Older than what a restored chain was told of.
            None => id.number < self.head().id.number,
        })
    }

    /// Writes canonical blocks as [`import_stream`](Self::import_stream) reads them; returns how many.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`] at the first height that has none; [`ImportError::Unreadable`] where `out` fails.
    pub fn export(&self, heights: RangeInclusive<u64>, out: &mut dyn Write) -> Result<u64, ImportError> {
        let mut written = 0;
        for number in heights {
            let stored = self.block(number.into())?;
            let block = Block { header: stored.header.clone(), body: stored.body.clone() };
            out.write_all(&alloy_rlp::encode(&block)).map_err(|error| ImportError::Unreadable(error.to_string()))?;
            written += 1;
        }
        Ok(written)
    }

    /// Keeps an executed block, and moves the head to it where it is the better one.
    pub(crate) fn adopt(&self, writer: &mut Writer, parent: BlockId, new: NewBlock) -> Result<Imported, ChainError> {
        let head = self.head();
        let stored = &new.stored;
        let longer = stored.header.difficulty.is_zero() && stored.id.number > head.id.number;
        let better = stored.total_difficulty > head.total_difficulty
            || stored.total_difficulty == head.total_difficulty && longer;
        if !better {
            self.keep_aside(writer, new)?;
            return Ok(Imported::Side);
        }
        let removed = self.path(head.id, parent)?.down.len();
        self.extend(writer, parent, new)?;
        Ok(Imported::Head { removed })
    }

    /// Executes a block whose parent is known, by an executor of one's own, and checks all that [`import`](Self::import)
    /// checks. The chain is as it was.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn replay(&self, block: Block, executor: &Executor) -> Result<Replay, ImportError> {
        let id = BlockId { number: block.header.number, hash: block.header.hash_slow() };
        let parent = self.held(&block.header.parent_hash)?;
        let parent = parent.ok_or(ImportError::UnknownParent { block: id, parent: block.header.parent_hash })?;
        let (new, report) = self.verify(id, block, None, &parent, executor)?;
        Ok(Replay { block: new.stored, report })
    }

    /// What stands in the way of executing a block in parallel; its parent has to be known.
    ///
    /// # Errors
    /// Where the block cannot be executed.
    pub fn conflicts(&self, block: &StoredBlock) -> Result<Conflicts, ImportError> {
        let unknown = ImportError::UnknownParent { block: block.id, parent: block.header.parent_hash };
        let parent = self.held(&block.header.parent_hash)?.ok_or(unknown)?;
        let rules = self.rules_after(&parent, &block.header);
        let transactions = block.body.transactions.iter().zip(&block.senders);
        let transactions: Vec<_> =
            transactions.map(|(transaction, sender)| Recovered::new(transaction.clone(), *sender)).collect();
        let environment = execute::environment(&block.header, &block.body.ommers);
        let before = self.state_from(&self.head(), parent.id)?;
        let found = conflicts(&rules, &environment, &transactions, execute::withdrawals(&block.body), &before);
        found.map(|(_, conflicts)| conflicts).map_err(|error| failed(block.id, error))
    }

    fn rules_after(&self, parent: &StoredBlock, header: &Header) -> Rules {
        self.spec().rules_merged(header.number, header.timestamp, Some(parent.total_difficulty))
    }

    /// Everything that a header, a block's or an ommer's, must fulfil; `id` is the block's.
    pub(crate) fn validate_header(
        &self,
        id: BlockId,
        header: &Header,
        parent: &Header,
        rules: &Rules,
    ) -> Result<(), ImportError> {
        let wrong = |mismatch| ImportError::Mismatch { block: id, mismatch };
        header::validate(header, parent, self.spec(), rules).map_err(wrong)?;
        match &self.options().seals {
            Some(ethash) if !rules.has(Fork::Paris) => ethash.verify(header).map_err(|error| match error {
                SealError::Mismatch(mismatch) => wrong(mismatch),
                SealError::Stopped(stopped) => stopped.into(),
            }),
            _ => Ok(()),
        }
    }

    /// Everything that a block must fulfil.
    fn verify(
        &self,
        id: BlockId,
        block: Block,
        signers: Option<Vec<Signer>>,
        parent: &StoredBlock,
        executor: &Executor,
    ) -> Result<(NewBlock, Report), ImportError> {
        let wrong = |mismatch| ImportError::Mismatch { block: id, mismatch };
        let header = &block.header;
        let rules = self.rules_after(parent, header);
        self.validate_header(id, header, &parent.header, &rules)?;
        validate_body(&block, &rules).map_err(wrong)?;
        self.validate_ommers(&block)?;

        let transactions: Vec<_> = block.body.transactions.iter().collect();
        let mut senders = Vec::with_capacity(transactions.len());
        let signers = signers.map_or_else(|| senders_of(&transactions), Ok)?;
        for (index, sender) in signers.into_iter().enumerate() {
            senders.push(sender.map_err(|error| ImportError::Sender { block: id, index, error })?);
        }
        let recovered = block.body.transactions.iter().zip(&senders);
        let recovered: Vec<_> =
            recovered.map(|(transaction, sender)| Recovered::new(transaction.clone(), *sender)).collect();

        let before = self.state_from(&self.head(), parent.id)?;
        let environment = execute::environment(header, &block.body.ommers);
        let withdrawals = execute::withdrawals(&block.body);
        let mode = execute::mode(&rules);
        let executed = executor.execute(&rules, &environment, &recovered, withdrawals, &before, mode);
        let (outcome, report) = executed.map_err(|error| failed(id, error))?;
        let mut concluded = execute::conclude(&before, self.lattice_of(parent.id)?, outcome)?;
        compare(header, &concluded, &rules).map_err(wrong)?;
        let stored = StoredBlock {
            id,
            total_difficulty: parent.total_difficulty + header.difficulty,
            tally: parent.tally.next(concluded.lattice.checksum(), concluded.burned, concluded.fees),
            header: block.header,
            body: block.body,
            senders,
            receipts: std::mem::take(&mut concluded.receipts),
        };
        let Concluded { diff, update, lattice, .. } = concluded;
        Ok((NewBlock { stored: Arc::new(stored), diff, update, lattice }, report))
    }
}

fn failed(block: BlockId, error: ExecError) -> ImportError {
    match error {
        ExecError::View(error) => error.into(),
        error => ImportError::Execution { block, error },
    }
}

/// The body against the header.
pub(crate) fn validate_body(block: &Block, rules: &Rules) -> Result<(), Mismatch> {
    let Block { header, body } = block;
    if rules.has(Fork::Osaka) {
        let size = execute::block_size_bytes(block);
        let expected = format_args!("at most {BLOCK_BYTES_MAX} bytes");
        header::require(Field::Size, size <= BLOCK_BYTES_MAX, expected, format_args!("{size} bytes"))?;
    }
    same(Field::TransactionsRoot, execute::transactions_root(&body.transactions), header.transactions_root)?;
    same(Field::OmmersHash, keccak256(alloy_rlp::encode(&body.ommers)), header.ommers_hash)?;
    let word = |there| if there { "present" } else { "absent" };
    same(Field::Withdrawals, word(header.withdrawals_root.is_some()), word(body.withdrawals.is_some()))?;
    if let Some(root) = header.withdrawals_root {
        same(Field::WithdrawalsRoot, execute::withdrawals_root(execute::withdrawals(body)), root)?;
    }
    Ok(())
}

/// What came of execution against the header.
fn compare(header: &Header, concluded: &Concluded, rules: &Rules) -> Result<(), Mismatch> {
    same(Field::GasUsed, concluded.gas_used, header.gas_used)?;
    same(Field::LogsBloom, concluded.logs_bloom, header.logs_bloom)?;
    same(Field::ReceiptsRoot, concluded.receipts_root, header.receipts_root)?;
    if rules.has(Fork::Cancun) {
        same(Field::BlobGasUsed, concluded.blob_gas_used, header.blob_gas_used.unwrap_or_default())?;
    }
    if rules.has(Fork::Prague) {
        same(Field::RequestsHash, concluded.requests_hash, header.requests_hash.unwrap_or_default())?;
    }
    same(Field::StateRoot, concluded.update.root, header.state_root)
}

/// The block that these bytes of RLP are.
///
/// # Errors
/// [`ImportError::Malformed`] where they are none, or not in the one way in which it would be written.
pub fn block_of(mut bytes: &[u8]) -> Result<Block, ImportError> {
    let block = decode_block(&mut bytes).map_err(ImportError::Malformed)?;
    if bytes.is_empty() { Ok(block) } else { Err(ImportError::Malformed(alloy_rlp::Error::UnexpectedLength)) }
}

/// One block of RLP, whose encoding has to be the one that would be written.
fn decode_block(bytes: &mut &[u8]) -> alloy_rlp::Result<Block> {
    let whole = *bytes;
    let block = Block::decode(bytes)?;
    let read = whole.len() - bytes.len();
    if block.length() != read {
        return Err(alloy_rlp::Error::Custom("not the canonical encoding"));
    }
    Ok(block)
}

/// The bytes of the stream's next RLP list; None at its end.
fn read_item(stream: &mut dyn Read) -> Result<Option<Vec<u8>>, ImportError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ImportError::Malformed(alloy_rlp::Error::InputTooShort),
        _ => ImportError::Unreadable(error.to_string()),
    };
    let mut bytes = vec![0];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let length_bytes = match bytes[0] {
        0xc0..=0xf7 => 0,
        0xf8.. => usize::from(bytes[0] - 0xf7),
        _ => return Err(ImportError::Malformed(alloy_rlp::Error::UnexpectedString)),
    };
    bytes.resize(1 + length_bytes, 0);
    stream.read_exact(&mut bytes[1..]).map_err(failed)?;
    let length = match length_bytes {
        0 => usize::from(bytes[0] - 0xc0),
        _ => bytes[1..].iter().fold(0usize, |sum, byte| sum.saturating_mul(256).saturating_add(usize::from(*byte))),
    };
    if length > STREAM_BLOCK_BYTES_MAX {
        return Err(ImportError::Malformed(alloy_rlp::Error::Custom("a block of more than 64 MiB")));
    }
    let start = bytes.len();
    bytes.resize(start + length, 0);
    stream.read_exact(&mut bytes[start..]).map_err(failed)?;
    Ok(Some(bytes))
}
