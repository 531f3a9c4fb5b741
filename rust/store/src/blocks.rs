//! Blocks and the indices over the canonical ones.
//!
//! A block is three rows under its hash: header with total difficulty, body with senders, receipts. Receipts are kept
//! without their bloom filters, 256 bytes each that follow from the logs. What depends on which blocks are canonical
//! (transactions and logs by name) is written and removed with the canonical hash, in the same batch.

use std::collections::BTreeMap;

use alloy_rlp::Encodable;
use state::{Notification, StoredBlock, Tally, roots::Lattice};
use types::{Address, B256, BlockId, Body, Bytes, Header, Log, LogData, Outcome, Receipt, U256};

use crate::encoding::{DecodeError, Input, decode, owned, put_bytes, put_count, put_number, rlp};

/// A row of headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderRow {
    pub(crate) header: Header,
    pub(crate) total_difficulty: U256,
    pub(crate) tally: Tally,
}

pub(crate) fn encode_header(header: &Header, total_difficulty: &U256, tally: &Tally) -> Bytes {
    let mut out = total_difficulty.to_be_bytes::<32>().to_vec();
    put_tally(&mut out, tally);
    header.encode(&mut out);
    out.into()
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<HeaderRow, DecodeError> {
    decode(bytes, |input| {
        let total_difficulty = U256::from_be_bytes(input.array::<32>()?);
        let tally = take_tally(input)?;
        Ok(HeaderRow { header: rlp(input)?, total_difficulty, tally })
    })
}

pub(crate) fn put_tally(out: &mut Vec<u8>, tally: &Tally) {
    out.extend_from_slice(tally.lattice.as_slice());
    for number in [&tally.burned, &tally.fees, &tally.burned_total, &tally.fees_total] {
        put_number(out, number);
    }
}

pub(crate) fn take_tally(input: &mut Input<'_>) -> Result<Tally, DecodeError> {
    Ok(Tally {
        lattice: input.hash()?,
        burned: input.number()?,
        fees: input.number()?,
        burned_total: input.number()?,
        fees_total: input.number()?,
    })
}

pub(crate) fn encode_lattice(lattice: &Lattice) -> Bytes {
    lattice.to_bytes().to_vec().into()
}

pub(crate) fn decode_lattice(bytes: &[u8]) -> Result<Lattice, DecodeError> {
    decode(bytes, |input| Ok(Lattice::from_bytes(&input.array()?)))
}

pub(crate) fn encode_body(body: &Body, senders: &[Address]) -> Bytes {
    let mut out = Vec::with_capacity(4 + senders.len() * 20 + body.length());
    put_count(&mut out, senders.len());
    for sender in senders {
        out.extend_from_slice(sender.as_slice());
    }
    body.encode(&mut out);
    out.into()
}

pub(crate) fn decode_body(bytes: &[u8]) -> Result<(Body, Vec<Address>), DecodeError> {
    decode(bytes, |input| {
        let senders = input.list(20, Input::address)?;
        Ok((rlp(input)?, senders))
    })
}

pub(crate) fn encode_receipts(receipts: &[Receipt]) -> Bytes {
    // Those without logs take no more.
    let mut out = Vec::with_capacity(4 + 14 * receipts.len());
    put_count(&mut out, receipts.len());
    for receipt in receipts {
        out.push(receipt.kind);
        match &receipt.outcome {
            Outcome::Status(success) => out.push(u8::from(*success)),
            Outcome::StateRoot(root) => {
                out.push(2);
                out.extend_from_slice(root.as_slice());
            }
        }
        out.extend_from_slice(&receipt.cumulative_gas_used.to_be_bytes());
        put_count(&mut out, receipt.logs.len());
        for log in &receipt.logs {
            out.extend_from_slice(log.address.as_slice());
            out.push(log.topics().len() as u8);
            for topic in log.topics() {
                out.extend_from_slice(topic.as_slice());
            }
            put_bytes(&mut out, &log.data.data);
        }
    }
    out.into()
}

pub(crate) fn decode_receipts(bytes: &[u8]) -> Result<Vec<Receipt>, DecodeError> {
    let log = |input: &mut Input<'_>| {
        let address = input.address()?;
        let count = input.byte()?;
        if count > 4 {
            return Err(DecodeError::Case { field: "number of topics", value: count.into() });
        }
        let topics = (0..count).map(|_| input.hash()).collect::<Result<_, _>>()?;
        Ok(Log { address, data: LogData::new_unchecked(topics, owned(input.bytes()?)) })
    };
    decode(bytes, |input| {
        input.list(14, |input| {
            let kind = input.byte()?;
            let outcome = match input.byte()? {
                2 => Outcome::StateRoot(input.hash()?),
                status @ (0 | 1) => Outcome::Status(status == 1),
                value => return Err(DecodeError::Case { field: "outcome of a receipt", value: value.into() }),
            };
            Ok(Receipt { kind, outcome, cumulative_gas_used: input.u64()?, logs: input.list(25, log)? })
        })
    })
}

/// A height as a key, so that heights ascend.
pub(crate) fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn decode_hash(bytes: &[u8]) -> Result<B256, DecodeError> {
    decode(bytes, Input::hash)
}

pub(crate) fn encode_place(block: &B256, index: u32) -> Bytes {
    let mut out = [0; 36];
    out[..32].copy_from_slice(block.as_slice());
    out[32..].copy_from_slice(&index.to_be_bytes());
    Bytes::copy_from_slice(&out)
}

pub(crate) fn decode_place(bytes: &[u8]) -> Result<(B256, u32), DecodeError> {
    decode(bytes, |input| Ok((input.hash()?, input.u32()?)))
}

pub(crate) fn encode_id(id: &BlockId) -> Bytes {
    let mut out = id.number.to_be_bytes().to_vec();
    out.extend_from_slice(id.hash.as_slice());
    out.into()
}

pub(crate) fn decode_id(bytes: &[u8]) -> Result<BlockId, DecodeError> {
    decode(bytes, take_id)
}

pub(crate) fn take_id(input: &mut Input<'_>) -> Result<BlockId, DecodeError> {
    Ok(BlockId { number: input.u64()?, hash: input.hash()? })
}

/// The height, and which one of that height's it is.
pub(crate) fn notification_key(number: u64, place: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(&place.to_be_bytes());
    key
}

/// Height and place of a key that [`notification_key`] made.
pub(crate) fn decode_notification_key(key: &[u8]) -> Result<(u64, u32), DecodeError> {
    decode(key, |input| Ok((input.u64()?, input.u32()?)))
}

/// The first byte of each notification: the version of what follows.
const NOTIFICATION_VERSION: u8 = 1;

pub(crate) fn encode_notification(notification: &Notification) -> Bytes {
    let mut out = vec![NOTIFICATION_VERSION, u8::from(notification.is_reverted)];
    out.extend_from_slice(notification.block.hash.as_slice());
    out.extend_from_slice(notification.parent.as_slice());
    out.into()
}

pub(crate) fn decode_notification(number: u64, bytes: &[u8]) -> Result<Notification, DecodeError> {
    decode(bytes, |input| {
        match input.byte()? {
            NOTIFICATION_VERSION => {}
            version => return Err(DecodeError::Case { field: "version of a notification", value: version.into() }),
        }
        let is_reverted = input.flag("kind of a notification")?;
        Ok(Notification { block: BlockId { number, hash: input.hash()? }, parent: input.hash()?, is_reverted })
    })
}

/// What logs are looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogName {
    /// Who wrote it.
    Address(Address),
    /// What stands at a place of its topics, 0 to 3.
    Topic(u8, B256),
}

impl LogName {
    /// The part of the key before the block's number.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        match self {
            Self::Address(address) => [&[0], address.as_slice()].concat(),
            Self::Topic(place, topic) => [&[1 + place], topic.as_slice()].concat(),
        }
    }

    /// Key of this name's logs in the block at `number`.
    pub(crate) fn key(&self, number: u64) -> Vec<u8> {
        [self.prefix(), number_key(number).to_vec()].concat()
    }
}

/// All names of a block's logs, each with the places (counted through the whole block) of its logs.
pub(crate) fn log_names(receipts: &[Receipt]) -> BTreeMap<LogName, Vec<u32>> {
    let mut names: BTreeMap<LogName, Vec<u32>> = BTreeMap::new();
    for (place, log) in (0..).zip(receipts.iter().flat_map(|receipt| &receipt.logs)) {
        names.entry(LogName::Address(log.address)).or_default().push(place);
        for (position, topic) in (0..).zip(log.topics()) {
            names.entry(LogName::Topic(position, *topic)).or_default().push(place);
        }
    }
    names
}

pub(crate) fn encode_places(places: &[u32]) -> Bytes {
    places.iter().flat_map(|place| place.to_be_bytes()).collect::<Vec<_>>().into()
}

pub(crate) fn decode_places(bytes: &[u8]) -> Result<Vec<u32>, DecodeError> {
    let mut input = Input(bytes);
    let mut places = Vec::with_capacity(bytes.len() / 4);
    while !input.0.is_empty() {
        places.push(input.u32()?);
    }
    if !places.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Case { field: "order of places", value: places.len() as u64 });
    }
    Ok(places)
}

/// Puts a block together from its three rows.
pub(crate) fn join(
    hash: B256,
    HeaderRow { header, total_difficulty, tally }: HeaderRow,
    (body, senders): (Body, Vec<Address>),
    receipts: Vec<Receipt>,
) -> StoredBlock {
    StoredBlock {
        id: BlockId { number: header.number, hash },
        header,
        body,
        senders,
        receipts,
        total_difficulty,
        tally,
    }
}
