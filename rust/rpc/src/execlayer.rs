//! `execlayer_*`: what no other chain has.

use chain::{pool::Obstacle, types::B256};

use crate::{
    Context,
    error::RpcError,
    json::{Decimal, Fields, Object, ToJson},
    methods::methods,
};

methods! {
    execlayer_poolRanking("count?") Long pool_ranking, "The next block's transactions in their order, each with the reasons for its rank.";
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
