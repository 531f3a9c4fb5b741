//! `txpool_*`: what waits, as geth shows it: by standing, then sender, then nonce. Private transactions are not shown.

use std::sync::Arc;

use chain::{
    pool::{Pool, Pooled},
    types::Address,
};

use crate::{
    Context,
    error::RpcError,
    forms::OwnedTransaction,
    json::{Fields, Object, ToJson},
    methods::methods,
};

methods! {
    txpool_content() Long content, "All waiting transactions, by standing, sender and nonce.";
    txpool_contentFrom("address") Long content_from, "A sender's waiting transactions, by standing and nonce.";
    txpool_inspect() Long inspect, "All waiting transactions in a line each, by standing, sender and nonce.";
    txpool_status() Quick status, "How many transactions are pending, and how many stand behind a gap.";
}

/// How a transaction is shown.
type Show = fn(&Arc<Pooled>) -> Shown;

/// A transaction in full, or a line about it.
enum Shown {
    Whole(OwnedTransaction),
    Line(String),
}

impl ToJson for Shown {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(transaction) => transaction.write(out),
            Self::Line(line) => line.write(out),
        }
    }
}

pub(crate) fn whole(pooled: &Arc<Pooled>) -> OwnedTransaction {
    OwnedTransaction::Waiting(Box::new(pooled.transaction.clone()))
}

fn line(pooled: &Arc<Pooled>) -> Shown {
    let transaction = &pooled.transaction.transaction;
    let to = transaction.to().to().map_or_else(|| "contract creation".to_owned(), |to| to.to_checksum(None));
    let (value, gas, price) = (transaction.value(), pooled.gas_limit, pooled.fee_cap);
    Shown::Line(format!("{to}: {value} wei + {gas} gas × {price} wei"))
}

/// A sender's transactions by nonce.
type ByNonce = Vec<(u64, Shown)>;

/// Those of one standing, by sender.
type BySender = Vec<(Address, ByNonce)>;

struct Nonces<'a>(&'a ByNonce);

impl ToJson for Nonces<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            for (nonce, shown) in self.0 {
                object.field(&nonce.to_string(), shown);
            }
        })
        .write(out);
    }
}

struct Senders<'a>(&'a BySender);

impl ToJson for Senders<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            for (sender, nonces) in self.0 {
                object.field(&sender.to_checksum(None), &Nonces(nonces));
            }
        })
        .write(out);
    }
}

struct Content {
    pending: BySender,
    queued: BySender,
}

impl ToJson for Content {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            object.field("pending", &Senders(&self.pending)).field("queued", &Senders(&self.queued));
        })
        .write(out);
    }
}

struct OfSender {
    pending: ByNonce,
    queued: ByNonce,
}

impl ToJson for OfSender {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            object.field("pending", &Nonces(&self.pending)).field("queued", &Nonces(&self.queued));
        })
        .write(out);
    }
}

/// What of a sender is pending and queued, as it is shown.
fn of_sender(pool: &Pool, sender: &Address, show: Show) -> OfSender {
    let shown = |pooled: &Arc<Pooled>| (!pooled.private).then(|| (pooled.nonce, show(pooled)));
    OfSender {
        pending: pool.pending(sender).filter_map(shown).collect(),
        queued: pool.queued(sender).filter_map(shown).collect(),
    }
}

fn all(context: &Context<'_>, show: Show) -> Content {
    let pool = context.chain().pool();
    let mut content = Content { pending: Vec::new(), queued: Vec::new() };
    for sender in pool.senders() {
        let OfSender { pending, queued } = of_sender(&pool, &sender, show);
        for (of, nonces) in [(&mut content.pending, pending), (&mut content.queued, queued)] {
            if !nonces.is_empty() {
                of.push((sender, nonces));
            }
        }
    }
    content
}

fn content(context: &Context<'_>, (): ()) -> Result<Content, RpcError> {
    Ok(all(context, |pooled| Shown::Whole(whole(pooled))))
}

fn inspect(context: &Context<'_>, (): ()) -> Result<Content, RpcError> {
    Ok(all(context, line))
}

fn content_from(context: &Context<'_>, (sender,): (Address,)) -> Result<OfSender, RpcError> {
    Ok(of_sender(&context.chain().pool(), &sender, |pooled| Shown::Whole(whole(pooled))))
}

struct Status {
    pending: u64,
    queued: u64,
}

impl ToJson for Status {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            object.field("pending", &self.pending).field("queued", &self.queued);
        })
        .write(out);
    }
}

fn status(context: &Context<'_>, (): ()) -> Result<Status, RpcError> {
    let state = context.chain().pool().state(0);
    Ok(Status { pending: state.pending as u64, queued: state.queued as u64 })
}
