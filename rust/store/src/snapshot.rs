//! A whole state as one stream of bytes, with the blocks that those who go on from there need.
//!
//! The stream is a row of parts, each with its kind, its length and a hash of all of that: what a disk or a network did to
//! it shows at the part where it happened, before anything of that part is believed. Accounts ascend by address and
//! slots within them, so a state has one spelling, and writer and reader need no more memory than one part takes, however
//! large the state is. `docs/storage.md` has the bytes.
//!
//! What the parts say is checked here as far as it can be without a chain: form, order, counts, and by [`verify`] the
//! lattice hash. Whether the blocks are right and the accounts have the header's root is for `chain` to see.

use std::io::{self, Read, Write};

use state::{StoredBlock, roots::Lattice};
use types::{Account, Address, B256, BlockId, Bytes, Header, U256};

use crate::{
    accounts::{put_account, take_account},
    blocks::{
        decode_body, decode_header, decode_receipts, encode_body, encode_header, encode_id, encode_receipts, join,
        take_id,
    },
    encoding::{DecodeError, Input, owned, put_bytes, put_count, put_number, rlp},
};

/// The version of the format.
pub const SNAPSHOT_VERSION: u32 = 1;

/// What each snapshot begins with; the version follows.
const MAGIC: [u8; 8] = *b"execsnap";

/// Bytes of one part at most: a block with its receipts has room, and a reader's memory a bound.
const PART_BYTES_MAX: usize = 24 << 20;

/// Bytes of a part that are not its content: kind, length, hash.
const FRAME_BYTES: usize = 1 + 4 + 32;

/// Accounts and slots of one part at most.
pub const PART_ENTRIES_MAX: usize = 4096;

/// Why a snapshot cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are no snapshot from here on.
    #[error("snapshot, byte {offset}: {fault}")]
    Malformed {
        /// Where, counted from the beginning.
        offset: u64,
        /// What is wrong there.
        fault: SnapshotFault,
    },
    /// The stream could not be read or written.
    #[error("snapshot, byte {offset}: {reason}")]
    Stream {
        /// Where, counted from the beginning.
        offset: u64,
        /// What the system said.
        reason: String,
    },
    /// A part would be longer than readers allow.
    #[error("{what} takes {bytes} bytes, a part of a snapshot at most {PART_BYTES_MAX}")]
    TooLarge {
        /// What is in the part.
        what: &'static str,
        /// How long it would be.
        bytes: usize,
    },
}

/// What is wrong with a snapshot's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// It begins with something else.
    #[error("this is not a snapshot")]
    Magic,
    /// Another version wrote it.
    #[error("format version {0}, this build reads {SNAPSHOT_VERSION}")]
    Version(u32),
    /// It ends inside a part, or before the last one.
    #[error("the file ends too early")]
    Ends,
    /// Something follows the last part.
    #[error("something follows the end")]
    Trailing,
    /// A part that may not stand here.
    #[error("a part of kind {0} cannot stand here")]
    Kind(u8),
    /// A part longer than any that is written.
    #[error("a part of {0} bytes")]
    Length(u32),
    /// The part is not what was written.
    #[error("the part is damaged: its hash is another")]
    Hash,
    /// The part's content.
    #[error(transparent)]
    Content(#[from] DecodeError),
    /// Each header names the one before it as its parent.
    #[error("block {} is not the child of the block before it", .0.number)]
    Link(BlockId),
    /// The last block is the one whose state this is.
    #[error("the blocks end at {} {}, the state is that of {} {}", found.number, found.hash, expected.number, expected.hash)]
    Block {
        /// As announced.
        expected: BlockId,
        /// As it stands there.
        found: BlockId,
    },
    /// Accounts ascend by address, slots by key.
    #[error("account {0} or one of its slots is out of order")]
    Order(Address),
    /// A slot that holds zero is not there.
    #[error("a slot of {0} holds zero")]
    Zero(Address),
    /// The end names other numbers of accounts and slots.
    #[error("{accounts} accounts and {slots} slots were announced, {found_accounts} and {found_slots} are there")]
    Count {
        /// As the end says.
        accounts: u64,
        /// As the end says.
        slots: u64,
        /// As counted.
        found_accounts: u64,
        /// As counted.
        found_slots: u64,
    },
    /// The accounts are not those of the block.
    #[error("the lattice hash of the accounts is {found}, the block's is {expected}")]
    Lattice {
        /// As the block says.
        expected: B256,
        /// As summed up.
        found: B256,
    },
}

/// An account with slots of it, ascending; more of its slots may follow in the next part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotAccount {
    /// Whose.
    pub address: Address,
    /// What it is.
    pub account: Account,
    /// Slots that are not zero.
    pub slots: Vec<(U256, U256)>,
}

/// A piece of a snapshot, in the order in which they stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// First: which chain, and which block's state.
    Begin {
        /// Hash of the chain's first block.
        genesis: B256,
        /// Whose state it is.
        block: BlockId,
    },
    /// Once: headers of older ancestors, ascending, for their hashes; the first whole block is the last one's child.
    Headers(Vec<Header>),
    /// Once or more: the last ancestors and the block itself, ascending, each with what executing it gave.
    Block(Box<StoredBlock>),
    /// As many as it takes.
    State {
        /// Codes of these accounts, and of later ones, that did not stand before.
        codes: Vec<Bytes>,
        /// Ascending by address; the first may be the last of the part before, with further slots.
        accounts: Vec<SnapshotAccount>,
    },
    /// Last.
    End {
        /// Accounts of all parts.
        accounts: u64,
        /// Slots of all parts.
        slots: u64,
    },
}

impl Part {
    const BEGIN: u8 = 1;
    const HEADERS: u8 = 2;
    const BLOCK: u8 = 3;
    const STATE: u8 = 4;
    const END: u8 = 5;

    /// Which kinds may follow which; 0 stands for the beginning.
    const ORDER: [(u8, &[u8]); 5] = [
        (0, &[Self::BEGIN]),
        (Self::BEGIN, &[Self::HEADERS]),
        (Self::HEADERS, &[Self::BLOCK]),
        (Self::BLOCK, &[Self::BLOCK, Self::STATE, Self::END]),
        (Self::STATE, &[Self::STATE, Self::END]),
    ];

    fn may_follow(kind: u8, before: u8) -> bool {
        Self::ORDER.iter().any(|(first, next)| *first == before && next.contains(&kind))
    }

    fn kind(&self) -> (u8, &'static str) {
        match self {
            Self::Begin { .. } => (Self::BEGIN, "the beginning"),
            Self::Headers(_) => (Self::HEADERS, "a list of headers"),
            Self::Block(_) => (Self::BLOCK, "a block"),
            Self::State { .. } => (Self::STATE, "a piece of the state"),
            Self::End { .. } => (Self::END, "the end"),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Begin { genesis, block } => {
                out.extend_from_slice(genesis.as_slice());
                out.extend_from_slice(&encode_id(block));
            }
            Self::Headers(headers) => {
                put_count(out, headers.len());
                headers.iter().for_each(|header| put_bytes(out, &alloy_rlp::encode(header)));
            }
            Self::Block(block) => {
                put_bytes(out, &encode_header(&block.header, &block.total_difficulty, &block.tally));
                put_bytes(out, &encode_body(&block.body, &block.senders));
                put_bytes(out, &encode_receipts(&block.receipts));
            }
            Self::State { codes, accounts } => {
                put_count(out, codes.len());
                codes.iter().for_each(|code| put_bytes(out, code));
                put_count(out, accounts.len());
                for SnapshotAccount { address, account, slots } in accounts {
                    out.extend_from_slice(address.as_slice());
                    put_account(out, account);
                    put_count(out, slots.len());
                    for (key, value) in slots {
                        put_number(out, key);
                        put_number(out, value);
                    }
                }
            }
            Self::End { accounts, slots } => {
                out.extend_from_slice(&accounts.to_be_bytes());
                out.extend_from_slice(&slots.to_be_bytes());
            }
        }
    }

    fn decode(kind: u8, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match kind {
            Self::BEGIN => Ok(Self::Begin { genesis: input.hash()?, block: take_id(input)? }),
            Self::HEADERS => Ok(Self::Headers(input.list(4, |input| {
                let mut header = Input(input.bytes()?);
                let decoded = rlp(&mut header)?;
                header.end().map(|()| decoded)
            })?)),
            Self::BLOCK => {
                let header = decode_header(input.bytes()?)?;
                let body = decode_body(input.bytes()?)?;
                let receipts = decode_receipts(input.bytes()?)?;
                Ok(Self::Block(Box::new(join(header.header.hash_slow(), header, body, receipts))))
            }
            Self::STATE => {
                let codes = input.list(4, |input| input.bytes().map(owned))?;
                let accounts = input.list(26, |input| {
                    let (address, account) = (input.address()?, take_account(input)?);
                    let slots = input.list(2, |input| Ok((input.number()?, input.number()?)))?;
                    Ok(SnapshotAccount { address, account, slots })
                })?;
                Ok(Self::State { codes, accounts })
            }
            Self::END => Ok(Self::End { accounts: input.u64()?, slots: input.u64()? }),
            _ => unreachable!("no other kind may follow anything"),
        }
    }
}

/// Writes a snapshot, part by part.
pub struct SnapshotWriter<W> {
    out: W,
    offset: u64,
    /// Kind of the last part.
    last: u8,
    /// Reused by every part.
    buffer: Vec<u8>,
}

impl<W: Write> SnapshotWriter<W> {
    /// Begins a snapshot.
    ///
    /// # Errors
    /// [`SnapshotError::Stream`] where `out` takes no more.
    pub fn new(out: W) -> Result<Self, SnapshotError> {
        let mut writer = Self { out, offset: 0, last: 0, buffer: Vec::new() };
        writer.buffer.extend_from_slice(&MAGIC);
        writer.buffer.extend_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        writer.put()?;
        Ok(writer)
    }

    /// Writes the next part; bytes written so far.
    ///
    /// # Errors
    /// [`SnapshotError::TooLarge`] for a part beyond the limit, [`SnapshotError::Stream`] where `out` takes no more.
    ///
    /// # Panics
    /// Where the part cannot stand here: a bug of the caller's.
    pub fn write(&mut self, part: &Part) -> Result<u64, SnapshotError> {
        let (kind, what) = part.kind();
        assert!(Part::may_follow(kind, self.last), "{what} cannot follow a part of kind {}", self.last);
        self.last = kind;
        self.buffer.clear();
        self.buffer.extend_from_slice(&[kind, 0, 0, 0, 0]);
        part.encode(&mut self.buffer);
        let bytes = self.buffer.len() - 5;
        if bytes > PART_BYTES_MAX {
            return Err(SnapshotError::TooLarge { what, bytes });
        }
        self.buffer[1..5].copy_from_slice(&(bytes as u32).to_be_bytes());
        let hash = blake3::hash(&self.buffer);
        self.buffer.extend_from_slice(hash.as_bytes());
        self.put()?;
        if kind == Part::END {
            self.out.flush().map_err(|error| self.failed(&error))?;
        }
        Ok(self.offset)
    }

    fn put(&mut self) -> Result<(), SnapshotError> {
        self.out.write_all(&self.buffer).map_err(|error| self.failed(&error))?;
        self.offset += self.buffer.len() as u64;
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> SnapshotError {
        SnapshotError::Stream { offset: self.offset, reason: error.to_string() }
    }
}

/// Reads a snapshot, part by part.
pub struct SnapshotReader<R> {
    input: R,
    offset: u64,
    /// Kind of the last part; 0 before the first.
    last: u8,
    /// Whose state it is.
    block: BlockId,
    /// The last header's.
    newest: Option<BlockId>,
    /// The last account, and its last slot.
    at: Option<(Address, Account, Option<U256>)>,
    accounts: u64,
    slots: u64,
}

impl<R: Read> SnapshotReader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`SnapshotError`] where this is no snapshot, or of another version.
    pub fn new(input: R) -> Result<Self, SnapshotError> {
        let mut reader = Self {
            input,
            offset: 0,
            last: 0,
            block: BlockId::default(),
            newest: None,
            at: None,
            accounts: 0,
            slots: 0,
        };
        let mut start = Vec::new();
        reader.fill(&mut start, MAGIC.len() + 4)?;
        let (magic, version) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(malformed(0, SnapshotFault::Magic));
        }
        let version = u32::from_be_bytes(version.try_into().expect("four bytes"));
        if version != SNAPSHOT_VERSION {
            return Err(malformed(MAGIC.len() as u64, SnapshotFault::Version(version)));
        }
        Ok(reader)
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next part; None after the last.
    ///
    /// # Errors
    /// [`SnapshotError::Malformed`] with the place of what is wrong. Reading must end there.
    pub fn next_part(&mut self) -> Result<Option<Part>, SnapshotError> {
        if self.last == Part::END {
            return Ok(None);
        }
        let start = self.offset;
        let mut part = Vec::new();
        self.fill(&mut part, 5)?;
        let kind = part[0];
        if !Part::may_follow(kind, self.last) {
            return Err(malformed(start, SnapshotFault::Kind(kind)));
        }
        let length = u32::from_be_bytes(part[1..].try_into().expect("four bytes"));
        if length as usize > PART_BYTES_MAX {
            return Err(malformed(start + 1, SnapshotFault::Length(length)));
        }
        self.fill(&mut part, length as usize + FRAME_BYTES - 5)?;
        let (framed, hash) = part.split_at(part.len() - 32);
        if blake3::hash(framed).as_bytes() != hash {
            return Err(malformed(start, SnapshotFault::Hash));
        }
        let mut input = Input(&framed[5..]);
        let at = |input: &Input<'_>| start + (framed.len() - input.0.len()) as u64;
        let part = Part::decode(kind, &mut input).map_err(|error| malformed(at(&input), error.into()))?;
        let end = at(&input);
        input.end().map_err(|error| malformed(end, error.into()))?;
        self.check(&part).map_err(|fault| malformed(start, fault))?;
        self.last = kind;
        if kind == Part::END && self.fill(&mut Vec::new(), 1).is_ok() {
            return Err(malformed(self.offset - 1, SnapshotFault::Trailing));
        }
        Ok(Some(part))
    }

    /// Order and counts.
    fn check(&mut self, part: &Part) -> Result<(), SnapshotFault> {
        if !matches!(part, Part::Begin { .. } | Part::Headers(_) | Part::Block(_)) {
            let found = self.newest.unwrap_or_default();
            if found != self.block {
                return Err(SnapshotFault::Block { expected: self.block, found });
            }
        }
        match part {
            Part::Begin { block, .. } => {
                self.block = *block;
                Ok(())
            }
            Part::Headers(headers) => headers.iter().try_for_each(|header| self.link(header, header.hash_slow())),
            Part::Block(block) => self.link(&block.header, block.id.hash),
            Part::State { accounts, .. } => {
                for SnapshotAccount { address, account, slots } in accounts {
                    let mut last_slot = match self.at {
                        Some((last, held, slot)) if last == *address && held == *account && !slots.is_empty() => slot,
                        Some((last, ..)) if last >= *address => return Err(SnapshotFault::Order(*address)),
                        _ => {
                            self.accounts += 1;
                            None
                        }
                    };
                    for (key, value) in slots {
                        if last_slot.is_some_and(|last| last >= *key) {
                            return Err(SnapshotFault::Order(*address));
                        }
                        if value.is_zero() {
                            return Err(SnapshotFault::Zero(*address));
                        }
                        last_slot = Some(*key);
                        self.slots += 1;
                    }
                    self.at = Some((*address, *account, last_slot));
                }
                Ok(())
            }
            Part::End { accounts, slots } if (*accounts, *slots) != (self.accounts, self.slots) => {
                let (found_accounts, found_slots) = (self.accounts, self.slots);
                Err(SnapshotFault::Count { accounts: *accounts, slots: *slots, found_accounts, found_slots })
            }
            Part::End { .. } => Ok(()),
        }
    }

    fn link(&mut self, header: &Header, hash: B256) -> Result<(), SnapshotFault> {
        let id = BlockId { number: header.number, hash };
        match self.newest.replace(id) {
            Some(parent) if header.parent_hash != parent.hash || parent.number.checked_add(1) != Some(id.number) => {
                Err(SnapshotFault::Link(id))
            }
            _ => Ok(()),
        }
    }

    /// Reads so many bytes more. Memory follows what is there, not what is announced.
    fn fill(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> Result<(), SnapshotError> {
        let read = (&mut self.input).take(bytes as u64).read_to_end(buffer);
        let read = read.map_err(|error| SnapshotError::Stream { offset: self.offset, reason: error.to_string() })?;
        self.offset += read as u64;
        if read < bytes { Err(malformed(self.offset, SnapshotFault::Ends)) } else { Ok(()) }
    }
}

fn malformed(offset: u64, fault: SnapshotFault) -> SnapshotError {
    SnapshotError::Malformed { offset, fault }
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// Whose state it is.
    pub block: BlockId,
    /// Hash of the chain's first block.
    pub genesis: B256,
    /// Checksum of the state's lattice hash.
    pub lattice: B256,
    /// How many accounts.
    pub accounts: u64,
    /// How many slots.
    pub slots: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Reads a whole snapshot and sums up its lattice hash, which must be the block's. Needs no store. After each part
/// `progress` is told, and may stop by answering false: None then.
///
/// # Errors
/// [`SnapshotError`] at the first thing that is wrong.
pub fn verify(
    input: impl Read,
    progress: &mut dyn FnMut(&SnapshotSummary) -> bool,
) -> Result<Option<SnapshotSummary>, SnapshotError> {
    let mut reader = SnapshotReader::new(input)?;
    let mut summary = SnapshotSummary::default();
    let mut lattice = Lattice::default();
    let mut last = None;
    while let Some(part) = reader.next_part()? {
        match part {
            Part::Begin { genesis, block } => (summary.genesis, summary.block) = (genesis, block),
            Part::Block(block) => summary.lattice = block.tally.lattice,
            Part::State { accounts, .. } => {
                for SnapshotAccount { address, account, slots } in &accounts {
                    if last.replace(*address) != Some(*address) {
                        lattice.add_account(address, account);
                    }
                    slots.iter().for_each(|(key, value)| lattice.add_slot(address, key, value));
                }
            }
            Part::Headers(_) | Part::End { .. } => {}
        }
        (summary.accounts, summary.slots, summary.bytes) = (reader.accounts, reader.slots, reader.offset);
        if !progress(&summary) {
            return Ok(None);
        }
    }
    let found = lattice.checksum();
    if found != summary.lattice {
        let fault = SnapshotFault::Lattice { expected: summary.lattice, found };
        return Err(malformed(reader.offset, fault));
    }
    Ok(Some(summary))
}

#[cfg(test)]
mod tests;
