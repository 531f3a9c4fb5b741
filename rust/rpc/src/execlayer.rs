//! `execlayer_*`: what no other chain has.

use std::sync::Arc;

use chain::{StoredBlock, pool::Obstacle, types::B256};

use crate::{
    Context,
    arguments::At,
    error::RpcError,
    json::{Decimal, Fields, Object, ToJson},
    methods::methods,
};

methods! {
    execlayer_poolRanking("count?") Long pool_ranking, "The next block's transactions in their order, each with the reasons for its rank.";
    execlayer_totals("block?") Long totals, "What a block burned and paid, what all up to it did, and the lattice hash after it.";
}

/// Transactions in an answer where none is asked for in particular, and at most.
const RANKED: u64 = 20;
const RANKED_MAX: u64 = 100;

struct Ranked {
    hash: B256,
    explanation: chain::pool::Explanation,
}

impl ToJson for Ranked {
    fn write(&self, out: &mut Vec<u8>) {
        let told = &self.explanation;
        Fields(|object: &mut Object<'_>| {
            object
                .field("hash", &self.hash)
                .field("class", told.class.name())
                .field("priority", &Decimal(told.priority))
                .field("factor", &Decimal(told.factor))
                .field("feeWeight", &Decimal(told.weights.fee()))
                .field("priorityWeight", &Decimal(told.weights.priority()))
                .field("medianTip", &told.median_tip)
                .field("tip", &told.tip)
                .field("rank", &told.rank.map(Decimal));
            if let Some(Obstacle::Tip { required }) = told.obstacle {
                object.field("requiredTip", &required);
            }
        })
        .write(out);
    }
}

fn pool_ranking(context: &Context<'_>, (count,): (Option<u64>,)) -> Result<Vec<Ranked>, RpcError> {
    let count = count.unwrap_or(RANKED);
    if count > RANKED_MAX {
        return Err(RpcError::invalid_params(format!("count: at most {RANKED_MAX}, got {count}")));
    }
    let chain = context.chain();
    let best = chain.candidates(count as usize).into_iter().filter(|pooled| !pooled.private);
    let ranked = best.filter_map(|pooled| {
        let explanation = chain.explain(&pooled.hash)?;
        Some(Ranked { hash: pooled.hash, explanation })
    });
    Ok(ranked.collect())
}

/// What a block comes to besides what its header says.
struct Totals(Arc<StoredBlock>);

impl ToJson for Totals {
    fn write(&self, out: &mut Vec<u8>) {
        let StoredBlock { id, tally, .. } = &*self.0;
        Fields(|object: &mut Object<'_>| {
            object
                .field("number", &id.number)
                .field("hash", &id.hash)
                .field("burned", &tally.burned)
                .field("fees", &tally.fees)
                .field("burnedSupply", &tally.burned_total)
                .field("feesTotal", &tally.fees_total)
                .field("latticeHash", &tally.lattice);
        })
        .write(out);
    }
}

fn totals(context: &Context<'_>, (at,): (At,)) -> Result<Totals, RpcError> {
    Ok(Totals(context.chain().block(context.checked(at)?)?))
}
