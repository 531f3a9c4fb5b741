//! `eth_getLogs`, and which logs a subscription is told of.

use std::sync::Arc;

use chain::{
    BlockRef,
    state::StoredBlock,
    types::{
        Address, B256, Bloom, Log,
        primitives::{BloomInput, keccak256},
    },
};

use crate::{
    Context,
    arguments::{Argument, each_field, elements},
    error::RpcError,
    forms::{LogForm, Place},
    json::ToJson,
};

/// Which logs somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    range: Range,
    /// Empty: of any address.
    addresses: Vec<Address>,
    /// For each position the topics that will do; none: any will.
    topics: Vec<Vec<B256>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Range {
    block: Option<B256>,
    from: Option<BlockRef>,
    to: Option<BlockRef>,
}

/// As many topics as a log can have.
const TOPICS_MAX: usize = 4;

impl Argument for Filter {
    fn read(json: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        each_field(json, "filter", |name, value| {
            match name {
                "blockHash" => filter.range.block = Argument::read(value)?,
                "fromBlock" => filter.range.from = Argument::read(value)?,
                "toBlock" => filter.range.to = Argument::read(value)?,
                "address" => filter.addresses = one_or_more(value)?,
                "topics" if value != "null" => {
                    filter.topics = elements(value, "this")?.into_iter().map(one_or_more).collect::<Result<_, _>>()?;
                }
                _ => {}
            }
            Ok(())
        })?;
        if filter.range.block.is_some() && (filter.range.from.is_some() || filter.range.to.is_some()) {
            return Err("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other".to_owned());
        }
        if filter.topics.len() > TOPICS_MAX {
            return Err(format!("topics: at most {TOPICS_MAX}, got {}", filter.topics.len()));
        }
        Ok(filter)
    }
}

/// A value, a list of them, or null for none.
fn one_or_more<T: Argument>(json: &str) -> Result<Vec<T>, String> {
    match json {
        "null" => Ok(Vec::new()),
        _ if json.starts_with('[') => Vec::read(json),
        _ => T::read(json).map(|value| vec![value]),
    }
}

impl Filter {
    fn wants(&self, log: &Log) -> bool {
        let topics = log.data.topics();
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.len() <= topics.len()
            && self.topics.iter().zip(topics).all(|(wanted, topic)| wanted.is_empty() || wanted.contains(topic))
    }

    /// False: no log under this bloom is wanted.
    fn may_match(&self, bloom: &Bloom) -> bool {
        let held = |input: &[u8]| bloom.contains_input(BloomInput::Hash(keccak256(input)));
        (self.addresses.is_empty() || self.addresses.iter().any(|address| held(address.as_slice())))
            && self.topics.iter().all(|wanted| wanted.is_empty() || wanted.iter().any(|topic| held(topic.as_slice())))
    }

    /// The wanted logs of a block: transaction, place among the block's logs.
    fn select(&self, block: &StoredBlock) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        if !self.may_match(&block.header.logs_bloom) {
            return found;
        }
        let mut index = 0;
        for (transaction, receipt) in block.receipts.iter().enumerate() {
            for log in &receipt.logs {
                if self.wants(log) {
                    found.push((transaction, index));
                }
                index += 1;
            }
        }
        found
    }

    /// The wanted logs of a block, each as JSON.
    pub(crate) fn write(&self, block: &StoredBlock, removed: bool) -> Vec<Vec<u8>> {
        let logs: Vec<&Log> = block.receipts.iter().flat_map(|receipt| &receipt.logs).collect();
        let form = |(transaction, index): (usize, usize)| {
            let place = Place { block, index: transaction };
            let mut json = Vec::new();
            LogForm { log: logs[index], place, index, removed }.write(&mut json);
            json
        };
        self.select(block).into_iter().map(form).collect()
    }
}

/// Found logs by block.
pub(super) struct Found(Vec<(Arc<StoredBlock>, Filter)>);

impl ToJson for Found {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        let logs = self.0.iter().flat_map(|(block, filter)| filter.write(block, false));
        for (index, json) in logs.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&json);
        }
        out.push(b']');
    }
}

pub(super) fn logs(context: &Context<'_>, (filter,): (Filter,)) -> Result<Found, RpcError> {
    let chain = context.chain();
    if let Some(hash) = filter.range.block {
        let block = context.block(hash.into())?.ok_or_else(|| RpcError::refused("unknown block"))?;
        return Ok(Found(vec![(block, filter)]));
    }
    let from = chain.id(filter.range.from.unwrap_or_default())?.number;
    let to = match filter.range.to.unwrap_or_default() {
        BlockRef::Number(number) => number.min(chain.head().id.number),
        tag => chain.id(tag)?.number,
    };
    if from > to {
        return Err(RpcError::invalid_params("invalid block range params"));
    }
    let most = context.limits().block_range;
    if to - from >= most {
        return Err(RpcError::limit_exceeded(format!("query exceeds max block range {most}")));
    }
    let (mut found, mut count) = (Vec::new(), 0);
    for number in from..=to {
        let Some(header) = context.header(number.into())? else { break };
        if !filter.may_match(&header.logs_bloom) {
            continue;
        }
        let Some(block) = context.block(number.into())? else { break };
        count += filter.select(&block).len();
        if count > context.limits().logs {
            let most = context.limits().logs;
            return Err(RpcError::limit_exceeded(format!("query returned more than {most} results")));
        }
        found.push((block, filter.clone()));
    }
    Ok(Found(found))
}
